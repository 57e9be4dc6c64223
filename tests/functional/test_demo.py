"""With no settings at all, the whole job runs against the demo district."""

import datetime as dt
import sys
from pathlib import Path

import pytest

from pipeline.simulator import District, write_inputs
from pipeline.simulator.demo import ensure_inputs
from pipeline.years import SchoolYear, today
from tests.functional import oracle
from tests.functional.conftest import LUIGI, REPOSITORY, Workplace

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


def test_the_district_alone_brings_its_roster(tmp_path: Path) -> None:
    """For a run that is given its address, as in docker-compose.yml."""
    inputs = tmp_path / "inputs"
    served = Workplace(tmp_path).start(
        *(sys.executable, "-m", "pipeline", "simulate", "--port", "0"),
        *("--seed", "2", "--inputs", inputs),
    )
    try:
        assert served.stdout is not None
        assert "made-up district is served" in served.stdout.readline()
        write_inputs(District.make(2), tmp_path / "of the same district")
        same, other = (
            (folder / "Student_Rosters_23-24.txt").read_bytes()
            for folder in (inputs, tmp_path / "of the same district")
        )
        assert same == other
    finally:
        served.terminate()
        served.communicate(timeout=30)
    assert served.returncode == 0
