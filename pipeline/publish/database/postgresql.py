"""PostgreSQL, filled by COPY in batches of rows."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline import network
from pipeline.errors import LoadError, SettingsError
from pipeline.publish.database.base import Database, quote_name, wrong_type
from pipeline.publish.database.published_set import YEAR, SourceTable
from pipeline.storage import formulas

if TYPE_CHECKING:
    import polars as pl
    import psycopg

VARIABLE = "PIPELINE_DATABASE_URL"
"""The environment variable that names the database, with its password."""

_BATCH_ROWS = 50_000
_LOCK_TIMEOUT = 60  # seconds
_DEFAULTS = {"connect_timeout": "10", "application_name": "illuminate-pipeline"}
"""Connection settings for a URL that does not set them."""

_LOCK = 0x696C6C75  # ours among the advisory locks of the database

_REFUSALS = {
    "root certificate file": "sslrootcert names a file that does not exist",
    "certificate verify failed": "its certificate is not trusted; sslrootcert must name the file "
    "of the authority that signed it",
    "does not match host name": f"its certificate does not hold: {network.OTHER_HOST}",
    "password authentication failed": "the user or the password is wrong",
    "no password supplied": "it requires a password",
    "does not exist": "the database or the user does not exist",
    "No such file or directory": "no server answers there",
    "could not translate host name": f"its host {network.UNRESOLVED}",
    "failed to resolve host": f"its host {network.UNRESOLVED}",
    **{os.strerror(number): f"its host {what}" for number, what in network.ERRNOS.items()},
    "timeout": f"its host {network.ERRNOS[errno.ETIMEDOUT]}",
    "server closed the connection": f"its host {network.CLOSED}",
    "SSL": "the SSL connection failed",
    "no pg_hba.conf entry": "it does not accept connections from this machine",
    "too many": "it has too many connections",
}
"""Parts of PostgreSQL's messages, and what each means without repeating the URL."""


@contextlib.contextmanager
def open_writable(url: str) -> Iterator[Database]:
    """Open the database of a URL for one load, in a transaction.

    Raises:
        SettingsError: the URL cannot be read.
        LoadError: it cannot be reached, another load is running, or a statement fails.
    """
    import psycopg

    with _plain_errors(), _connect(url) as connection:
        cursor = connection.execute(b"SELECT pg_try_advisory_xact_lock(%d)" % _LOCK)
        if cursor.fetchone() != (True,):
            raise LoadError(
                "Another load is running in this database; nothing was changed. Wait until it "
                "ends, then run the same command again."
            )
        connection.execute(b"SET LOCAL lock_timeout = '%ds'" % _LOCK_TIMEOUT)
        connection.execute(b"SET LOCAL client_min_messages = 'warning'")
        yield _PostgreSQL(connection)
        if connection.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
            raise LoadError(
                "The transaction was ended from outside; the database was not changed. Run the "
                "same command again."
            )


@contextlib.contextmanager
def open_read_only(url: str) -> Iterator[Database]:
    """Open the database of a URL without changing anything.

    Raises:
        SettingsError: the URL cannot be read.
        LoadError: it cannot be reached, or a query fails.
    """
    with _plain_errors(), _connect(url) as connection:
        connection.read_only = True
        yield _PostgreSQL(connection)


def _connect(url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        given = {}
    if not given or not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(
            f"{VARIABLE} is not a valid URL; write it like "
            "postgresql://user:password@host/database, with %40 for an @ in the password, or "
            "bigquery://project/dataset."
        )
    missing = {key: value for key, value in _DEFAULTS.items() if key not in given}
    try:
        return psycopg.connect(make_conninfo(url, **missing))
    except psycopg.OperationalError as error:
        text = str(error)
        reason = next((why for part, why in _REFUSALS.items() if part in text), "unknown reason")
        place = f" at {host}" if (host := network.host_of(url)) else ""
        raise LoadError(
            f"The database of {VARIABLE}{place} cannot be opened: {reason}. Nothing was changed; "
            "fix this, then run the same command again."
        ) from None


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Re-raise PostgreSQL's errors as LoadError, without their text, which may hold a value."""
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise LoadError(
            f"A table was in use for more than {_LOCK_TIMEOUT} seconds; the database was not "
            "changed. Load again when its readers have finished."
        ) from None
    except psycopg.errors.InsufficientPrivilege:
        raise LoadError(
            "The database user does not own the tables or may not create any in this schema; the "
            "database was not changed. Grant this, then load again."
        ) from None
    except psycopg.Error as error:
        if error.sqlstate is None or isinstance(error, psycopg.errors.AdminShutdown):
            raise LoadError(
                "The connection to the database was lost. The year is there either as before or "
                "completely new. Load again."
            ) from None
        raise LoadError(
            f"PostgreSQL raised {type(error).__name__} ({error.sqlstate}); the database was not "
            "changed. Ask your database administrator what forbids it, then load again."
        ) from None


class _PostgreSQL(Database):
    _connection: "psycopg.Connection"

    def insert_rows(self, table: SourceTable, year: str) -> int:
        import psycopg

        columns = ", ".join(quote_name(field.name) for field in table.columns)
        copy_in = f"COPY {quote_name(table.name)} ({columns}) FROM STDIN (FORMAT csv)"
        try:
            with self._connection.cursor() as cursor, cursor.copy(copy_in.encode()) as copy:
                for batch in _batches(table, year):
                    _refuse_nul(batch, table)
                    # Quoted, because COPY reads an empty text without quotes as null.
                    copy.write(batch.write_csv(include_header=False, quote_style="non_numeric"))
        except psycopg.DataError as error:
            raise wrong_type(table, error) from None
        return self.count_rows(table.name, year)


def _batches(table: SourceTable, year: str) -> "Iterator[pl.DataFrame]":
    import polars as pl

    if table.file.suffix == ".csv":
        frame = pl.scan_csv(table.file, infer_schema=False, glob=False)
        frame = frame.with_columns(formulas.unescape(pl.col(pl.String)))
    else:
        frame = pl.scan_parquet(table.file, glob=False)
    if not table.has_year:
        frame = frame.with_columns(pl.lit(year).alias(YEAR))
    frame = frame.select([field.name for field in table.columns])
    yield from frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True)


def _refuse_nul(batch: "pl.DataFrame", table: SourceTable) -> None:
    import polars as pl

    texts = batch.select(pl.col(pl.String).str.contains("\0", literal=True).any())
    for column in texts.columns:
        if texts[column].item():
            raise LoadError(
                f"Column {column} of {table.file.name} holds a NUL character, which PostgreSQL "
                "cannot store; the database was not changed. Fix the text where it was entered, "
                "run make refresh, then load again."
            )
