"""Folders whose names are like patterns: taken as they are called, by everything that reads."""

import dataclasses
import shutil
from pathlib import Path

import duckdb
import pytest

from pipeline.schema import VIEW
from pipeline.simulator import District
from pipeline.years import SchoolYear
from tests.functional import oracle
from tests.functional.conftest import LUIGI, YEAR, Workplace

OWN_VIEW = "SELECT local_student_id, count(*) AS n FROM latest GROUP BY ALL"


@pytest.fixture
def called(place: Workplace, inputs: Path, request: pytest.FixtureRequest) -> Workplace:
    """A place in a folder of that name, with every input and view of one's own in it."""
    folder = place.folder / request.param
    shutil.copytree(inputs, folder / "inputs")
    (folder / "sql").mkdir()
    (folder / "sql" / "tests_per_student.sql").write_text(OWN_VIEW, encoding="utf-8")
    place.environment |= {
        "STUDENT_ROSTERS": str(folder / "inputs" / "Student_Rosters_{year}.txt"),
        "TITLE_RULES": str(folder / "inputs" / "title_rules.csv"),
        "MANUAL_CHANGES": str(folder / "inputs" / "overrides.csv"),
        "SQL_VIEWS": str(folder / "sql"),
        "PIPELINE_DATA_DIR": str(folder / "data"),
    }
    return dataclasses.replace(place, folder=folder)


def run_years(place: Workplace, *options: str) -> None:
    command = (LUIGI, "--module", "pipeline", "RunYears", "--years", YEAR)
    done = place.finish(place.start(*command, *options))
    assert done.returncode == 0, done.stdout + done.stderr


def view_of(place: Workplace, year: str = YEAR) -> Path:
    (path,) = (place.data / "views" / year).glob(f"{VIEW.stem}*.csv")
    return path


def check_and_load(place: Workplace) -> None:
    """`verify`, and a database that has the rows of the view."""
    for command in ("verify", "load"):
        done = place.look(command, "--year", YEAR)
        assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(place.data / "illuminate.duckdb"), read_only=True) as database:
        found = database.execute(f"SELECT count(*) FROM {VIEW.stem}").fetchone()
    assert found == (len(oracle.read_csv(view_of(place))),)


def assert_same_tables(called: Workplace, undisturbed: dict[str, bytes]) -> None:
    """What describes the views names a view of this place too."""
    described = f"{YEAR}/views.datapackage.json"
    known = {name: data for name, data in undisturbed.items() if name != described}
    assert known.items() <= called.published().items()


@pytest.mark.parametrize("called", ["results [23-24] of * {all}"], indirect=True)
def test_a_folder_may_be_called_like_a_pattern(
    called: Workplace, undisturbed: dict[str, bytes]
) -> None:
    """A run, its report, all years with a table from before, a check and a database."""
    run_years(called)
    assert_same_tables(called, undisturbed)
    report = called.data / "reports" / f"{YEAR}.html"
    assert "Can the data be trusted?" in report.read_text(encoding="utf-8")
    assert any(row["grade"] for row in oracle.read_csv(view_of(called))), "no roster was found"
    before = called.folder / "before"
    before.mkdir()
    text = view_of(called).read_text(encoding="utf-8").replace(YEAR, "19-20")
    (before / f"{VIEW.stem}.csv").write_text(text, encoding="utf-8")
    run_years(called, "--paths-prior-years", str(before))
    together = oracle.read_csv(view_of(called, "all"))
    assert len(together) == 2 * len(oracle.read_csv(view_of(called)))
    check_and_load(called)


@pytest.mark.parametrize("called", ["[a]"], indirect=True)
def test_no_row_comes_out_of_a_folder_that_the_name_would_match(
    called: Workplace, district: District, undisturbed: dict[str, bytes]
) -> None:
    """The folder beside it has the same files with fewer rows."""
    shunned = district.ids_with_results(SchoolYear(2023))[0]
    run_years(called, "--illuminate-exclude-ids", f'["{shunned}"]')
    beside = called.folder.with_name("a")
    shutil.copytree(called.folder, beside)
    run_years(called)
    assert_same_tables(called, undisturbed)
    check_and_load(called)
