"""BigQuery: load jobs into staging tables, then one script that replaces the year.

BigQuery cannot create a table or a column in a transaction, and a transaction that is left open
would block other loads. So tables and columns come first, the files go into staging tables that
expire by themselves, and every other statement is kept for one script, which the server runs
completely or not at all.
"""

import contextlib
import datetime as dt
import io
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline import network
from pipeline.errors import LoadError, SettingsError
from pipeline.publish.database.base import Database, wrong_type
from pipeline.publish.database.published_set import RUNS, YEAR, Field, Kind, SourceTable
from pipeline.storage import formulas

if TYPE_CHECKING:
    import polars as pl
    from google.cloud import bigquery

SCHEME = "bigquery://"
"""How the URL of a BigQuery dataset begins."""

_URL = re.compile(r"bigquery://([a-z0-9.:-]+)/([A-Za-z0-9_]+)/?")
_STAGING = "pipeline_staging"
_EXPIRES = dt.timedelta(days=1)  # a staging table that a killed load left behind
_PATIENCE = 60  # seconds, for a request with its repetitions
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_TYPES: dict[Kind, str] = {
    "text": "STRING",
    "integer": "INT64",
    "number": "FLOAT64",
    "date": "DATE",
    "boolean": "BOOL",
    "timestamp": "DATETIME",
}

# What the script says when it stops itself.
_OVERTAKEN = "illuminate-pipeline: another load was faster"
_MISCOUNTED = "illuminate-pipeline: rows were lost"

_REASONS = {
    _OVERTAKEN: "another load ended meanwhile",
    _MISCOUNTED: "a table would not have had all of its rows",
    "due to concurrent update": "another load is running",
    "quotaExceeded": "a quota of the project is used up",
    "rateLimitExceeded": "there were too many requests",
    "accessDenied": "the account lacks a right; it needs BigQuery Data Editor on the dataset and "
    "BigQuery Job User on the project",
}
"""Parts of BigQuery's messages and reasons, and what each means without repeating a value."""

_KINDS = {
    "NotFound": "there is no such project or dataset, or the account may not see it",
    "Forbidden": _REASONS["accessDenied"],
    "DefaultCredentialsError": "there are no credentials; set GOOGLE_APPLICATION_CREDENTIALS",
    "RefreshError": "the credentials were rejected",
    "RetryError": "it did not answer",
    "TransportError": "it did not answer",
}
"""What errors mean whose reason says no more, by the names of their types."""


@contextlib.contextmanager
def open_writable(url: str) -> Iterator[Database]:
    """Open the dataset of a URL for one load; a missing dataset is not created.

    Raises:
        SettingsError: the URL cannot be read, or the library is not installed.
        LoadError: it cannot be reached, another load was faster, or a statement fails.
    """
    with _open(url) as database:
        database.begin()
        yield database
        database.commit()


@contextlib.contextmanager
def open_read_only(url: str) -> Iterator[Database]:
    """Open the dataset of a URL without changing anything.

    Raises:
        SettingsError: the URL cannot be read, or the library is not installed.
        LoadError: it cannot be reached, or a query fails.
    """
    with _open(url) as database:
        yield database


@contextlib.contextmanager
def _open(url: str) -> "Iterator[_BigQuery]":
    """Open a dataset; the text of its errors, which may hold a value, is not repeated."""
    if not (parts := _URL.fullmatch(url)):
        raise SettingsError(
            "The address of a BigQuery dataset is like bigquery://project/dataset, and its "
            "credentials are in the file that GOOGLE_APPLICATION_CREDENTIALS names. Fix "
            "PIPELINE_DATABASE_URL, then run the same command again."
        )
    try:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import bigquery
    except ImportError:
        raise SettingsError(
            "The library for BigQuery is not installed: run make bigquery, then load again."
        ) from None
    try:
        with contextlib.closing(bigquery.Client(project=parts[1])) as client:
            database = _BigQuery(client, bigquery.DatasetReference(parts[1], parts[2]))
            try:
                yield database
            finally:
                database.remove_staging()
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        name, text = type(error).__name__, f"{error} {getattr(error, 'errors', '')}"
        known = next((why for part, why in _REASONS.items() if part in text), "")
        if not known and (said := network.describe(error)):
            known = f"{network.host_in(error) or 'its host'} {said}"
        known = known or _KINDS.get(name, f"it raised {name}")
        raise LoadError(
            f"BigQuery could not be used: {known}. The year is there either "
            "as before or completely new. Fix this, then run the same command again."
        ) from None


class _BigQuery(Database):
    def __init__(self, client: "bigquery.Client", dataset: "bigquery.DatasetReference") -> None:
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        self._client, self._dataset = client, dataset
        self._limits: dict[str, Any] = {
            "retry": DEFAULT_RETRY.with_timeout(_PATIENCE),
            "timeout": _PATIENCE,
        }
        self._location = client.get_dataset(dataset, **self._limits).location
        self._load = secrets.token_hex(4)
        self._script: list[str] = []
        self._staged: list[str] = []

    def begin(self) -> None:
        """Begin the script with the check that no other load ended in the meantime."""
        runs = f"(SELECT count(*) FROM {self.table(RUNS)})"
        loads = self.query(f"SELECT {runs}")[0][0] if self.column_types(RUNS) else 0
        self._require(f"{runs} = {loads}", _OVERTAKEN)

    def commit(self) -> None:
        """Run the script: all statements, or none."""
        statements = ("BEGIN TRANSACTION", *self._script, "COMMIT TRANSACTION")
        self.query("".join(f"{statement};\n" for statement in statements))

    def execute(self, sql: str) -> None:
        """Keep a statement for the script."""
        self._script.append(sql)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query or a script now, and return its rows."""
        job = self._client.query(sql, location=self._location, **self._limits)
        return [tuple(row) for row in job.result(retry=self._limits["retry"])]

    def table(self, name: str) -> str:
        """Return a table's name with its project and dataset, as every query needs it."""
        return f"`{self._dataset.project}.{self._dataset.dataset_id}.{name}`"

    def text(self, value: str) -> str:
        """Return a text value; BigQuery has escapes where other databases double the quote."""
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r") + "'"

    def column_types(self, table: str) -> dict[str, str]:
        """Return the type of each column by name; empty if the table does not exist."""
        from google.api_core.exceptions import NotFound

        try:
            found = self._client.get_table(self._dataset.table(table), **self._limits)
        except NotFound:
            return {}
        return {field.name: field.field_type for field in found.schema}

    def prepare_table(self, table: str, meaning: str, columns: Sequence[Field]) -> None:
        """Create a table or add the columns it lacks, now, and describe all of them.

        Raises:
            LoadError: an existing column holds another kind of values, or a name is not accepted.
        """
        if bad := [field.name for field in columns if not _COLUMN.fullmatch(field.name)]:
            raise LoadError(
                f"Column {bad[0]} of {table} has a name that BigQuery does not accept: letters, "
                "digits and underscores, no digit first. No row was changed; if the file is a view "
                "of your own, rename the column there, then publish and load again."
            )
        super().prepare_table(table, meaning, columns)

    def insert_rows(self, table: SourceTable, year: str) -> int:
        """Load the file into a staging table now, and insert its rows with the script."""
        staging = self._stage(table)
        columns = ", ".join(f"`{field.name}`" for field in table.columns)
        values = [f"`{field.name}`" for field in table.fields]
        if not table.has_year:
            values.insert(0, self.text(year))
        self.execute(
            f"INSERT INTO {self.table(table.name)} ({columns}) "
            f"SELECT {', '.join(values)} FROM {self.table(staging)}"
        )
        where = f"WHERE {self._is_of(year)}" if table.has_year else ""
        rows = int(self.query(f"SELECT count(*) FROM {self.table(staging)} {where}")[0][0])
        inserted = f"(SELECT count(*) {self._of_year(table.name, year)})"
        self._require(f"{inserted} = {rows}", _MISCOUNTED)
        return rows

    def try_creating(self) -> None:
        """Create a staging table, which is removed when the dataset is closed."""
        self._staged.append(f"{_STAGING}_{self._load}")
        expires = dt.datetime.now(dt.UTC) + _EXPIRES
        self._create_table(self._staged[-1], [Field(YEAR, "text")], expires)

    def remove_staging(self) -> None:
        """Remove the staging tables of this load."""
        while self._staged:
            table = self._dataset.table(self._staged.pop())
            self._client.delete_table(table, not_found_ok=True, **self._limits)

    def _require(self, condition: str, otherwise: str) -> None:
        self.execute(f"SELECT IF({condition}, TRUE, ERROR({self.text(otherwise)}))")

    def _create_table(
        self, table: str, columns: Sequence[Field], expires: dt.datetime | None = None
    ) -> None:
        from google.cloud import bigquery

        created = bigquery.Table(self._dataset.table(table), schema=_schema(columns))
        created.expires = expires
        self._client.create_table(created, **self._limits)

    def _add_columns(self, table: str, columns: Sequence[Field]) -> None:
        for field in columns:
            column = f"`{field.name}` {_TYPES[field.kind]}"
            self.query(f"ALTER TABLE {self.table(table)} ADD COLUMN IF NOT EXISTS {column}")

    def _comment(self, table: str, meaning: str, columns: Sequence[Field]) -> None:
        """Describe the table and its columns; where nothing differs, nothing is sent."""
        from google.cloud.bigquery import SchemaField

        found = self._client.get_table(self._dataset.table(table), **self._limits)
        fields = {field.name: field.to_api_repr() for field in found.schema}
        for field in _schema(columns):
            known = fields.get(field.name) or field.to_api_repr()
            fields[field.name] = {**known, "description": field.description}
        schema = [SchemaField.from_api_repr(field) for field in fields.values()]
        if found.description != meaning or schema != found.schema:
            found.description, found.schema = meaning, schema
            self._client.update_table(found, ["description", "schema"], **self._limits)

    def _stage(self, table: SourceTable) -> str:
        """Load a table's file into a staging table of its own, and return the table's name."""
        from google.api_core.exceptions import BadRequest
        from google.cloud import bigquery

        name = f"{_STAGING}_{self._load}_{table.name}"
        self._staged.append(name)
        self._create_table(name, table.fields, dt.datetime.now(dt.UTC) + _EXPIRES)
        config = bigquery.LoadJobConfig(
            schema=_schema(table.fields),
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        )
        with _open_parquet(table) as file:
            job = self._client.load_table_from_file(
                file,
                self._dataset.table(name),
                job_config=config,
                location=self._location,
                timeout=_PATIENCE,
            )
        try:
            job.result(retry=self._limits["retry"])
        except BadRequest as error:
            raise wrong_type(table, error) from None
        return name


def _schema(columns: Sequence[Field]) -> "list[bigquery.SchemaField]":
    from google.cloud import bigquery

    return [
        bigquery.SchemaField(field.name, _TYPES[field.kind], description=field.meaning)
        for field in columns
    ]


def _open_parquet(table: SourceTable) -> IO[bytes]:
    """Open a table's file, or a copy where its types are not those that BigQuery reads as they are.

    Raises:
        LoadError: a value does not have its column's type.
    """
    import polars as pl

    dtypes: dict[Kind, pl.DataType] = {
        "text": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "date": pl.Date(),
        "boolean": pl.Boolean(),
        "timestamp": pl.Datetime("us"),
    }
    wanted = {field.name: dtypes[field.kind] for field in table.fields}
    if table.file.suffix == ".parquet" and wanted == dict(pl.read_parquet_schema(table.file)):
        return table.file.open("rb")
    return _convert(_scan(table.file), wanted, table)


def _scan(file: Path) -> "pl.LazyFrame":
    import polars as pl

    if file.suffix == ".parquet":
        return pl.scan_parquet(file, glob=False)
    frame = pl.scan_csv(file, infer_schema=False, glob=False)
    return frame.with_columns(formulas.unescape(pl.col(pl.String)))


def _convert(
    frame: "pl.LazyFrame", wanted: "dict[str, pl.DataType]", table: SourceTable
) -> io.BytesIO:
    import polars as pl

    copy = io.BytesIO()
    try:
        frame.select(pl.col(name).cast(dtype) for name, dtype in wanted.items()).sink_parquet(copy)
    except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError) as error:
        raise wrong_type(table, error) from None
    copy.seek(0)
    return copy
