"""The tasks at the end of a year: the pages about what is published, and everything together."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.config import sections, settings
from pipeline.publish.commit import Publication
from pipeline.runs import context, record
from pipeline.schema import LABELS, STANDARDS
from pipeline.storage import files
from pipeline.tasks.base import IncrementalTask, PipelineTask, YearTask, incremental
from pipeline.tasks.count import CountResults
from pipeline.tasks.figures import DiscloseFigures
from pipeline.tasks.inputs import ReadRoster
from pipeline.tasks.parameters import EarlierYearsParameter
from pipeline.tasks.publish import Publish
from pipeline.tasks.targets import FilesTarget
from pipeline.years import SchoolYear

if TYPE_CHECKING:
    from pipeline.report.findings import Sources

_YEARS_BEFORE = 5
_RECORDS = 14


class Report(YearTask, IncrementalTask):
    """Draw a page of charts and tables about the published tables, and one of each school."""

    version = 9
    earlier = EarlierYearsParameter()

    def requires(self) -> list[PipelineTask]:
        compared = [year for year in self.earlier if year in self._compared_years()]
        return [*self.built_from(), *(self.other(DiscloseFigures, year=year) for year in compared)]

    def built_from(self) -> list[PipelineTask]:
        """Return the tasks of its own year: the figures of those before are its source files.

        So the page is current or not, whether or not these years are of the same run.
        """
        return [self.other(task) for task in (DiscloseFigures, Publish, ReadRoster)]

    def output(self) -> FilesTarget:
        """Return the page of the year, and those of the schools that have figures."""
        shown = self.other(DiscloseFigures).receipt
        schools = shown.stats["schools"] if shown else ()
        return self.target(self.paths.report, *self.paths.school_reports(schools).values())

    def parameters(self) -> dict[str, Any]:
        """Return how small a group may be, and what the page says of the tables as a whole."""
        return {
            "smallest group": settings.smallest_group(),
            "made up": settings.is_demo(),
            **self.other(Publish).about(),
        }

    def source_files(self) -> dict[str, str]:
        """Return the digests of the figures of the years before.

        Run records are not part of it: the page has those that there were when it was drawn.
        """
        return {
            f"figures of {year}": files.sha256(path) for year, path in self._years_before().items()
        }

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
        """Write the pages, and return what is counted of them."""
        from pipeline.report import page, run_history

        publication = Publication.read(self.paths.publication)
        if publication is None:
            raise RuntimeError("there is no report before something is published")
        about = page.About(
            year=str(self.year),
            as_of=publication.metadata["as_of"],
            fetched_on=publication.fetched_on,
            run=publication.run,
            made_at=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}",
            is_made_up=publication.metadata["is_made_up"],
        )
        sources, history = self._sources(), run_history.read(records)
        schools = self.paths.school_reports(sources.schools)
        hrefs = {school: f"{self.year}/{path.name}" for school, path in schools.items()}
        html, lost = page.render(page.all_pages(about, sources, history, hrefs))
        for path, text in zip([self.paths.report, *schools.values()], html, strict=True):
            files.write_text(path, text)
        for path in (self.paths.folders.reports / str(self.year)).glob("*.html"):
            if path not in schools.values():
                path.unlink()  # of a school that has no figures any more
        years = sorted([*sources.earlier, str(self.year)])
        return {"years": years, "pages": len(html), "lost charts": lost}

    def _sources(self) -> "Sources":
        import polars as pl

        from pipeline.report import aggregates, disclosure
        from pipeline.report.findings import Sources
        from pipeline.transform.standards import read_spellings

        shown = self.other(DiscloseFigures)
        labels, standards = map(shown.published, (LABELS, STANDARDS))
        shown.verify([labels, standards])
        rule = disclosure.Rule(settings.smallest_group())
        roster, before = aggregates.rostered(self.paths.roster), self._years_before()
        return Sources(
            year=str(self.year),
            figures=pl.read_parquet(self.paths.figures, glob=False),
            earlier={year: pl.read_parquet(path, glob=False) for year, path in before.items()},
            rostered=disclosure.disclose_sizes(roster, rule),
            standards=aggregates.wording(read_spellings(standards)),
            unlisted=aggregates.unlisted(labels),
            smallest=rule.smallest,
        )

    def _compared_years(self) -> list[SchoolYear]:
        """Return the years before that it shows where they are published."""
        return [*map(SchoolYear, range(self.year.start - _YEARS_BEFORE, self.year.start))]

    def _years_before(self) -> dict[str, Path]:
        """Return the figures of each earlier year that is published of the same district."""
        before = {}
        for year in map(str, self._compared_years()):
            folders = self.paths.folders
            publication = Publication.read(folders.publication(year))
            path = folders.figures(year)
            if publication and publication.source == settings.source_name() and path.exists():
                before[year] = path
        return before


class RunAll(YearTask, luigi.WrapperTask):
    """Everything: from the API to published tables and their report, for one school year."""

    earlier = EarlierYearsParameter()

    def requires(self) -> list[PipelineTask]:
        last = Report if settings.read(sections.report).enabled else Publish
        return [self.other(CountResults), self.other(last)]
