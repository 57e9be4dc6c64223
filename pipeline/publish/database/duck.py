"""A DuckDB file; DuckDB reads the published files itself."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import LoadError
from pipeline.publish.database.database import Database, literal, name
from pipeline.publish.database.published import Loadable
from pipeline.storage import files

if TYPE_CHECKING:
    import duckdb

# The oldest that has what is used here: every DuckDB since can open the file.
_STORAGE = "v1.0.0"
_MOST_MEMORY = "512MB"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Database]:
    """The database in a file, made where there is none, in a transaction.

    Raises:
        LoadError: another process has it open, it cannot be read, or something in it stands in
            the way.
    """
    import duckdb

    files.make_folder(path.parent)
    before = os.umask(0o077)  # also for what DuckDB puts beside the file
    try:
        with _told(path), duckdb.connect() as connection:
            connection.execute(f"SET memory_limit = '{_MOST_MEMORY}'")
            connection.execute(f"SET temp_directory = {literal(str(path.parent))}")
            connection.execute(
                f"ATTACH {literal(str(path))} AS loaded (STORAGE_VERSION '{_STORAGE}')"
            )
            connection.execute("USE loaded")
            connection.begin()
            yield _DuckDB(connection)
            connection.commit()
        _let_in(path)
    finally:
        os.umask(before)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into plain sentences; their own text may hold a value."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        if "Could not set lock" in text:
            reason = "another program has it open; close that and load again"
        elif "not a valid DuckDB database" in text or "newer version" in text:
            reason = "it is no database that this DuckDB can read; name another place or remove it"
        elif "Permission denied" in text:
            reason = "you may not write there"
        elif "No space left" in text:
            reason = "the disk is full"
        else:
            reason = f"DuckDB refuses ({type(error).__name__})"
        raise LoadError(f"{path} cannot be loaded: {reason}. It is as it was.") from None


def _let_in(path: Path) -> None:
    with files.storing(path), path.open("rb") as file:
        files.close_to_others(file.fileno())


class _DuckDB(Database):
    types = {  # noqa: RUF012  a ClassVar in the base
        "text": "VARCHAR",
        "integer": "BIGINT",
        "number": "DOUBLE",
        "date": "DATE",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMP",
    }

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        self._connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def fill(self, table: Loadable, year: str) -> None:
        import duckdb

        columns = ", ".join(name(field.name) for field in table.columns)
        casts = [f"CAST({name(f.name)} AS {self.types[f.kind]})" for f in table.fields]
        values = ", ".join(casts if table.has_year else [literal(year), *casts])
        try:
            self.execute(
                f"INSERT INTO {name(table.name)} ({columns}) SELECT {values} FROM {_reader(table)}"
            )
        except duckdb.DataError as error:
            raise LoadError(
                f"A value in {table.file.name} is not of its column's type "
                f"({type(error).__name__}); the database is as it was."
            ) from None


def _reader(table: Loadable) -> str:
    file = literal(glob.escape(str(table.file)))  # DuckDB takes what it reads for a pattern
    if table.file.suffix == ".parquet":
        return f"read_parquet({file})"
    columns = ", ".join(f"{literal(field.name)}: 'VARCHAR'" for field in table.fields)
    return (
        f"read_csv({file}, columns = {{{columns}}}, header = true, delim = ',', quote = '\"', "
        "escape = '\"', nullstr = '', auto_detect = false, strict_mode = true)"
    )
