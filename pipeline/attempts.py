"""Attempts: which row of the view is a student's latest, and how many attempts there were.

The rows of an assessment lie together in the view, so attempts are counted in batches of whole
assessments, and memory stays flat however many there are. Nothing is sorted: the view's own CSV
and Parquet are filtered while they stream by.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from pipeline.tables import LATEST

KEY = LATEST.key
"""What the attempts at one thing share: kind of response, assessment, standard, student."""

_ASSESSMENT = KEY[:2]
_BEFORE_ALL_DAYS = -(1 << 31)
_PLACES = (1 << 32) - 1
# How many rows are looked at together; more where one assessment has more.
_BATCH = 200_000


def latest(csv: Path, parquet: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The latest attempts of a view, in its order: as the CSV and as the Parquet has them.

    Args:
        csv: the view as text, of which the digits are kept.
        parquet: its twin: the same rows in the same order.
    """
    counted = _counted(parquet).cache()
    text = pl.scan_csv(csv, infer_schema=False, glob=False)
    values = pl.scan_parquet(parquet, glob=False)
    return _only_latest(text, counted), _only_latest(values, counted)


def count_attempts(rows: pl.DataFrame) -> pl.Series:
    """For each row: of how many attempts it is the latest; null where it is not the latest.

    The latest is the last by `date_taken`, where null is the earliest; of several on one day, the
    one that stands last. A row without a student or a standard is an attempt of its own.

    Args:
        rows: all rows of some assessments, with KEY and `date_taken` (Date).
    """
    day = pl.col("date_taken").to_physical().cast(pl.Int64).fill_null(_BEFORE_ALL_DAYS)
    day_and_place = day * (_PLACES + 1) + pl.int_range(pl.len())
    attempts = rows.select(*KEY, last=day_and_place).filter(~_stands_alone()).group_by(KEY)
    found = attempts.agg(count=pl.len().cast(pl.Int64), place=pl.col("last").max() & _PLACES)
    alone = rows.select(attempts=pl.when(_stands_alone()).then(pl.lit(1, pl.Int64)))
    return alone["attempts"].scatter(found["place"].cast(pl.UInt32), found["count"])


def count_keys(parquet: Path) -> int:
    """How many rows there are if each student's attempts at one thing are one row."""
    count = 0
    for batch in _read(parquet, KEY, _batches(parquet)):
        known = batch.filter(~_stands_alone())
        count += batch.height - known.height + known.unique().height
    return count


def add_up(parquet: Path) -> int:
    """How many attempts the rows of a table of latest attempts stand for."""
    total = pl.scan_parquet(parquet, glob=False).select(pl.col("attempts").sum())
    return int(total.collect(engine="streaming").item())


def _only_latest(rows: pl.LazyFrame, counted: pl.LazyFrame) -> pl.LazyFrame:
    with_counts = pl.concat([rows, counted], how="horizontal")
    return with_counts.filter(pl.col("attempts").is_not_null()).select(LATEST.names)


def _counted(parquet: Path) -> pl.LazyFrame:
    """`count_attempts` of each row of a view, and `attempt`, which is the same of the latest."""
    places = _batches(parquet)
    schema = dict.fromkeys(("attempt", "attempts"), pl.Int64())

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        for batch in _read(parquet, (*KEY, "date_taken"), places):
            counts = count_attempts(batch)
            rows = pl.DataFrame(dict.fromkeys(schema, counts)).select(columns or list(schema))
            rows = rows if predicate is None else rows.filter(predicate)
            yield rows if most is None else rows.head(most)
            most = None if most is None else max(0, most - rows.height)

    return register_io_source(read, schema=schema)


def _stands_alone() -> pl.Expr:
    """Whether nobody can tell what else a row belongs to."""
    return pl.any_horizontal(
        pl.col(name).fill_null("") == "" for name in ("standard_code", "local_student_id")
    )


def _batches(parquet: Path) -> list[tuple[int, int]]:
    """Where whole assessments lie: first row and number of rows, in the order of the file.

    Raises:
        ValueError: the rows of an assessment do not lie together.
    """
    place = pl.col("place")
    assessments = (
        pl.scan_parquet(parquet, glob=False)
        .select(*_ASSESSMENT, place=pl.int_range(pl.len(), dtype=pl.Int64))
        .group_by(_ASSESSMENT)
        .agg(first=place.min(), last=place.max(), rows=pl.len())
        .sort("first")
        .collect(engine="streaming")
    )
    found: list[tuple[int, int]] = []
    for first, last, rows in assessments.select("first", "last", "rows").iter_rows():
        if last - first + 1 != rows:
            raise ValueError("the rows of an assessment do not lie together")
        if found and found[-1][1] + rows <= _BATCH:
            found[-1] = (found[-1][0], found[-1][1] + rows)
        else:
            found.append((first, rows))
    return found


def _read(
    parquet: Path, columns: tuple[str, ...], places: list[tuple[int, int]]
) -> Iterator[pl.DataFrame]:
    rows = pl.scan_parquet(parquet, glob=False).select(columns)
    for first, count in places:
        yield rows.slice(first, count).collect()
