"""The analysts' own views: built, reported, published and removed like any other table."""

import csv
import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from pipeline.simulator import Server
from tests.functional import oracle
from tests.functional.conftest import REPOSITORY, Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import newest_record

VIEWS = "views/23-24"
LATEST = "SELECT local_student_id, count(*) AS n FROM latest GROUP BY ALL"
DESCRIPTION = "23-24/views.datapackage.json"
SCORES = "SELECT assessment_id, avg(score) AS score FROM results GROUP BY ALL"


class Views:
    """A folder of SQL files that a workplace is configured with."""

    def __init__(self, place: Workplace) -> None:
        self.folder = place.folder / "sql"
        self.folder.mkdir()
        self.place = place
        place.environment["SQL_VIEWS"] = str(self.folder)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.sql"
        path.write_text(text, encoding="utf-8")
        return path

    def rows(self, name: str) -> list[oracle.Row]:
        return oracle.read_csv(self.place.data / VIEWS / f"{name}_historical.csv")


def steps_of_the_last_run(place: Workplace) -> set[str]:
    steps = json.loads(newest_record(place))["steps"]
    return {name for name, facts in steps.items() if facts["by_this_run"]}


@pytest.fixture
def views(place: Workplace, server: Server) -> Views:
    """A workplace with everything built and one view, and a server with an empty log."""
    views = Views(place)
    views.write("tests_per_student", LATEST)
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    server.clear_log()
    return views


def test_a_view_is_published_and_counted_with_the_other_tables(views: Views) -> None:
    latest = oracle.read_csv(views.place.data / VIEWS / "illuminate_latest_results_historical.csv")
    counts = Counter(row["local_student_id"] for row in latest)
    rows = views.rows("tests_per_student")
    assert [(row["local_student_id"], row["n"]) for row in rows] == [
        (student, str(count)) for student, count in sorted(counts.items())
    ]
    record = json.loads(newest_record(views.place))
    assert record["steps"]["SqlView-tests_per_student"]["rows"] == len(rows)
    names = {check["name"] for check in record["steps"]["CheckTables"]["checks"]}
    assert "tests_per_student has the same rows in both files" in names
    marker = json.loads((views.place.data / "illuminate/23-24/published.json").read_bytes())
    for kind in ("csv", "parquet"):
        assert f"../../{VIEWS}/tests_per_student_historical.{kind}" in marker["files"]


def test_an_added_view_is_all_that_is_built(views: Views, server: Server) -> None:
    before = views.place.published()
    views.write("scores", SCORES)
    done = views.place.run()
    assert done.returncode == 0, done.stdout
    assert server.log == []
    built = {"ReadSqlViews", "CheckInputs", "SqlView-scores", "CheckTables", "DescribeYear"}
    assert steps_of_the_last_run(views.place) == built
    after = views.place.published()
    made = {f"23-24/scores_historical.{kind}" for kind in ("csv", "parquet")}
    assert after.keys() - before.keys() == made
    assert {name for name in before if after[name] != before[name]} == {DESCRIPTION}
    line = f"own views   scores {len(views.rows('scores')):,}, tests_per_student "
    assert line in done.stdout


def test_only_an_edited_view_is_rebuilt(views: Views, server: Server) -> None:
    views.write("scores", SCORES)
    assert views.place.run().returncode == 0
    before = views.place.published()
    views.write("scores", SCORES.replace("avg", "max"))
    assert views.place.run().returncode == 0
    assert server.log == []
    built = {"ReadSqlViews", "SqlView-scores", "CheckTables", "DescribeYear"}
    assert steps_of_the_last_run(views.place) == built
    after = views.place.published()
    changed = {name for name in before if before[name] != after[name]} - {DESCRIPTION}
    assert changed == {f"23-24/scores_historical.{kind}" for kind in ("csv", "parquet")}


def test_a_comment_in_a_view_makes_the_same_bytes(views: Views) -> None:
    before = views.place.published()
    views.write("tests_per_student", f"-- reviewed in May\n{LATEST};\n")
    assert views.place.run().returncode == 0
    assert "SqlView-tests_per_student" in steps_of_the_last_run(views.place)
    assert views.place.published() == before


def test_a_deleted_view_is_removed(views: Views, server: Server) -> None:
    before = views.place.published()
    (views.folder / "tests_per_student.sql").unlink()
    status = views.place.look("status", "--year", "23-24")
    assert status.returncode == 1
    why = "because [paths] sql_views has no such SQL file any more"
    assert f"publishes again, and removes tests_per_student, {why}" in status.stdout
    done = views.place.run()
    assert done.returncode == 0, done.stdout
    assert server.log == []
    gone = {f"23-24/tests_per_student_historical.{kind}" for kind in ("csv", "parquet")}
    assert before.keys() - views.place.published().keys() == gone
    (said,) = [line for line in done.stdout.splitlines() if "tests_per_student" in line]
    assert said.startswith(f"  REMOVED: tests_per_student, {why}. ")
    record = json.loads(newest_record(views.place))
    assert record.pop("withdrawn") == ["tests_per_student"]
    assert "tests_per_student" not in json.dumps(record)
    assert "REMOVED" not in views.place.run().stdout


def test_a_view_is_removed_where_no_folder_is_set_any_more(views: Views) -> None:
    del views.place.environment["SQL_VIEWS"]
    why = "removes tests_per_student, because [paths] sql_views is not set any more"
    assert why in views.place.look("status", "--year", "23-24").stdout
    done = views.place.run()
    assert done.returncode == 0, done.stdout
    assert (
        "  REMOVED: tests_per_student, because [paths] sql_views is not set any more. To publish "
        "it again, set the folder again, then run the same command again.\n"
    ) in done.stdout


def test_a_changed_table_rebuilds_the_view(views: Views, inputs: Path) -> None:
    views.write("units", "SELECT unit, count(*) AS n FROM results GROUP BY ALL")
    assert views.place.run().returncode == 0
    rules = views.place.folder / "rules.csv"
    rules.write_text("column,pattern,value\nunit,.,Everything\n", encoding="utf-8")
    assert views.place.run(TITLE_RULES=str(rules)).returncode == 0
    assert "Everything" in {row["unit"] for row in views.rows("units")}


def test_nothing_to_do(views: Views, server: Server) -> None:
    before = oracle.content(views.place.data / "work")
    done = views.place.run()
    assert "no table was changed" in done.stdout
    assert server.log == []
    assert oracle.content(views.place.data / "work") == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT\n  scor\nFROM results", 'bad.sql, line 2: Referenced column "scor" not found'),
        ("SELECT * FROM read_csv('/etc/passwd')", "line 1: read_csv reads something other"),
        ("SELECT * FROM '/etc/passwd'", "line 1: Table with name"),
        ("COPY results TO '/tmp/results.csv'", "bad.sql: it must be one SELECT"),
        ("ATTACH '/tmp/other.db' AS other", "bad.sql: it must be one SELECT"),
        ("INSTALL httpfs", "bad.sql: it must be one SELECT"),
    ],
)
def test_bad_sql_stops_before_any_request(
    place: Workplace, server: Server, text: str, message: str
) -> None:
    Views(place).write("bad", text)
    done = place.run()
    assert done.returncode == 30
    assert message in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert server.log == []
    assert place.published() == {}


@pytest.mark.parametrize("name", ["results", "illuminate_assessment_results", "Own"])
def test_an_invalid_name_stops_before_any_request(
    place: Workplace, server: Server, name: str
) -> None:
    Views(place).write(name, LATEST)
    done = place.run()
    assert done.returncode == 30
    assert f"{name}.sql" in done.stdout
    assert server.log == []


def test_a_missing_folder_stops_before_any_request(place: Workplace, server: Server) -> None:
    done = place.run("--paths-sql-views", str(place.folder / "nowhere"))
    assert done.returncode == 30
    assert f"{place.folder / 'nowhere'}: the folder does not exist" in done.stdout
    assert server.log == []


def test_a_cast_that_fails_over_rows_publishes_nothing_and_shows_no_value(views: Views) -> None:
    """DuckDB's own message would quote a title."""
    place = views.place
    before = oracle.content(place.data / "views") | oracle.content(place.data / "illuminate")
    path = views.write("broken", "SELECT CAST(title AS INTEGER) AS x FROM results")
    done = place.run()
    assert done.returncode == 30
    assert f"{path}: it failed over the rows of this year: a value cannot be cast" in done.stdout
    titles = {
        row["title"]
        for row in oracle.read_csv(
            place.data / VIEWS / "illuminate_assessment_results_historical.csv"
        )
    }
    printed = done.stdout + done.stderr + newest_record(place)
    assert not [title for title in titles if title in printed]
    after = oracle.content(place.data / "views") | oracle.content(place.data / "illuminate")
    assert after == before
    assert not list(place.work.glob("sql*"))
    path.write_text(LATEST, encoding="utf-8")
    assert place.run().returncode == 0


ENDLESS = "SELECT sum(a.range * b.range) AS x FROM range(1000000000) AS a, range(1000000000) AS b"


def test_a_signal_interrupts_a_view(views: Views, server: Server) -> None:
    """What was built before it is kept, and the next run publishes."""
    place = views.place
    before = place.published()
    path = views.write("endless", ENDLESS)
    process = place.start_run("--year", "23-24")
    wait_until((place.work / "sql").exists)
    process.terminate()
    done = place.finish(process)
    assert done.returncode == -signal.SIGTERM
    assert "stopped" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert place.published() == before
    assert not (place.work / "sql").exists()
    path.write_text(LATEST, encoding="utf-8")
    assert place.run().returncode == 0
    assert views.rows("endless") == views.rows("tests_per_student")
    assert server.log == []


def test_a_view_has_a_time_limit(views: Views) -> None:
    before = views.place.published()
    path = views.write("endless", ENDLESS)
    done = views.place.run("--build-view-time-limit", "0.2")
    assert done.returncode == 30
    assert f"{path}: it took longer than the 0.2 seconds of [build] view_time_limit" in done.stdout
    assert views.place.published() == before


def test_status_verify_and_doctor_know_them(views: Views) -> None:
    place, year = views.place, ("--year", "23-24")
    status = place.look("status", *year)
    assert status.returncode == 0, status.stdout
    assert "SqlView-tests_per_student up to date" in status.stdout
    verified = place.look("verify", *year)
    assert verified.returncode == 0, verified.stdout
    assert "SqlView-tests_per_student: intact" in verified.stdout
    victim = place.work / "results" / "tests_per_student_historical.csv"
    victim.write_bytes(victim.read_bytes()[:-5])
    assert "tests_per_student_historical.csv is damaged" in place.look("verify", *year).stdout
    assert place.run().returncode == 0
    assert place.look("verify", *year).returncode == 0
    doctor = place.look("doctor")
    assert f"ok      views of your own: {views.folder} has 1 SQL file" in doctor.stdout
    views.write("bad", "SELECT scor FROM results")
    assert "FAILED  views of your own" in place.look("doctor").stdout


def test_other_files_in_the_folder_are_ignored(views: Views) -> None:
    (views.folder / "notes.txt").write_text("SELECT", encoding="utf-8")
    (views.folder / ".#hidden.sql").write_text("SELECT", encoding="utf-8")
    assert "no table was changed" in views.place.run().stdout


def test_the_examples_work(place: Workplace) -> None:
    views = Views(place)
    for path in (REPOSITORY / "examples" / "views").glob("*.sql"):
        shutil.copy(path, views.folder)
    done = place.run()
    assert done.returncode == 0, done.stdout
    for path in views.folder.iterdir():
        assert views.rows(path.stem), path.stem
    bands = views.rows("bands_by_grade")
    latest = oracle.read_csv(place.data / VIEWS / "illuminate_latest_results_historical.csv")
    counted = [r for r in latest if r["response_type"] == "overall" and r["proficiency"]]
    assert sum(int(row["students"]) for row in bands) == len(counted)
    text = (place.data / VIEWS / "bands_by_grade_historical.csv").read_text(encoding="utf-8")
    assert len({len(row) for row in csv.reader(text.splitlines())}) == 1
