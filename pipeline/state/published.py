"""What a district has published of a school year, as the rows of the Delta tables."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import LoadError, PipelineError, StateError
from pipeline.publish import checks
from pipeline.publish.database.published_set import (
    YEAR,
    Field,
    PublishedSet,
    SourceTable,
    read_published_set,
)
from pipeline.publish.store import store_errors, store_reason
from pipeline.schema import COMBINED, GROUP, TABLES, VIEW, Table
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.marker import DistrictRows
from pipeline.state.parts import DISTRICT, Part, Partition
from pipeline.storage import formulas
from pipeline.words import counted

if TYPE_CHECKING:
    import polars as pl

_OWN_COLUMNS = (
    Field(DISTRICT, "text", "Name of the district, as in districts.csv"),
    Field(YEAR, "text", "School year, like 23-24"),
)
_COUNTED = {COMBINED.stem: "combined", VIEW.stem: "combined", GROUP.stem: "group"}
"""The tables whose rows a district counts when it publishes, and what it calls the count."""


_LOOK_AT_ONCE = 16
_UNCHANGED = (
    "Readers who follow published.json see what was published before. Fix this, then run the same "
    "command again."
)

StagedParts = dict[SourceTable, list[Part]]
"""The parts of each table of a district and year, in the order of its rows."""


class UnusableSetError(PipelineError):
    """What a district has published cannot be used; the message completes `<district>: ...`."""


@dataclass(frozen=True)
class DistrictYear:
    """A district's school year, and the manifest of what is published of it."""

    partition: Partition
    manifest: Path


def published_tables(*, with_names: bool) -> tuple[Table, ...]:
    """Return the tables that go into the lakehouse: all of our own, or those without names."""
    return tuple(table for table in TABLES if with_names or not table.has_student_names)


def columns_of(table: SourceTable) -> tuple[Field, ...]:
    """Return the columns of the Delta table that has the rows of this table."""
    return (*_OWN_COLUMNS, *(field for field in table.fields if field.name != YEAR))


def stage_district(
    lakehouse: Lakehouse, of: DistrictYear, run: str, tables: Collection[str]
) -> tuple[DistrictRows, StagedParts]:
    """Write what a district has published as new parts, which no reader sees yet.

    Returns:
        What the marker is to say of it, and the parts of each of its tables.

    Raises:
        UnusableSetError: the files are damaged, changed meanwhile, or do not fit.
        StateError: a part could not be written.
    """
    with as_unusable():
        found = read_published_set(of.manifest, of.partition.year, tables)
        parts = {table: [stage_table(lakehouse, table, of.partition)] for table in found.tables}
    return describe_parts(found, parts, run), parts


def describe_parts(
    found: PublishedSet, parts: StagedParts, run: str, *, rebuilt: bool = False
) -> DistrictRows:
    """Return what the marker is to say of the parts of what a district has published.

    Raises:
        UnusableSetError: it was changed meanwhile, or rows are missing.
    """
    if not found.is_unchanged():
        raise UnusableSetError("other tables of it were published while these were read")
    rows = {table.name: sum(part.rows for part in of) for table, of in parts.items()}
    publication, own = found.publication, _own_counts(found)
    wrong = [name for name, count in own.items() if rows.get(name, count) != count]
    if wrong:
        name = wrong[0]
        raise UnusableSetError(
            f"{name} has {counted(rows[name], 'row')}, of {own[name]:,} that were counted"
        )
    content = publication.content_digest()
    source = str(publication.metadata.get("source", ""))
    return DistrictRows(run, publication.build, content, rows, own, rebuilt, source)


def _own_counts(found: PublishedSet) -> dict[str, int]:
    """Return how many rows a district counted after dropping duplicates, where it says so."""
    counts, names = found.publication.row_counts, {table.name for table in found.tables}
    if counts is None:
        return {}
    return {name: counts.total(what) for name, what in _COUNTED.items() if name in names}


def stage_table(lakehouse: Lakehouse, table: SourceTable, partition: Partition) -> Part:
    """Write the file of a table as a part.

    Raises:
        UnusableSetError: it has a row of another year, or rows were lost.
        StateError: the part could not be written.
    """
    names = {field.name.casefold() for field in table.fields}
    if DISTRICT in names:
        raise UnusableSetError(
            f"{table.name} has a column {DISTRICT} of its own, which is the district's name here; "
            "leave it out of [roster] columns"
        )
    if table.has_year and (others := _count_other_years(table, partition.year)):
        raise UnusableSetError(f"{table.name} has {counted(others, 'row')} of another year")
    part = lakehouse.stage(table.name, as_parts_have_them(_scan_file(table), table), partition)
    if part.rows != (expected := count_rows(table)):
        raise UnusableSetError(f"{part.rows:,} of {counted(expected, 'row')} of {table.name} came")
    return part


def refuse_missing(lakehouse: Lakehouse, table: str, parts: Sequence[Part]) -> None:
    """Raise StateError unless this host sees every part, whoever has written it."""

    def size(part: Part) -> int | None:
        return lakehouse.store.size(f"{lakehouse.root}/tables/{table}/{part.path}")

    try:
        with ThreadPoolExecutor(_LOOK_AT_ONCE) as pool:
            sizes = [*pool.map(size, parts)]
    except store_errors() as error:
        raise StateError(
            f"The parts of {table} in {lakehouse.uri} cannot be looked at ({store_reason(error)}). "
            f"{_UNCHANGED}"
        ) from None
    if missing := [part for part, found in zip(parts, sizes, strict=True) if found != part.size]:
        raise StateError(
            f"{counted(len(missing), 'part')} of {table} cannot be seen in {lakehouse.uri} by this "
            f"host: do all workers write to the same place? {_UNCHANGED}"
        )


def count_rows(table: SourceTable) -> int:
    """Return how many rows the file of a table has."""
    is_text = table.file.suffix == ".csv"
    return checks.count_csv(table.file) if is_text else checks.count_parquet(table.file)


def as_parts_have_them(rows: "pl.LazyFrame", table: SourceTable) -> "pl.LazyFrame":
    """Return rows of a table with true values, without the columns of the partition."""
    import polars as pl

    types = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
    return rows.select(
        pl.col(field.name).cast(types[field.kind]) for field in table.fields if field.name != YEAR
    )


def _scan_file(table: SourceTable) -> "pl.LazyFrame":
    import polars as pl

    if table.file.suffix == ".parquet":
        return pl.scan_parquet(table.file, glob=False)
    known = next(each for each in TABLES if each.stem == table.name)
    never_escaped = {*known.names} - {*known.foreign_text}
    rows = pl.scan_csv(table.file, infer_schema=False, glob=False)
    return rows.with_columns(formulas.unescape(pl.exclude(never_escaped)))


def _count_other_years(table: SourceTable, year: str) -> int:
    import polars as pl

    others = _scan_file(table).select(pl.col(YEAR).ne_missing(pl.lit(year)).sum())
    return int(others.collect(engine="streaming").item())


@contextmanager
def as_unusable() -> Iterator[None]:
    """Re-raise a LoadError as UnusableSetError: nothing is loaded here."""
    try:
        yield
    except LoadError as error:
        raise UnusableSetError(str(error).partition(";")[0]) from None
