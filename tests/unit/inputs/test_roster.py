"""The roster: every student's grade is read as it was written, or the file is refused."""

import codecs
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputFileError
from pipeline.inputs.roster import Headings, Roster, empty_roster, read_roster
from pipeline.years import SchoolYear

HEADER = "STUDENTS.Student_Number\tSTUDENTS.Last_Name\tSTUDENTS.Grade_Level"


@pytest.fixture
def roster(tmp_path: Path):
    def write(*lines: str, header: str = HEADER, encoding: str = "utf-8", end: str = "\n") -> Path:
        path = tmp_path / "roster.txt"
        path.write_bytes("".join(line + end for line in [header, *lines]).encode(encoding))
        return path

    return write


def students(roster: Roster) -> list[tuple[str, int]]:
    return list(roster.students.itertuples(index=False, name=None))


def refusal(path: Path) -> str:
    with pytest.raises(InputFileError) as error:
        read_roster(path)
    return str(error.value)


# What is read.


def test_the_frame_is_sorted_text_ids_and_integer_grades(roster):
    read = read_roster(roster("900417\tA\t3", "0042\tB\tK")).students
    assert read.dtypes.astype(str).to_dict() == {"local_student_id": "string", "grade": "Int64"}
    assert read.to_dict("list") == {"local_student_id": ["0042", "900417"], "grade": [0, 3]}
    assert read.index.tolist() == [0, 1]


@pytest.mark.parametrize("student", ["0042", "1e5", "NA", "nan", "A-7", "12 34", "3.5.1"])
def test_an_id_stays_the_text_it_is(roster, student):
    assert students(read_roster(roster(f"{student}\tA\t3"))) == [(student, 3)]


def test_white_space_around_names_ids_and_grades_is_taken_away(roster):
    header = " STUDENTS.Grade_Level \tother\tSTUDENTS.Student_Number\xa0"
    assert students(read_roster(roster(" 5 \tx\t\xa077 ", header=header))) == [("77", 5)]


GRADES = {str(grade): grade for grade in range(-3, 15)} | {
    "K": 0, "k": 0, "KG": 0, "KN": 0, "PK": -1, "TK": -1, "P4": -1, "P3": -2, "09": 9, "3.0": 3
}  # fmt: skip


@pytest.mark.parametrize(("spelling", "grade"), GRADES.items())
def test_every_spelling_of_a_grade_is_read(roster, spelling, grade):
    assert students(read_roster(roster(f"1\tA\t{spelling}"))) == [("1", grade)]


@pytest.mark.parametrize("code", ["99", "UG", "15", "-4", "third", "3.5", "?"])
def test_a_code_that_is_no_grade_is_null_and_counted(roster, code):
    read = read_roster(roster(f"1\tA\t{code}", "2\tB\t4", f"3\tC\t{code}", f"1\tA\t{code}"))
    assert read.students["local_student_id"].to_list() == ["1", "2", "3"]
    assert read.students["grade"].isna().to_list() == [True, False, True]
    assert (read.lines, read.repeated, read.without_grade) == (4, 1, 2)


def test_a_code_beside_a_grade_is_no_second_grade(roster):
    read = read_roster(roster("1\tA\t99", "1\tA\t4", "2\tB\t5", "2\tB\tUG"))
    assert students(read) == [("1", 4), ("2", 5)]
    assert (read.repeated, read.without_grade) == (2, 0)


HEADINGS = [
    ("STUDENTS.Student_Number", "STUDENTS.Grade_Level"),
    ("Student_Number", "Grade_Level"),
    ("[1]Student_Number", "[1]Grade_Level"),
    ("[STUDENTS]Student_Number", "[STUDENTS]Grade_Level"),
    ("STUDENTS.STUDENT_NUMBER", "students.grade_level"),
    ("STUDENT_NUMBER", "[01] STUDENTS.grade_level"),
]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
@pytest.mark.parametrize("names", HEADINGS)
def test_each_spelling_of_the_headings_and_each_delimiter_is_read(roster, names, delimiter, quote):
    def line(*cells):
        return delimiter.join(f"{quote}{cell}{quote}" for cell in cells)

    lines = (line("0042", "A", "3"), line("", "", ""), line("900417", "B", "K"))
    path = roster(*lines, header=line(names[0], "LastFirst", names[1]))
    assert students(read_roster(path)) == [("0042", 3), ("900417", 0)]


def test_a_quoted_name_may_hold_the_delimiter(roster):
    path = roster('1,"Doe, A ""B""",3', header="Student_Number,LastFirst,Grade_Level")
    assert students(read_roster(path)) == [("1", 3)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marked_and_unmarked_encodings_and_both_line_ends_read_the_same(roster, encoding, end):
    path = roster("é1\tÑ\t3", "2\tB\t4", encoding=encoding, end=end)
    assert students(read_roster(path)) == [("2", 4), ("é1", 3)]


def test_big_endian_utf_16_is_read_by_its_mark(tmp_path):
    path = tmp_path / "roster.txt"
    path.write_bytes(codecs.BOM_UTF16_BE + f"{HEADER}\n1\tA\t3\n".encode("utf-16-be"))
    assert students(read_roster(path)) == [("1", 3)]


def test_a_quotation_mark_is_data_and_joins_no_lines(roster):
    assert students(read_roster(roster('1\t"A\t3', "2\tB\t4"))) == [("1", 3), ("2", 4)]


def test_blank_lines_at_the_end_hold_no_student(roster):
    assert read_roster(roster("1\tA\t3", "", "\t\t", "  ")).lines == 1


def test_a_file_may_end_without_a_line_end(tmp_path):
    path = tmp_path / "roster.txt"
    path.write_text(f"{HEADER}\n1\tA\t3", encoding="utf-8")
    assert students(read_roster(path)) == [("1", 3)]


def test_a_repeated_line_with_the_same_grade_is_counted_and_read_once(roster):
    read = read_roster(roster("1\tA\tK", "2\tB\t4", "1\tA\t0", "1\tA\tKG"))
    assert (students(read), read.lines, read.repeated) == ([("1", 0), ("2", 4)], 4, 2)


GRADE_OF = st.dictionaries(
    st.from_regex(r"[0-9]{1,8}", fullmatch=True), st.integers(-3, 14), min_size=1
)


@given(GRADE_OF, st.data())
def test_lines_in_any_order_and_number_give_the_same_students(tmp_path_factory, grade_of, data):
    extra = data.draw(st.lists(st.sampled_from(sorted(grade_of)), max_size=5))
    lines = data.draw(st.permutations([*grade_of, *extra]))
    path = tmp_path_factory.mktemp("roster") / "roster.txt"
    text = "".join(f"{student}\tA\t{grade_of[student]}\n" for student in lines)
    path.write_text(f"{HEADER}\n{text}", encoding="utf-8")
    read = read_roster(path)
    assert students(read) == sorted(grade_of.items())
    assert (read.lines, read.repeated) == (len(lines), len(extra))


def test_an_empty_roster_has_the_shape_of_one_that_was_read(roster):
    read = read_roster(roster("1\tA\t3"))
    pd.testing.assert_frame_equal(empty_roster().students, read.students.iloc[:0])
    assert (empty_roster().lines, empty_roster().repeated) == (0, 0)


# What is refused.

FAULTS = {
    "blank id": (["1\tA\t3", "  \tB\t4"], "line 3: the student number is blank"),
    "blank grade": (["1\tA\t3", "2\tB\t "], "line 3: the grade is blank"),
    "too few cells": (
        ["1\tA\t3", "", "2\tB"],
        "line 4: the number of cells is not that of the header, 3",
    ),
    "too many cells": (["1\tA\tB\t3"], "line 2: the number of cells is not that of the header, 3"),
    "two grades": (["1\tA\t3", "2\tB\t4", "1\tA\t5"], "lines 2 and 4: 1 student has more than one"),
    "two students": (
        ["1\tA\t3", "2\tB\t4", "2\tB\tK", "1\tA\t5"],
        "lines 2, 3, 4 and 5: 2 students have more than one grade",
    ),
    "many lines": (["1\tA\t"] * 9, "lines 2, 3, 4, 5 and 5 more: the grade is blank"),
}


@pytest.mark.parametrize(("lines", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_bad_line_is_refused_with_its_number_and_fault(roster, lines, fault):
    message = refusal(roster(*lines))
    assert message.startswith(f"roster.txt, {fault}")
    assert message.endswith(". Fix the roster, then run the same command again.")


DAMAGED = [
    "900417.0",
    "900417.",
    "900417,00",
    "9.00417E+14",
    "9,00417E+14",
    "9E+14",
    "9.00417e+14",
    '="900417"',
    "=900417",
    "+900417",
    "'900417",
    '90"0417',
    "#####",
    "#REF!",
]


@pytest.mark.parametrize("student", DAMAGED)
def test_an_id_that_a_spreadsheet_damaged_is_refused_with_its_lines(roster, student):
    """Two students that both became 9.00417E+14 would be one."""
    message = refusal(roster("1\tA\t3", f"{student}\tB\t4", f"{student}\tC\t4"))
    assert message.startswith("roster.txt, lines 3 and 4: the student number is damaged")
    assert "Export Student_Number and Grade_Level of the students again" in message
    assert student not in message


def test_a_formula_is_found_behind_the_quotation_marks_of_a_csv(roster):
    path = roster('"=""900417""",3', header="Student_Number,Grade_Level")
    assert "line 2: the student number is damaged" in refusal(path)


@pytest.mark.parametrize("name", ["STUDENTS.Student_Number", "Grade_Level"])
def test_a_repeated_heading_is_refused(roster, name):
    header = f"STUDENTS.Student_Number\tSTUDENTS.Grade_Level\t{name}"
    message = refusal(roster("900417\t3\t4", header=header))
    bare = name.removeprefix("STUDENTS.")
    assert message.startswith(f"roster.txt, line 1: the header has {bare} more than once.")


@pytest.mark.parametrize("mark", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_workbook_is_refused_with_the_export_to_choose(tmp_path, mark):
    (tmp_path / "roster.txt").write_bytes(mark + b"\x00\x06\x08" * 9)
    message = refusal(tmp_path / "roster.txt")
    assert "looks like an Excel workbook." in message
    assert "again, as tab delimited text in UTF-8 (PowerSchool's Quick Export)" in message


def test_a_missing_file_is_refused(tmp_path):
    assert "absent.txt: it cannot be read (No such file" in refusal(tmp_path / "absent.txt")


@pytest.mark.parametrize("content", [b"", b"\n \n", codecs.BOM_UTF8])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "roster.txt").write_bytes(content)
    assert refusal(tmp_path / "roster.txt").startswith("roster.txt: it is empty")


def test_a_header_without_students_is_refused(roster):
    assert refusal(roster()).startswith("roster.txt: it has a header and no student")


@pytest.mark.parametrize("column", ["Student_Number", "Grade_Level"])
def test_a_missing_column_is_named(roster, column):
    header = HEADER.replace(column, "Home_Room")
    message = refusal(roster("1\tA\t3", header=header))
    assert f"line 1: the header lacks {column}. " in message
    assert "as tab delimited text" in message


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (f"{HEADER}\n1\tPeña\t3\n".encode("cp1252"), "Windows-1252"),
        (f"{HEADER}\n1\tA\t3\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (f"{HEADER}\n1\tÑ\t3\n".encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (f"{HEADER}\n1\tA\t3\n".encode("utf-16")[:-1], "damaged UTF-16"),
    ],
)
def test_another_encoding_is_refused_and_named(tmp_path, content, encoding):
    (tmp_path / "roster.txt").write_bytes(content)
    assert f"looks like {encoding}." in refusal(tmp_path / "roster.txt")


@pytest.mark.parametrize(
    "lines",
    [
        ["900417\tExample\t3", "900417\tExample\t4"],
        ["900417\tExample\t"],
        ["900417\tExample\t3", "900418.0\tExample\t3"],
        ["\tExample\t3"],
        ["900417\tExample"],
        ["900417\tExample\t3\t900418"],
    ],
)
def test_no_error_holds_a_cell_of_the_file(roster, lines):
    message = refusal(roster(*lines))
    assert not any(cell in message for cell in ("900417", "900418", "Example"))


def test_no_error_holds_the_first_line_of_a_file_without_a_header(roster):
    assert "900417" not in refusal(roster("2\tB\t4", header="900417\tA\t3"))


def test_no_error_drags_the_content_of_an_undecodable_file_along(tmp_path):
    (tmp_path / "roster.txt").write_bytes(f"{HEADER}\n900417\tPeña\t3\n".encode("cp1252"))
    with pytest.raises(InputFileError) as error:
        read_roster(tmp_path / "roster.txt")
    assert error.value.__cause__ is error.value.__context__ is None


# The columns that a district names, and other headings.

SCHOOL = {"school": "STUDENTS.School_Name"}
WIDE = "STUDENTS.Student_Number\tSTUDENTS.Grade_Level\tSTUDENTS.School_Name"


def read(path: Path, of: str = "", /, **headings) -> pd.DataFrame:
    return read_roster(path, Headings(**headings), SchoolYear.parse(of) if of else None).students


def refused(path: Path, of: str = "", /, **headings) -> str:
    with pytest.raises(InputFileError) as error:
        read(path, of, **headings)
    return str(error.value)


@pytest.mark.parametrize("delimiter", ["\t", ","])
@pytest.mark.parametrize(
    "heading",
    ["STUDENTS.School_Name", "School_Name", "[1]School_Name", "school_name", "School Name"],
)
@pytest.mark.parametrize("wanted", ["STUDENTS.School_Name", "School_Name", "[1]SCHOOL_NAME"])
def test_a_named_column_is_found_in_each_spelling_of_its_heading(
    roster, heading, wanted, delimiter
):
    header = delimiter.join(("Student_Number", "Grade_Level", heading))
    path = roster(delimiter.join(("0042", "3", "Elm & Oak")), header=header)
    found = read(path, columns={"school": wanted})
    assert found.dtypes.astype(str).to_dict() == {
        "local_student_id": "string",
        "grade": "Int64",
        "school": "string",
    }
    assert found.to_dict("list") == {
        "local_student_id": ["0042"],
        "grade": [3],
        "school": ["Elm & Oak"],
    }


def test_named_columns_are_in_the_order_of_the_setting(roster):
    wanted = {"teacher": "Home_Room", "school": "School_Name"}
    path = roster(
        "1\t3\tElm\tBauer, Ida", header="Student_Number\tGrade_Level\tSchool_Name\tHome_Room"
    )
    assert list(read(path, columns=wanted).columns[2:]) == ["teacher", "school"]
    assert list(empty_roster(tuple(wanted)).students.columns[2:]) == ["teacher", "school"]


def test_a_heading_as_it_is_spelled_comes_before_its_other_spellings(roster):
    header = "Student_Number\tGrade_Level\tSTUDENTS.Name\tName"
    path = roster("1\t3\tElm\tOak", header=header)
    assert read(path, columns={"a": "Name", "b": "STUDENTS.Name"}).iloc[0, 2:].to_list() == [
        "Oak",
        "Elm",
    ]


def test_an_empty_cell_of_a_named_column_is_null(roster):
    found = read(roster("1\t3\t", "2\t3\tOak", header=WIDE), columns=SCHOOL)
    assert found["school"].isna().to_list() == [True, False]


def test_a_student_with_two_values_in_a_column_gets_null_and_is_counted(roster):
    lines = ("1\t3\tElm", "1\t3\tOak", "2\t4\tElm", "2\t4\t", "3\t5\tElm", "3\t5\tElm")
    found = read_roster(roster(*lines, header=WIDE), Headings(columns=SCHOOL))
    assert found.students["school"].fillna("").to_list() == ["", "Elm", "Elm"]
    assert (found.several, found.lines, found.repeated) == ({"school": 1}, 6, 3)


@pytest.mark.parametrize("name", ["line", "lines", "index", "current", "id", "year"])
def test_a_column_may_be_called_anything_that_no_table_has(roster, name):
    found = read(roster("1\t3\tElm", header=WIDE), columns={name: "School_Name"})
    assert found[name].to_list() == ["Elm"]


ENROLLED = "Student_Number\tGrade_Level\tSchool_Name\tEnroll_Status"


def test_of_two_grades_that_of_the_current_enrolment_counts(roster):
    """PowerSchool's Enroll_Status says which is, 0 being current."""
    lines = ("1\t4\tOak\t2", "1\t5\tElm\t0", "2\t6\tElm\t2", "3\t7\tElm\t0", "3\t7\tOak\t3")
    found = read_roster(roster(*lines, header=ENROLLED), Headings(columns=SCHOOL))
    assert list(found.students.itertuples(index=False, name=None)) == [
        ("1", 5, "Elm"),
        ("2", 6, "Elm"),
        ("3", 7, "Elm"),
    ]
    assert found.several == {"school": 0}


@pytest.mark.parametrize("statuses", ["00", "23"])
def test_two_grades_of_which_both_or_none_is_current_are_refused(roster, statuses):
    first, second = statuses
    path = roster(f"1\t4\tElm\t{first}", f"1\t5\tElm\t{second}", header=ENROLLED)
    assert "lines 2 and 3: 1 student has more than one grade" in refused(path)


def test_another_status_says_which_line_is_current_where_that_is_named(roster):
    header = "Student_Number\tGrade_Level\tEnroll_Status\tStatus"
    path = roster(
        "1\t4\t0\tLeft", "1\t5\t2\tactive", "2\t6\t0\tLeft", "2\t7\t0\tNew", header=header
    )
    current = (("Status", "Active"), ("Status", "New"))
    assert read(path, current=current)["grade"].to_list() == [5, 7]
    assert "the header lacks State. " in refused(path, current=(("State", "Active"),))


def test_no_cell_of_an_old_enrolment_fills_an_empty_one_of_the_current(roster):
    """The teacher of the old school is none of the new one."""
    header = f"{ENROLLED}\tTeacher"
    lines = ("1\t5\tElm\t0\t", "1\t5\tOak\t2\tX", "2\t5\tOak\t2\tX", "2\t5\tOak\t3\t")
    found = read(roster(*lines, header=header), columns=SCHOOL | {"teacher": "Teacher"})
    assert found.fillna("").to_numpy().tolist() == [["1", 5, "Elm", ""], ["2", 5, "Oak", "X"]]


@pytest.mark.parametrize("grade", ["Grade 3", "99"])
def test_a_roster_without_a_single_grade_is_refused(roster, grade):
    """It would replace every grade by null; a few students may have codes only."""
    lines = [f"{number}\tA\t{grade}" for number in range(10)]
    message = refused(roster(*lines))
    assert "line 1: no line has a grade that is known in " in message
    assert "[roster] grade" in message
    assert read_roster(roster(*lines[1:])).without_grade == 9
    assert read_roster(roster(*lines, "11\tA\t3")).without_grade == 10


def test_a_code_of_the_current_enrolment_is_no_second_grade(roster):
    """As without an enrolment status: nothing that could be read before is read otherwise."""
    assert read(roster("1\t99\tElm\t0", "1\t4\tElm\t2", header=ENROLLED))["grade"].to_list() == [4]


def test_other_headings_of_number_and_grade_are_read_where_they_are_named(roster):
    header = "Student_Number,Grade_Level,SIS Id,Next Grade"
    path = roster("9,4,0042,Kindergarten", header=header)
    assert students(read_roster(path, Headings(id="SIS ID", grade="next_grade"))) == [("0042", 0)]
    assert students(read_roster(path, Headings(id="SIS ID"))) == [("0042", 4)]


NAMED = [
    {"id": "Pupil"},
    {"grade": "Pupil"},
    {"year": "Pupil"},
    {"columns": {"pupil": "Pupil"}},
]


@pytest.mark.parametrize("headings", NAMED, ids=str)
def test_a_heading_that_is_named_and_missing_is_refused_by_its_name(roster, headings):
    message = refused(roster("1\tA\t3"), **headings)
    assert message.startswith("roster.txt, line 1: the header lacks Pupil. ")
    assert "Fix the headings in [roster], or export the roster again with them" in message


def test_a_heading_that_is_named_and_repeated_is_refused(roster):
    path = roster("1\t3\tElm\tOak", header="Student_Number\tGrade_Level\tSchool\t[1]SCHOOL")
    assert "the header has school more than once" in refused(path, columns={"school": "school"})


def test_one_file_for_all_years_is_read_by_its_school_year(roster):
    header = "Student_Number\tGrade_Level\tYear"
    path = roster("1\t3\t2022-23", "1\t4\t23-24", "2\t99\t2022-2023", "2\t5\t24-25", header=header)
    assert students(read_roster(path, Headings(year="Year"), SchoolYear(2023))) == [("1", 4)]
    assert read(path, "22-23", year="Year")["local_student_id"].to_list() == ["1", "2"]
    assert "roster.txt: no line is of the school year 25-26" in refused(path, "25-26", year="Year")


def test_a_line_whose_school_year_cannot_be_read_is_refused(roster):
    path = roster("1\t3\t23-24", "2\t3\t2024", "3\t3\t", header="Student_Number\tGrade_Level\tYear")
    message = refused(path, "23-24", year="Year")
    assert "lines 3 and 4: the school year is not one like 2023-24" in message


# Exports that are read without a setting.

CLEVER = "School_id,Student_id,Student_number,State_id,Last_name,First_name,Grade,Gender"
CLEVER_GRADES = {
    "Kindergarten": 0, "PreKindergarten": -1, "TransitionalKindergarten": -1, "Preschool": -2,
    "1": 1, "12": 12, "Ungraded": None, "PostGraduate": None, "Other": None, "InfantToddler": None,
}  # fmt: skip


@pytest.mark.parametrize(("spelling", "grade"), CLEVER_GRADES.items())
def test_clevers_students_are_read(roster, spelling, grade):
    path = roster(f'12,s-1,0042,,"Doe, Jr.",Ada,{spelling},F', header=CLEVER)
    found = read(path, columns={"school": "School_id"})
    assert found["local_student_id"].to_list() == ["0042"]
    assert found["grade"].astype(object).where(found["grade"].notna(), None).to_list() == [grade]
    assert found["school"].to_list() == ["12"]


def test_clevers_students_without_a_student_number_are_read_by_their_id(roster):
    path = roster("12,0042,Doe,4", header="School_id,Student_id,Last_name,Grade")
    assert students(read_roster(path)) == [("0042", 4)]


ENROLLMENT = (
    "01 Student ID\t02 Ssid\t03 Last Name\t04 First Name\t05 Middle Name\t06 Birth Date\t"
    "07 Site ID\t08 Entry Date\t09 Leave Date\t10 Grade Level ID\t11 Academic Year"
)


@pytest.mark.parametrize("heading", ["10 Grade Level ID", "10 Student Grade Level ID"])
def test_the_enrolment_file_for_illuminate_is_read(roster, heading):
    """Its grades are ids that begin with 1 for kindergarten, and it may have several years."""
    ids = {"1": 0, "2": 1, "13": 12, "15": -1, "14": None}
    lines = [f"00{i}\t\tDoe\tA\t\t\t12\t08/15/2023\t\t{i}\t2023-2024" for i in ids]
    lines.append("001\t\tDoe\tA\t\t\t13\t08/15/2022\t\t7\t2022-2023")
    path = roster(*lines, header=ENROLLMENT.replace("10 Grade Level ID", heading))
    found = read(path, "23-24", columns={"school": "Site ID"})
    grades = found["grade"].astype(object).where(found["grade"].notna(), None)
    assert dict(zip(found["local_student_id"], grades, strict=True)) == {
        f"00{i}": grade for i, grade in ids.items()
    }
    assert set(found["school"]) == {"12"}
    assert read(path, "22-23")["grade"].to_list() == [6]


def test_the_roster_file_for_illuminate_is_read(roster):
    """It has a line for each class; who is taught by two has no one teacher."""
    header = "01 Student ID\t08 Site ID\t10 User ID\t13 Grade Level ID\t14 Academic Year"
    lines = ("7\t12\tt1\t5\t2023-2024", "7\t12\tt2\t5\t2023-2024", "8\t13\tt1\t6\t2023-2024")
    wanted = Headings(columns={"school": "08 Site ID", "teacher": "User ID"})
    found = read_roster(roster(*lines, header=header), wanted, SchoolYear(2023))
    assert found.students.fillna({"teacher": ""}).to_numpy().tolist() == [
        ["7", 4, "12", ""],
        ["8", 5, "13", "t1"],
    ]
    assert found.several == {"school": 0, "teacher": 1}


def test_grade_level_ids_stay_ids_where_the_heading_is_named(roster):
    """Read as grades, every student would be a year too old."""
    path = roster("7\t5", header="Pupil\tgrade_level_id")
    assert students(read_roster(path, Headings(id="Pupil", grade="grade_level_id"))) == [("7", 4)]


@pytest.mark.parametrize("word", ["Kindergarten", "PR"])
def test_a_word_below_grade_level_is_still_a_code(roster, word):
    assert read_roster(roster(f"1\tA\t{word}")).without_grade == 1


def test_no_error_about_a_named_column_holds_a_cell(roster):
    for lines in (["900417\t3\tExample", "900417\t4\tExample"], ["900417.0\t3\tExample"]):
        message = refused(roster(*lines, header=WIDE), columns=SCHOOL)
        assert not any(cell in message for cell in ("900417", "Example"))
