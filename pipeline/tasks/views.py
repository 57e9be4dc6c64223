"""The tasks that build views out of other tables.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from typing import Any

from pipeline.tables import LATEST
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.building import LargeTable, ResultsView, proven


class LatestResults(LargeTable, PipelineTask):
    """The second view: of each student, assessment and standard the latest attempt."""

    table = LATEST

    def requires(self) -> ResultsView:
        """The view, which has every attempt."""
        return self.at(ResultsView)

    def make(self) -> dict[str, Any]:
        """Filter both files of the view."""
        import polars as pl

        from pipeline import attempts

        view = self.at(ResultsView)
        csv, parquet = (proven(view, path) for path in view.paths())
        text, values = attempts.latest(csv, parquet)
        made, counted = self.write(text, values, values.select(pl.col("attempts").sum()))
        return made | counted
