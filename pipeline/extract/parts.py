"""Parts: the results of all assessments at one endpoint, dated within one range each.

A part is written like a shard, with the name of its range in place of an assessment, and with every
row as often as it was sent. Shards are made of the parts by reading a few assessments at a time, so
that memory does not grow with the year.

A server may send undated results, those without a readable date, for any range. So if several parts
have the same ones, all but the first are left out.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from pipeline.ids import WHITE_SPACE
from pipeline.illuminate.pages import Result
from pipeline.schema import DATE

_BATCH = 50_000
_PLANNED_FILES = 200
_UNDATED = ~pl.col("date_taken").str.contains(DATE).fill_null(value=False)
_ID = pl.col("assessment_id").str.strip_chars(WHITE_SPACE)
_KEY = "\0id"  # no field of the API can have this name

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class Parts:
    """The rows of some parts, by the trimmed ids of their assessments.

    `rows` are their numbers, and `undated` the assessments with rows that have no readable date.

    Args:
        paths: the parts that have rows.
        fields: the columns that come first; others follow by name.
    """

    def __init__(self, paths: Sequence[Path], fields: Sequence[str]) -> None:
        self.rows: Counter[str] = Counter()
        self.undated: set[str] = set()
        self._fields = fields
        self._repeats = repeats(paths)
        self._paths: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            counts = self._scan(path).group_by(_ID).agg(pl.len(), _UNDATED.any())
            for assessment_id, count, is_undated in counts.collect().iter_rows():
                self.rows[assessment_id] += count
                self._paths[assessment_id].append(path)
                if is_undated:
                    self.undated.add(assessment_id)

    def read(self, ids: Iterable[str]) -> Iterator[dict[str, Result]]:
        """Yield the distinct rows of assessments that have any, some assessments at a time."""
        # What is given on the same days is in the same parts.
        waiting = sorted(self.rows.keys() & set(ids), key=lambda each: (self._paths[each], each))
        batch: list[str] = []
        room = _BATCH
        for assessment_id in waiting:
            if batch and self.rows[assessment_id] > room:
                yield self._read(batch)
                batch, room = [], _BATCH
            batch.append(assessment_id)
            room -= self.rows[assessment_id]
        if batch:
            yield self._read(batch)

    def _read(self, ids: Sequence[str]) -> dict[str, Result]:
        paths = sorted({path for each in ids for path in self._paths[each]})
        parts = [self._scan(path).filter(_ID.is_in(ids)) for path in paths]
        rows = pl.concat(parts, how="diagonal").with_columns(_ID.alias(_KEY)).collect()
        others = sorted(set(rows.columns).difference(self._fields, {_KEY}))
        rows = rows.select(*self._fields, *others, _KEY)
        by_id = rows.partition_by(_KEY, include_key=False, as_dict=True)
        return {str(each): _result(of_one) for (each,), of_one in by_id.items()}

    def _scan(self, path: Path) -> pl.LazyFrame:
        rows = pl.scan_parquet(path, glob=False)
        return rows.filter(~_UNDATED) if path in self._repeats else rows


def _result(rows: pl.DataFrame) -> Result:
    distinct = rows.unique()
    return Result(distinct, rows.height, 0, rows.height - distinct.height)


def count_days(paths: Sequence[Path]) -> Counter[dt.date]:
    """Return how many rows of some shards or parts are dated on each day, as far as that is one."""
    day = pl.col("date_taken").str.head(10).str.to_date("%Y-%m-%d", strict=False)
    found: Counter[dt.date] = Counter()
    # A plan for thousands of files at once takes more memory than all of their dates.
    for start in range(0, len(paths), _PLANNED_FILES):
        some = paths[start : start + _PLANNED_FILES]
        dated = pl.concat([pl.scan_parquet(path, glob=False).select(day) for path in some])
        found.update(dict(dated.drop_nulls().group_by("date_taken").len().collect().iter_rows()))
    return found


def repeats(paths: Iterable[Path]) -> dict[Path, int]:
    """Return the parts with the same undated rows as one before, and how many these are."""
    first, found = None, {}
    for path in paths:
        rows = undated_rows(pl.scan_parquet(path, glob=False)).collect()
        if rows.height and first is None:
            first = rows
        elif first is not None and rows.height and same_rows(first, rows):
            found[path] = rows.height
    return found


def undated_rows(rows: Frame) -> Frame:
    """Return the rows that have no readable date."""
    return rows.filter(_UNDATED)


def same_rows(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Return True if both have the same rows, in any order; a column that one lacks is null there.

    The server sends a field with all rows of a reply or with none, so a reply about more
    assessments may have more fields.
    """
    names = sorted({*one.columns, *other.columns})
    nothing = pl.lit(None, pl.String)
    full = (
        rows.select(name if name in rows.columns else nothing.alias(name) for name in names)
        for rows in (one, other)
    )
    first, second = (rows.sort(names) for rows in full)
    return first.equals(second)
