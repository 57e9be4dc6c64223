"""The tasks that build the views: the two of the pipeline, and those that SQL files give.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.config import settings
from pipeline.errors import SettingsError
from pipeline.schema import COMBINED, GROUP, LABELS, LATEST, VIEW, Table, own_view
from pipeline.storage import files, follow
from pipeline.tasks.base import FileTask, PipelineTask
from pipeline.tasks.building import (
    BuildTables,
    CombineGroup,
    CombineResults,
    LabelAssessments,
    LargeTables,
    proven,
)
from pipeline.tasks.inputs import ReadInputs, content

if TYPE_CHECKING:
    import polars as pl

    from pipeline.transform.build import Twins


class BuildViews(BuildTables):
    """Both views: the combined rows with labels and grades, all of them, and the latest attempts.

    They have no names of students. They are made of the shards that the combined table is made of,
    and counted against it before anything is published.
    """

    @property
    def tables(self) -> tuple[Table, ...]:
        """The view of all rows, and that of the latest attempts."""
        return (VIEW, LATEST)

    def requires(self) -> list[PipelineTask]:
        """The combined table, labels, and the roster."""
        return [self.at(CombineResults), self.at(LabelAssessments), self.at(ReadInputs)]

    def rows(self) -> "pl.LazyFrame":
        """The combined rows with labels, grades and numbers of attempts."""
        from pipeline.transform import attempts, build

        results = self.at(CombineResults)
        overall, standard = map(attempts.CountedAttempts.of, results.sources(), results.endpoints)
        combined = build.combined(overall, standard, str(self.year))
        return build.labelled(combined, *self._labels(), self._roster())

    def twins(self, rows: "pl.LazyFrame") -> "list[Twins]":
        """All of them, and the latest attempts; in CSV they are safe to open in a spreadsheet."""
        from pipeline.transform import build

        harmless = build.harmless(*self._labels())
        parts = {VIEW: build.view(rows), LATEST: build.latest(rows)}
        return [
            build.Twins(
                build.safe_for_spreadsheets(build.as_text(part, table), table, harmless),
                build.as_values(part, table),
            )
            for table, part in parts.items()
        ]

    def counts(self, rows: "pl.LazyFrame") -> "pl.LazyFrame":
        """How much of the view the roster knows, and how many attempts there were."""
        import polars as pl

        from pipeline.transform import build

        return pl.concat([build.roster_match(rows), build.count_latest(rows)], how="horizontal")

    def _labels(self) -> "tuple[pl.LazyFrame, pl.LazyFrame]":
        """The labels of assessments, and those that hold for one grade only."""
        import polars as pl

        from pipeline.transform import build

        labels, _, by_grade = self.at(LabelAssessments).paths()
        text = dict.fromkeys(LABELS.names[:-1], pl.String())
        return (
            build.read_small(labels, text),
            build.read_small(by_grade, {**text, "grade": pl.Int64()}),
        )

    def _roster(self) -> "pl.LazyFrame":
        import polars as pl

        from pipeline.transform import build

        columns = {"local_student_id": pl.String(), "grade": pl.Int64()}
        return build.read_small(self.at(ReadInputs).paths()[0], columns)


class SqlView(LargeTables, PipelineTask):
    """A view of one's own: what the SELECT of a file gives, run over the other tables."""

    view = luigi.Parameter(description="name of a file in [paths] sql_views, without .sql")

    @property
    def name(self) -> str:
        """The step and the view."""
        return own_step(self.view)

    def requires(self) -> list[PipelineTask]:
        """The tables that SQL sees."""
        steps = (LabelAssessments, ReadInputs, CombineResults, CombineGroup, BuildViews)
        return [self.at(step) for step in steps]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The view, named as its file."""
        return (own_view(self.view),)

    def inputs(self) -> dict[str, str | None]:
        """The tables, and the SQL."""
        return {**super().inputs(), "sql": content(self._file())}

    def make(self) -> dict[str, Any]:
        """Run the SQL; its rows go to both files."""
        from pipeline.transform import sql_views

        csv, parquet = self.paths()
        with files.replacing(csv) as text, files.replacing(parquet) as values:
            room = self.snapshot.work / "sql"
            sql_views.run(self._file(), self._tables(), text, values, room)
            found = [follow.read(path) for path in (text, values)]
        return self.note(found)

    def _tables(self) -> dict[str, Path]:
        """The files behind the names that SQL gives, their bytes proven."""
        built, roster = self.snapshot.built, self.at(ReadInputs).paths()[0]
        tables: dict[str, tuple[type[FileTask], Path]] = {
            "combined": (CombineResults, built(COMBINED)[1]),
            "group": (CombineGroup, built(GROUP)[1]),
            "results": (BuildViews, built(VIEW)[1]),
            "latest": (BuildViews, built(LATEST)[1]),
            "labels": (LabelAssessments, built(LABELS)[0]),
            "roster": (ReadInputs, roster),
        }
        return {name: proven(self.at(step), path) for name, (step, path) in tables.items()}

    def _file(self) -> Path:
        try:
            return settings.sql_views()[self.view]
        except KeyError:
            raise SettingsError(f"There is no {self.view}.sql in [paths] sql_views.") from None


def own_step(view: str) -> str:
    """The name of the step that builds a view of one's own, in receipts and messages."""
    return f"{SqlView.__name__}-{view}"
