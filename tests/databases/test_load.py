"""A year in a database is what is published, whole, or what it was before."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from pipeline.databases import DuckDB, Postgres, PublishedYear, load
from pipeline.errors import LoadError, SettingsError
from pipeline.tables import COMBINED, GROUP, TABLES, VIEW, Table
from tests import published
from tests.databases.conftest import PASSWORD, Ask

STEMS = [table.stem for table in TABLES]


@dataclass
class Kind:
    """One of the two databases, and a way to look into it without the pipeline."""

    database: Any
    ask: Callable[[str], list[tuple[Any, ...]]]

    def counts(self) -> dict[str, Any]:
        return {stem: self.ask(f"SELECT count(*) FROM {stem}")[0][0] for stem in STEMS}


@pytest.fixture(params=["duckdb", "postgres"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return Kind(Postgres(url), request.getfixturevalue("ask_postgres"))
    path = tmp_path / "one.duckdb"

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path)) as connection:
            return connection.execute(sql).fetchall()

    return Kind(DuckDB(path), ask)


def find(data: Path) -> PublishedYear:
    place = published.snapshot(data)
    return PublishedYear.find("23-24", place.marker, {t: place.published(t) for t in TABLES})


def all_have(rows: int) -> dict[str, int]:
    return dict.fromkeys(STEMS, rows)


@pytest.mark.parametrize("table", TABLES, ids=STEMS)
def test_every_value_arrives_as_it_is(kind: Kind, tmp_path: Path, table: Table) -> None:
    """Also nulls, quotes and line feeds; a table without a year has one in the database."""
    published.make(tmp_path, "b1", 5, odd_field="")
    load(kind.database, find(tmp_path))
    frame = published.frame(table, 5, {})
    names = ", ".join(f'"{name}"' for name in frame.columns)
    rows = kind.ask(f"SELECT {names} FROM {table.stem} WHERE year = '23-24'")
    assert sorted(rows, key=str) == sorted(frame.rows(), key=str)


def test_an_empty_text_is_no_null(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 4, odd_field="")
    load(kind.database, find(tmp_path))
    assert kind.ask(f"SELECT DISTINCT odd_field FROM {COMBINED.stem}") == [("",)]


def test_the_dictionary_is_in_the_database(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 1)
    load(kind.database, find(tmp_path))
    if isinstance(kind.database, DuckDB):
        found = kind.ask("SELECT comment FROM duckdb_columns() WHERE column_name = 'grade'")
        table = kind.ask(f"SELECT comment FROM duckdb_tables() WHERE table_name = '{VIEW.stem}'")
    else:
        table = kind.ask(f"SELECT obj_description('{VIEW.stem}'::regclass)")
        found = kind.ask(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attname = 'grade'"
        )
    assert found == [("Grade of the student, K = 0; null: not on it; from the roster",)]
    assert table == [(VIEW.grain,)]


def test_a_load_replaces_its_year_only(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    for stem in STEMS:
        kind.ask(f"UPDATE {stem} SET year = '22-23' RETURNING 1")
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 2)
    assert load(kind.database, find(tmp_path)).rows == all_have(2)
    assert kind.counts() == all_have(5)
    runs = kind.ask("SELECT year, build, is_made_up FROM pipeline_runs ORDER BY load_number")
    assert runs == [("23-24", build, False) for build in ("b1", "b1", "b2")]


def test_the_same_build_is_loaded_once(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    assert load(kind.database, find(tmp_path)).is_new
    assert not load(kind.database, find(tmp_path)).is_new
    assert kind.ask("SELECT count(*) FROM pipeline_runs") == [(1,)]


def test_rows_that_are_gone_from_the_database_come_again(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    kind.ask(f"DELETE FROM {GROUP.stem} RETURNING 1")
    assert load(kind.database, find(tmp_path)).is_new
    assert kind.counts() == all_have(3)


def test_a_field_of_one_year_becomes_a_column(kind: Kind, tmp_path: Path) -> None:
    """And a field that is gone again stays, with nulls."""
    published.make(tmp_path, "b1", 1)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 1, **{'odd "?%s" Field': "x"})
    load(kind.database, find(tmp_path))
    column = '"odd ""?%s"" Field"'
    assert kind.ask(f"SELECT {column} FROM {COMBINED.stem}") == [("x",)]
    published.make(tmp_path, "b3", 1)
    load(kind.database, find(tmp_path))
    assert kind.ask(f"SELECT {column} FROM {COMBINED.stem}") == [(None,)]


def test_a_column_of_another_type_stops_the_load(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 1)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 2)
    kind.ask(f"SELECT 1 FROM {GROUP.stem}")
    if isinstance(kind.database, DuckDB):
        with duckdb.connect(kind.database.label) as connection:
            connection.execute(f"ALTER TABLE {GROUP.stem} ALTER points TYPE TEXT")
    else:
        with psycopg.connect(**kind.database._parts) as connection:
            connection.execute(f"ALTER TABLE {GROUP.stem} ALTER points TYPE text")
    with pytest.raises(LoadError, match=f"points of {GROUP.stem} is .* must be DOUBLE PRECISION"):
        load(kind.database, find(tmp_path))
    assert kind.counts() == all_have(1)


def test_names_that_differ_by_capitals_stop_the_load(tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 1, Title="x")
    with pytest.raises(LoadError, match="capital letters only"):
        find(tmp_path)


def test_rows_that_do_not_arrive_stop_the_load(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 4)
    monkeypatch.setattr("pipeline.databases.Relation.count", lambda _: 5)
    with pytest.raises(LoadError, match="has 5 rows and 4 of 23-24 arrived"):
        load(kind.database, find(tmp_path))
    assert kind.counts() == all_have(3)


def test_made_up_students_are_not_put_among_real_ones(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 4, made_up=True)
    with pytest.raises(LoadError, match="holds results of real students"):
        load(kind.database, find(tmp_path))
    assert kind.counts() == all_have(3)


def test_a_run_that_publishes_meanwhile_undoes_the_load(kind: Kind, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 4)
    found = find(tmp_path)
    published.make(tmp_path, "b3", 4)
    with pytest.raises(LoadError, match="anew while it was being loaded"):
        load(kind.database, found)
    assert kind.counts() == all_have(3)


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    place = published.make(tmp_path, "b1", 3)
    place.published(GROUP)[1].write_bytes(b"another")
    with pytest.raises(LoadError, match="not those that it names"):
        find(tmp_path)


def test_without_a_set_it_is_said_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="make run YEAR=23-24"):
        find(tmp_path)


def test_postgres_cannot_hold_nul(postgres_url: str, ask_postgres: Ask, tmp_path: Path) -> None:
    kind = Kind(Postgres(postgres_url), ask_postgres)
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 4, odd_field="private\0value")
    with pytest.raises(LoadError, match=r"odd_field of .* NUL character") as told:
        load(kind.database, find(tmp_path))
    assert "private" not in str(told.value)
    assert kind.counts() == all_have(3)


def test_duckdb_holds_nul(tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3, odd_field="one\0two")
    load(DuckDB(tmp_path / "d"), find(tmp_path))
    with duckdb.connect(str(tmp_path / "d")) as connection:
        found = connection.execute(f"SELECT DISTINCT odd_field FROM {GROUP.stem}").fetchall()
    assert found == [("one\0two",)]


def start(data: Path, *words: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *(words or ("-m", "pipeline", "load", "--year", "23-24"))],
        cwd=data,
        env=os.environ | published.SETTINGS | {"PIPELINE_DATA_DIR": str(data)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("is_killed", [False, True])
def test_readers_of_postgres_see_all_or_nothing(
    postgres_url: str,
    ask_postgres: Ask,
    tmp_path: Path,
    until: Callable[..., None],
    is_killed: bool,
) -> None:
    """The load is held at its last table; a reader meanwhile, and after a kill, sees the old."""
    kind = Kind(Postgres(postgres_url), ask_postgres)
    published.make(tmp_path, "b1", 3)
    load(kind.database, find(tmp_path))
    published.make(tmp_path, "b2", 4)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(postgres_url) as holder:
        holder.execute(f"LOCK TABLE {STEMS[-1]} IN SHARE MODE")
        process = start(tmp_path, PIPELINE_DATABASE_URL=postgres_url)
        until(lambda: ask_postgres(waiting) == [(1,)] or process.poll() is not None)
        assert kind.counts() == all_have(3)
        if is_killed:
            process.kill()
        holder.rollback()
    out, err = process.communicate(timeout=60)
    assert (process.returncode == 0) is not is_killed, err
    assert PASSWORD not in out + err
    if is_killed:
        mine = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'illuminate-pipeline'"
        )
        until(lambda: ask_postgres(mine) == [(0,)])
    assert kind.counts() == all_have(3 if is_killed else 4)


def test_duckdb_killed_in_the_middle_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "illuminate.duckdb"
    published.make(tmp_path, "b1", 3)
    load(DuckDB(path), find(tmp_path))
    published.make(tmp_path, "b2", 200_000)
    killing = (
        "import os, signal, sys\n"
        "from pipeline.databases import loading\n"
        "loading._write_down = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pipeline.__main__ import main\n"
        "sys.exit(main(['load', '--year', '23-24']))\n"
    )
    process = start(tmp_path, "-c", killing)
    process.communicate(timeout=60)
    assert process.returncode == -9
    with duckdb.connect(str(path)) as connection:
        found = [connection.execute(f"SELECT count(*) FROM {s}").fetchone() for s in STEMS]
    assert found == [(3,)] * len(STEMS)
    assert load(DuckDB(path), find(tmp_path)).rows == all_have(200_000)


def test_the_command_loads_the_embedded_default(tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    process = start(tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert f"Loaded 23-24 into {tmp_path}/illuminate.duckdb" in out
    assert (tmp_path / "illuminate.duckdb").stat().st_mode & 0o077 == 0
    again = start(tmp_path)
    assert "Already loaded, nothing was changed" in again.communicate(timeout=60)[0]


def test_a_duckdb_file_that_is_open_elsewhere(tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    with duckdb.connect(str(tmp_path / "illuminate.duckdb")):
        process = start(tmp_path)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "another program has it open" in err
    assert "Traceback" not in err


def test_no_password_in_any_message(postgres_url: str, tmp_path: Path) -> None:
    """A server that is not there, a wrong password, and an address that is none."""
    published.make(tmp_path, "b1", 1)
    wrong = postgres_url.replace(PASSWORD, "wrong-" + PASSWORD)
    away = postgres_url.replace("127.0.0.1", "127.0.0.1:1,127.0.0.1")
    cases = {
        wrong: "the user or the password is refused",
        away.rsplit(",", 1)[0] + "/x": "cannot be reached",
        f"mysql://u:{PASSWORD}@h/d": "must be like postgresql://",
        f"postgresql://u:{PASSWORD}@h:no-port/d": "cannot be",
        f"postgresql://u:{PASSWORD}@h/d?nonsense=1": "must be like postgresql://",
    }
    for url, words in cases.items():
        process = start(tmp_path, PIPELINE_DATABASE_URL=url)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert words in err
        assert PASSWORD not in out + err
        assert "Traceback" not in err


def test_the_url_may_lie_in_a_file(postgres_url: str, ask_postgres: Ask, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 2)
    secret = tmp_path / "url"
    secret.write_text(postgres_url)
    secret.chmod(0o600)
    process = start(tmp_path, PIPELINE_DATABASE_URL_FILE=str(secret))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Loaded 23-24 into database fresh on 127.0.0.1" in out
    assert ask_postgres(f"SELECT count(*) FROM {VIEW.stem}") == [(2,)]


def test_an_address_that_is_none() -> None:
    with pytest.raises(SettingsError, match="must be like"):
        Postgres("host=x password=y")
