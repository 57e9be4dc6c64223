"""Check that rows are what was requested."""

import polars as pl

from pipeline.errors import PaginationError, ResponseError
from pipeline.ids import WHITE_SPACE, trim
from pipeline.schema import DATE
from pipeline.years import Window


def check_assessment(rows: pl.DataFrame, assessment_id: str) -> None:
    """Raise ResponseError if a row is of another assessment, or of none."""
    if rows["assessment_id"].str.strip_chars(WHITE_SPACE).ne_missing(trim(assessment_id)).any():
        raise ResponseError("the reply has rows of another assessment")


def check_have_assessment(rows: pl.DataFrame) -> None:
    """Raise ResponseError if a row is of no assessment."""
    if not all(rows["assessment_id"].str.strip_chars(WHITE_SPACE).unique()):
        raise ResponseError("the reply has rows without an assessment")


def check_dates(rows: pl.DataFrame, window: Window) -> None:
    """Raise ResponseError if a row has a date outside the window."""
    first, last = window.start.isoformat(), window.end.isoformat()
    dates = rows["date_taken"].unique()
    days = dates.filter(dates.str.contains(DATE)).str.head(len(first))
    if ((days < first) | (days > last)).any():
        raise ResponseError(f"the reply has rows dated outside {first} to {last}")


def check_catalogue(ids: pl.Series) -> None:
    """Raise ResponseError if an assessment has no id of its own."""
    trimmed = ids.str.strip_chars(WHITE_SPACE)
    if not all(trimmed):
        raise ResponseError("the catalogue has an assessment without an id")
    if ids.n_unique() != len(ids):
        raise PaginationError("the catalogue lists an assessment twice with different contents")
    if alike := ids.filter(trimmed.is_duplicated()).sort().to_list():
        raise ResponseError(
            f"the catalogue has {alike[0]!r} and {alike[1]!r}, ids of assessments that differ in "
            "the white space around them only"
        )
