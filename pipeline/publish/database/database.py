"""What both databases have in common: SQL for tables, columns, years and comments."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.errors import LoadError
from pipeline.publish.database.published import YEAR, Field, Kind, Loadable

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
"""What the types of existing columns hold, by the names of both databases in lower case."""


def name(text: str) -> str:
    """An identifier, quoted."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text value, quoted."""
    return "'" + text.replace("'", "''") + "'"


class Database(ABC):
    """A database in the middle of a transaction, which ends with its `with` block.

    Leaving the block commits; an error in it rolls everything back.
    """

    types: ClassVar[Mapping[Kind, str]]
    """The type of a new column by the kind of its values."""

    @abstractmethod
    def execute(self, sql: str) -> None:
        """Do something."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask something."""

    @abstractmethod
    def fill(self, table: Loadable, year: str) -> None:
        """Add all rows of a table's file, as those of a year.

        Raises:
            LoadError: a value is not of its column's type.
        """

    def count(self, table: str, year: str) -> int:
        """How many rows of a year a table has."""
        where = f"WHERE {name(YEAR)} = {literal(year)}"
        return int(self.rows(f"SELECT count(*) FROM {name(table)} {where}")[0][0])

    def remove(self, table: str, year: str) -> None:
        """Remove the rows of a year."""
        self.execute(f"DELETE FROM {name(table)} WHERE {name(YEAR)} = {literal(year)}")

    def columns(self, table: str) -> dict[str, str]:
        """The type of each column of a table by its name; none where there is no such table."""
        found = self.rows(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_catalog = "
            "current_database() AND table_schema = current_schema() "
            f"AND table_name = {literal(table)}"
        )
        return {str(column): str(kind) for column, kind in found}

    def prepare(self, table: Loadable) -> None:
        """Make a table where there is none, add the columns that it lacks, and explain both.

        Raises:
            LoadError: an existing column holds something else.
        """
        there = self.columns(table.name)
        if not there:
            columns = ", ".join(self._define(field) for field in table.columns)
            self.execute(f"CREATE TABLE {name(table.name)} ({columns})")
        for field in table.columns:
            kind = there.get(field.name, "")
            if kind and _KINDS.get(kind.lower()) != field.kind:
                raise LoadError(
                    f"Column {field.name} of {table.name} is {kind.lower()} in the database and "
                    f"{field.kind} in {table.file.name}; nothing was loaded. Rename or drop the "
                    "table in the database, and load each year again."
                )
            if there and not kind:
                self.execute(f"ALTER TABLE {name(table.name)} ADD COLUMN {self._define(field)}")
        self._explain(table)

    def _define(self, field: Field) -> str:
        return f"{name(field.name)} {self.types[field.kind]}"

    def _explain(self, table: Loadable) -> None:
        self.execute(f"COMMENT ON TABLE {name(table.name)} IS {literal(table.meaning)}")
        for field in table.columns:
            if field.meaning:
                what = f"{name(table.name)}.{name(field.name)}"
                self.execute(f"COMMENT ON COLUMN {what} IS {literal(field.meaning)}")
