"""SQL that both databases share: tables, columns, comments, and the rows of a year."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.errors import LoadError
from pipeline.publish.database.published_set import YEAR, Field, Kind, SourceTable

if TYPE_CHECKING:
    import duckdb
    import psycopg

TYPES: dict[Kind, str] = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "date": "date",
    "boolean": "boolean",
    "timestamp": "timestamp",
}
"""The type of a new column, by names that both databases understand."""

_KINDS: dict[str, Kind] = {
    "text": "text",
    "character varying": "text",
    "varchar": "text",
    "bigint": "integer",
    "integer": "integer",
    "double precision": "number",
    "double": "number",
    "date": "date",
    "boolean": "boolean",
    "timestamp without time zone": "timestamp",
    "timestamp": "timestamp",
}
"""What existing columns hold, by the lower-case names that either database reports."""


def quote_name(text: str) -> str:
    """Return a quoted identifier."""
    return '"' + text.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return a quoted text value."""
    return "'" + text.replace("'", "''") + "'"


class Database(ABC):
    """A database in a transaction; leaving its `with` block commits, an error rolls back."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection | psycopg.Connection") -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        """Execute a statement."""
        self._connection.execute(sql)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self._connection.execute(sql).fetchall()

    @abstractmethod
    def insert_rows(self, table: SourceTable, year: str) -> None:
        """Insert all rows of a table's file as rows of the year.

        Raises:
            LoadError: a value does not have its column's type.
        """

    def column_types(self, table: str) -> dict[str, str]:
        """Return the type of each column by name; empty if the table does not exist."""
        found = self.query(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_catalog = "
            "current_database() AND table_schema = current_schema() "
            f"AND table_name = {quote_text(table)}"
        )
        return {str(column): str(kind) for column, kind in found}

    def count_rows(self, table: str, year: str) -> int:
        """Count the rows of a year; 0 if the table does not exist."""
        if not self.column_types(table):
            return 0
        where = f"WHERE {quote_name(YEAR)} = {quote_text(year)}"
        return int(self.query(f"SELECT count(*) FROM {quote_name(table)} {where}")[0][0])

    def delete_year(self, table: str, year: str) -> None:
        """Delete the rows of a year."""
        where = f"WHERE {quote_name(YEAR)} = {quote_text(year)}"
        self.execute(f"DELETE FROM {quote_name(table)} {where}")

    def prepare_table(self, table: str, meaning: str, columns: Sequence[Field]) -> None:
        """Create a table or add the columns it lacks, and comment on all of them.

        Raises:
            LoadError: an existing column holds another kind of values.
        """
        existing = self.column_types(table)
        if not existing:
            self.execute(f"CREATE TABLE {quote_name(table)} ({', '.join(map(_define, columns))})")
        for field in columns:
            found = existing.get(field.name, "").lower()
            if found and _KINDS.get(found) != field.kind:
                raise LoadError(
                    f"Column {field.name} of {table} is {found} in the database, but {field.kind} "
                    "in the published file; the database was not changed. Rename or drop the "
                    "table in the database, then load each year again."
                )
            if existing and not found:
                self.execute(f"ALTER TABLE {quote_name(table)} ADD COLUMN {_define(field)}")
        self.execute(f"COMMENT ON TABLE {quote_name(table)} IS {quote_text(meaning)}")
        for field in columns:
            if field.meaning:
                column = f"{quote_name(table)}.{quote_name(field.name)}"
                self.execute(f"COMMENT ON COLUMN {column} IS {quote_text(field.meaning)}")


def wrong_type(table: SourceTable, error: Exception) -> LoadError:
    """Return the error for a value that does not have its column's type, without the value."""
    return LoadError(
        f"A value in {table.file.name} does not have its column's type ({type(error).__name__}); "
        "the database was not changed. If the file is a view of your own, fix the type in the "
        "view; then publish and load again."
    )


def _define(field: Field) -> str:
    return f"{quote_name(field.name)} {TYPES[field.kind]}"
