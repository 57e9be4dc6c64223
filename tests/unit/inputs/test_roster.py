"""The roster: every student's grade is read as it was written, or the file is refused."""

import codecs
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputFileError
from pipeline.inputs.roster import Roster, empty_roster, read_roster

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
