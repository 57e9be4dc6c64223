"""What a database must be able to do, so that a year can be put into it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pipeline.databases.relations import Relation


class Session(Protocol):
    """One open transaction."""

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; a question mark stands for each value."""
        ...

    def insert(self, relation: Relation, year: str) -> None:
        """Add all rows of a relation's file, in bounded memory.

        Raises:
            LoadError: the database cannot hold a value.
        """
        ...


class Database(Protocol):
    """A database by its address."""

    @property
    def label(self) -> str:
        """What people call it; no password."""
        ...

    def transaction(self) -> AbstractContextManager[Session]:
        """One transaction: all of it holds, or on an error nothing.

        Raises:
            LoadError: the database cannot be used; in place of the library's error, whose text
                may hold a password or a student's value.
        """
        ...


def identifier(name: str) -> str:
    """A name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
