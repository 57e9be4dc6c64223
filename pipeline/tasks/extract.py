"""The tasks that fetch from the API: the catalogue, then the shards of each endpoint."""

import datetime as dt
import functools
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.config import sections, settings
from pipeline.config.parameters import ChoiceParameter
from pipeline.errors import FetchError, IlluminateError, printable
from pipeline.extract import shards
from pipeline.extract.catalogue import SCHEMA, Catalogue
from pipeline.extract.fetch import Outcome, Retries, failure, fetch_shards, once_more, stopped
from pipeline.extract.manifest import Manifest, ManifestEntry, ManifestLog, ShardRequest
from pipeline.extract.request_plan import largest_first, select_assessments
from pipeline.ids import trim
from pipeline.illuminate.endpoints import OVERALL, STANDARD, Endpoint, group
from pipeline.publish.guards import CATALOGUE, raise_on_failure
from pipeline.runs import context
from pipeline.runs.progress import ProgressReporter
from pipeline.schema import ENDPOINTS, TABLES
from pipeline.storage import files
from pipeline.tasks.base import IncrementalTask, YearTask, incremental
from pipeline.tasks.by_page import try_by_page
from pipeline.tasks.guards import (
    check_has_begun,
    check_source,
    compare_with_published,
    published_counts,
    year_before,
)
from pipeline.tasks.inputs import CheckInputs
from pipeline.tasks.shared import OfAll, open_client, open_counts, open_pool
from pipeline.tasks.targets import FilesTarget, ShardsTarget

if TYPE_CHECKING:
    from pipeline.illuminate.client import Client
    from pipeline.illuminate.pages import Result

log = logging.getLogger(__name__)


class FetchMetadata(YearTask, IncrementalTask):
    """Download the catalogue of assessments."""

    version = 2

    def requires(self) -> CheckInputs:
        return self.other(CheckInputs)

    def output(self) -> FilesTarget:
        """Return `metadata.json`, the catalogue as it was delivered."""
        return self.target(self.paths.catalogue)

    def parameters(self) -> dict[str, Any]:
        """Return the source and the window of dates."""
        window = self.paths.window
        return {
            "schema": SCHEMA,
            "source": settings.source_name(),
            "window": [window.start.isoformat(), window.end.isoformat()],
        }

    @incremental
    def run(self) -> None:
        """Request the catalogue, and keep it unless it shrank.

        Raises:
            FetchError: it could not be read.
            CheckError: it shrank, and the next run requests it again; or the year has not begun,
                or the published tables are another district's, and nothing was requested.
        """
        check_has_begun(self)
        tables = (path for table in TABLES for path in self.paths.published_paths(table))
        check_source(self.paths.publication, tables)
        client = context.current().share(open_client)
        result = self._request(client)
        rows = result.rows.to_dicts()
        now = {trim(row["assessment_id"] or ""): 1 for row in rows}
        raise_on_failure([compare_with_published(self, CATALOGUE, now)], self.year)
        listed = published.rows.get(CATALOGUE, {}) if (published := published_counts(self)) else {}
        catalogue = Catalogue(
            source=settings.source_name(),
            window=self.paths.window,
            fetched_at=dt.datetime.now(dt.UTC).replace(microsecond=0),
            server_total=result.declared,
            duplicates=result.duplicates,
            pages=result.pages,
            assessments=sorted(rows, key=lambda row: row["assessment_id"] or ""),
        )
        with self.output().build() as build:
            files.write_json(self.paths.catalogue, catalogue)
            build.stats |= {
                "assessments": len(rows),
                "duplicates": result.duplicates,
                "fetched_on": self.today.isoformat(),
                "year before": year_before(self),
                "no longer listed": sorted(map(printable, listed.keys() - now.keys())),
                **client.counts.take(),
            }
        log.info("%s catalogue: %s assessments", self.year, f"{len(rows):,}")

    def digest(self) -> str | None:
        """Return a digest of what is listed, which is all that tables follow from."""
        return catalogue.digest if (catalogue := self.catalogue()) else None

    def _request(self, client: "Client") -> "Result":
        run = context.current()
        retries = Retries(f"{self.year} catalogue", client.count_retry, client.take_retry)
        catalogue = run.share(open_pool).submit(once_more, retries, client.catalogue)
        counts = run.share(open_counts)
        counts.begin(self._counted_by_page())  # the catalogue takes one thread
        try:
            return catalogue.result()
        except IlluminateError as error:
            raise FetchError(
                f"The catalogue could not be read: {error}. What was fetched before is kept and "
                f"nothing was published. {error.todo}"
            ) from None
        finally:
            counts.end()

    def _counted_by_page(self) -> list[OfAll]:
        """Return what each endpoint that this run is to fetch by page begins by counting."""
        if settings.read(sections.illuminate).strategy == "by_assessment":
            return []
        steps = {step.task_id for step in context.current().build.steps()}
        scores = (self.other(FetchScores, endpoint=endpoint) for endpoint in ENDPOINTS)
        begun = (each for each in scores if each.task_id in steps and each.is_to_begin)
        return [(each.api_endpoint(), self.paths.window) for each in begun]

    def catalogue(self) -> Catalogue | None:
        """Return the catalogue; None if there is none of this source and window."""
        return Catalogue.read(self.paths.catalogue, settings.source_name(), self.paths.window)


class FetchScores(YearTask):
    """Fetch the missing shards of one endpoint over a thread pool.

    A shard that fails does not stop the others; the task fails when all were tried.
    """

    endpoint = ChoiceParameter(ENDPOINTS, description="overall, standard or group")

    @property
    def priority(self) -> int:  # type: ignore[override]
        """Overall first: it is worth the most, should the run end early."""
        return {"overall": 13, "standard": 12, "group": 11}[self.endpoint]  # above what needs them

    @property
    def name(self) -> str:
        """The step's name, with its endpoint."""
        return f"FetchScores {self.endpoint}"

    def requires(self) -> list[YearTask]:
        before: list[YearTask] = [self.other(CheckInputs), self.other(FetchMetadata)]
        return before if self.endpoint == "overall" else [*before, self._overall()]

    def output(self) -> ShardsTarget:
        """Return the shards, complete when the manifest has all that are expected, intact."""
        request = ShardRequest(
            settings.source_name(),
            self.endpoint,
            self.paths.window,
            tuple(self.api_endpoint().renames),
        )
        return ShardsTarget(
            self.paths.manifest(self.endpoint),
            self.paths.shards(self.endpoint),
            request,
            self.expected,
        )

    @incremental
    def run(self) -> None:
        """Fetch what is missing, and write the manifest.

        Raises:
            FetchError: some shards could not be fetched, and it names each of them; or the run was
                asked to stop, and it says how many were fetched.
        """
        run, target = context.current(), self.output()
        lasting = found.lasting_stats if (found := target.stored) else {}
        if self.is_to_begin and (catalogue := self.other(FetchMetadata).catalogue()):
            client, pool = run.share(open_client), run.share(open_pool)
            by_assessment = try_by_page(self, catalogue, client, pool)
            if by_assessment is None:
                return
            lasting = by_assessment
        intact = target.intact()
        # From here on the manifest has this request, and no entry of a shard that is fetched.
        Manifest(target.request, intact, lasting, "").write(target.path)
        expected = self.expected() or []
        missing = [assessment for assessment in expected if assessment not in intact]
        outcomes, counts = self._fetch(target, missing) if missing else ([], {})
        fetched = {o.assessment_id: o.entry for o in outcomes if o.entry is not None}
        stats = {
            "fetched": len(fetched),
            "reused": len(expected) - len(missing),
            "failed": sum(outcome.failed for outcome in outcomes),
            "skipped": len(self._assessments() or []) - len(expected),
            **counts,
            **lasting,
        }
        Manifest(target.request, intact | fetched, stats, run.id).write(target.path)
        if len(fetched) < len(missing):
            raise (stopped if run.stop.is_set() else failure)(self.endpoint, outcomes)
        files.remove_folder(self.paths.ranges(self.endpoint))

    def expected(self) -> list[str] | None:
        """Return the assessments whose shards are needed; None while that cannot be known.

        By assessment, standard and group results are only fetched where overall results exist, and
        for a sample of the others, as a check.
        """
        assessments = self._assessments()
        fetch_all = settings.read(sections.illuminate).fetch_all
        if assessments is None or self.endpoint == "overall" or fetch_all or self.is_by_page:
            return assessments
        overall = self._overall().receipt
        if overall is None or not overall.shards.keys() >= set(self._overall().expected() or ()):
            return None
        seed = f"{self.endpoint} {self.paths.window.end}"
        # An assessment that is not listed may have results of this endpoint alone.
        with_results = self._unlisted() + [i for i, entry in overall.shards.items() if entry.rows]
        return select_assessments(assessments, with_results, settings.sample(), seed)

    @property
    def is_to_begin(self) -> bool:
        """Whether there may be results, and there are no shards yet."""
        found = self.output().stored
        return not (found and found.shards) and not self.paths.window.is_empty

    @property
    def is_by_page(self) -> bool:
        """Whether the shards hold all results, of whatever assessment."""
        manifest = self.output().stored
        return manifest is not None and manifest.is_by_page

    @property
    def receipt(self) -> Manifest | None:
        """The manifest of the shards; None while there is none of this request."""
        return self.output().manifest

    def declared(self) -> int:
        """Return how many results the server declared, over all shards."""
        manifest = self.receipt
        return sum(entry.server_total for entry in manifest.shards.values()) if manifest else 0

    def digest(self) -> str | None:
        """Return a digest of all the rows."""
        return manifest.rows_digest if (manifest := self.receipt) else None

    def writer(self) -> "Callable[[str, Result], ManifestEntry]":
        """Return what writes a shard, or links that of another snapshot with the same bytes."""
        folder = self.paths.shards(self.endpoint)
        others = [self.paths.counterpart(folder, other) for other in self.other_snapshots()]
        return functools.partial(shards.write, folder, self.endpoint, others=others)

    def _fetch(
        self, target: ShardsTarget, missing: list[str]
    ) -> tuple[list[Outcome], dict[str, int]]:
        """Return the outcomes, and the requests, also those of trying it by page."""
        run, endpoint, window = context.current(), self.api_endpoint(), self.paths.window
        client = run.share(open_client)
        client.expect(len(missing))
        write = self.writer()

        def save(assessment_id: str, result: "Result") -> ManifestEntry:
            entry = write(assessment_id, result)
            manifest.add(assessment_id, entry)
            if entry.file:
                path = target.folder / shards.file_name(assessment_id)
                run.verified.add((path, entry.file.sha256))  # hashed while it was written
            return entry

        def show(outcome: Outcome) -> None:
            if outcome.attempted:
                steps.step(failed=outcome.failed)

        with (
            ManifestLog(target.path, target.folder) as manifest,
            ProgressReporter(f"{self.year} {self.endpoint}", len(missing), self.report) as steps,
        ):
            outcomes = fetch_shards(
                largest_first(missing, self.sizes()),
                lambda assessment_id: client.results(endpoint, assessment_id, window),
                save,
                pool=run.share(open_pool),
                stop=run.stop,
                retries=Retries(
                    f"{self.year} {self.endpoint}", client.count_retry, client.take_retry
                ),
                on_done=show,
            )
        return outcomes, client.counts.take()

    def _assessments(self) -> list[str] | None:
        """Return every assessment that could be fetched; None while the catalogue is missing."""
        catalogue = self.other(FetchMetadata).catalogue()
        if catalogue is None:
            return None
        if self.paths.window.is_empty:
            return []
        return self.select_ids(catalogue, self._unlisted())

    def select_ids(self, catalogue: Catalogue, unlisted: Iterable[str]) -> list[str]:
        """Return the assessments to fetch, of the catalogue and those that were found beside it."""
        chosen = settings.read(sections.illuminate)
        found = self._overall()._unlisted()  # noqa: SLF001  another of this class
        return catalogue.select_ids((*chosen.include_ids, *found, *unlisted), chosen.exclude_ids)

    def _unlisted(self) -> list[str]:
        manifest = self.output().stored
        return manifest.unlisted if manifest else []

    def sizes(self) -> dict[str, int]:
        """Return the rows of assessments as far as known: overall now, or as last published."""
        if self.endpoint != "overall" and (overall := self._overall().receipt):
            return {assessment_id: entry.rows for assessment_id, entry in overall.shards.items()}
        before = published_counts(self)
        return before.rows.get("combined", {}) if before else {}

    def _overall(self) -> "FetchScores":
        return self.other(FetchScores, endpoint="overall")

    def api_endpoint(self) -> Endpoint:
        """Return the endpoint of the API."""
        if self.endpoint == "group":
            chosen = settings.read(sections.illuminate)
            return group(chosen.reporting_group_id_field, chosen.reporting_group_field)
        return OVERALL if self.endpoint == "overall" else STANDARD

    def report(self, percentage: int, text: str) -> None:
        """Show the progress on Luigi's web page."""
        # Luigi puts these two in place while the task runs.
        self.set_progress_percentage(percentage)  # type: ignore[misc]
        self.set_status_message(text)  # type: ignore[misc]


class FetchAllScores(YearTask, luigi.WrapperTask):
    """Fetch the shards of all endpoints."""

    def requires(self) -> list[FetchScores]:
        return [self.other(FetchScores, endpoint=endpoint) for endpoint in ENDPOINTS]
