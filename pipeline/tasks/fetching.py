"""The tasks that ask the API: the catalogue, then the shards of each endpoint."""

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.config import settings
from pipeline.errors import FetchError, IlluminateError
from pipeline.extract import shards
from pipeline.extract.catalogue import SCHEMA, Catalogue
from pipeline.extract.fetch import Outcome, failure, fetch_shards
from pipeline.extract.request_plan import largest_first, worth_asking
from pipeline.extract.shards import Entry, Origin, Reply
from pipeline.illuminate.endpoints import OVERALL, STANDARD, Endpoint, group
from pipeline.publish.guards import CATALOGUE, stop_at
from pipeline.runs.progress import Steps
from pipeline.schema import ENDPOINTS
from pipeline.storage import files
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.guarding import nothing_lost, published_before
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.run import Run
from pipeline.tasks.targets import Manifest, ShardsTarget

if TYPE_CHECKING:
    from pipeline.illuminate.pages import Result

log = logging.getLogger(__name__)


class FetchMetadata(PipelineTask):
    """Asks for the catalogue of assessments: `metadata.json`."""

    def requires(self) -> ReadInputs:
        """Nothing is asked before the input files were found good."""
        return self.at(ReadInputs)

    def paths(self) -> list[Path]:
        """The catalogue."""
        return [self.snapshot.metadata]

    def parameters(self) -> dict[str, Any]:
        """Who is asked, and what for."""
        window = self.snapshot.window
        return {
            "schema": SCHEMA,
            "source": settings.source_name(),
            "window": [window.start.isoformat(), window.end.isoformat()],
        }

    def inputs(self) -> dict[str, str | None]:
        """None: an edited roster or rule is no reason to ask again."""
        return {}

    def make(self) -> dict[str, Any]:
        """Ask, and keep what was delivered."""
        run = Run.begin()
        before = run.counts()
        try:
            result = run.pool.submit(run.client.catalogue).result()
        except IlluminateError as error:
            raise FetchError(
                f"The catalogue could not be read: {error}. What was fetched before is kept and "
                "nothing was published; run again."
            ) from None
        rows = result.rows.to_dicts()
        # A catalogue that shrank is not even kept, so that the next run asks again.
        stop_at([nothing_lost(self, CATALOGUE, {row["assessment_id"] or "": 1 for row in rows})])
        catalogue = Catalogue(
            source=settings.source_name(),
            window=self.snapshot.window,
            fetched_at=dt.datetime.now(dt.UTC).replace(microsecond=0),
            declared=result.declared,
            duplicates=result.duplicates,
            pages=result.pages,
            assessments=sorted(rows, key=lambda row: row["assessment_id"] or ""),
        )
        files.write_json(self.snapshot.metadata, catalogue)
        log.info("%s catalogue: %s assessments", self.year, f"{len(rows):,}")
        return {
            "assessments": len(rows),
            "duplicates": result.duplicates,
            **{name: count - before[name] for name, count in run.counts().items()},
        }

    def read(self) -> Catalogue | None:
        """The catalogue, if there is one of this source and window."""
        return Catalogue.read(self.snapshot.metadata, settings.source_name(), self.snapshot.window)


class FetchScores(PipelineTask):
    """Asks one endpoint for each assessment's results: one shard each, the missing ones only.

    A shard that fails does not stop the others; the task fails when all were tried.
    """

    endpoint = luigi.ChoiceParameter(choices=ENDPOINTS, description="which results to ask for")

    @property
    def priority(self) -> int:  # type: ignore[override]
        """Overall first: it tells the most, should the run end early."""
        return {"overall": 13, "standard": 12, "group": 11}[self.endpoint]  # above what needs them

    @property
    def name(self) -> str:
        """The step's name, with its endpoint."""
        return f"FetchScores {self.endpoint}"

    def requires(self) -> list[PipelineTask]:
        """The catalogue and overall results say what to ask for; inputs must be good before."""
        before: list[PipelineTask] = [self.at(ReadInputs), self.at(FetchMetadata)]
        return before if self.endpoint == "overall" else [*before, self._overall()]

    def output(self) -> ShardsTarget:  # type: ignore[override]
        """The shards, complete when the manifest knows all that are expected, unchanged."""
        return ShardsTarget(
            self.snapshot.manifest(self.endpoint),
            self.snapshot.shards(self.endpoint),
            Origin(
                settings.source_name(),
                self.endpoint,
                self.snapshot.window,
                tuple(self._endpoint().own_names),
            ),
            self.expected,
        )

    def expected(self) -> list[str] | None:
        """The assessments whose shards must be there; None while that cannot be known."""
        every = self._known()
        if every is None or self.endpoint == "overall" or settings.asks_all():
            return every
        overall = self._overall().output().manifest
        if overall is None or not overall.shards.keys() >= set(every):
            return None
        salt = f"{self.endpoint} {self.snapshot.window.end}"
        with_results = [i for i, entry in overall.shards.items() if entry.rows]
        return worth_asking(every, with_results, settings.sample(), salt)

    def _known(self) -> list[str] | None:
        """Every assessment that could be asked for; None while the catalogue is missing."""
        catalogue = self.at(FetchMetadata).read()
        if catalogue is None:
            return None
        if self.snapshot.window.is_empty:
            return []
        return catalogue.ids(settings.ids_to_include(), settings.ids_to_exclude())

    def _overall(self) -> "FetchScores":
        return self.at(FetchScores, endpoint="overall")

    def digest(self) -> str | None:
        """A digest of all the shards."""
        manifest = self.output().manifest
        return manifest.digest if manifest else None

    def bring_up_to_date(self, run: Run) -> None:
        """Fetch what is missing, and write down what is there."""
        target = self.output()
        if target.exists():
            return
        expected = self.expected() or []
        kept = self._kept(target, expected)
        missing = [assessment for assessment in expected if assessment not in kept]
        before = run.counts()
        outcomes = self._fetch(run, target, missing)
        fetched = {o.assessment_id: o.entry for o in outcomes if o.entry is not None}
        facts = {
            "fetched": len(fetched),
            "kept": len(kept),
            "failed": sum(outcome.failed for outcome in outcomes),
            "not asked": len(self._known() or []) - len(expected),
            **{name: count - before[name] for name, count in run.counts().items()},
        }
        known = dict(sorted((kept | fetched).items()))
        files.write_json(target.manifest_path, Manifest(target.origin, known, facts, run.id))
        if len(fetched) < len(missing):
            raise failure(self.endpoint, outcomes)

    def _kept(self, target: ShardsTarget, expected: list[str]) -> dict[str, Entry]:
        """The expected shards that are on disk and whole, whether a manifest knows them or not."""
        kept = target.intact()
        for assessment_id in set(expected) - kept.keys():
            entry = shards.find(target.folder, target.origin, assessment_id)
            if entry is not None:
                kept[assessment_id] = entry
        return {
            assessment_id: kept[assessment_id]
            for assessment_id in expected
            if assessment_id in kept
        }

    def _fetch(self, run: Run, target: ShardsTarget, missing: list[str]) -> list[Outcome]:
        if not missing:
            return []
        client, endpoint, window = run.client, self._endpoint(), self.snapshot.window

        def ask(assessment_id: str) -> Reply:
            return _reply(client.results(endpoint, assessment_id, window), endpoint)

        def keep(assessment_id: str, reply: Reply) -> Entry:
            return shards.write(target.folder, target.origin, assessment_id, reply)

        with Steps(f"{self.year} {self.endpoint}", len(missing), self._report) as steps:
            return fetch_shards(
                largest_first(missing, self._sizes()),
                ask,
                keep,
                pool=run.pool,
                stop=run.stop,
                on_done=lambda outcome: steps.step(failed=outcome.failed),
            )

    def _sizes(self) -> dict[str, int]:
        """How many rows an assessment has, as far as is known: overall now, or by last time."""
        if self.endpoint != "overall" and (overall := self._overall().output().manifest):
            return {assessment_id: entry.rows for assessment_id, entry in overall.shards.items()}
        before = published_before(self)
        return before.rows.get("combined", {}) if before else {}

    def _endpoint(self) -> Endpoint:
        if self.endpoint == "group":
            return group(*settings.reporting_group_fields())
        return OVERALL if self.endpoint == "overall" else STANDARD

    def _report(self, percentage: int, text: str) -> None:
        # Luigi puts these two in place while the task runs.
        self.set_progress_percentage(percentage)  # type: ignore[misc]
        self.set_status_message(text)  # type: ignore[misc]


def _reply(result: "Result", endpoint: Endpoint) -> Reply:
    rows, names = result.rows, endpoint.rename(result.rows.columns)
    if list(names) != rows.columns:  # polars takes as long for a renaming as for an empty page
        rows = rows.rename(dict(zip(rows.columns, names, strict=True)))
    return Reply(rows, result.declared, result.pages, result.duplicates)
