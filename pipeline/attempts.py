"""Attempts: which row of the view is a student's latest, and how many attempts there were.

The rows of an assessment lie together in the view, so attempts are counted in batches of whole
assessments, and memory stays flat however many there are. Nothing is sorted and nothing written
anew: the view's own CSV and Parquet are read side by side, and what is not the latest is left out.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from pipeline.tables import LATEST, VIEW

KEY = LATEST.key
"""What the attempts at one thing share: kind of response, assessment, standard, student."""

_ASSESSMENT = KEY[:2]
_ADDED = LATEST.names[len(VIEW.names) :]
# A name that no column has.
_LINE = "\0line"
_BEFORE_ALL_DAYS = -(1 << 31)
_PLACES = (1 << 32) - 1
# How many rows are looked at together; more where one assessment has more.
_BATCH = 100_000


def latest(csv: Path, parquet: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The latest attempts of a view, in its order: lines for `csv_sink`, and values.

    Args:
        csv: the view as text. Its lines stay as they are; numbers are put behind them.
        parquet: its twin: the same rows in the same order.
    """
    rows = _latest(csv, parquet).cache()
    line = pl.format("{},{},{}", _LINE, "attempt", "attempts")
    return rows.select(line.alias(",".join(LATEST.names))), rows.select(LATEST.names)


def csv_sink(lines: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """Lines on their way into a CSV file, for `build.stream`; their column's name is the header."""
    return lines.sink_csv(
        path, lazy=True, maintain_order=True, quote_style="never", check_extension=False
    )


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


def _latest(csv: Path, parquet: Path) -> pl.LazyFrame:
    """Columns are LATEST's, and the line that each row has in the CSV of the view."""
    places = _batches(parquet)
    schema = (
        pl.read_parquet_schema(parquet) | dict.fromkeys(_ADDED, pl.Int64()) | {_LINE: pl.String()}
    )

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        with csv.open(encoding="utf-8", newline="\n") as file:
            next(file)
            lines = _records(file)
            for batch in _read(parquet, VIEW.names, places):
                counts = count_attempts(batch)
                texts = pl.Series(_LINE, list(itertools.islice(lines, batch.height)), pl.String)
                rows = batch.with_columns(**dict.fromkeys(_ADDED, counts), **{_LINE: texts})
                rows = rows.filter(counts.is_not_null()).select(columns or list(schema))
                rows = rows if predicate is None else rows.filter(predicate)
                yield rows if most is None else rows.head(most)
                most = None if most is None else max(0, most - rows.height)

    return register_io_source(read, schema=schema)


def _records(lines: Iterator[str]) -> Iterator[str]:
    """The records of a CSV, without the line feed at the end; one in quotes does not end them."""
    for line in lines:
        record = line
        while record.count('"') % 2:
            record += next(lines)
        yield record[:-1]


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
