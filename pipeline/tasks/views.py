"""The tasks that build the views: the two of the pipeline, and those that SQL files give.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline import config, files, follow
from pipeline.errors import SettingsError
from pipeline.tables import LABELS, LATEST, VIEW, own_view
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.building import (
    BuildTable,
    CombineGroup,
    CombineResults,
    LabelAssessments,
    LargeTable,
    proven,
)
from pipeline.tasks.inputs import ReadInputs, content

if TYPE_CHECKING:
    import polars as pl


class ResultsView(BuildTable):
    """The view: the combined table with labels and grades, and without names of students."""

    table = VIEW

    def requires(self) -> list[PipelineTask]:
        """The combined table, labels, and the roster."""
        return [self.at(CombineResults), self.at(LabelAssessments), self.at(ReadInputs)]

    def rows(self) -> "pl.LazyFrame":
        """The combined rows with labels and grades joined to them."""
        from pipeline import build

        return build.view(self.at(CombineResults).rows(), *self._labels(), self._roster())

    def for_csv(self, text: "pl.LazyFrame") -> "pl.LazyFrame":
        """Safe to open in a spreadsheet."""
        from pipeline import build

        return build.safe_for_spreadsheets(text, self.table, build.harmless(*self._labels()))

    def counts(self, rows: "pl.LazyFrame") -> "pl.LazyFrame":
        """How much of the view the roster knows."""
        from pipeline import build

        return build.roster_match(rows)

    def _labels(self) -> "tuple[pl.LazyFrame, pl.LazyFrame]":
        """The labels of assessments, and those that hold for one grade only."""
        import polars as pl

        from pipeline import build

        labels, _, by_grade = self.at(LabelAssessments).paths()
        text = dict.fromkeys(LABELS.names[:-1], pl.String())
        return (
            build.read_small(labels, text),
            build.read_small(by_grade, {**text, "grade": pl.Int64()}),
        )

    def _roster(self) -> "pl.LazyFrame":
        import polars as pl

        from pipeline import build

        columns = {"local_student_id": pl.String(), "grade": pl.Int64()}
        return build.read_small(self.at(ReadInputs).paths()[0], columns)


class LatestResults(ResultsView):
    """The second view: of each student, assessment and standard the latest attempt.

    It is made of the same shards as the view, not of the view, and counted against it.
    """

    table = LATEST

    def rows(self) -> "pl.LazyFrame":
        """The latest attempts with labels and grades joined to them."""
        from pipeline import attempts, build

        results = self.at(CombineResults)
        latest_of = attempts.LatestAttempts.of
        overall, standard = map(latest_of, results.sources(), results.endpoints)
        combined = build.combined(overall, standard, str(self.year))
        return build.latest(combined, *self._labels(), self._roster())

    def counts(self, rows: "pl.LazyFrame") -> "pl.LazyFrame":
        """How many attempts there were."""
        import polars as pl

        return rows.select(pl.col("attempts").sum())


class SqlView(LargeTable, PipelineTask):
    """A view of one's own: what the SELECT of a file gives, run over the other tables."""

    view = luigi.Parameter(description="name of a file in [paths] sql_views, without .sql")

    @property
    def name(self) -> str:
        """The step and the view."""
        return own_step(self.view)

    def requires(self) -> list[PipelineTask]:
        """The tables that SQL sees."""
        steps = (LabelAssessments, ReadInputs, CombineResults, CombineGroup, ResultsView)
        return [self.at(step) for step in (*steps, LatestResults)]

    def paths(self) -> list[Path]:
        """The CSV and the Parquet."""
        return self.snapshot.built(own_view(self.view))

    def inputs(self) -> dict[str, str | None]:
        """The tables, and the SQL."""
        return {**super().inputs(), "sql": content(self._file())}

    def make(self) -> dict[str, Any]:
        """Run the SQL; its rows go to both files."""
        from pipeline import sql_views
        from pipeline.checks import count_parquet, records

        csv, parquet = self.paths()
        with files.replacing(csv) as text, files.replacing(parquet) as values:
            room = self.snapshot.work / "sql"
            sql_views.run(self._file(), self._tables(), text, values, room)
            found = [follow.read(path) for path in (text, values)]
        self._written = dict(zip((csv, parquet), found, strict=True))
        return {"rows": count_parquet(parquet), "records": records(found[0].lines)}

    def _tables(self) -> dict[str, Path]:
        """The files behind the names that SQL gives, their bytes proven."""
        large: dict[str, type[LargeTable]] = {
            "combined": CombineResults,
            "group": CombineGroup,
            "results": ResultsView,
            "latest": LatestResults,
        }
        labels, roster = self.at(LabelAssessments), self.at(ReadInputs)
        return {
            **{
                name: proven(self.at(step), self.at(step).paths()[1])
                for name, step in large.items()
            },
            "labels": proven(labels, labels.paths()[0]),
            "roster": proven(roster, roster.paths()[0]),
        }

    def _file(self) -> Path:
        try:
            return config.sql_views()[self.view]
        except KeyError:
            raise SettingsError(f"There is no {self.view}.sql in [paths] sql_views.") from None


def own_step(view: str) -> str:
    """The name of the step that builds a view of one's own, in receipts and messages."""
    return f"{SqlView.__name__}-{view}"
