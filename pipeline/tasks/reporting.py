"""The last tasks: a page about what is published, and everything together."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import sections, settings
from pipeline.publish.commit import Marker
from pipeline.schema import VIEW
from pipeline.storage import files
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.publishing import Publish, PublishedTarget
from pipeline.tasks.run import Run
from pipeline.years import SchoolYear

_YEARS_BEFORE = 5
_RECORDS = 14


class Report(PipelineTask):
    """One page of charts and tables about the published tables; counts only."""

    version = 4

    def requires(self) -> list[PipelineTask]:
        """The published set."""
        return [self.at(Publish)]

    def paths(self) -> list[Path]:
        """The page."""
        return [self.snapshot.report]

    def parameters(self) -> dict[str, Any]:
        """How small a group may be, and whether the page says that nobody in it is real."""
        return {"smallest group": settings.smallest_group(), "made up": settings.is_demo()}

    def inputs(self) -> dict[str, str | None]:
        """What is published of this year and of those before, and the roster.

        Run records are none: the page has those that there were when it was made.
        """
        marker = self.published()
        return {
            "Publish": marker.build if marker else None,
            "ReadInputs": self.at(ReadInputs).digest(),
            **{f"Publish {year}": build for year, (build, _) in self._before().items()},
        }

    def make(self) -> dict[str, Any]:
        """Write the page, with what this run did so far."""
        run = Run.begin()
        return self.write([*self.records(without=run.id), Run.compose(run, self.place)])

    def published(self) -> Marker | None:
        """What is published of the year."""
        return Marker.read(self.snapshot.marker)

    def records(self, without: str = "") -> list[dict[str, Any]]:
        """The newest records of the year, the newest last, that can be read."""
        paths = sorted(self.snapshot.folders.runs.glob(f"*-{self.year}.json"))[-_RECORDS:]
        found = (files.read_json(path, dict) for path in paths)
        return [record for record in found if record and record["run"] != without]

    def write(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Write the page anew; returns what is counted of it."""
        from pipeline.report import findings, load, page
        from pipeline.report.disclosure import Rule

        marker = self.published()
        if marker is None:
            raise RuntimeError("there is no report before something is published")
        rule = Rule(settings.smallest_group())
        _, view = self.snapshot.published(VIEW)
        earlier = {year: path for year, (_, path) in self._before().items()}
        counted = findings.Counted.of(view, self.snapshot.roster, earlier, rule)
        found = findings.find(str(self.year), counted, rule)
        about = page.About(
            year=str(self.year),
            as_of=marker.about["as_of"],
            run=marker.run,
            made_at=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}",
            is_made_up=marker.about["is_made_up"],
        )
        files.write_text(self.paths()[0], page.render(about, found, load.read(records)))
        years = sorted({point.year for point in found.years})
        return {"years": years, "groups": len(found.cells)}

    def _before(self) -> dict[str, tuple[str, Path]]:
        """The earlier years that are published: the build and the view of each."""
        return dict(self._published_before())

    def _published_before(self) -> Iterator[tuple[str, tuple[str, Path]]]:
        for start in range(self.year.start - _YEARS_BEFORE, self.year.start):
            year = SchoolYear(start)
            marker_at = self.snapshot.folders.marker(str(year))
            marker = Marker.read(marker_at)
            for name, made in marker.files.items() if marker else ():
                path = marker_at.parent / name
                is_view = path.name.startswith(VIEW.stem) and path.suffix == ".parquet"
                if marker and is_view and made.fits(path):
                    yield str(year), (marker.build, path)


class RunAll(PipelineTask):
    """Everything: from the API to published tables and their report, for one school year."""

    def complete(self) -> bool:
        """Whether there is nothing to do, down to the published set and the report."""
        published = self.at(Publish).complete()
        return published and all(task.complete() for task in self.requires())

    def requires(self) -> list[PipelineTask]:
        """The report follows from all the rest; where none is wanted, the published set does."""
        return [self.at(Report if sections.report().enabled else Publish)]

    def output(self) -> PublishedTarget:  # type: ignore[override]
        """The published set."""
        return self.at(Publish).output()

    def bring_up_to_date(self, run: Run) -> None:
        """Nothing is left to do once everything is published."""
