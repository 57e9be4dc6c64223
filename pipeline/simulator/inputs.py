"""Example files that people maintain: rosters, title rules and overrides."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.simulator.district import schools
from pipeline.simulator.district.district import District
from pipeline.storage.files import write_text
from pipeline.years import SchoolYear

_COLUMNS = ("Student_Number", "Enroll_Status", "SchoolID", "Grade_Level", "EntryDate")
_ROSTER_COLUMNS = tuple(
    f"STUDENTS.{name}"
    for name in (*_COLUMNS, "School_Name", *(f"{each}_Teacher" for each in schools.SUBJECTS))
)
_RULES = Path(__file__).with_name("title_rules.csv")
_OVERRIDE_COLUMNS = ("assessment_id", "grade", "test_type", "curriculum", "unit", "title", "reason")
# An assessment's title, the cells of its override, the reason. The second is for one grade only.
_OVERRIDES = (
    ("4th Grade - Fractions re-take", ("", "", "Math", "Unit 4", ""), "title names no unit"),
    ("ELA Interim 1 Grades 6-8", ("8", "", "ELA", "Interim 1 (grade 8)", ""), "longer form"),
    ("Kinder Math Benchmark, Fall", ("", "", "Math", "Fall", ""), "benchmark, not a unit"),
    ('=Unit 4 Quiz (copy of "Unit 3")', ("", "", "Math", "", "Unit 4 Quiz"), "copied title"),
)


def roster_path(folder: Path, year: SchoolYear) -> Path:
    """Return where the roster of a year is."""
    return folder / f"Student_Rosters_{year}.txt"


def write_inputs(district: District, folder: Path) -> None:
    """Write example title rules, example overrides and a roster for each year into `folder`.

    Files that are there are left as they are, but for rosters as they were before they had
    schools and teachers. The roster of the last year is written last.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    overrides = io.StringIO()
    writer = csv.writer(overrides, lineterminator="\n")
    writer.writerows([_OVERRIDE_COLUMNS, *_overrides(district)])
    texts = {
        folder / _RULES.name: _RULES.read_text(encoding="utf-8"),
        folder / "overrides.csv": overrides.getvalue(),
    }
    for path, text in texts.items():
        if not path.exists():
            write_text(path, text)
    for year in district.years:
        path, rows = roster_path(folder, year), [_ROSTER_COLUMNS, *_students(district, year)]
        earlier = _as_text(row[: len(_COLUMNS)] for row in rows).encode()
        if not path.exists() or path.read_bytes() == earlier:
            write_text(path, _as_text(rows))


def is_current(roster: Path) -> bool:
    """Return True if a roster is there, with its schools and teachers."""
    if not roster.exists():
        return False
    with roster.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n").split("\t") == list(_ROSTER_COLUMNS)


def _as_text(rows: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\r\n" for row in rows)


def _students(district: District, year: SchoolYear) -> Iterator[Sequence[str]]:
    """Yield rows as PowerSchool exports them: kindergarten is grade 0, dates are American."""
    placements = schools.placements(district.students, year)
    for number, label in district.roster(year):
        grade = "0" if label == "K" else label
        known = number, "0", schools.site_id(int(grade)), grade, f"08/15/{year.start}"
        yield *known, *placements[number]


def _overrides(district: District) -> Iterator[Sequence[str]]:
    ids = {row["title"]: row["assessment_id"] or "" for row in district.catalogue}
    for title, cells, reason in _OVERRIDES:
        yield ids[title], *cells, reason
