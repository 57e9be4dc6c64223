"""Columns of the roster: in the views, beside them, in SQL and databases, and only where named."""

import csv
import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.schema import LATEST, VIEW
from pipeline.simulator import District, Server
from pipeline.simulator.district import schools
from tests.functional import oracle
from tests.functional.conftest import YEAR, Workplace
from tests.functional.test_all_years import run_years
from tests.functional.test_reruns import newest_record

NAMES = ["school", "math_teacher"]
HEADINGS = "school=School_Name, math_teacher=STUDENTS.Math_Teacher"
COLUMNS = ("--roster-columns", HEADINGS)
OWN_VIEW = """
SELECT roster.school, count(*) AS n FROM roster JOIN results USING (local_student_id, grade)
WHERE roster.math_teacher = results.math_teacher GROUP BY ALL
"""


def known_of(district: District) -> dict[str, list[str]]:
    """The school and the teacher of mathematics of each student on the roster."""
    placed = schools.placements(district.students, oracle.YEAR)
    teacher = 1 + schools.SUBJECTS.index("Math")
    return {
        number: [placed[number][0], placed[number][teacher]]
        for number, _ in district.roster(oracle.YEAR)
    }


def view_of(place: Workplace, stem: str = VIEW.stem) -> Path:
    return place.data / "views" / YEAR / f"{stem}_historical.csv"


def students_of(place: Workplace) -> Path:
    return place.data / "views" / YEAR / "students.csv"


def without_columns(path: Path) -> list[oracle.Row]:
    rows = oracle.read_csv(path)
    return [{name: row[name] for name in row if name not in NAMES} for row in rows]


@pytest.mark.parametrize(("school_year", "warns"), [("", True), ("2023-2024", False)])
def test_a_roster_for_every_year_may_have_the_grades_of_another_one(
    place: Workplace, school_year: str, warns: bool
) -> None:
    """Unless its lines say of which year they are; the running year is that of the file."""
    roster = place.folder / "rosters.txt"
    header, *lines = (
        Path(place.environment["STUDENT_ROSTERS"].format(year=YEAR)).read_text().split("\n")
    )
    added = [f"{line}\t{school_year}" for line in filter(None, lines)]
    roster.write_text("\n".join([f"{header}\tYear", *added]))
    named = ("--roster-year", "Year") if school_year else ()
    words = "The roster's path has no {year}, so the grades of"
    assert words not in place.run().stderr
    done = place.run(*named, STUDENT_ROSTERS=str(roster))
    assert done.returncode == 0
    assert (f"{words} 23-24 are those that {roster} has now" in done.stderr) is warns
    of_today = place.start_run(STUDENT_ROSTERS=str(roster))
    assert words not in place.finish(of_today).stderr


@pytest.fixture
def ran(place: Workplace) -> Workplace:
    """A place in which a run has named two columns."""
    done = place.run(*COLUMNS)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_they_come_last_in_both_views_and_are_those_of_the_student(
    ran: Workplace, district: District, undisturbed: dict[str, bytes]
) -> None:
    """Everything else is as without them."""
    known = known_of(district)
    for table in (VIEW, LATEST):
        path = view_of(ran, table.stem)
        assert oracle.header(path) == [*table.names, *NAMES]
        rows = oracle.read_csv(path)
        assert {tuple(row[name] for name in NAMES) for row in rows} > {("", "")}
        for row in rows:
            assert [row[name] for name in NAMES] == known.get(row["local_student_id"], ["", ""])
        plain = csv.DictReader(undisturbed[f"{YEAR}/{path.name}"].decode().splitlines(True))
        assert without_columns(path) == list(plain)
        parquet = pl.read_parquet(path.with_suffix(".parquet"))
        assert parquet.columns == [*table.names, *NAMES]
        in_parquet = parquet.select("local_student_id", *NAMES).unique().iter_rows()
        assert {row for row in in_parquet if row[0] in known} == {
            (row["local_student_id"], *known[row["local_student_id"]])
            for row in rows
            if row["local_student_id"] in known
        }


def test_the_students_are_listed(ran: Workplace, district: District) -> None:
    known = known_of(district)
    rows = oracle.read_csv(students_of(ran))
    assert oracle.header(students_of(ran)) == ["local_student_id", "grade", *NAMES]
    expected = [
        [number, "0" if grade == "K" else grade, *known[number]]
        for number, grade in sorted(district.roster(oracle.YEAR))
    ]
    assert [list(row.values()) for row in rows] == expected
    record = json.loads(newest_record(ran))
    assert record["steps"]["ListStudents"]["columns"] == NAMES
    counted = {check["name"] for check in record["steps"]["CheckTables"]["checks"]}
    assert "students.csv has all students" in counted


def test_without_the_setting_every_published_byte_is_as_it_was(
    ran: Workplace, server: Server, undisturbed: dict[str, bytes]
) -> None:
    """Also where it was set before; nothing is fetched again, and the students are removed."""
    assert ran.published().keys() - undisturbed.keys() == {f"{YEAR}/students.csv"}
    server.clear_log()
    done = ran.run()
    assert done.returncode == 0, done.stdout
    assert ran.published() == undisturbed
    assert server.log == []


def test_other_columns_rebuild_what_has_them_and_fetch_nothing(
    ran: Workplace, server: Server
) -> None:
    before = ran.published()
    server.clear_log()
    done = ran.run("--roster-columns", "math_teacher=STUDENTS.Math_Teacher, school=School_Name")
    assert done.returncode == 0, done.stdout
    assert server.log == []
    assert oracle.header(students_of(ran))[2:] == ["math_teacher", "school"]
    changed = {name for name, data in ran.published().items() if data != before[name]}
    stems = {Path(name).stem for name in changed}
    views = {f"{VIEW.stem}_historical", f"{LATEST.stem}_historical"}
    assert stems == {*views, "students", "views.datapackage"}


def test_without_a_roster_they_are_null(place: Workplace) -> None:
    done = place.run(*COLUMNS, STUDENT_ROSTERS="")
    assert done.returncode == 0, done.stdout
    assert {row["school"] for row in oracle.read_csv(view_of(place))} == {""}
    assert oracle.header(students_of(place))[2:] == NAMES
    assert oracle.read_csv(students_of(place)) == []


def test_sql_verify_doctor_and_a_database_know_them(place: Workplace) -> None:
    config = place.folder / "columns.cfg"
    shipped = Path(place.environment["LUIGI_CONFIG_PATH"]).read_text(encoding="utf-8")
    config.write_text(shipped.replace("\ncolumns=\n", f"\ncolumns={HEADINGS}\n"), encoding="utf-8")
    sql = place.folder / "sql"
    sql.mkdir()
    (sql / "by_school.sql").write_text(OWN_VIEW, encoding="utf-8")
    place.environment |= {"LUIGI_CONFIG_PATH": str(config), "SQL_VIEWS": str(sql)}
    done = place.run()
    assert done.returncode == 0, done.stdout
    on_it = [row for row in oracle.read_csv(view_of(place)) if row["school"] and row["grade"]]
    own = oracle.read_csv(view_of(place, "by_school"))
    assert sum(int(row["n"]) for row in own) == len(on_it) > 0
    verified = place.look("verify", "--year", YEAR)
    assert verified.returncode == 0, verified.stdout
    assert "ListStudents: intact" in verified.stdout
    assert "the views get school, math_teacher" in place.look("doctor").stdout
    page = place.look("dictionary").stdout
    assert page.count("| `math_teacher` | text, *escaped*, *personal* | ") == 3
    loaded = place.look("load", "--year", YEAR)
    assert loaded.returncode == 0, loaded.stderr
    with duckdb.connect(str(place.data / "illuminate.duckdb"), read_only=True) as database:
        query = "SELECT count(*) FROM students JOIN {} USING (local_student_id, school, year)"
        rows = database.execute(query.format(VIEW.stem)).fetchone()
    assert rows == (sum(1 for row in oracle.read_csv(view_of(place)) if row["school"]),)


def test_all_years_have_them_and_so_may_tables_from_before(place: Workplace) -> None:
    before = place.folder / "before"
    before.mkdir()
    header = [*VIEW.names, "school"]
    row = {"year": "19-20", "assessment_id": "1", "response_type": "overall", "school": "=Elm"}
    lines = [",".join(header), ",".join(row.get(name, "") for name in header)]
    (before / f"{VIEW.stem}.csv").write_text("\n".join(lines), encoding="utf-8")
    prior = ("--paths-prior-years", str(before))
    refused = run_years(place, *prior, years=YEAR)
    assert refused.returncode == 30
    assert "has no column school" in refused.stdout
    done = run_years(place, *prior, *COLUMNS, years=YEAR)
    assert done.returncode == 0, done.stdout
    path = place.data / "views" / "all" / f"{VIEW.stem}_all_years.csv"
    assert oracle.header(path) == [*VIEW.names, *NAMES]
    first, *others = oracle.read_csv(path)
    assert (first["school"], first["math_teacher"]) == ("'=Elm", "")
    assert others == oracle.read_csv(view_of(place))


def test_text_that_a_spreadsheet_would_run_is_escaped(place: Workplace, inputs: Path) -> None:
    roster = place.folder / "roster.txt"
    text = (inputs / "Student_Rosters_23-24.txt").read_text(encoding="utf-8")
    roster.write_text(text.replace("Willow Creek", "=Willow"), encoding="utf-8")
    done = place.run(*COLUMNS, STUDENT_ROSTERS=str(roster))
    assert done.returncode == 0, done.stdout
    for path in (view_of(place), view_of(place, LATEST.stem), students_of(place)):
        found = {row["school"] for row in oracle.read_csv(path)}
        assert "'=Willow Elementary" in found
        assert not [cell for cell in found if cell.startswith("=")]
    frame = pl.read_parquet(view_of(place).with_suffix(".parquet"))
    assert "=Willow Elementary" in set(frame["school"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("pupil=Pupil", "line 1: the header lacks Pupil. What was published before is unchanged."),
        ("grade=Grade_Level", "[roster] columns has 'grade', which is the name of another column"),
        ("School_Name", "[roster] columns is 'School_Name'; it must be like school=STUDENTS."),
    ],
)
def test_a_column_that_cannot_be_had_stops_before_any_request(
    place: Workplace, server: Server, columns: str, message: str
) -> None:
    done = place.run("--roster-columns", columns)
    assert done.returncode == 30, done.stdout
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert server.log == []
    assert place.published() == {}


def test_a_student_of_two_schools_has_none_and_is_counted(place: Workplace, inputs: Path) -> None:
    roster = place.folder / "roster.txt"
    lines = (inputs / "Student_Rosters_23-24.txt").read_text(encoding="utf-8").splitlines()
    moved = [line.replace("Willow Creek", "Other") for line in lines if "Willow Creek" in line][:3]
    roster.write_text("\n".join([*lines, *moved]) + "\n", encoding="utf-8")
    done = place.run(*COLUMNS, STUDENT_ROSTERS=str(roster))
    assert done.returncode == 0, done.stdout
    assert "students with several values in one column (set to null): school 3" in done.stdout
    several = {line.split("\t")[0] for line in moved}
    found = {row["local_student_id"]: row for row in oracle.read_csv(students_of(place))}
    assert {number for number, row in found.items() if not row["school"]} == several
    assert all(found[number]["math_teacher"] for number in several)


USERS = "sourcedId,status,orgSourcedIds,role,identifier,grades"
ORGS = "sourcedId,status,name,type\no1,,Elm School,school\n"


def test_a_oneroster_folder_is_read_and_an_edit_of_any_file_is_noticed(
    place: Workplace, server: Server, district: District
) -> None:
    folder = place.folder / "oneroster"
    folder.mkdir()
    rows = [
        f"u{number},,o1,student,{number},{'KG' if grade == 'K' else grade.zfill(2)}"
        for number, grade in district.roster(oracle.YEAR)
    ]
    (folder / "users.csv").write_text("\n".join([USERS, *rows]), encoding="utf-8")
    (folder / "orgs.csv").write_text(ORGS, encoding="utf-8")
    settings = {"STUDENT_ROSTERS": str(folder)}
    done = place.run("--roster-columns", "school=school", **settings)
    assert done.returncode == 0, done.stdout
    grades = {n: "0" if grade == "K" else grade for n, grade in district.roster(oracle.YEAR)}
    for row in oracle.read_csv(view_of(place)):
        grade = grades.get(row["local_student_id"], "")
        assert (row["grade"], row["school"]) == (grade, "Elm School" if grade else "")
    server.clear_log()
    (folder / "orgs.csv").write_text(ORGS.replace("Elm", "Oak"), encoding="utf-8")
    assert place.run("--roster-columns", "school=school", **settings).returncode == 0
    assert {row["school"] for row in oracle.read_csv(students_of(place))} == {"Oak School"}
    assert server.log == []
