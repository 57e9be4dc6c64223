"""Attempts: which row is a student's latest, and how many attempts there were.

All rows of an assessment stand in one shard, so attempts are counted shard by shard while shards
are read, and memory stays flat however many there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.schema import LATEST
from pipeline.transform import build
from pipeline.transform.scan import Source

KEY = LATEST.key
"""What the attempts at one thing share: kind of response, assessment, standard, student."""

_ASSESSMENT = KEY[:2]
_ALONE = ("standard_code", "local_student_id")
_BEFORE_ALL_DAYS = -(1 << 31)
_PLACES = (1 << 32) - 1
# How many rows of a table are looked at together; more where one assessment has more.
_BATCH = 100_000


@dataclass(frozen=True)
class CountedAttempts(Source):
    """The shards of one endpoint with one more column, `build.ATTEMPTS`: see `count_attempts`.

    `key` is what attempts share in these shards.
    """

    key: Sequence[str]

    @classmethod
    def of(cls, source: Source, endpoint: str) -> "CountedAttempts":
        """The shards of an endpoint, with attempts counted while they are read."""
        # What the tables fill in themselves tells no attempts apart, even if the API sends it.
        key = [name for name in KEY if name not in build.FILLED_IN[endpoint]]
        return cls(source.paths, source.columns, source.rows, key)

    @property
    def schema(self) -> dict[str, Any]:
        """The columns, and the numbers of attempts."""
        return {**super().schema, build.ATTEMPTS: pl.Int64()}

    def read(self, paths: list[Path], columns: Sequence[str]) -> pl.LazyFrame:
        """The rows of some shards, in order."""
        needed = {*columns, *self.key, "date_taken"} - {build.ATTEMPTS}
        rows = super().read(paths, sorted(needed)).collect()
        day = build.date(pl.col("date_taken"))
        counts = count_attempts(rows.select(*self.key, date_taken=day))
        return rows.lazy().with_columns(counts.alias(build.ATTEMPTS)).select(columns)


def count_attempts(rows: pl.DataFrame) -> pl.Series:
    """For each row: of how many attempts it is the latest; null where it is not the latest.

    The latest is the last by `date_taken`, where null is the earliest; of several on one day, the
    one that stands last. A row without a student or a standard is an attempt of its own.

    Args:
        rows: all rows of some assessments, with `date_taken` (Date), `local_student_id`, and those
            columns of KEY that do not hold one and the same text in all of them.
    """
    key = [name for name in KEY if name in rows.columns]
    day = pl.col("date_taken").to_physical().cast(pl.Int64).fill_null(_BEFORE_ALL_DAYS)
    day_and_place = day * (_PLACES + 1) + pl.int_range(pl.len())
    alone = _stands_alone(key)
    attempts = rows.select(*key, last=day_and_place).filter(~alone).group_by(key)
    found = attempts.agg(count=pl.len().cast(pl.Int64), place=pl.col("last").max() & _PLACES)
    counts = rows.select(attempts=pl.when(alone).then(pl.lit(1, pl.Int64)))
    return counts["attempts"].scatter(found["place"].cast(pl.UInt32), found["count"])


def count_keys(parquet: Path) -> int:
    """How many rows there are if each student's attempts at one thing are one row.

    Args:
        parquet: a table with KEY, in which the rows of an assessment lie together.
    """
    count = 0
    rows = pl.scan_parquet(parquet, glob=False).select(KEY)
    for first, length in _places(parquet):
        batch = rows.slice(first, length).collect()
        known = batch.filter(~_stands_alone(KEY))
        count += batch.height - known.height + known.unique().height
    return count


def add_up(parquet: Path) -> int:
    """How many attempts the rows of a table of latest attempts stand for."""
    total = pl.scan_parquet(parquet, glob=False).select(pl.col("attempts").sum())
    return int(total.collect(engine="streaming").item())


def _stands_alone(key: Sequence[str]) -> pl.Expr:
    """Whether nobody can tell what else a row belongs to."""
    return pl.any_horizontal(pl.col(name).fill_null("") == "" for name in _ALONE if name in key)


def _places(parquet: Path) -> Iterator[tuple[int, int]]:
    """Where whole assessments lie: first row and number of rows, in the order of the file.

    Raises:
        ValueError: the rows of an assessment do not lie together.
    """
    place = pl.col("place")
    assessments = (
        pl.scan_parquet(parquet, glob=False)
        .select(_ASSESSMENT)
        .with_row_index("place")
        .group_by(_ASSESSMENT)
        .agg(first=place.min(), last=place.max(), rows=pl.len())
        .sort("first")
        .collect(engine="streaming")
    )
    begin, length = 0, 0
    for first, last, rows in assessments.select("first", "last", "rows").iter_rows():
        if last - first + 1 != rows:
            raise ValueError("the rows of an assessment do not lie together")
        if length and length + rows > _BATCH:
            yield begin, length
            begin, length = first, 0
        length += rows
    if length:
        yield begin, length
