"""Read the student roster, a PowerSchool export: the grade of every student.

The file is personal data: an error has line numbers and counts, never a value.
"""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputFileError
from pipeline.ids import trim
from pipeline.inputs import encodings
from pipeline.inputs.grades import GRADES

_ID, _GRADE = "Student_Number", "Grade_Level"
_LINES_NAMED = 4
_EXPORT_AGAIN = (
    f"Export {_ID} and {_GRADE} of the students again, as tab delimited text in UTF-8 "
    "(PowerSchool's Quick Export)"
)
# PowerSchool names the table of a field in several ways, and calls that of students number 1.
_STUDENTS_TABLE = re.compile(r"(\[(0*1|students)\]\s*)?(students\.)?", re.IGNORECASE)
# What spreadsheets make of a number: a decimal, an exponent (both also with a comma), a text or a
# formula that holds it, a sign that it does not fit, and the quotation marks of either.
_DAMAGED = r"""^[0-9]+[.,]0*$|^[0-9]+(?:[.,][0-9]+)?[Ee]\+[0-9]+$|^['=+@#]|["]"""


@dataclass(frozen=True)
class Roster:
    """The students of a roster, and the number of lines they were read from.

    Attributes:
        students: `local_student_id` (string, never null) and `grade` (Int64, K = 0, null where the
            file has a code that is no grade); one row per student, sorted by `local_student_id`.
        lines: The number of lines of the file that hold a student.
        repeated: How many of these repeat a student of another line.
    """

    students: pd.DataFrame
    lines: int
    repeated: int

    @property
    def without_grade(self) -> int:
        """The number of students with a code in the place of a grade."""
        return int(self.students["grade"].isna().sum())


def read_roster(path: Path) -> Roster:
    """Read the student numbers and grades of an export with tabs, semicolons or commas.

    The header names `Student_Number` and `Grade_Level`, in any case, with or without `STUDENTS.`
    or `[1]`. Ids are text; only the white space and the quotation marks around them are removed. A
    grade that `GRADES` lacks is a code, and null. The file is UTF-8, or UTF-16 with a byte order
    mark. Blank lines hold no student.

    Raises:
        InputFileError: The file cannot be read, holds no student, lacks a column or a cell, has
            ids that a spreadsheet damaged, or contradicts itself.
    """
    cells = _read_cells(path)
    ids, spelled = cells["local_student_id"], cells["grade"]
    _refuse(path, cells[ids == ""], "the student number is blank")
    damaged = "the student number is damaged (a decimal, an exponent, a quotation mark, a formula)"
    export_as_text = f"{_EXPORT_AGAIN}, and do not save it from a spreadsheet"
    _refuse(path, cells[ids.str.contains(_DAMAGED)], damaged, export_as_text)
    _refuse(path, cells[spelled == ""], "the grade is blank")
    lines = cells.assign(grade=spelled.str.upper().map(GRADES).astype("Int64"))
    known = lines.dropna().drop_duplicates(["local_student_id", "grade"])
    ambiguous = known[known.duplicated("local_student_id", keep=False)]
    count = ambiguous["local_student_id"].nunique()
    who = "1 student has" if count == 1 else f"{count} students have"
    _refuse(path, ambiguous, f"{who} more than one grade")
    # A code beside a grade, like 99 for an enrolment that has ended, is no second grade.
    first = lines.sort_values(["local_student_id", "grade"]).drop_duplicates("local_student_id")
    students = first[["local_student_id", "grade"]].reset_index(drop=True)
    return Roster(students, len(lines), repeated=len(lines) - len(students))


def empty_roster() -> Roster:
    """Return a roster without students, for a run without a roster file."""
    types = {"local_student_id": "string", "grade": "Int64"}
    return Roster(pd.DataFrame(columns=list(types)).astype(types), lines=0, repeated=0)


def _read_cells(path: Path) -> pd.DataFrame:
    """Return `line` (int), `local_student_id` and `grade` (trimmed text), one row per line."""
    numbered = enumerate(io.StringIO(_read_text(path), newline=None), start=1)
    lines = [(line, text.rstrip("\n")) for line, text in numbered if text.strip()]
    delimiter = next((mark for mark in "\t;," if lines and mark in lines[0][1]), "\t")
    rows = [(line, cells) for line, text in lines if any(cells := _split(text, delimiter))]
    if len(rows) < 2:
        fault = "it has a header and no student" if rows else "it is empty"
        raise InputFileError.at(path.name, fault, _EXPORT_AGAIN)
    (header_line, header), *rows = rows
    id_at, grade_at = _find_columns(path, header_line, header)
    uneven = pd.DataFrame({"line": [line for line, row in rows if len(row) != len(header)]})
    _refuse(path, uneven, f"the number of cells is not that of the header, {len(header)}")
    return pd.DataFrame(
        [(line, trim(row[id_at]), row[grade_at]) for line, row in rows],
        columns=["line", "local_student_id", "grade"],
    ).astype({"local_student_id": "string", "grade": "string"})


def _split(text: str, delimiter: str) -> list[str]:
    """Return the trimmed cells of a line; a quotation mark that does not quote a cell is data."""
    try:
        # Line by line, so that a quotation mark in a name does not join two of them.
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        cells = text.split(delimiter)
    return [cell.strip() for cell in cells]


def _find_columns(path: Path, line: int, header: list[str]) -> tuple[int, int]:
    """Return the positions of the student number and the grade in the header."""
    names = [_STUDENTS_TABLE.sub("", name, count=1).casefold() for name in header]
    fault = ""
    if lacking := [name for name in (_ID, _GRADE) if name.casefold() not in names]:
        fault = f"the header lacks {' and '.join(lacking)}"
    elif repeated := [name for name in (_ID, _GRADE) if names.count(name.casefold()) > 1]:
        fault = f"the header has {' and '.join(repeated)} more than once"
    if fault:
        raise InputFileError.at(f"{path.name}, line {line}", fault, _EXPORT_AGAIN)
    return names.index(_ID.casefold()), names.index(_GRADE.casefold())


def _refuse(path: Path, lines: pd.DataFrame, fault: str, fix: str = "Fix the roster") -> None:
    """Raise InputFileError if there are lines with this fault, naming the first few."""
    if lines.empty:
        return
    named = lines["line"].astype(str).tolist()
    if len(named) > _LINES_NAMED:
        named[_LINES_NAMED:] = [f"{len(named) - _LINES_NAMED} more"]
    *front, last = named
    place = f"lines {', '.join(front)} and {last}" if front else f"line {last}"
    raise InputFileError.at(f"{path.name}, {place}", fault, fix)


def _read_text(path: Path) -> str:
    """Return the text of the file, or raise InputFileError if its encoding would be a guess."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise InputFileError.unreadable(path, exc) from exc
    encoding = encodings.detect(io.BytesIO(content))
    if encoding is None:
        fault = f"it is not UTF-8 and looks like {encodings.guess(io.BytesIO(content))}"
        raise InputFileError.at(path.name, fault, _EXPORT_AGAIN)
    return content.decode(encoding)
