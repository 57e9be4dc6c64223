"""Checks before publishing: each is a value with a name, a verdict and a note in plain words."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.publish.check_result import Check
from pipeline.storage import follow

if TYPE_CHECKING:
    import polars as pl

_NAMED = 5


class ShardCounts(Protocol):
    """What a check reads of a shard: rows the server declared, rows kept, duplicates removed."""

    @property
    def declared(self) -> int:
        """Rows that the server declared."""

    @property
    def rows(self) -> int:
        """Rows in the shard."""

    @property
    def duplicates(self) -> int:
        """Exact duplicates that were removed."""


def shards_conserved(endpoint: str, shards: Mapping[str, ShardCounts]) -> Check:
    """Of every shard: rows declared by the server = distinct rows + counted duplicates."""
    wrong = [i for i, entry in shards.items() if entry.declared != entry.rows + entry.duplicates]
    declared, rows, duplicates = (
        sum(getattr(entry, name) for entry in shards.values())
        for name in ("declared", "rows", "duplicates")
    )
    note = f"{declared:,} declared = {rows:,} distinct + {duplicates:,} duplicates"
    if wrong:
        note = f"the counts of {_named(wrong)} do not add up"
    return Check(f"{endpoint} shards hold what the server declared", not wrong, note)


def table_conserved(
    name: str, parts: Mapping[str, Mapping[str, ShardCounts]], rows: "pl.DataFrame"
) -> Check:
    """Of every assessment: rows in the shards = rows in the table.

    Args:
        name: the table.
        parts: the shards by response type and assessment id.
        rows: counts of the table's rows: `response_type`, `assessment_id`, `rows`.
    """
    there = {(kind, assessment): count for kind, assessment, count in rows.iter_rows()}
    expected = {
        (kind, assessment): entry.rows
        for kind, shards in parts.items()
        for assessment, entry in shards.items()
        if entry.rows
    }
    wrong = sorted(
        f"{assessment} ({kind})"
        for kind, assessment in there.keys() | expected.keys()
        if there.get((kind, assessment), 0) != expected.get((kind, assessment), 0)
    )
    note = f"{sum(expected.values()):,} rows in shards, {sum(there.values()):,} in the table"
    if wrong:
        note += f"; they differ for {_named(wrong)}"
    return Check(f"{name} has every row of its shards", not wrong, note)


def nothing_missed(
    endpoint: str, shards: Mapping[str, ShardCounts], overall: Mapping[str, ShardCounts]
) -> Check:
    """No assessment without overall rows has rows by standard or group.

    It was believed when most of them were not asked for; `shards` has a sample of them.
    """
    empty = [i for i in shards if not (i in overall and overall[i].rows)]
    wrong = [assessment for assessment in empty if shards[assessment].rows]
    note = f"{len(empty):,} were asked for as a sample"
    if wrong:
        note = (
            f"{_named(wrong)} has some, so others may have been missed; run again with "
            "[illuminate] ask_all=true"
        )
    return Check(f"assessments without overall rows have none by {endpoint}", not wrong, note)


def same_rows(name: str, counts: Mapping[str, int]) -> Check:
    """Several files hold equally many rows; `counts` by what each is called."""
    note = ", ".join(f"{what} {count:,}" for what, count in counts.items())
    return Check(name, len(set(counts.values())) == 1, note)


def years_conserved(
    name: str, parts: Mapping[str, int], files: Mapping[str, Mapping[str, int]]
) -> Check:
    """Of every school year: rows in the parts = rows in each file of all years.

    Args:
        name: the table.
        parts: the rows of each school year in what was put together.
        files: the rows of each school year in each file.
    """
    expected = {year: rows for year, rows in parts.items() if rows}
    wrong = [
        f"{year} has {rows.get(year, 0):,} in the {what}, not {expected.get(year, 0):,}"
        for what, rows in files.items()
        for year in sorted(rows.keys() | expected.keys())
        if rows.get(year, 0) != expected.get(year, 0)
    ]
    note = f"{sum(expected.values()):,} rows of {len(expected)} years"
    return Check(f"{name} has every row of every year", not wrong, "; ".join(wrong) or note)


def count_by_assessment(parquet: Path) -> "pl.DataFrame":
    """How many rows a table has per `response_type` and `assessment_id`; column `rows`."""
    import polars as pl

    frame = pl.scan_parquet(parquet, glob=False).group_by("response_type", "assessment_id")
    return frame.agg(pl.len().alias("rows")).collect(engine="streaming")


def count_parquet(path: Path) -> int:
    """How many rows a Parquet file has."""
    import polars as pl

    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def count_csv(path: Path) -> int:
    """How many records a CSV file has below its header, read by the rules of CSV."""
    return records(follow.read(path).lines)


def records(lines: int) -> int:
    """How many records a CSV file of so many lines has below its header."""
    return lines - 1


def _named(ids: list[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return "assessment " + ", ".join(ids[:_NAMED]) + more
