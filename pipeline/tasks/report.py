"""The tasks at the end of a year: the page about what is published, and everything together."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import luigi

from pipeline.config import sections, settings
from pipeline.errors import StorageError
from pipeline.publish.commit import Publication, find_damaged
from pipeline.runs import context, record
from pipeline.schema import LABELS, STANDARDS, VIEW
from pipeline.storage import files
from pipeline.storage.replacement import relative_name
from pipeline.tasks.base import IncrementalTask, PipelineTask, YearTask, incremental
from pipeline.tasks.count import CountResults
from pipeline.tasks.guards import source_of
from pipeline.tasks.inputs import ReadRoster
from pipeline.tasks.publish import Publish
from pipeline.tasks.targets import FilesTarget
from pipeline.years import SchoolYear

_YEARS_BEFORE = 5
_RECORDS = 14


class _Table(NamedTuple):
    """A published table: the build, the publication manifest, and the table's name in it."""

    build: str
    manifest: Path
    name: str


class Report(YearTask, IncrementalTask):
    """Draw one page of charts and tables about the published tables; counts only."""

    version = 9

    def requires(self) -> list[PipelineTask]:
        return [self.other(Publish), self.other(ReadRoster)]

    def output(self) -> FilesTarget:
        """Return the page."""
        return self.target(self.paths.report)

    def parameters(self) -> dict[str, Any]:
        """Return how small a group may be, and what the page says of the tables as a whole."""
        return {
            "smallest group": settings.smallest_group(),
            "made up": settings.is_demo(),
            **self.other(Publish).about(),
        }

    def source_files(self) -> dict[str, str]:
        """Return what is published of the years before.

        Run records are not part of it: the page has those that there were when it was drawn.
        """
        return {f"Publish {year}": view.build for year, view in self._views_before().items()}

    @incremental
    def run(self) -> None:
        run = context.current()
        (own,) = (t for t in record.table_sets(run) if t.partition == self.partition)
        with self.output().build() as build:
            build.stats |= self.draw([*self.records(without=run.id), record.compose(run, own)])

    def records(self, without: str = "") -> list[dict[str, Any]]:
        """Return the newest records of the year, the newest last, that can be read."""
        paths = sorted(self.paths.folders.runs.glob(f"*-{self.year}.json"))[-_RECORDS:]
        found = (files.read_json(path, dict) for path in paths)
        # Records of earlier versions have other keys.
        known = (each for each in found if each and "allowed_shrink" in each)
        return [each for each in known if each["run"] != without]

    def draw(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Write the page, and return what is counted of it."""
        from pipeline.report import findings, page, run_history
        from pipeline.report.disclosure import Rule
        from pipeline.transform.standards import read_spellings

        publication = Publication.read(self.paths.publication)
        if publication is None:
            raise RuntimeError("there is no report before something is published")
        rule = Rule(settings.smallest_group())
        _, view = self.paths.published_paths(VIEW)
        before, manifest = self._views_before(), self.paths.publication
        own = _Table(publication.build, manifest, relative_name(view, manifest.parent))
        small = [path for of in (LABELS, STANDARDS) for path in self.paths.published_paths(of)]
        mine = [own, *(own._replace(name=relative_name(each, manifest.parent)) for each in small)]
        _verify([*before.items(), *((str(self.year), each) for each in mine)])
        labels, standards = small
        earlier = {year: each.manifest.parent / each.name for year, each in before.items()}
        found = findings.disclose(
            *(str(self.year), view, self.paths.roster, earlier, rule, labels),
            read_spellings(standards),
        )
        about = page.About(
            year=str(self.year),
            as_of=publication.metadata["as_of"],
            fetched_on=publication.fetched_on,
            run=publication.run,
            made_at=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}",
            is_made_up=publication.metadata["is_made_up"],
        )
        files.write_text(self.paths.report, page.render(about, found, run_history.read(records)))
        years = sorted({point.year for point in found.years})
        return {"years": years, "groups": len(found.cells)}

    def _views_before(self) -> dict[str, _Table]:
        """Return the view of each earlier year that is published of the same district."""
        before = {}
        for start in range(self.year.start - _YEARS_BEFORE, self.year.start):
            year = str(SchoolYear(start))
            manifest = self.paths.folders.publication(year)
            publication = Publication.read(manifest)
            if publication is None or source_of(publication) != settings.source_name():
                continue
            for name, stamp in publication.files.items():
                file = manifest.parent / name
                is_view = file.name.startswith(VIEW.stem) and file.suffix == ".parquet"
                if is_view and stamp.matches(file):
                    before[year] = _Table(publication.build, manifest, name)
        return before


def _verify(tables: Iterable[tuple[str, _Table]]) -> None:
    """Read each table, given with its year, before anything is said of it.

    Raises:
        StorageError: one is not as it was published; the next run publishes it again.
    """
    for year, (_, manifest, name) in tables:
        if not (manifest.parent / name).exists() or find_damaged(manifest, [name]):
            raise StorageError(
                f"{manifest.parent / name} was changed or damaged after it was published, so the "
                f"report is unchanged. Run `make run YEAR={year}`, which publishes it again."
            )


class RunAll(YearTask, luigi.WrapperTask):
    """Everything: from the API to published tables and their report, for one school year."""

    def requires(self) -> list[PipelineTask]:
        last = Report if settings.read(sections.report).enabled else Publish
        return [self.other(CountResults), self.other(last)]
