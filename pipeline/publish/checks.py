"""Checks before publishing: no row was lost or invented between the server and the tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipeline.errors import printable
from pipeline.words import counted

if TYPE_CHECKING:
    import polars as pl

_MAX_NAMED = 5


class CheckResult(NamedTuple):
    """What was checked, whether it holds, and a sentence with the counts."""

    name: str
    ok: bool
    note: str


class ShardCounts(Protocol):
    """The row counts of a shard, as its manifest entry has them."""

    @property
    def server_total(self) -> int:
        """Rows that the server declared."""

    @property
    def rows(self) -> int:
        """Rows in the shard."""

    @property
    def duplicates(self) -> int:
        """Exact duplicates that were removed."""


def check_shard_row_counts(endpoint: str, shards: Mapping[str, ShardCounts]) -> CheckResult:
    """Check every shard: rows declared by the server = distinct rows + duplicates removed."""
    wrong = [
        i for i, entry in shards.items() if entry.server_total != entry.rows + entry.duplicates
    ]
    declared, rows, duplicates = (
        sum(getattr(entry, name) for entry in shards.values())
        for name in ("server_total", "rows", "duplicates")
    )
    note = f"{declared:,} declared = {rows:,} distinct + {counted(duplicates, 'duplicate')}"
    if wrong:
        note = f"the counts do not add up for assessment {list_some(wrong)}"
    return CheckResult(f"{endpoint} shards have every row the server declared", not wrong, note)


def check_table_row_counts(
    table: str, shards: Mapping[str, Mapping[str, ShardCounts]], rows: "pl.DataFrame"
) -> CheckResult:
    """Check every assessment: rows in its shards = rows in the table.

    Args:
        table: the table's name.
        shards: the shards by response type and assessment id.
        rows: the result of `count_by_assessment` for the table.
    """
    found = {(kind, assessment): count for kind, assessment, count in rows.iter_rows()}
    expected = {
        (kind, assessment): entry.rows
        for kind, entries in shards.items()
        for assessment, entry in entries.items()
        if entry.rows
    }
    wrong = sorted(
        f"{assessment} ({kind})"
        for kind, assessment in found.keys() | expected.keys()
        if found.get((kind, assessment), 0) != expected.get((kind, assessment), 0)
    )
    note = (
        f"{counted(sum(expected.values()), 'row')} in shards, {sum(found.values()):,} in the table"
    )
    if wrong:
        note += f"; they differ for assessment {list_some(wrong)}"
    return CheckResult(f"{table} has every row of its shards", not wrong, note)


def check_year_row_counts(
    table: str, expected: Mapping[str, int], files: Mapping[str, Mapping[str, int]]
) -> CheckResult:
    """Check every school year: rows in its parts = rows in each file of all years.

    Args:
        table: the table's name.
        expected: the rows of each school year in the parts that were concatenated.
        files: the rows of each school year in each file.
    """
    expected = {year: rows for year, rows in expected.items() if rows}
    wrong = [
        f"the {file} has {counted(rows.get(year, 0), 'row')} of {year}, "
        f"not {expected.get(year, 0):,}"
        for file, rows in files.items()
        for year in sorted(rows.keys() | expected.keys())
        if rows.get(year, 0) != expected.get(year, 0)
    ]
    note = f"{counted(sum(expected.values()), 'row')} of {counted(len(expected), 'year')}"
    return CheckResult(f"{table} has every row of every year", not wrong, "; ".join(wrong) or note)


def check_equal_row_counts(name: str, counts: Mapping[str, int]) -> CheckResult:
    """Check that counts, given by what they count, are all the same."""
    note = ", ".join(f"{what} {count:,}" for what, count in counts.items())
    return CheckResult(name, len(set(counts.values())) == 1, note)


def check_skipped_are_empty(
    endpoint: str, shards: Mapping[str, ShardCounts], overall: Mapping[str, ShardCounts]
) -> CheckResult:
    """Check that no assessment without overall rows has rows by standard or group.

    Most of these assessments are skipped, and `shards` holds a sample of them.
    """
    sampled = [i for i in shards if not (i in overall and overall[i].rows)]
    wrong = [assessment for assessment in sampled if shards[assessment].rows]
    note = f"{counted(len(sampled), 'was', 'were')} fetched as a sample"
    if wrong:
        note = (
            f"assessment {list_some(wrong)} has rows, so skipped assessments may have some too; "
            "set [illuminate] fetch_all=true, then run the same command again"
        )
    return CheckResult(f"assessments without overall rows have none by {endpoint}", not wrong, note)


def count_by_assessment(parquet: Path) -> "pl.DataFrame":
    """Count a table's rows; columns `response_type`, `assessment_id` and `rows`."""
    import polars as pl

    frame = pl.scan_parquet(parquet, glob=False).group_by("response_type", "assessment_id")
    return frame.agg(pl.len().alias("rows")).collect(engine="streaming")


def count_parquet(path: Path) -> int:
    """Count the rows of a Parquet file."""
    import polars as pl

    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def count_csv(path: Path) -> int:
    """Count the rows of a CSV file below its header; a last line without a line feed is none."""
    import polars as pl

    text = pl.scan_csv(path, has_header=False, infer_schema=False, glob=False, raise_if_empty=False)
    lines = int(text.select(pl.len()).collect().item())
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 1, 0))
        is_cut_off = file.read() != b"\n"
    return lines - is_cut_off - 1


def sum_rows(csv: Path) -> int:
    """Return the sum of the column `rows` of a CSV file."""
    import polars as pl

    rows = pl.scan_csv(csv, schema_overrides={"rows": pl.Int64}, glob=False).select("rows")
    return int(rows.sum().collect().item())


def list_some(names: Sequence[str]) -> str:
    """Return the first few names as text, and how many more there are."""
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(map(printable, names[:_MAX_NAMED])) + more
