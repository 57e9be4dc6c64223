"""With no settings at all, the whole job runs against the demo district."""

import contextlib
import datetime as dt
import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from pipeline.simulator import DEMO, Credentials, District, write_inputs
from pipeline.simulator.demo import ensure_inputs
from pipeline.simulator.district import schools
from pipeline.simulator.district.anomalies import Dirtiness
from pipeline.years import SchoolYear, today
from tests.functional import oracle
from tests.functional.conftest import LUIGI, REPOSITORY, Workplace
from tests.helpers import WINDOW

COMMAND = (LUIGI, "--module", "pipeline", "RunAll", "--year", "23-24")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A folder in which the demo ran, from a folder that is not the repository's."""
    folder = tmp_path_factory.mktemp("demo")
    place = Workplace(folder, {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")})
    done = place.finish(place.start(*COMMAND))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "out").write_text(done.stdout, encoding="utf-8")
    (folder / "err").write_text(done.stderr, encoding="utf-8")
    return place


def test_the_tables_are_what_the_district_knows(demo: Workplace) -> None:
    district = District.make()
    ids = oracle.published_ids(district)
    tables = demo.data / "demo" / "illuminate" / "23-24"
    path = tables / "assessment_results_combined_historical.csv"
    assert oracle.read_csv(path) == oracle.combined(district, ids)
    path = tables / "assessment_results_group_historical.csv"
    assert oracle.read_csv(path) == oracle.group(district, ids)


def test_it_says_that_nobody_is_real(demo: Workplace) -> None:
    """At its start, in its summary, in its paths and in its record."""
    assert "every student and result is made up" in (demo.folder / "err").read_text()
    assert "demo district, nobody in it is real" in (demo.folder / "out").read_text()
    assert [path.name for path in demo.data.iterdir()] == ["demo"]
    marker = demo.data / "demo" / "illuminate" / "23-24" / "published.json"
    assert '"is_made_up": true' in marker.read_text(encoding="utf-8")


def test_its_grades_and_labels_come_with_it(demo: Workplace) -> None:
    path = demo.data / "demo/views/23-24/illuminate_assessment_results_historical.csv"
    rows = oracle.read_csv(path)
    assert sum(row["grade"] != "" for row in rows) > 0.9 * len(rows)
    assert sum(row["curriculum"] != "" for row in rows) > 0.8 * len(rows)


def test_school_and_teachers_are_next_to_each_result(demo: Workplace) -> None:
    """Those of the district, by student; who is not on the roster has none."""
    district = District.make()
    placed = schools.placements(district.students, oracle.YEAR)
    rostered = {number for number, _ in district.roster(oracle.YEAR)}
    views = demo.data / "demo/views/23-24"
    names = ["school", "ela_teacher", "math_teacher", "science_teacher", "social_studies_teacher"]
    for stem, columns in (("assessment", oracle.VIEW), ("latest", oracle.LATEST)):
        path = views / f"illuminate_{stem}_results_historical.csv"
        assert oracle.header(path) == [*columns, *names]
        for row in oracle.read_csv(path):
            student = row["local_student_id"]
            expected = placed[student] if student in rostered else ("",) * len(names)
            assert tuple(row[name] for name in names) == expected
    students = oracle.read_csv(views / "students.csv")
    assert {row["local_student_id"] for row in students} == rostered
    assert {row["school"] for row in students} == {each[0] for each in placed.values()}


def test_a_demo_of_an_earlier_school_year_goes_on(tmp_path: Path) -> None:
    """Today's roster comes to those that are there."""
    place, day = Workplace(tmp_path), today()
    ensure_inputs(place.data / "demo" / "inputs", dt.date(2025, 6, 30))
    done = place.finish(place.start(LUIGI, "--module", "pipeline", "ReadRoster"))
    assert done.returncode == 0, done.stdout + done.stderr
    (read,) = place.data.glob(f"demo/work/{SchoolYear.of(day)}/*/roster.csv")
    assert len(oracle.read_csv(read)) == len(District.make(today=day).roster(SchoolYear.of(day)))


def test_a_rerun_starts_no_district(demo: Workplace) -> None:
    done = demo.finish(demo.start(*COMMAND, PATH="/nonexistent"))
    assert done.returncode == 0
    assert "no table was changed" in done.stdout


def test_tables_elsewhere_are_still_kept_apart(demo: Workplace, tmp_path: Path) -> None:
    """Made-up students never land where real ones are read."""
    # The views stay where they are, beside no manifest any more.
    replacing = ("--publish-replace-source", "unknown")
    done = demo.finish(demo.start(*COMMAND, *replacing, SAVE_PATH=str(tmp_path / "real")))
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["demo"]


@contextlib.contextmanager
def simulating(folder: Path, *options: str | Path) -> Iterator[str]:
    """Serve the district alone with these options; yield its address."""
    served = Workplace(folder).start(
        sys.executable, "-m", "pipeline", "simulate", "--port", "0", *options
    )
    try:
        assert served.stdout is not None
        found = re.fullmatch(r"A made-up district is served at (\S+)\n", served.stdout.readline())
        assert found
        yield found[1]
    finally:
        served.terminate()
        served.communicate(timeout=30)
    assert served.returncode == 0


@pytest.mark.parametrize("options", [(), ("--inputs", "my inputs")], ids=["", "--inputs"])
def test_what_it_prints_can_be_copied_and_yields_grades(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The lines are run by a shell in another folder, as in another terminal."""
    command = (sys.executable, "-m", "pipeline", "simulate", "--port", "0", *options)
    served = Workplace(tmp_path).start(*command)
    try:
        assert served.stdout is not None
        lines = [*itertools.takewhile(lambda line: "make run" not in line, served.stdout)]
        exports = [line for line in lines if line.startswith("  export ")]
        run = f"{LUIGI} --module pipeline CheckInputs --year 23-24"
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        shell = Workplace(elsewhere)
        done = shell.finish(shell.start("sh", "-c", "".join([*exports, run])))
    finally:
        served.terminate()
        served.communicate(timeout=30)
    assert done.returncode == 0, done.stderr
    (roster,) = (tmp_path / "data" / "simulated").rglob("roster.csv")
    assert {row["grade"] for row in oracle.read_csv(roster)} >= {"0", "5", "8"}
    assert not [*elsewhere.iterdir()]


def test_the_district_alone_brings_its_roster(tmp_path: Path) -> None:
    """For a run that is given its address, as in docker-compose.yml."""
    inputs = tmp_path / "inputs"
    with simulating(tmp_path, "--seed", "2", "--inputs", inputs):
        write_inputs(District.make(2), tmp_path / "of the same district")
        same, other = (
            (folder / "Student_Rosters_23-24.txt").read_bytes()
            for folder in (inputs, tmp_path / "of the same district")
        )
        assert same == other


@pytest.mark.parametrize(
    ("options", "dirtiness"),
    [((), "realistic"), (("--dirtiness", "none"), "none"), (("--dirtiness", "harsh"), "harsh")],
)
def test_how_dirty_its_values_are_is_an_option(
    tmp_path: Path, options: tuple[str, ...], dirtiness: Dirtiness
) -> None:
    """A page from the middle of its results is that of a district made with it."""
    district = District.make(size=replace(DEMO, dirtiness=dirtiness))
    window = WINDOW.start, WINDOW.end
    sent = district.results("overall", None, *window)[3000:4000]
    known, method = Credentials(), "AssessmentAggregateStudentResponses"
    params = "limit=1000&page=4&date_taken_start={}&date_taken_end={}".format(*window)
    form = {"client_id": known.client_id, "client_secret": known.client_secret}
    form["grant_type"] = "client_credentials"
    with simulating(tmp_path, *options) as base_url:
        token = requests.post(f"{base_url}/?OAuth2_AccessToken", form, timeout=30).json()
        reply = requests.get(
            f"{base_url}/rest_server.php/Api/{method}?{params}",
            headers={"Authorization": f"Bearer {token['access_token']}"},
            timeout=30,
        )
    rows = [{**row, "__count": None} for row in reply.json()["results"]]
    assert rows == [{**row, "__count": None} for row in sent]
