"""The tasks that build views out of other tables.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline import config, files, follow
from pipeline.errors import SettingsError
from pipeline.tables import LATEST, own_view
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.building import (
    CombineGroup,
    CombineResults,
    LabelAssessments,
    LargeTable,
    ResultsView,
    proven,
)
from pipeline.tasks.inputs import ReadInputs, content

if TYPE_CHECKING:
    import polars as pl


class LatestResults(LargeTable, PipelineTask):
    """The second view: of each student, assessment and standard the latest attempt."""

    table = LATEST

    def requires(self) -> ResultsView:
        """The view, which has every attempt."""
        return self.at(ResultsView)

    def make(self) -> dict[str, Any]:
        """Leave out of both files of the view what is not the latest."""
        import polars as pl

        from pipeline import attempts

        view = self.at(ResultsView)
        csv, parquet = (proven(view, path) for path in view.paths())
        text, values = attempts.latest(csv, parquet)
        made, counted = self.write(text, values, values.select(pl.col("attempts").sum()))
        return made | counted

    def csv_sink(self, text: "pl.LazyFrame", path: Path) -> "pl.LazyFrame":
        """Lines of the view's CSV, as they are, with the numbers behind them."""
        from pipeline import attempts

        return attempts.csv_sink(text, path)


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
