"""Attempts: which row is a student's latest, and how many attempts there were.

All rows of an assessment are in one shard, so attempts are counted shard by shard while shards are
read, and memory stays flat however many there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.schema import COMBINED, LATEST
from pipeline.transform.combine import CONSTANT_COLUMNS
from pipeline.transform.scan import ShardDataset
from pipeline.transform.values import parse_date

KEY = LATEST.key
"""What attempts at the same thing share: response type, assessment, standard and student."""
ATTEMPTS = "attempts"
"""The column with the number of attempts in the row of the latest; null in all other rows."""

_ASSESSMENT = KEY[:2]
_REQUIRED = ("standard_code", "local_student_id")
_EARLIEST = -(1 << 31)
_MAX_POSITION = (1 << 32) - 1
# How many rows of a table are processed together; more where one assessment has more.
_BATCH = 100_000


@dataclass(frozen=True)
class AttemptDataset(ShardDataset):
    """The shards of one endpoint with the column ATTEMPTS, and without fields COMBINED lacks.

    `key` holds the columns that attempts share in these shards.
    """

    key: Sequence[str]

    @classmethod
    def of(cls, dataset: ShardDataset, endpoint: str) -> "AttemptDataset":
        """Return the shards of an endpoint, with attempts counted while they are read."""
        # The tables overwrite constant columns, even if the API sends them.
        key = [name for name in KEY if name not in CONSTANT_COLUMNS[endpoint]]
        return cls(dataset.paths, dataset.columns, dataset.rows, key)

    @property
    def schema(self) -> dict[str, Any]:
        """The known columns, and ATTEMPTS; the API may send an unknown field of that name."""
        known = {name: kind for name, kind in super().schema.items() if name in COMBINED.names}
        return {**known, ATTEMPTS: pl.Int64()}

    def read(self, paths: list[Path], columns: Sequence[str]) -> pl.LazyFrame:
        """Return the rows of some shards, in order."""
        needed = {*columns, *self.key, "date_taken"} - {ATTEMPTS}
        rows = super().read(paths, sorted(needed)).collect()
        counts = count_attempts(rows.select(*self.key, parse_date(pl.col("date_taken"))))
        return rows.lazy().with_columns(counts.alias(ATTEMPTS)).select(columns)


def count_attempts(rows: pl.DataFrame) -> pl.Series:
    """Return for each row of how many attempts it is the latest; null where it is not the latest.

    The latest is the last by `date_taken`, where null is the earliest; of several on one day, the
    last row. A row without a student or a standard is an attempt of its own.

    Args:
        rows: All rows of some assessments, with `date_taken` (Date), `local_student_id`, and those
            columns of KEY that are not constant in them.
    """
    key = [name for name in KEY if name in rows.columns]
    day = pl.col("date_taken").to_physical().cast(pl.Int64).fill_null(_EARLIEST)
    day_and_position = day * (_MAX_POSITION + 1) + pl.int_range(pl.len())
    is_alone = _lacks_identity(key)
    attempts = rows.select(*key, last=day_and_position).filter(~is_alone).group_by(key)
    latest = attempts.agg(
        count=pl.len().cast(pl.Int64), position=pl.col("last").max() & _MAX_POSITION
    )
    counts = rows.select(attempts=pl.when(is_alone).then(pl.lit(1, pl.Int64)))
    return counts["attempts"].scatter(latest["position"].cast(pl.UInt32), latest["count"])


def count_latest_attempts(parquet: Path) -> int:
    """Return how many rows there are if each student's attempts at one thing are one row.

    Args:
        parquet: A table with KEY, in which the rows of an assessment are adjacent.

    Raises:
        ValueError: They are not.
    """
    count = 0
    rows = pl.scan_parquet(parquet, glob=False).select(KEY)
    for start, length in _batches(parquet):
        batch = rows.slice(start, length).collect()
        identified = batch.filter(~_lacks_identity(KEY))
        count += batch.height - identified.height + identified.unique().height
    return count


def sum_attempts(parquet: Path) -> int:
    """Return the sum of `attempts` in a table of latest attempts."""
    total = pl.scan_parquet(parquet, glob=False).select(pl.col(ATTEMPTS).sum())
    return int(total.collect(engine="streaming").item())


def _lacks_identity(key: Sequence[str]) -> pl.Expr:
    """Return whether a row has no student or no standard, so it matches no other attempt."""
    return pl.any_horizontal(pl.col(name).fill_null("") == "" for name in _REQUIRED if name in key)


def _batches(parquet: Path) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of batches of whole assessments, in order.

    Raises:
        ValueError: The rows of an assessment are not adjacent.
    """
    position = pl.col("position")
    assessments = (
        pl.scan_parquet(parquet, glob=False)
        .select(_ASSESSMENT)
        .with_row_index("position")
        .group_by(_ASSESSMENT)
        .agg(first=position.min(), last=position.max(), rows=pl.len())
        .sort("first")
        .collect(engine="streaming")
    )
    start, length = 0, 0
    for first, last, rows in assessments.select("first", "last", "rows").iter_rows():
        if last - first + 1 != rows:
            raise ValueError("the rows of an assessment are not adjacent")
        if length and length + rows > _BATCH:
            yield start, length
            start, length = first, 0
        length += rows
    if length:
        yield start, length
