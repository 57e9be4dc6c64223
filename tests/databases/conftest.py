"""Published sets written by hand, and three databases to load them into."""

import datetime as dt
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import polars.selectors as cs
import psycopg
import pytest

from pipeline.publish.commit import publish
from pipeline.schema import TABLES, Table
from pipeline.years import SchoolYear
from tests.bigquery import BigQuery
from tests.helpers import clean_environment
from tests.postgres import Postgres

REPOSITORY = Path(__file__).parents[2]
SOURCE = "https://district.example.org/live"
_TYPES: dict[str, type[pl.DataType]] = {
    "text": pl.String,
    "integer": pl.Int64,
    "number": pl.Float64,
    "date": pl.Date,
}
# Values that are easily lost or changed on the way into a database.
AWKWARD = ["plain", 'a "quoted", text', "two\nlines", "\\.", "\\N", "Zoë 🙂", "", None]

Frames = dict[str, pl.DataFrame]


def frame(table: Table, year: str, rows: int) -> pl.DataFrame:
    """Made-up rows of a table."""
    values: dict[str, list[Any]] = {
        "text": AWKWARD,
        "integer": [7, None, -1],
        "number": [0.1, None, 1e-7, 12345678.25],
        "date": [dt.date(2023, 9, 1), None],
    }
    series = []
    for column in table.columns:
        choice = [year] if column.name == "year" else values[column.kind]
        if not table.is_large and column.kind == "text":
            choice = ["plain", 'a "quoted", text', None]  # in a CSV file an empty text is null
        filled = [choice[i % len(choice)] for i in range(rows)]
        series.append(pl.Series(column.name, filled, _TYPES[column.kind]))
    return pl.DataFrame(series)


def frames(year: str, rows: int) -> Frames:
    """Made-up rows of every table, in numbers that differ."""
    return {table.stem: frame(table, year, rows + i) for i, table in enumerate(TABLES)}


@dataclass
class Desk:
    """A data folder with published sets, a database, and the command that loads."""

    folder: Path
    database: str
    environment: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    emulator: BigQuery | None = None

    @property
    def dataset(self) -> str:
        return self.environment["PIPELINE_DATABASE_URL"].rpartition("/")[2]

    @property
    def file(self) -> Path:
        return self.folder / "data" / "illuminate.duckdb"

    def manifest(self, year: str = "23-24") -> Path:
        return self.folder / "data" / "illuminate" / year / "published.json"

    def publish(
        self,
        tables: Mapping[str, pl.DataFrame],
        build: str,
        year: str = "23-24",
        small: Collection[str] = (),
        **metadata: Any,
    ) -> Path:
        """Publish tables as a run would; names of no known table are the district's own views.

        Small tables are CSV only, also those that are named here.
        """
        manifest, large = self.manifest(year), {t.stem: t.is_large for t in TABLES}
        large |= dict.fromkeys(small, False)
        is_of_all = year == "all"
        newest = SchoolYear.parse("24-25")
        suffix = "_all_years" if is_of_all else SchoolYear.parse(year).suffix(newest)
        built = {}
        for stem, content in tables.items():
            is_view = "view" in stem or stem == "illuminate_assessment_results"
            place = self.folder / "data" / ("views" if is_view else "illuminate") / year
            kinds = ("csv", "parquet") if large.get(stem, True) else ("csv",)
            for kind in kinds:
                made = self.folder / "made" / build / year / f"{stem}.{kind}"
                made.parent.mkdir(parents=True, exist_ok=True)
                if kind == "parquet":
                    content.write_parquet(made)
                else:
                    made.write_text(content.drop(cs.nested()).write_csv(), encoding="utf-8")
                name = f"{stem}{suffix if large.get(stem, True) else ''}.{kind}"
                built[made] = place / name
        of_what = {"years": {"23-24": build}} if is_of_all else {"as_of": "2024-06-30"}
        metadata = {"year": year, "source": SOURCE} | of_what | metadata
        publish(built, manifest, build=build, run=f"run of {build}", metadata=metadata)
        return manifest

    def start(self, *command: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env={
                **clean_environment(),
                "LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg"),
                "ILLUMINATE_BASE_URL": SOURCE,
                **self.environment,
                **variables,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def load(self, year: str = "23-24", **variables: str) -> "subprocess.CompletedProcess[str]":
        """The real command; no secret and no traceback may be in what it prints."""
        process = self.start("-m", "pipeline", "load", "--year", year, **variables)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        assert not [secret for secret in self.secrets if secret in out + err]
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if self.database == "duckdb":
            with duckdb.connect(str(self.file), read_only=True) as connection:
                return connection.execute(sql).fetchall()
        return self.change(sql)

    def change(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute a statement as somebody else would."""
        if self.database == "duckdb":
            with duckdb.connect(str(self.file)) as connection:
                return connection.execute(sql).fetchall()
        if self.emulator:
            return self.emulator.query(self.dataset, sql)
        with psycopg.connect(self.environment["PIPELINE_DATABASE_URL"]) as server:
            cursor = server.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def content(self, table: str, year: str = "23-24") -> list[tuple[Any, ...]]:
        """The rows of a year, sorted."""
        return sorted(self.query(f"SELECT * FROM {table} WHERE year = '{year}'"), key=repr)

    def tables(self) -> list[str]:
        """The names of all tables, but for BigQuery's staging tables."""
        if self.emulator:
            names = [table.table_id for table in self.emulator.tables(self.dataset)]
            return [name for name in names if not name.startswith("pipeline_staging_")]
        where = "table_schema IN ('main', 'public')"
        found = self.query(f"SELECT table_name FROM information_schema.tables WHERE {where}")
        return [name for (name,) in found]

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables."""
        return {
            name: sorted(self.query(f"SELECT * FROM {name}"), key=repr) for name in self.tables()
        }


@pytest.fixture
def duck(tmp_path: Path) -> Desk:
    return Desk(tmp_path, "duckdb")


@pytest.fixture
def pg(tmp_path: Path, postgres: Postgres) -> Desk:
    url = postgres.url(postgres.new_database())
    environment = {"PIPELINE_DATABASE_URL": url}
    return Desk(tmp_path, "postgres", environment, (postgres.password,))


@pytest.fixture
def bq(tmp_path: Path, bigquery: BigQuery) -> Desk:
    environment = bigquery.environment(bigquery.new_dataset())
    return Desk(tmp_path, "bigquery", environment, ("invented-token",), bigquery)


@pytest.fixture(
    params={"duckdb": "duck", "postgres": "pg", "bigquery": "bq"}.items(), ids=itemgetter(0)
)
def desk(request: pytest.FixtureRequest) -> Desk:
    """Each of the databases, empty."""
    chosen: Desk = request.getfixturevalue(request.param[1])
    return chosen
