import csv
import datetime as dt
import re
import stat

import pytest

from pipeline.inputs.roster import Headings, read_roster
from pipeline.simulator import DEMO, District, write_inputs
from pipeline.simulator.demo import ensure_inputs
from pipeline.simulator.district.schools import SUBJECTS, enrollment, placements, roster, users


@pytest.fixture
def folder(small, tmp_path):
    write_inputs(small, tmp_path / "inputs")
    return tmp_path / "inputs"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_which_files_are_written(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "Student_Rosters_22-23.txt",
        "Student_Rosters_23-24.txt",
        "Student_Rosters_24-25.txt",
        "overrides.csv",
        "title_rules.csv",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_writing_again_gives_the_same_bytes(small, folder):
    before = content(folder)
    for path in folder.iterdir():
        path.unlink()
    write_inputs(small, folder)
    assert content(folder) == before


def test_a_roster_looks_like_a_powerschool_export(small, folder, year):
    header, *lines = (folder / "Student_Rosters_23-24.txt").read_bytes().decode().split("\r\n")
    columns = header.split("\t")
    cells = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines if line]
    expected = [(number, "0" if grade == "K" else grade) for number, grade in small.roster(year)]
    found = [(row["STUDENTS.Student_Number"], row["STUDENTS.Grade_Level"]) for row in cells]
    assert found == expected


TEACHERS = [f"STUDENTS.{subject}_Teacher" for subject in SUBJECTS]


def test_a_roster_has_schools_and_a_teacher_for_each_subject(small, folder, year):
    """Those that `Enrollment/`, `Roster/` and `Users/` name; one for all subjects to grade 5."""
    school = {row["district_student_id"]: row["school"] for row in enrollment(small.students, year)}
    name = {
        row["user_id"]: f"{row['last_name']}, {row['first_name']}"
        for row in users(small.students, year)
    }
    teachers = {}
    for row in roster(small.students, year):
        teachers.setdefault(row["district_student_id"], []).append(name[row["user_id"]])
    text = (folder / f"Student_Rosters_{year}.txt").read_bytes().decode()
    lines = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    seen = set()
    for row in lines:
        number, grade = row["STUDENTS.Student_Number"], int(row["STUDENTS.Grade_Level"])
        assert row["STUDENTS.School_Name"] == school[number]
        assert [row[heading] for heading in TEACHERS] == teachers[number]
        seen.add((grade > 5, len(set(teachers[number]))))
    assert seen == {(False, 1), (True, len(SUBJECTS))}


def test_the_pipeline_reads_the_columns_of_a_roster(small, folder, year):
    wanted = {f"column_{n}": heading for n, heading in enumerate(TEACHERS)}
    found = read_roster(folder / f"Student_Rosters_{year}.txt", Headings(columns=wanted))
    placed = placements(small.students, year)
    for number, _, *teachers in found.students.itertuples(index=False, name=None):
        assert tuple(teachers) == placed[number][1:]
    assert set(found.several.values()) == {0}


def without_schools(text):
    """A roster as earlier versions wrote it."""
    lines = text.split("\r\n")
    return "\r\n".join("\t".join(line.split("\t")[:5]) for line in lines)


def test_rosters_of_an_earlier_version_get_schools_and_edited_ones_stay(tmp_path):
    folder, day = tmp_path / "inputs", dt.date(2026, 6, 30)
    ensure_inputs(folder, day)
    whole = content(folder)
    rosters = sorted(folder.glob("Student_Rosters_*"))
    for path in rosters:
        path.write_bytes(without_schools(path.read_bytes().decode()).encode())
    edited = rosters[0]
    edited.write_bytes(edited.read_bytes().replace(b"\t0\t11\t", b"\t2\t11\t", 1))
    before = content(folder)
    ensure_inputs(folder, day)
    assert content(folder) == {**whole, edited.name: before[edited.name]}


def test_overrides_name_assessments_of_the_district(small, folder):
    overrides = read(folder / "overrides.csv")
    assert list(overrides[0]) == [
        "assessment_id",
        "grade",
        "test_type",
        "curriculum",
        "unit",
        "title",
        "reason",
    ]
    listed = {row["assessment_id"] for row in small.catalogue}
    assert {row["assessment_id"] for row in overrides} <= listed
    assert [row["grade"] for row in overrides if row["grade"]] == ["8"]


def test_rules_label_most_titles_of_the_demo_but_not_all(tmp_path, year):
    district = District.make(1, DEMO)
    write_inputs(district, tmp_path)
    rules = read(tmp_path / "title_rules.csv")
    assert list(rules[0]) == ["column", "pattern", "value"]
    titles = [district.results("overall", i)[0]["title"] for i in district.ids_with_results(year)]
    for column, least in {"test_type": 0.9, "curriculum": 0.9, "unit": 0.9}.items():
        patterns = [re.compile(r["pattern"], re.IGNORECASE) for r in rules if r["column"] == column]
        labelled = [any(pattern.search(title) for pattern in patterns) for title in titles]
        assert least < sum(labelled) / len(titles) < 1


def test_a_new_school_year_brings_its_roster_and_changes_no_other_file(tmp_path):
    folder = tmp_path / "inputs"
    ensure_inputs(folder, dt.date(2026, 6, 30))
    (folder / "title_rules.csv").write_text("column,pattern,value\n")
    before = content(folder)
    assert "Student_Rosters_25-26.txt" in before
    ensure_inputs(folder, dt.date(2026, 6, 30))
    assert content(folder) == before
    ensure_inputs(folder, dt.date(2026, 7, 1))
    new = content(folder)
    assert new.keys() - before.keys() == {"Student_Rosters_26-27.txt"}
    assert {name: new[name] for name in before} == before


def test_inputs_that_were_half_written_are_completed(tmp_path):
    folder, whole = tmp_path / "inputs", tmp_path / "whole"
    ensure_inputs(whole, dt.date(2026, 7, 1))
    ensure_inputs(folder, dt.date(2026, 7, 1))
    for name in ("overrides.csv", "Student_Rosters_24-25.txt", "Student_Rosters_26-27.txt"):
        (folder / name).unlink()
    ensure_inputs(folder, dt.date(2026, 7, 1))
    assert content(folder) == content(whole)
