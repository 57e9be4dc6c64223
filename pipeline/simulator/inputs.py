"""The files that people keep beside the API: rosters, title rules and overrides, as examples."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.simulator.district.district import District
from pipeline.years import SchoolYear

_ROSTER_COLUMNS = (
    "STUDENTS.Student_Number",
    "STUDENTS.Enroll_Status",
    "STUDENTS.SchoolID",
    "STUDENTS.Grade_Level",
    "STUDENTS.EntryDate",
)
_RULE_COLUMNS = ("column", "pattern", "value")
_RULES = (
    ("test_type", r"checkpoint|quiz|re-?take", "checkpoint"),
    ("test_type", r"exit ticket", "exit ticket"),
    ("test_type", r"assessment|interim|final|benchmark|test|unit|module|task", "assessment"),
    ("curriculum", r"\beureka\b|\bmath module\b", "Eureka Math"),
    ("curriculum", r"\billustrative\s+math", "Illustrative Mathematics"),
    ("curriculum", r"\bzearn\b", "Zearn Math"),
    ("curriculum", r"\bamplify science\b", "Amplify Science"),
    ("curriculum", r"\bEL Education\b", "EL Education"),
    ("curriculum", r"\bwit & wisdom\b", "Wit & Wisdom"),
    ("curriculum", r"\b(algebra|geometry|biology|government|us history|social studies)\b", r"\1"),
    ("curriculum", r"\bELA\b|\breading\b", "ELA"),
    ("curriculum", r"\bNGSS\b", "Science"),
    ("curriculum", r"grade - unit", "Math"),
    ("unit", r"\binterim (\d+)", r"Interim \1"),
    ("unit", r"\b(?:module |G[K\d]\s?M)(\d+)", r"Module \1"),
    ("unit", r"\bunit (\d+)", r"Unit \1"),
    ("unit", r"\blesson (\d+)\.", r"Unit \1"),
    ("unit", r"\b(?:ch\.|week) (\d+)", r"\1"),
    ("unit", r"\bfinal\b", "Final"),
    ("unit_labels", r"unit (\d+)", r"\1"),
    ("unit_labels", r"module (\d+)", r"\1"),
    ("unit_labels", r"interim (\d+)", r"I\1"),
)
_OVERRIDE_COLUMNS = ("assessment_id", "grade", "test_type", "curriculum", "unit", "title", "reason")
# Title of an assessment, then the cells of its override. The second one is for one grade only.
_OVERRIDES = (
    ("4th Grade - Fractions re-take", ("", "", "Math", "Unit 4", ""), "title names no unit"),
    ("ELA Interim 1 Grades 6-8", ("8", "", "ELA", "Interim 1 (grade 8)", ""), "longer form"),
    ("Kinder Math Benchmark, Fall", ("", "", "Math", "Fall", ""), "benchmark, not a unit"),
    ('=Unit 4 Quiz (copy of "Unit 3")', ("", "", "Math", "", "Unit 4 Quiz"), "copied title"),
)


def write_inputs(district: District, folder: Path) -> None:
    """Write a roster for each year, example title rules and example overrides into `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for year in district.years:
        rows = [_ROSTER_COLUMNS, *_roster(district, year)]
        text = "".join("\t".join(row) + "\r\n" for row in rows)
        _replace(folder / f"Student_Rosters_{year}.txt", text)
    _replace(folder / "title_rules.csv", _csv([_RULE_COLUMNS, *_RULES]))
    _replace(folder / "overrides.csv", _csv([_OVERRIDE_COLUMNS, *_overrides(district)]))


def _roster(district: District, year: SchoolYear) -> Iterator[Sequence[str]]:
    """As PowerSchool exports it: kindergarten is grade 0, and dates are American."""
    for number, label in district.roster(year):
        grade = "0" if label == "K" else label
        school = "11" if int(grade) <= 5 else "12" if int(grade) <= 8 else "13"
        yield number, "0", school, grade, f"08/15/{year.start}"


def _overrides(district: District) -> Iterator[Sequence[str]]:
    ids = {row["title"]: row["assessment_id"] or "" for row in district.catalogue}
    for title, cells, reason in _OVERRIDES:
        yield ids[title], *cells, reason


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    """Write a whole file for its owner alone, or leave the old one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)
