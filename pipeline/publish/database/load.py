"""A published set into a database: one year replaced, in one transaction."""

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

from pipeline.errors import LoadError
from pipeline.publish import checks
from pipeline.publish.database.database import Database, literal, name
from pipeline.publish.database.published import RUNS, Loadable, Published

_COLUMNS = {
    "load": ("bigint", "Number of the load; one row per table"),
    "loaded_at": ("timestamp", "When it was loaded, UTC"),
    "year": ("text", "School year whose rows were replaced, like 23-24"),
    "as_of": ("text", "Day up to which results were asked for"),
    "run": ("text", "Run that published the set"),
    "build": ("text", "Digest of what the set was built from"),
    "source": ("text", "Address of the district, or the demo district's name"),
    "table_name": ("text", "Table"),
    "rows_before": ("bigint", "Rows of the year that it had before"),
    "rows_loaded": ("bigint", "Rows of the year that it has since"),
}


class Loaded(NamedTuple):
    """What became of a table: its rows of the year before and since."""

    table: str
    before: int
    now: int


def load(
    database: Database, published: Published, is_unchanged: Callable[[], bool]
) -> list[Loaded]:
    """Replace a year in a database by a published set; nothing where it is that set already.

    Args:
        database: in the middle of a transaction, which the caller ends.
        published: the set.
        is_unchanged: asked at the end, whether the set is still what is published.

    Raises:
        LoadError: the set does not fit the database, rows were lost, or another set was published
            meanwhile; the transaction is to be rolled back.
    """
    _prepare_runs(database)
    _refuse_other_source(database, published)
    last = _last_load(database, published.year)
    if last and last.build == published.marker.build:
        return []
    for table in published.tables:
        database.prepare(table)
    loaded = [_replace(database, table, published.year) for table in published.tables]
    kept = {table.name for table in published.tables}
    for gone in sorted((last.tables if last else set()) - kept):
        if database.columns(gone):
            before = database.count(gone, published.year)
            database.remove(gone, published.year)
            loaded.append(Loaded(gone, before, 0))
    if not is_unchanged():
        raise LoadError(
            f"Other tables of {published.year} were published while these were loaded; the "
            "database is as it was. Load again when the run has ended."
        )
    _write_down(database, published, loaded)
    return loaded


class _Last(NamedTuple):
    """The last load of a year: its build, and the tables that had rows."""

    build: str
    tables: set[str]


def _prepare_runs(database: Database) -> None:
    if database.columns(RUNS):
        return
    columns = ", ".join(f"{name(column)} {kind}" for column, (kind, _) in _COLUMNS.items())
    database.execute(f"CREATE TABLE {name(RUNS)} ({columns})")
    database.execute(f"COMMENT ON TABLE {name(RUNS)} IS 'One row per table of each load'")
    for column, (_, meaning) in _COLUMNS.items():
        what = f"{name(RUNS)}.{name(column)}"
        database.execute(f"COMMENT ON COLUMN {what} IS {literal(meaning)}")


def _refuse_other_source(database: Database, published: Published) -> None:
    """Students of two districts, or real and made-up ones, must not stand in one table."""
    found = database.rows(f"SELECT DISTINCT source FROM {name(RUNS)}")
    others = sorted({str(source) for (source,) in found} - {_source(published)})
    if others:
        raise LoadError(
            f"The database holds tables of {others[0]}, and these are of {_source(published)}; "
            "nothing was loaded. Name another database."
        )


def _source(published: Published) -> str:
    return str(published.marker.about["source"])


def _last_load(database: Database, year: str) -> _Last | None:
    of_year = f"FROM {name(RUNS)} WHERE year = {literal(year)}"
    found = database.rows(
        f"SELECT build, table_name, rows_loaded {of_year} AND load = (SELECT max(load) {of_year})"
    )
    if not found:
        return None
    return _Last(str(found[0][0]), {str(table) for _, table, rows in found if rows})


def _replace(database: Database, table: Loadable, year: str) -> Loaded:
    before = database.count(table.name, year)
    database.remove(table.name, year)
    database.fill(table, year)
    now, expected = database.count(table.name, year), _rows(table)
    if now != expected:
        raise LoadError(
            f"{table.name} has {now:,} rows of {year} in the database and {expected:,} in "
            f"{table.file.name}; the database is as it was. If the file is a view of your own, "
            "each of its rows must be of this year."
        )
    return Loaded(table.name, before, now)


def _rows(table: Loadable) -> int:
    is_csv = table.file.suffix == ".csv"
    return checks.count_csv(table.file) if is_csv else checks.count_parquet(table.file)


def _write_down(database: Database, published: Published, loaded: list[Loaded]) -> None:
    marker = published.marker
    ((number,),) = database.rows(f"SELECT coalesce(max(load), 0) + 1 FROM {name(RUNS)}")
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    texts = (now, published.year, str(marker.about["as_of"]), marker.run, marker.build)
    same = ", ".join(literal(text) for text in (*texts, _source(published)))
    for table, before, rows in loaded:
        values = f"{number}, {same}, {literal(table)}, {before}, {rows}"
        database.execute(f"INSERT INTO {name(RUNS)} VALUES ({values})")
