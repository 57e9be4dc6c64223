"""From the API into a database, with the commands that people type."""

import functools
from typing import Any

import duckdb
import msgspec
import polars as pl
import psycopg
import pytest

from pipeline.publish.commit import Publication
from pipeline.simulator import Server
from tests.bigquery import BigQuery
from tests.functional.conftest import YEAR, Workplace
from tests.postgres import Postgres


@pytest.mark.parametrize("command", ["load", "copy"])
def test_what_is_not_published_is_not_delivered(
    place: Workplace, server: Server, command: str
) -> None:
    """It says so once, says nothing of requests, and leaves the result of the last run alone."""
    assert place.run().returncode == 0
    server.clear_log()
    place.environment["PIPELINE_COPY_TO"] = str(place.folder / "copies")
    before = (place.data / "runs" / "latest.json").read_bytes()
    done = place.look(command, "--year", "21-22")
    assert done.returncode == 30
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.count("Nothing of 21-22 is published") == 1
    assert "or published.json cannot be read; nothing was delivered" in done.stdout
    assert "Run `make run YEAR=21-22`" in done.stdout
    assert "requests" not in done.stdout
    assert (place.data / "runs" / "latest.json").read_bytes() == before
    (record,) = (place.data / "runs").glob(f"*-21-22-{command.capitalize()}Year.json")
    assert msgspec.json.decode(record.read_bytes())["outcome"] == "failed"
    assert place.look(command, "--year", YEAR).returncode == 0
    assert (place.data / "runs" / "latest.json").read_bytes() == before
    assert server.log == []


def count_loaded(place: Workplace, kind: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a query in the database that the pipeline loaded."""
    url = place.environment.get("PIPELINE_DATABASE_URL", "")
    if kind == "duckdb":
        file = place.data / "illuminate.duckdb"
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(sql).fetchall()
    with psycopg.connect(url) as server:
        return server.execute(sql.encode()).fetchall()


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "bigquery"])
def test_everything_a_run_publishes_is_loaded(
    place: Workplace, kind: str, request: pytest.FixtureRequest
) -> None:
    """Every published file is a table with as many rows; loading again changes nothing."""
    assert place.run().returncode == 0
    query = functools.partial(count_loaded, place, kind)
    if kind == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(server.new_database())
        place.environment["PIPELINE_DATABASE_URL"] = url
    elif kind == "bigquery":
        emulator: BigQuery = request.getfixturevalue("bigquery")
        dataset = emulator.new_dataset()
        place.environment |= emulator.environment(dataset)
        query = functools.partial(emulator.query, dataset)
    done = place.look("load", "--year", YEAR)
    assert done.returncode == 0, done.stderr
    manifest = Publication.read(place.data / "illuminate" / YEAR / "published.json")
    assert manifest
    files = [place.data / "illuminate" / YEAR / name for name in manifest.files]
    expected = {
        file.stem.removesuffix("_historical"): pl.read_csv(file, infer_schema=False).height
        for file in files
        if file.suffix == ".csv"
    }
    sql = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM {table} WHERE year = '{YEAR}'" for table in expected
    )
    assert dict(query(sql)) == expected
    assert place.run().returncode == 0
    again = place.look("load", "--year", YEAR)
    assert again.returncode == 0
    assert "already" in again.stdout
