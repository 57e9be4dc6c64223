"""DuckDB: a database in one file."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.databases.relations import Relation
from pipeline.databases.session import identifier, literal
from pipeline.errors import LoadError

STORAGE_VERSION = "v1.2.0"
"""The oldest format that keeps everything that is loaded; any DuckDB since 1.2 opens it."""

_MEMORY = "512MB"


@dataclass(frozen=True)
class DuckDB:
    """A DuckDB file; made when it is new."""

    path: Path

    @property
    def label(self) -> str:
        """The file's name."""
        return str(self.path)

    @contextmanager
    def transaction(self) -> Iterator["DuckSession"]:
        """One transaction; nobody else can open the file meanwhile.

        Raises:
            LoadError: the file is open elsewhere, or DuckDB refuses something.
        """
        import duckdb

        files.make_folder(self.path.parent)
        with files.closed_to_others(), closing(duckdb.connect()) as connection:
            try:
                connection.execute(f"SET memory_limit = {literal(_MEMORY)}")
                connection.execute("SET preserve_insertion_order = false")
                spill = literal(f"{self.path}.tmp")
                connection.execute(f"SET temp_directory = {spill}")
                connection.execute(
                    f"ATTACH {literal(str(self.path))} AS loaded "
                    f"(STORAGE_VERSION {literal(STORAGE_VERSION)})"
                )
                connection.execute("USE loaded")
                connection.execute("BEGIN")
                yield DuckSession(connection)
                connection.execute("COMMIT")
            except duckdb.Error as error:
                raise LoadError(self._explain(error)) from None

    def _explain(self, error: Exception) -> str:
        kind = type(error).__name__
        why = f"DuckDB refuses it ({kind})"
        if kind == "IOException":
            why = "another program has it open, or the disk is full or closed to us"
        return (
            f"{self.path} cannot be loaded: {why}. What it held before is kept; mend this and "
            "load again."
        )


class DuckSession:
    """One open transaction in a DuckDB file."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401  the library has no types
        self._connection = connection

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; a question mark stands for each value."""
        return list(self._connection.execute(sql, list(values)).fetchall())

    def insert(self, relation: Relation, year: str) -> None:
        """Add all rows of a relation's file; DuckDB reads it itself, in bounded memory."""
        target = ", ".join(map(identifier, relation.columns))
        chosen = ", ".join(
            identifier(name) if name in relation.in_file else literal(year)
            for name in relation.columns
        )
        self.execute(
            f"INSERT INTO {identifier(relation.name)} ({target}) "  # noqa: S608  both are quoted
            f"SELECT {chosen} FROM {_reader(relation)}"
        )


def _reader(relation: Relation) -> str:
    path = literal(str(relation.path))
    if relation.path.suffix != ".csv":
        return f"read_parquet({path}, hive_partitioning = false)"
    kinds = {
        name: "BIGINT" if kind == "integer" else "VARCHAR"
        for name, kind in relation.in_file.items()
    }
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in kinds.items())
    return (
        f"read_csv({path}, auto_detect = false, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = '', columns = {{{columns}}}, hive_partitioning = false)"
    )
