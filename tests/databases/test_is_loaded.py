"""Whether exactly this publication is in the database; checking that changes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pytest

from pipeline.errors import LoadError
from pipeline.publish.commit import Publication
from pipeline.publish.database import bigquery, duckdb_file, postgresql
from pipeline.publish.database.base import Database
from pipeline.publish.database.load import is_loaded
from pipeline.schema import TABLES
from tests.databases.conftest import Desk, frames

LABELS = "assessment_labels"


@contextmanager
def read_only(desk: Desk) -> Iterator[Database]:
    if desk.database == "duckdb":
        opened = duckdb_file.open_read_only(desk.file)
    else:
        kind = bigquery if desk.database == "bigquery" else postgresql
        opened = kind.open_read_only(desk.environment["PIPELINE_DATABASE_URL"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in desk.environment.items():
            patch.setenv(name, value)
        with opened as database:
            yield database


def has_loaded(desk: Desk, year: str = "23-24") -> bool:
    publication = Publication.read(desk.manifest(year))
    assert publication
    with read_only(desk) as database:
        return is_loaded(database, publication)


def test_a_publication_is_loaded_after_its_load_and_until_the_next(desk: Desk) -> None:
    desk.publish(frames("22-23", 2), "before", "22-23")
    desk.publish(frames("23-24", 3), "first")
    assert not has_loaded(desk)
    assert desk.load().returncode == 0
    assert has_loaded(desk)
    assert not has_loaded(desk, "22-23")
    assert desk.load("22-23").returncode == 0
    assert has_loaded(desk)
    assert has_loaded(desk, "22-23")
    desk.publish(frames("23-24", 3), "second")
    assert not has_loaded(desk)
    assert has_loaded(desk, "22-23")
    assert desk.load().returncode == 0
    assert has_loaded(desk)


def test_the_same_build_of_another_district_is_not_loaded(desk: Desk) -> None:
    desk.publish(frames("23-24", 3), "first")
    assert desk.load().returncode == 0
    desk.publish(frames("23-24", 3), "first", source="the demo district")
    assert not has_loaded(desk)


@pytest.mark.parametrize(
    "sql",
    [
        f"DELETE FROM {LABELS}",
        f"DROP TABLE {LABELS}",
        f"INSERT INTO {LABELS} (year) VALUES ('23-24')",
        "DELETE FROM pipeline_runs",
    ],
)
def test_a_table_that_somebody_changed_is_loaded_again(desk: Desk, sql: str) -> None:
    content = frames("23-24", 3)
    desk.publish(content, "first")
    assert desk.load().returncode == 0
    loaded = desk.content(LABELS)
    desk.change(sql)
    assert not has_loaded(desk)
    done = desk.load()
    assert done.returncode == 0, done.stderr
    assert "Loaded 23-24" in done.stdout
    assert desk.content(LABELS) == loaded
    assert has_loaded(desk)


def test_a_table_that_reuses_the_name_of_a_removed_view_is_left_alone(desk: Desk) -> None:
    desk.publish({**frames("23-24", 2), "growth_view": pl.DataFrame({"n": [1]})}, "first")
    assert desk.load().returncode == 0
    desk.publish(frames("23-24", 2), "second")
    assert desk.load().returncode == 0
    desk.change("INSERT INTO growth_view (year, n) VALUES ('23-24', 7)")
    assert has_loaded(desk)
    desk.publish(frames("23-24", 3), "third")
    assert desk.load().returncode == 0
    assert desk.content("growth_view") == [("23-24", 7)]


def test_a_failed_load_is_not_loaded(desk: Desk) -> None:
    desk.publish(frames("23-24", 2), "first")
    assert desk.load().returncode == 0
    other_year = pl.DataFrame({"year": ["19-20"]})
    desk.publish({**frames("23-24", 2), "growth_view": other_year}, "second")
    assert desk.load().returncode == 30
    assert not has_loaded(desk)


def test_checking_changes_nothing(desk: Desk) -> None:
    desk.publish(frames("23-24", 2), "first")
    assert not has_loaded(desk)
    assert not desk.file.exists()
    assert desk.load().returncode == 0
    before = desk.everything()
    assert len(before) == len(TABLES) + 1
    status = desk.file.stat() if desk.database == "duckdb" else None
    assert has_loaded(desk)
    if desk.database == "bigquery":
        with read_only(desk) as database:
            database.execute("DELETE FROM nowhere")  # kept for a script that is never run
    else:
        with pytest.raises(LoadError), read_only(desk) as database:
            database.execute(f"DELETE FROM {LABELS}")
    assert desk.everything() == before
    if status:
        assert desk.file.stat().st_mtime_ns == status.st_mtime_ns
        beside = {path.name for path in desk.file.parent.iterdir() if path.is_file()}
        assert beside == {desk.file.name, ".lock"}


def test_checking_does_not_wait_for_a_load(pg: Desk) -> None:
    """A load holds a lock of its own, and its rows are not visible before it ends."""
    pg.publish(frames("23-24", 2), "first")
    with postgresql.open_writable(pg.environment["PIPELINE_DATABASE_URL"]):
        assert not has_loaded(pg)


def test_a_file_that_is_not_a_database_cannot_be_checked(duck: Desk) -> None:
    duck.publish(frames("23-24", 2), "first")
    assert duck.load().returncode == 0
    duck.file.write_text("somebody's own notes", encoding="utf-8")
    with pytest.raises(LoadError, match="not a database that this version of DuckDB can read"):
        has_loaded(duck)
