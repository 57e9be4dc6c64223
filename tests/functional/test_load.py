"""From the API into a database, with the commands that people type."""

import duckdb
import polars as pl
import psycopg
import pytest

from pipeline.publish.commit import Publication
from tests.functional.conftest import YEAR, Workplace
from tests.postgres import Postgres


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_everything_a_run_publishes_is_loaded(
    place: Workplace, kind: str, request: pytest.FixtureRequest
) -> None:
    """Every published file is a table with as many rows; loading again changes nothing."""
    assert place.run().returncode == 0
    if kind == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(server.new_database())
        place.environment["PIPELINE_DATABASE_URL"] = url
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
    with (
        psycopg.connect(url)
        if kind == "postgres"
        else duckdb.connect(str(place.data / "illuminate.duckdb"), read_only=True)
    ) as connection:
        assert dict(connection.execute(sql).fetchall()) == expected
    assert place.run().returncode == 0
    again = place.look("load", "--year", YEAR)
    assert again.returncode == 0
    assert "already" in again.stdout
