"""A DuckDB file; DuckDB reads the published files itself."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import LoadError
from pipeline.publish.database.base import TYPES, Database, quote_name, quote_text, wrong_type
from pipeline.publish.database.published_set import SourceTable
from pipeline.storage import files, formulas

if TYPE_CHECKING:
    import duckdb

# The oldest version with everything that is used here: every later DuckDB can open the file.
_STORAGE_VERSION = "v1.0.0"
_MEMORY_LIMIT = "512MB"

_REASONS = {
    "Could not set lock": "another program has it open",
    "not a valid DuckDB database": "it is not a database that this version of DuckDB can read",
    "newer version": "it is not a database that this version of DuckDB can read",
    "Permission denied": "permission denied",
    "No space left": "the disk is full",
}
"""Parts of DuckDB's messages, and what each means without repeating a value."""


@contextlib.contextmanager
def open_writable(path: Path) -> Iterator[Database]:
    """Open or create a database file, in a transaction.

    Raises:
        LoadError: another program has it open, it cannot be read, or a statement fails.
    """
    import duckdb

    files.make_folder(path.parent)
    before = os.umask(0o077)  # also for what DuckDB puts beside the file
    try:
        with _plain_errors(path), duckdb.connect() as connection:
            connection.execute(f"SET memory_limit = '{_MEMORY_LIMIT}'")
            connection.execute(f"SET temp_directory = {quote_text(str(path.parent))}")
            _attach(connection, path, f"STORAGE_VERSION '{_STORAGE_VERSION}'")
            connection.begin()
            yield _DuckDB(connection)
            connection.commit()
        with files.wrap_os_errors(path), path.open("rb") as file:
            files.restrict_mode(file.fileno())
    finally:
        os.umask(before)


@contextlib.contextmanager
def open_read_only(path: Path) -> Iterator[Database]:
    """Open a database file without changing anything; a missing file is an empty database.

    Raises:
        LoadError: another program is writing to it, or it cannot be read.
    """
    import duckdb

    with _plain_errors(path), duckdb.connect() as connection:
        if path.exists():
            _attach(connection, path, "READ_ONLY")
        yield _DuckDB(connection)


def _attach(connection: "duckdb.DuckDBPyConnection", path: Path, options: str) -> None:
    connection.execute(f"ATTACH {quote_text(str(path))} AS loaded ({options})")
    connection.execute("USE loaded")


@contextlib.contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Re-raise DuckDB's errors as LoadError, without their text, which may hold a value."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        unknown = f"DuckDB raised {type(error).__name__}"
        reason = next((why for part, why in _REASONS.items() if part in str(error)), unknown)
        raise LoadError(
            f"The database {path} cannot be used: {reason}. It was not changed; fix this, then "
            "run the same command again."
        ) from None


class _DuckDB(Database):
    def insert_rows(self, table: SourceTable, year: str) -> int:
        import duckdb

        columns = ", ".join(quote_name(field.name) for field in table.columns)
        values = [f"CAST({quote_name(f.name)} AS {TYPES[f.kind]})" for f in table.fields]
        if not table.has_year:
            values.insert(0, quote_text(year))
        try:
            self.execute(
                f"INSERT INTO {quote_name(table.name)} ({columns}) "
                f"SELECT {', '.join(values)} FROM {_reader(table)}"
            )
        except duckdb.DataError as error:
            raise wrong_type(table, error) from None
        return self.count_rows(table.name, year)


def _reader(table: SourceTable) -> str:
    file = quote_text(glob.escape(str(table.file)))  # DuckDB reads paths as patterns
    if table.file.suffix == ".parquet":
        return f"read_parquet({file})"
    columns = ", ".join(f"{quote_text(field.name)}: 'VARCHAR'" for field in table.fields)
    names = [quote_name(field.name) for field in table.fields]
    originals = ", ".join(f"{formulas.unescape_sql(name)} AS {name}" for name in names)
    return (
        f"(SELECT {originals} FROM read_csv({file}, columns = {{{columns}}}, header = true, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '', auto_detect = false, "
        "strict_mode = true))"
    )
