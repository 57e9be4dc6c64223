"""Delta tables, in a folder or an object store. Nothing else here knows deltalake.

A table is partitioned by district and year. Its parts, which are Parquet files under names of their
own, are written first and by anyone; one commit then makes the table consist of exactly the parts
that it names. There must be one committer: of two at once, one fails and has changed nothing.
"""

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import SettingsError, StateError, StorageError
from pipeline.publish.store import Store, store_errors, store_reason
from pipeline.state.parts import PARTITIONED_BY, Part, Partition, TableSchema
from pipeline.storage import files

if TYPE_CHECKING:
    import deltalake
    import polars as pl

SETTING = "[state] lakehouse"
_LOG = "_delta_log"

_TYPES: dict[str, str] = {"text": "string", "integer": "long", "number": "double", "date": "date"}
_AZURE_ACCOUNT = re.compile(r"(abfss?://[^/@]+@[a-z0-9]+)(?:\.dfs\.core\.windows\.net)?(/.*)?")
_READERS = "Readers who follow published.json see what was published before."
_UNTOUCHED_FOR = 12
"""Hours for which a file that no kept version needs is left alone: somebody may be writing it."""


class Lakehouse:
    """The Delta tables below a folder or URL.

    Args:
        url: a folder, s3://, gs:// or abfss://; credentials are in the environment.

    Raises:
        SettingsError: the URL cannot be used, or a library is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import deltalake  # noqa: F401
        except ImportError:
            raise SettingsError(
                "The library for Delta tables is not installed: run make state, then run the same "
                "command again."
            ) from None
        self._url, self.store = url, Store(url, SETTING)
        self.root = self.store.root.rstrip("/")
        """The folder as the store knows it."""
        self.uri = self.root if self.store.is_local else _delta_uri(url)
        """The folder as readers of Delta tables know it."""
        self._options = None if self.store.is_local else _options(os.environ)

    def __reduce__(self) -> tuple[type["Lakehouse"], tuple[str]]:
        """Go to another process as a place only; credentials are in the environment there."""
        return Lakehouse, (self.root if self.store.is_local else self._url,)

    def stage(self, table: str, rows: "pl.LazyFrame", partition: Partition) -> Part:
        """Write rows as a new part of a table, which no reader sees before it is committed.

        Args:
            table: the table's name.
            rows: without the columns `district` and `year`.
            partition: the district and year that they are of.

        Raises:
            StateError: it could not be written completely.
        """
        import polars as pl

        folder = "/".join(f"{name}={value}" for name, value in partition._asdict().items())
        path = f"{folder}/{uuid.uuid4().hex}.parquet"
        place = f"{self._table_uri(table)}/{path}"
        with _plain_errors(f"A part of {table} could not be written to {self.uri}"):
            if self.store.is_local:
                files.make_folder(Path(place).parent)
            rows.sink_parquet(place, storage_options=self._options, maintain_order=True)
            if self.store.is_local:
                files.adopt(Path(place))
            size = self.store.size(f"{self.root}/tables/{table}/{path}") or 0
            written = pl.scan_parquet(place, glob=False, storage_options=self._options)
            count = int(written.select(pl.len()).collect().item())
        return Part(path, size, count, partition)

    def commit(self, schema: TableSchema, parts: Iterable[Part], run: str) -> int:
        """Make a table consist of exactly these parts, in one commit; return its version then.

        Columns that only some parts have are null in the others. None is ever removed.

        Raises:
            StateError: nothing was committed, because another run did, or a column has another
                type, or the place refused it.
        """
        with _plain_errors(f"The Delta table {schema.name} in {self.uri} could not be changed"):
            table = self._prepare(schema, run)
            current, wanted = (
                {part.path: part for part in which} for which in (_parts(table), parts)
            )
            if current == wanted:
                return table.version()
            self._replace(table, current, wanted, run)
            self._adopt_log(schema.name)
        return table.version() + 1

    def columns(self, table: str) -> list[str] | None:
        """Return the names of a table's columns; None where there is no such table.

        Raises:
            StateError: it could not be read.
        """
        with _plain_errors(f"The Delta table {table} in {self.uri} could not be read"):
            found = self._find(table)
            return [field.name for field in found.schema().fields] if found else None

    def parts(self, table: str, version: int | None = None) -> list[Part]:
        """Return the parts of a version of a table; by default, of the newest.

        Raises:
            StateError: the version is not there.
        """
        with _plain_errors(f"The parts of {table} in {self.uri} could not be read"):
            return _parts(self._open(table, version))

    def rows(self, table: str, version: int) -> dict[Partition, int]:
        """Return the rows of each partition of a version of a table.

        Raises:
            StateError: the version is not there.
        """
        rows: dict[Partition, int] = {}
        for part in self.parts(table, version):
            rows[part.partition] = rows.get(part.partition, 0) + part.rows
        return rows

    def clean(self, table: str, versions: Collection[int], hours: int = _UNTOUCHED_FOR) -> int:
        """Remove the files that none of these versions needs, also those never committed.

        Args:
            table: the table's name.
            versions: those to keep, beside the newest.
            hours: how long a file must have been of no use.

        Returns:
            The number of files.

        Raises:
            StateError: they could not be removed.
        """
        with _plain_errors(f"Files of {table} in {self.uri} that nothing needs are still there"):
            found = self._open(table)
            unused = _vacuum(found, versions, hours, dry_run=True)
            if unused:  # else it would be two commits that change nothing
                _vacuum(found, versions, hours, dry_run=False)
                self._adopt_log(table)
        return len(unused)

    def _table_uri(self, table: str) -> str:
        return f"{self.uri}/tables/{table}"

    def _adopt_log(self, table: str) -> None:
        """Make all of a table's log durable: a version cannot be read without those before it."""
        if self.store.is_local:
            files.adopt(*(Path(self._table_uri(table)) / _LOG).iterdir())

    def _find(self, table: str) -> "deltalake.DeltaTable | None":
        from deltalake.exceptions import TableNotFoundError

        try:
            return self._open(table)
        except TableNotFoundError:
            return None

    def _open(self, table: str, version: int | None = None) -> "deltalake.DeltaTable":
        import deltalake

        return deltalake.DeltaTable(self._table_uri(table), version, self._options)

    def _prepare(self, schema: TableSchema, run: str) -> "deltalake.DeltaTable":
        """Return a table with these columns, after creating it or adding those that are new.

        Raises:
            StateError: a column has another type, or a name that differs in case only.
        """
        import deltalake

        place = self._table_uri(schema.name)
        if self.store.is_local:
            files.make_folder(Path(place) / _LOG)
        table = self._find(schema.name)
        if table is None:
            return deltalake.DeltaTable.create(
                place,
                deltalake.Schema(_fields(schema)),
                partition_by=PARTITIONED_BY,
                name=schema.name,
                description=schema.meaning,
                # A version that a marker names must stay readable, however old it is.
                configuration={"delta.enableExpiredLogCleanup": "false"},
                storage_options=self._options,
                commit_properties=_commit_properties(run),
            )
        new = _new_fields(table, schema)
        if new:
            table.alter.add_columns(new, commit_properties=_commit_properties(run))
            table.update_incremental()
        return table

    def _replace(
        self,
        table: "deltalake.DeltaTable",
        current: Mapping[str, Part],
        wanted: Mapping[str, Part],
        run: str,
    ) -> None:
        from deltalake.transaction import AddAction, RemoveAction

        now = time.time_ns() // 1_000_000
        added = [
            # No smallest and largest values: they would be values of students, in a log.
            AddAction(
                path=path,
                size=part.size,
                partition_values=part.partition._asdict(),
                modification_time=now,
                data_change=True,
                stats=json.dumps({"numRecords": part.rows}),
            )
            for path, part in wanted.items()
            if path not in current
        ]
        removed = [
            RemoveAction(path, True, now, part.size, part.partition._asdict())
            for path, part in current.items()
            if path not in wanted
        ]
        table.create_write_transaction(
            [*added, *removed],
            "append",  # in the mode "overwrite", the library decides what is removed
            table.schema(),
            PARTITIONED_BY,
            commit_properties=_commit_properties(run),
        )


def _delta_uri(url: str) -> str:
    """Return a URL as deltalake and polars spell it."""
    url = re.sub("^s3a://", "s3://", re.sub("^gcs://", "gs://", url.rstrip("/")))
    azure = _AZURE_ACCOUNT.fullmatch(url)
    return f"{azure[1]}.dfs.core.windows.net{azure[2] or ''}" if azure else url


def _options(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what deltalake and polars do not take from the environment themselves."""
    endpoint = environment.get("AWS_ENDPOINT_URL", "")
    return {"aws_allow_http": "true"} if endpoint.startswith("http://") else {}


def _parts(table: "deltalake.DeltaTable") -> list[Part]:
    import polars as pl

    columns = ["path", "size_bytes", "num_records", *(f"partition.{n}" for n in PARTITIONED_BY)]
    listed = pl.DataFrame(table.get_add_actions(flatten=True)).select(columns)
    return [Part(path, size, rows, Partition(*where)) for path, size, rows, *where in listed.rows()]


def _fields(schema: TableSchema) -> list["deltalake.Field"]:
    import deltalake
    from deltalake.schema import PrimitiveType

    return [
        deltalake.Field(
            column.name,
            PrimitiveType(_TYPES[column.kind]),
            metadata={"comment": column.meaning} if column.meaning else None,
        )
        for column in schema.columns
    ]


def _new_fields(table: "deltalake.DeltaTable", schema: TableSchema) -> list["deltalake.Field"]:
    """Return the columns that a table does not have yet.

    Raises:
        StateError: the table cannot take them.
    """
    there = {field.name.casefold(): field for field in table.schema().fields}
    new = []
    for field in _fields(schema):
        known = there.get(field.name.casefold())
        if known is None:
            new.append(field)
        elif known.name != field.name or known.type != field.type:
            raise StateError(
                f"Column {field.name} ({field.type.type}) of {schema.name} does not fit the Delta "
                f"table, which has a column {known.name} ({known.type}); nothing was committed, "
                "and readers see what was published before. Rename one of them, or name another "
                f"{SETTING}, then run the same command again."
            )
    return new


def _vacuum(
    table: "deltalake.DeltaTable", versions: Collection[int], hours: int, *, dry_run: bool
) -> list[str]:
    return table.vacuum(
        retention_hours=hours,
        dry_run=dry_run,
        enforce_retention_duration=False,
        full=True,
        keep_versions=sorted(versions),
    )


def _commit_properties(run: str) -> "deltalake.CommitProperties":
    import deltalake

    # Without retries, a commit fails if any other came first, also of other districts: the
    # versions of the tables belong together.
    return deltalake.CommitProperties({"run": run}, max_commit_retries=0)


@contextlib.contextmanager
def _plain_errors(problem: str) -> Iterator[None]:
    """Re-raise what libraries raise as StateError, without its text: it may hold a value or URL."""
    import polars as pl
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise StateError(
            f"{problem}: another run committed to it meanwhile. {_READERS} Wait until the other "
            "run has ended, then run the same command again."
        ) from None
    except store_errors(DeltaError, pl.exceptions.PolarsError, StorageError) as error:
        raise StateError(
            f"{problem} ({store_reason(error)}). {_READERS} Check {SETTING}, the credentials, the "
            "disk and the network, then run the same command again."
        ) from None
