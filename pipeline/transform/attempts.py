"""Attempts: which row is a student's latest, and how many attempts there were.

All rows of an assessment are in one shard, so attempts are counted shard by shard while shards are
read, and memory stays flat however many there are.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.schema import COMBINED, LATEST, VIEW
from pipeline.transform.combine import CONSTANT_COLUMNS
from pipeline.transform.scan import ShardDataset
from pipeline.transform.values import parse_date, parse_number

KEY = LATEST.key
"""What attempts at the same thing share: response type, assessment, standard, student and guid."""
ATTEMPTS = LATEST.names[len(VIEW.names) :]
"""The columns that count attempts, in the row of the latest; null in all other rows."""

_ASSESSMENT = KEY[:2]
_STANDARD = KEY[:3]
_STUDENT = KEY[:4]
_GUID = KEY[-1]
_REQUIRED = ("standard_code", "local_student_id")
_RULE = ("date_taken", "percent_correct", "points", "version")
# How many rows of a table are processed together; more where one assessment has more.
_BATCH = 100_000


@dataclass(frozen=True)
class AttemptDataset(ShardDataset):
    """The shards of one endpoint with the columns ATTEMPTS, and without fields COMBINED lacks.

    `deciding` holds the columns of these shards that decide which attempt is the latest.
    """

    deciding: Sequence[str]

    @classmethod
    def of(cls, dataset: ShardDataset, endpoint: str) -> "AttemptDataset":
        """Return the shards of an endpoint, with attempts counted while they are read."""
        # The tables overwrite constant columns, even if the API sends them.
        names = [name for name in (*KEY, *_RULE) if name not in CONSTANT_COLUMNS[endpoint]]
        deciding = [name for name in names if name in dataset.columns]
        return cls(dataset.paths, dataset.columns, dataset.rows, deciding)

    @property
    def schema(self) -> dict[str, Any]:
        """The known columns, and ATTEMPTS; the API may send unknown fields of those names."""
        known = {name: kind for name, kind in super().schema.items() if name in COMBINED.names}
        return {**known, **dict.fromkeys(ATTEMPTS, pl.Int64())}

    def read(self, paths: list[Path], columns: Sequence[str]) -> pl.LazyFrame:
        """Return the rows of some shards, in order."""
        needed = {*columns, *self.deciding} - {*ATTEMPTS}
        rows = super().read(paths, sorted(needed)).collect()
        counts = count_attempts(rows.select(self.deciding))
        return rows.with_columns(counts).lazy().select(columns)


def count_attempts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ATTEMPTS for each row; null where it is not the latest.

    The latest is the last by `date_taken`; of several on one day, the one with the highest
    `percent_correct`, then `points`, then `version`; of equal ones, the last row. Null and empty
    text come before all values, and a version that is no number before those that are. Attempts on
    one day have no order in time, so they share the number of their day.

    Args:
        rows: All rows of some assessments, as text: those columns of KEY that are not constant in
            them, and those of the rule, which may be missing.
    """
    key, rule = _key_of(rows.columns), _rule_of(rows.columns)
    rows = rows.with_columns(_is_single(rows.columns), position=pl.int_range(pl.len()))
    latest = (
        _select_several(rows)
        .with_columns(**rule)
        .with_columns(attempts_that_day=pl.len().over(*key, "day"))
        .sort(*rule, "position")
        .group_by(*key)
        .agg(
            pl.col("position", "attempts_that_day").last(),
            attempt=pl.col("day").n_unique(),
            attempts=pl.len(),
        )
    )
    counted = rows.join(latest, on="position", how="left", maintain_order="left")
    counts = pl.col(ATTEMPTS).cast(pl.Int64)
    return counted.select(pl.when("is_single").then(1).otherwise(counts).name.keep())


def count_latest_attempts(parquet: Path) -> int:
    """Return how many rows there are if each student's attempts at one thing are one row.

    Args:
        parquet: A table with KEY, in which the rows of an assessment are adjacent.

    Raises:
        ValueError: They are not.
    """
    rows = pl.scan_parquet(parquet, glob=False)
    total = 0
    for batch in _batches(parquet):
        keys = rows.slice(*batch).select(*KEY, _is_single(KEY)).collect()
        several = _select_several(keys)
        total += keys.height - several.height + several.n_unique()
    return total


def sum_attempts(parquet: Path) -> int:
    """Return the sum of `attempts` in a table of latest attempts."""
    total = pl.scan_parquet(parquet, glob=False).select(pl.col("attempts").sum())
    return int(total.collect(engine="streaming").item())


def _is_single(columns: Collection[str]) -> pl.Expr:
    """Return whether no other row has the student and the standard: the only attempt there is.

    Most rows are single. Comparing them by the whole key and the rule took a fifth of both views.
    """
    student = [name for name in _STUDENT if name in columns]
    return (~pl.struct(student).is_duplicated()).alias("is_single")


def _select_several(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are not single, with the columns of `_key_of`."""
    standard = [name for name in _STANDARD if name in rows.columns]
    several = rows.filter(~pl.col("is_single"))
    # The guid of a row without one depends on all rows of its standard.
    related = rows.join(several, on=standard, how="semi", nulls_equal=True, maintain_order="left")
    return related.with_columns(**_key_of(rows.columns)).filter(~pl.col("is_single"))


def _key_of(columns: Collection[str]) -> dict[str, pl.Expr]:
    """Return what the attempts at one thing have in common, by name.

    A row without a guid belongs to the standard of its code, if the assessment has only one of that
    code. A row with no student or no standard matches no other attempt: it gets its own number.
    """
    key = {name: pl.col(name) for name in KEY if name in columns}
    is_alone = pl.any_horizontal(_is_empty(name) for name in _REQUIRED if name in key)
    key["alone"] = pl.when(is_alone).then(pl.int_range(pl.len()))
    if _GUID in key:
        guid = pl.when(~_is_empty(_GUID)).then(_GUID)
        standard = [name for name in _STANDARD if name in key]
        is_only = guid.drop_nulls().n_unique().over(standard) == 1
        key[_GUID] = pl.when(is_only).then(guid.max().over(standard)).otherwise(guid)
    return key


def _rule_of(columns: Collection[str]) -> dict[str, pl.Expr]:
    """Return what orders the attempts at one thing, by name; the latest is the last."""
    day, *numbers = (pl.col(n) if n in columns else pl.lit(None, pl.String) for n in _RULE)
    percent, points, version = map(parse_number, numbers)
    return {
        "day": parse_date(day),
        "percent": percent,
        "points": points,
        "version_number": version,
        "version": pl.when(numbers[-1] != "").then(numbers[-1]),
    }


def _is_empty(name: str) -> pl.Expr:
    return pl.col(name).fill_null("") == ""


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
