"""PostgreSQL, through COPY."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.databases.relations import YEAR, Relation
from pipeline.databases.session import identifier
from pipeline.errors import LoadError, SettingsError

if TYPE_CHECKING:
    import polars as pl
    import psycopg

_ONE_AT_A_TIME = 0x696C6C756D  # an advisory lock of our own
_CONNECT_SECONDS = 20
_REASONS = (
    ("password authentication failed", "the user or the password is refused"),
    ("no password supplied", "a password is needed"),
    ("does not exist", "there is no such database or user"),
)


class Postgres:
    """A PostgreSQL database by its URL; the URL is never shown, it may hold a password."""

    def __init__(self, url: str) -> None:
        """Take the URL apart.

        Raises:
            SettingsError: it is none.
        """
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            parts = conninfo_to_dict(url) if "://" in url else {}
        except psycopg.ProgrammingError:
            parts = {}
        if not parts:
            raise SettingsError(
                "PIPELINE_DATABASE_URL must be like postgresql://user:password@host:5432/database."
            )
        self._parts = parts

    @property
    def label(self) -> str:
        """Host and database."""
        host = self._parts.get("host") or "this machine"
        return f"database {self._parts.get('dbname') or '(default)'} on {host}"

    @contextmanager
    def transaction(self) -> Iterator["PostgresSession"]:
        """One transaction; a second load waits for it, readers do not.

        Raises:
            LoadError: the server cannot be reached, or refuses something.
        """
        import psycopg

        try:
            # libpq may have options of the environment as well.
            connection = psycopg.connect(
                **{"connect_timeout": _CONNECT_SECONDS, **self._parts},  # type: ignore[arg-type]
                application_name="illuminate-pipeline",
            )
        except psycopg.Error as error:
            reasons = [reason for words, reason in _REASONS if words in str(error)]
            why = reasons[0] if reasons else "the server cannot be reached"
            raise LoadError(
                f"The {self.label} cannot be opened: {why}. Nothing was changed; look at "
                "PIPELINE_DATABASE_URL."
            ) from None
        try:
            with connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
                yield PostgresSession(connection)
        except psycopg.Error as error:
            state = f", {error.sqlstate}" if error.sqlstate else ""
            raise LoadError(
                f"The {self.label} stopped the load ({type(error).__name__}{state}); what it held "
                "before is kept."
            ) from None


class PostgresSession:
    """One open transaction in PostgreSQL."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; a question mark stands for each value."""
        if values:
            cursor = self._connection.execute(sql.replace("?", "%s").encode(), values)
        else:
            cursor = self._connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def insert(self, relation: Relation, year: str) -> None:
        """Add all rows of a relation's file, batch after batch.

        Raises:
            LoadError: a text has a NUL character, which PostgreSQL cannot hold.
        """
        import polars as pl

        target = ", ".join(map(identifier, relation.columns))
        # What is not quoted and empty is null; every text is quoted.
        sql = f"COPY {identifier(relation.name)} ({target}) FROM STDIN (FORMAT csv, NULL '')"
        texts = [name for name, kind in relation.columns.items() if kind == "text"]
        with self._connection.cursor().copy(sql.encode()) as copy:
            for batch in relation.batches():
                whole = (
                    batch
                    if YEAR in relation.in_file
                    else batch.with_columns(pl.lit(year).alias(YEAR))
                )
                _see_that_there_is_no_nul(relation, whole, texts)
                copy.write(_as_csv(whole.select(list(relation.columns)), texts))


def _see_that_there_is_no_nul(
    relation: Relation, batch: "pl.DataFrame", texts: Sequence[str]
) -> None:
    import polars as pl

    found = batch.select(pl.col(*texts).str.contains("\0", literal=True).any()).row(0, named=True)
    for name, has in found.items():
        if has:
            raise LoadError(
                f"Column {name} of {relation.path.name} has a text with a NUL character, which "
                "PostgreSQL cannot hold; the database is as it was. A DuckDB file holds it: unset "
                "PIPELINE_DATABASE_URL; or have the text mended in Illuminate and fetch anew."
            )


def _as_csv(batch: "pl.DataFrame", texts: Sequence[str]) -> bytes:
    import polars as pl

    quoted = pl.lit('"') + pl.col(*texts).str.replace_all('"', '""', literal=True) + pl.lit('"')
    return (
        batch.with_columns(quoted.name.keep())
        .write_csv(None, include_header=False, quote_style="never", null_value="")
        .encode()
    )
