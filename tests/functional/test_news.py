"""Every run says what is new since the last successful one: named, and students only counted."""

import csv
import json
from pathlib import Path
from typing import Any

from pipeline.simulator import Server
from tests.functional import oracle
from tests.functional.conftest import Workplace
from tests.functional.test_last_run import latest
from tests.functional.test_nights import FIRST, SECOND, THIRD, YEAR, night

FOURTH = "2024-06-13"


def new(place: Workplace) -> dict[str, Any]:
    (table,) = latest(place)["tables"]
    found: dict[str, Any] = table["new"]
    return found


def standards(place: Workplace) -> set[str]:
    path = place.data / "illuminate" / "23-24" / "standards.csv"
    return {row["normalised_code"] for row in oracle.read_csv(path)}


def without_a_tested_student(place: Workplace, folder: Path) -> tuple[str, str]:
    """Return a pattern of rosters without a student who has results, and the student's number."""
    view = place.data / "views" / "23-24" / "illuminate_assessment_results_historical.csv"
    student = next(row["local_student_id"] for row in oracle.read_csv(view) if row["grade"])
    path = Path(place.environment["STUDENT_ROSTERS"].replace("{year}", "23-24"))
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if student not in next(csv.reader([line], delimiter="\t"))]
    assert len(kept) == len(lines) - 1
    (folder / "roster 23-24.txt").write_text("\n".join(kept), encoding="utf-8")
    return str(folder / "roster {year}.txt"), student


def test_a_night_says_what_is_new(place: Workplace, own: Server, tmp_path: Path) -> None:
    done = night(place, FIRST)
    assert done.returncode == 0, done.stdout
    assert new(place) == {}, "nothing is known of before"
    assert "\n  new " not in done.stdout
    before = standards(place)
    added = own.district.add_assessment("Survey", year=YEAR, students=9, standards=2)
    roster, student = without_a_tested_student(place, tmp_path)
    place.environment["STUDENT_ROSTERS"] = roster
    done = night(place, SECOND)
    assert done.returncode == 0, done.stdout
    found = new(place)
    assert found["assessments"] == {"count": 1, "names": [added]}
    assert found["unlabelled"] == {"count": 1, "names": ["Survey"]}
    codes = sorted(standards(place) - before, key=lambda code: (len(code), code))
    assert found.get("standards", {}).get("names", []) == codes
    assert found["unmatched_students"] == {"count": 1}
    assert f"\n  new         1 assessment: {added}\n" in done.stdout
    assert "\n  new         1 title without curriculum or unit: Survey\n" in done.stdout
    assert "\n  new         1 student not on the roster more than before\n" in done.stdout
    runs = [path.read_text(encoding="utf-8") for path in (place.data / "runs").glob("*.json")]
    assert not [
        text for text in [*runs, done.stdout] if f'"{student}"' in text or f" {student} " in text
    ]
    assert night(place, THIRD).returncode == 99
    assert new(place) == {}
    another = own.district.add_assessment("Survey", year=YEAR, students=9, standards=2)
    assert night(place, FOURTH).returncode == 0
    assert new(place)["assessments"] == {"count": 1, "names": [another]}
    assert "unlabelled" not in new(place), "the title is known"


def test_what_no_successful_run_reported_stays_new(place: Workplace, own: Server) -> None:
    """The report fails after the tables are published: the next run says the same again."""
    assert night(place, FIRST).returncode == 0
    added = own.district.add_assessment("Survey", year=YEAR, students=9, standards=2)
    (place.data / "reports" / "23-24.html").mkdir(parents=True)
    assert night(place, SECOND, "--report-enabled", "true").returncode == 30
    assert new(place)["assessments"]["names"] == [added]
    assert night(place, SECOND).returncode == 0
    assert new(place)["assessments"]["names"] == [added]
    assert night(place, SECOND).returncode == 99
    assert new(place) == {}


def test_an_earlier_version_did_not_write_down_what_was_there(place: Workplace) -> None:
    assert place.run().returncode == 0
    path = place.data / "runs" / "acknowledged.json"
    known = json.loads(path.read_bytes())
    path.write_text(json.dumps({year: of[:2] for year, of in known.items()}), encoding="utf-8")
    done = place.run()
    assert done.returncode == 0
    assert "everything is up to date" in done.stdout
    assert json.loads(path.read_bytes()) == known
