"""PostgreSQL, filled with COPY from a few rows at a time."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.errors import LoadError, SettingsError
from pipeline.publish.database.database import Database, name
from pipeline.publish.database.published import YEAR, Loadable

if TYPE_CHECKING:
    import polars as pl
    import psycopg

VARIABLE = "PIPELINE_DATABASE_URL"
"""The environment variable that names the database, with its password."""

_ROWS_AT_ONCE = 50_000
_SECONDS_FOR_A_LOCK = 60
_USUAL = {"connect_timeout": "10", "application_name": "illuminate-pipeline"}
"""What a URL says of the connection when it says nothing."""

_LOCK = 0x696C6C75  # ours among the advisory locks of the database

_REFUSALS = {
    "password authentication failed": "the user or the password is refused",
    "no password supplied": "it asks for a password",
    "does not exist": "the database or the user does not exist",
    "Connection refused": "nothing answers there",
    "No such file or directory": "nothing answers there",
    "could not translate host name": "its host name is not known",
    "failed to resolve host": "its host name is not known",
    "timeout": "it does not answer",
    "SSL": "it cannot be reached over SSL as asked",
    "no pg_hba.conf entry": "it does not let this machine in",
    "too many": "it has too many connections",
}
"""What a refusal says, in words that hold nothing of the URL."""


@contextlib.contextmanager
def opened(url: str) -> Iterator[Database]:
    """The database that a URL names, in a transaction.

    Raises:
        SettingsError: the URL cannot be read.
        LoadError: it cannot be reached, another load is at work, or it refuses what is done.
    """
    import psycopg

    with _told(), _connect(url) as connection:
        cursor = connection.execute(b"SELECT pg_try_advisory_xact_lock(%d)" % _LOCK)
        if cursor.fetchone() != (True,):
            raise LoadError(
                "Another load is at work in this database; nothing was changed. Wait until it ends."
            )
        connection.execute(b"SET LOCAL lock_timeout = '%ds'" % _SECONDS_FOR_A_LOCK)
        connection.execute(b"SET LOCAL client_min_messages = 'warning'")
        yield _PostgreSQL(connection)
        if connection.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
            raise LoadError("The transaction was ended from outside; the database is as it was.")


def _connect(url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        given = {}
    if not given or not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(
            f"{VARIABLE} cannot be read; write it postgresql://user:password@host/database, with "
            "%40 for an @ in the password."
        )
    missing = {key: value for key, value in _USUAL.items() if key not in given}
    try:
        return psycopg.connect(make_conninfo(url, **missing))
    except psycopg.OperationalError as error:
        text = str(error)
        reason = next((why for part, why in _REFUSALS.items() if part in text), "no reason known")
        raise LoadError(
            f"The database of {VARIABLE} cannot be opened: {reason}. Nothing was changed."
        ) from None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn PostgreSQL's errors into plain sentences; their own text may hold a value."""
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise LoadError(
            f"A table was in use for more than {_SECONDS_FOR_A_LOCK} seconds and cannot be "
            "changed meanwhile; the database is as it was. Load again when its readers have ended."
        ) from None
    except psycopg.errors.InsufficientPrivilege:
        raise LoadError(
            "The user of the database must own the tables, or may not make any in this schema; "
            "the database is as it was."
        ) from None
    except psycopg.Error as error:
        if error.sqlstate is None or isinstance(error, psycopg.errors.AdminShutdown):
            raise LoadError(
                "The connection to the database was lost; the year is there as before, or anew and "
                "whole. Load again."
            ) from None
        raise LoadError(
            f"PostgreSQL refuses ({type(error).__name__}, {error.sqlstate}); the database is as "
            "it was."
        ) from None


class _PostgreSQL(Database):
    types = {  # noqa: RUF012  a ClassVar in the base
        "text": "text",
        "integer": "bigint",
        "number": "double precision",
        "date": "date",
        "boolean": "boolean",
        "timestamp": "timestamp",
    }

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        self._connection.execute(sql.encode())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode()).fetchall()

    def fill(self, table: Loadable, year: str) -> None:
        import psycopg

        columns = ", ".join(name(field.name) for field in table.columns)
        copy_in = f"COPY {name(table.name)} ({columns}) FROM STDIN (FORMAT csv)"
        try:
            with self._connection.cursor() as cursor, cursor.copy(copy_in.encode()) as copy:
                for batch in _batches(table, year):
                    _refuse_nul(batch, table)
                    # Texts are quoted, so that an empty one is no null.
                    copy.write(batch.write_csv(include_header=False, quote_style="non_numeric"))
        except psycopg.DataError as error:
            raise LoadError(
                f"A value in {table.file.name} is not of its column's type "
                f"({type(error).__name__}); the database is as it was."
            ) from None


def _batches(table: Loadable, year: str) -> "Iterator[pl.DataFrame]":
    import polars as pl

    if table.file.suffix == ".csv":
        frame = pl.scan_csv(table.file, infer_schema=False, glob=False)
    else:
        frame = pl.scan_parquet(table.file, glob=False)
    if not table.has_year:
        frame = frame.with_columns(pl.lit(year).alias(YEAR))
    frame = frame.select([field.name for field in table.columns])
    yield from frame.collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True)


def _refuse_nul(batch: "pl.DataFrame", table: Loadable) -> None:
    import polars as pl

    texts = batch.select(pl.col(pl.String).str.contains("\0", literal=True).any())
    for column in texts.columns:
        if texts[column].item():
            raise LoadError(
                f"Column {column} of {table.file.name} holds a NUL character, which PostgreSQL "
                "cannot keep; the database is as it was. Mend the text where it is entered, and "
                "make refresh fetches it anew."
            )
