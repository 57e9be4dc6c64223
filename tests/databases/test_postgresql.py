"""What only PostgreSQL has: concurrent readers, a URL with a password, locks, NUL."""

import functools
import re
import secrets
from pathlib import Path

import polars as pl
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import LoadError, SettingsError
from pipeline.publish.database import load, postgresql
from pipeline.publish.database.published_set import Field, SourceTable
from tests.databases.conftest import Desk, frames
from tests.databases.test_load import PAUSING, STEMS
from tests.postgres import USER, Postgres


def counts(connection: "psycopg.Connection[tuple[int]]") -> set[int]:
    """The rows of each table at one moment, less its number in the list."""
    parts = [f"(SELECT count(*) - {i} FROM {stem})" for i, stem in enumerate(STEMS)]
    found = connection.execute(f"SELECT {', '.join(parts)}".encode()).fetchone()
    assert found
    return set(found)


def test_a_reader_sees_all_old_or_all_new(pg: Desk) -> None:
    pg.publish(frames("23-24", 10), "first")
    assert pg.load().returncode == 0
    pg.publish(frames("23-24", 30), "second")
    url = pg.environment["PIPELINE_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as reader, pg.start("-c", PAUSING) as process:
        for _ in STEMS:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == "replaced\n"
            assert counts(reader) == {10}
            process.stdin.write("\n")
            process.stdin.flush()
        process.communicate(timeout=60)
        assert counts(reader) == {30}


def test_two_loads_never_run_at_once(pg: Desk, tmp_path: Path) -> None:
    elsewhere = Desk(tmp_path / "elsewhere", "postgres", pg.environment, pg.secrets)
    for desk in (pg, elsewhere):
        desk.publish(frames("23-24", 2), "first")
    with pg.start("-c", PAUSING) as process:
        assert process.stdout
        assert process.stdout.readline() == "replaced\n"
        assert pg.load().returncode == 10
        done = elsewhere.load()
        assert done.returncode == 30
        assert "Another load is running" in done.stdout + done.stderr
        process.communicate("\n" * len(STEMS), timeout=60)
    assert process.returncode == 0
    assert "already" in pg.load().stdout


SHORT_WAIT = """
import sys
from pipeline.publish.database import postgresql
postgresql._LOCK_TIMEOUT = 1
from pipeline.__main__ import main
sys.exit(main(["load", "--year", "23-24"]))
"""


def test_a_new_column_waits_for_readers_but_not_forever(pg: Desk) -> None:
    content = frames("23-24", 2)
    pg.publish(content, "first")
    assert pg.load().returncode == 0
    before = pg.everything()
    content[STEMS[0]] = content[STEMS[0]].with_columns(pl.lit("x").alias("fresh"))
    pg.publish(content, "second")
    with psycopg.connect(pg.environment["PIPELINE_DATABASE_URL"]) as reader:
        reader.execute(f"SELECT count(*) FROM {STEMS[0]}".encode())
        process = pg.start("-c", SHORT_WAIT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 30
    assert "A table was in use for more than 1 seconds" in out + err
    assert pg.everything() == before


def test_a_nul_is_reported_by_its_column(pg: Desk) -> None:
    content = frames("23-24", 3)
    with_nul = pl.lit("Nemo\0forty-two").alias("title")
    content[STEMS[0]] = content[STEMS[0]].with_columns(with_nul)
    pg.publish(content, "first")
    done = pg.load()
    assert done.returncode == 30
    assert (
        "Column title of assessment_results_combined_historical.parquet holds a NUL"
        in done.stdout + done.stderr
    )
    assert "Nemo" not in done.stdout + done.stderr
    assert pg.everything() == {}


def test_a_date_that_postgresql_cannot_store_is_reported_without_it(pg: Desk) -> None:
    content = frames("23-24", 3)
    before_christ = pl.lit(-800_000).cast(pl.Date).alias("date_taken")
    content[STEMS[0]] = content[STEMS[0]].with_columns(before_christ)
    pg.publish(content, "first")
    done = pg.load()
    assert done.returncode == 30
    assert "does not have its column's type" in done.stdout + done.stderr
    assert "-0" not in (done.stdout + done.stderr).replace("as of 2024-06-30", "")


def test_the_url_may_come_from_a_file(pg: Desk, tmp_path: Path) -> None:
    pg.publish(frames("23-24", 2), "first")
    secret = tmp_path / "url"
    secret.write_text(pg.environment["PIPELINE_DATABASE_URL"] + "\n", encoding="utf-8")
    secret.chmod(0o600)
    done = pg.load(PIPELINE_DATABASE_URL="", PIPELINE_DATABASE_URL_FILE=str(secret))
    assert done.returncode == 0, done.stderr
    assert not pg.file.exists()
    assert len(pg.content(STEMS[0])) == 2
    secret.chmod(0o644)
    done = pg.load(PIPELINE_DATABASE_URL="", PIPELINE_DATABASE_URL_FILE=str(secret))
    assert "everybody on this machine can open" in done.stdout + done.stderr


def test_no_refusal_shows_the_password(pg: Desk, postgres: Postgres) -> None:
    pg.publish(frames("23-24", 2), "first")
    secret = "halibut-7"
    pg.secrets += (secret, "halibut", "but-7")
    right = pg.environment["PIPELINE_DATABASE_URL"]
    wrong = {
        postgres.url("postgres", secret): "the user or the password is wrong",
        right.replace("/district_", "/nowhere_"): "the database or the user does not exist",
        f"postgresql://loader:hali@{secret}@127.0.0.1:1/x": "cannot be opened",
        f"postgresql://loader:{secret}@127.0.0.1:1/x": "at 127.0.0.1:1 cannot be opened: its host "
        "refuses connections: nothing listens there",
        f"postgresql://loader:1/{secret}@127.0.0.1:1/x": "URL cannot be opened",
        f"postgresql://loader:{secret}%zz@h/x": "is not a valid URL",
    }
    for url, sentence in wrong.items():
        done = pg.load(PIPELINE_DATABASE_URL=url)
        assert done.returncode == 30
        assert sentence in done.stdout + done.stderr, sentence


def test_doctor_creates_a_table_and_rolls_it_back(pg: Desk, postgres: Postgres) -> None:
    process = pg.start("-m", "pipeline", "doctor")
    out, err = process.communicate(timeout=120)
    line = (
        "  ok      database: the database of PIPELINE_DATABASE_URL lets us create tables; one was"
    )
    assert line in out
    assert postgres.password not in out + err
    assert pg.tables() == []


def test_a_user_who_may_not_create_tables_is_found_out(pg: Desk, postgres: Postgres) -> None:
    role = f"reader_{secrets.token_hex(4)}"  # roles are shared by all databases of the server
    pg.change(f"CREATE ROLE {role} LOGIN PASSWORD 'halibut'")
    try:
        pg.change("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        url = pg.environment["PIPELINE_DATABASE_URL"]
        load.try_writing(functools.partial(postgresql.open_writable, url))
        reader = url.replace(f"{USER}:{postgres.password}@", f"{role}:halibut@")
        with pytest.raises(LoadError, match="may not create any in this schema"):
            load.try_writing(functools.partial(postgresql.open_writable, reader))
        process = pg.start("-m", "pipeline", "doctor", PIPELINE_DATABASE_URL=reader)
        out, _ = process.communicate(timeout=120)
        assert re.search("  FAILED  database: .*may not create any in this schema", out)
    finally:
        pg.change(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://loader:halibut-7@[::1/x",
        "mysql://loader:halibut-7@h/x",
        "host=h password=halibut-7",
        "halibut-7",
    ],
)
def test_an_invalid_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as error, postgresql.open_writable(url):
        pass
    assert "PIPELINE_DATABASE_URL is not a valid URL" in str(error.value)
    assert "halibut" not in str(error.value)


def test_a_user_without_privileges_is_refused(pg: Desk) -> None:
    pg.publish(frames("23-24", 2), "first")
    url = pg.environment["PIPELINE_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("SET password_encryption = 'scram-sha-256'")
        password = url.partition(":")[2].partition("loader:")[2].partition("@")[0]
        connection.execute(f"ALTER ROLE guest PASSWORD '{password}'".encode())
    done = pg.load(PIPELINE_DATABASE_URL=url.replace("//loader:", "//guest:"))
    assert done.returncode == 30
    assert "does not own the tables or may not create any" in done.stdout + done.stderr


def test_a_lost_connection_is_reported(pg: Desk) -> None:
    pg.publish(frames("23-24", 2), "first")
    url = pg.environment["PIPELINE_DATABASE_URL"]
    with pg.start("-c", PAUSING) as process:
        assert process.stdout
        assert process.stdout.readline() == "replaced\n"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "datname = current_database() AND application_name = 'illuminate-pipeline'"
            )
        out, err = process.communicate("\n" * len(STEMS), timeout=60)
    assert process.returncode == 30
    assert "The connection to the database was lost" in out + err
    assert pg.everything() == {}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture(scope="module")
def scratch(postgres: Postgres) -> str:
    return postgres.url(postgres.new_database())


@settings(max_examples=40)
@given(values=st.lists(st.tuples(st.none() | texts, st.none() | st.floats()), min_size=1))
def test_texts_and_numbers_come_back_as_they_were(
    scratch: str, tmp_path_factory: pytest.TempPathFactory, values: list[tuple[object, object]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "values.parquet"
    schema = {"a": pl.String, "n": pl.Float64}
    pl.DataFrame(values, schema=schema, orient="row").write_parquet(file)
    table = SourceTable("scratch", "", file, (Field("a", "text"), Field("n", "number")))
    with postgresql.open_writable(scratch) as database:
        database.prepare_table(table.name, "", table.columns)
        database.delete_year("scratch", "23-24")
        database.insert_rows(table, "23-24")
        assert repr(database.query("SELECT a, n FROM scratch")) == repr(values)
        assert database.count_rows("scratch", "23-24") == len(values)
