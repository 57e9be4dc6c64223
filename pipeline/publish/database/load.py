"""Replace a year, or all years, in a database by what is published, in one transaction."""

import datetime as dt
from typing import NamedTuple

from pipeline.errors import LoadError
from pipeline.publish import checks
from pipeline.publish.commit import Publication
from pipeline.publish.database.base import Database
from pipeline.publish.database.published_set import RUNS, Field, PublishedSet, SourceTable
from pipeline.storage.paths import in_words
from pipeline.words import counted

_RUNS_COLUMNS = (
    Field("load", "integer", "Number of the load; one row per table"),
    Field("loaded_at", "timestamp", "When it was loaded, UTC"),
    Field("year", "text", "School year whose rows were replaced, like 23-24, or all"),
    Field("as_of", "text", "Last day of the results that were requested; null for all years"),
    Field("run", "text", "Run that published the set"),
    Field("build", "text", "Digest of everything the set was built from"),
    Field("source", "text", "Address of the district, or the demo district's name"),
    Field("table_name", "text", "Table"),
    Field("rows_before", "integer", "Rows of the year before the load"),
    Field("rows_loaded", "integer", "Rows of the year after the load"),
)


class LoadedTable(NamedTuple):
    """How many rows of the year a table had before the load, and has now."""

    table: str
    rows_before: int
    rows_loaded: int


def is_loaded(database: Database, publication: Publication) -> bool:
    """Return True if the database holds exactly this publication of its year; change nothing.

    The last load of the year must be of this build and source, and its tables must still have as
    many rows as were loaded.
    """
    year = publication.partition
    loaded = _last_load(database, year)
    wanted = (publication.build, _source(publication))
    return bool(loaded) and all(
        (build, source) == wanted and (not rows or database.count_rows(table, year) == rows)
        for build, source, table, rows in loaded
    )


def load(database: Database, published: PublishedSet) -> list[LoadedTable]:
    """Replace a year in a database by a published set, in the transaction that is open.

    Raises:
        LoadError: the set does not fit the database, rows were lost, or another set was published
            meanwhile; the caller must roll the transaction back.
    """
    publication, year = published.publication, published.year
    if not database.column_types(RUNS):
        database.prepare_table(RUNS, "One row per table of each load", _RUNS_COLUMNS)
    _refuse_other_source(database, publication)
    for table in published.tables:
        database.prepare_table(table.name, table.meaning, table.columns)
    loaded = [_replace(database, table, year) for table in published.tables]
    filled = {last.table for last in _last_load(database, year) if last.rows}
    for name in sorted(filled - {table.name for table in published.tables}):
        if rows_before := database.count_rows(name, year):
            database.delete_year(name, year)
            loaded.append(LoadedTable(name, rows_before, 0))
    if not published.is_unchanged():
        raise LoadError(
            f"Other tables of {in_words(year)} were published while these were loaded; the "
            "database was not changed. Wait until the run has ended, then load again."
        )
    _record(database, publication, year, loaded)
    return loaded


class _LastLoad(NamedTuple):
    """A row of the last load of a year."""

    build: str
    source: str
    table: str
    rows: int


def _last_load(database: Database, year: str) -> list[_LastLoad]:
    if not database.column_types(RUNS):
        return []
    of_year = f"FROM {database.table(RUNS)} WHERE year = {database.text(year)}"
    rows = database.query(
        f"SELECT build, source, table_name, rows_loaded {of_year} "
        f"AND load = (SELECT max(load) {of_year})"
    )
    return [_LastLoad(*row) for row in rows]


def _refuse_other_source(database: Database, publication: Publication) -> None:
    """Raise LoadError rather than mix two districts, or real and invented students, in a table."""
    found = database.query(f"SELECT DISTINCT source FROM {database.table(RUNS)}")
    others = sorted({str(source) for (source,) in found} - {_source(publication)})
    if others:
        raise LoadError(
            f"The database holds tables of {others[0]}, and these are of {_source(publication)}; "
            "the database was not changed. Name another database, then load again."
        )


def _source(publication: Publication) -> str:
    return str(publication.metadata["source"])


def _replace(database: Database, table: SourceTable, year: str) -> LoadedTable:
    rows_before = database.count_rows(table.name, year)
    database.delete_year(table.name, year)
    rows, expected = database.insert_rows(table, year), _count_file(table)
    if rows != expected:
        raise LoadError(
            f"{table.name} would have {counted(rows, 'row')} of {in_words(year)} in the database, "
            f"but {table.file.name} has {expected:,}; the database was not changed. If the file is "
            "a view of your own, make each of its rows be of this year, then publish and load "
            "again."
        )
    return LoadedTable(table.name, rows_before, rows)


def _count_file(table: SourceTable) -> int:
    is_csv = table.file.suffix == ".csv"
    return checks.count_csv(table.file) if is_csv else checks.count_parquet(table.file)


def _record(
    database: Database, publication: Publication, year: str, loaded: list[LoadedTable]
) -> None:
    ((number,),) = database.query(f"SELECT coalesce(max(load), 0) + 1 FROM {database.table(RUNS)}")
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    as_of = publication.metadata.get("as_of")
    texts = (now, year, as_of, publication.run, publication.build, _source(publication))
    same = ", ".join("NULL" if text is None else database.text(text) for text in texts)
    for table, rows_before, rows_loaded in loaded:
        values = f"{number}, {same}, {database.text(table)}, {rows_before}, {rows_loaded}"
        database.execute(f"INSERT INTO {database.table(RUNS)} VALUES ({values})")
