"""SQL that the databases share: tables, columns, comments, and the rows of a year."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.errors import LoadError
from pipeline.publish.database.published_set import YEAR, Field, Kind, SourceTable
from pipeline.storage.paths import ALL_YEARS

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
"""The type of a new column, by names that DuckDB and PostgreSQL understand."""

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
    "string": "text",
    "int64": "integer",
    "float64": "number",
    "float": "number",
    "bool": "boolean",
    "datetime": "timestamp",
}
"""What existing columns hold, by the lower-case names that the databases report."""


TRIAL = "illuminate_pipeline_test"
"""The name of a table that is created to see whether it can be, and then is not there."""


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
        """Execute a statement of the transaction."""
        self._connection.execute(sql)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self._connection.execute(sql).fetchall()

    def table(self, name: str) -> str:
        """Return a table's name as it is written in SQL."""
        return quote_name(name)

    def text(self, value: str) -> str:
        """Return a text value as it is written in SQL."""
        return quote_text(value)

    @abstractmethod
    def insert_rows(self, table: SourceTable, year: str) -> int:
        """Insert all rows of a table's file as rows of the year.

        Returns:
            How many rows of the year the table then has, counted in the database.

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
        """Count the rows of a year, or of all years; 0 if the table does not exist."""
        if not self.column_types(table):
            return 0
        return int(self.query(f"SELECT count(*) {self._of_year(table, year)}")[0][0])

    def delete_year(self, table: str, year: str) -> None:
        """Delete the rows of a year, or of all years."""
        self.execute(f"DELETE {self._of_year(table, year)}")

    def prepare_table(self, table: str, meaning: str, columns: Sequence[Field]) -> None:
        """Create a table or add the columns it lacks, and comment on all of them.

        Raises:
            LoadError: an existing column holds another kind of values.
        """
        existing = self.column_types(table)
        for field in columns:
            found = existing.get(field.name, "").lower()
            if found and _KINDS.get(found) != field.kind:
                raise LoadError(
                    f"Column {field.name} of {table} is {found} in the database, but {field.kind} "
                    "in the published file; the database was not changed. Rename or drop the "
                    "table in the database, then load each year again."
                )
        if existing:
            self._add_columns(table, [field for field in columns if field.name not in existing])
        else:
            self._create_table(table, columns)
        self._comment(table, meaning, columns)

    def try_creating(self) -> None:
        """Create a table that goes when the transaction is rolled back."""
        self._create_table(TRIAL, [Field(YEAR, "text")])

    def _create_table(self, table: str, columns: Sequence[Field]) -> None:
        self.execute(f"CREATE TABLE {self.table(table)} ({', '.join(map(_define, columns))})")

    def _add_columns(self, table: str, columns: Sequence[Field]) -> None:
        for field in columns:
            self.execute(f"ALTER TABLE {self.table(table)} ADD COLUMN {_define(field)}")

    def _comment(self, table: str, meaning: str, columns: Sequence[Field]) -> None:
        self.execute(f"COMMENT ON TABLE {self.table(table)} IS {quote_text(meaning)}")
        for field in columns:
            if field.meaning:
                column = f"{self.table(table)}.{quote_name(field.name)}"
                self.execute(f"COMMENT ON COLUMN {column} IS {quote_text(field.meaning)}")

    def _of_year(self, table: str, year: str) -> str:
        return f"FROM {self.table(table)} WHERE {self._is_of(year)}"

    def _is_of(self, year: str) -> str:
        """Return the condition for rows of a year, or for every row of a table of all years."""
        return "true" if year == ALL_YEARS else f"{YEAR} = {self.text(year)}"


def wrong_type(table: SourceTable, error: Exception) -> LoadError:
    """Return the error for a value that does not have its column's type, without the value."""
    return LoadError(
        f"A value in {table.file.name} does not have its column's type ({type(error).__name__}); "
        "the database was not changed. If the file is a view of your own, fix the type in the "
        "view; then publish and load again."
    )


def _define(field: Field) -> str:
    return f"{quote_name(field.name)} {TYPES[field.kind]}"
