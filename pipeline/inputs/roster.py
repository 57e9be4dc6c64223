"""Read the student roster, a PowerSchool export: the grade of every student.

The file is personal data: an error has line numbers and counts, never a value.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputFileError
from pipeline.ids import trim
from pipeline.inputs import encodings

_ID, _GRADE = "STUDENTS.Student_Number", "STUDENTS.Grade_Level"
_LINES_NAMED = 4
_EXPORT_AGAIN = "Export the roster again"

# PowerSchool counts down from kindergarten: -1 is the year before it, -2 the one before that.
_NAMED_GRADES = {"K": 0, "KG": 0, "KN": 0, "PK": -1, "TK": -1, "P4": -1, "P3": -2}
_GRADES = _NAMED_GRADES | {
    spelling: grade for grade in range(-3, 15) for spelling in (f"{grade}", f"{grade:02}")
}


@dataclass(frozen=True)
class Roster:
    """The students of a roster, and the number of lines they were read from.

    Attributes:
        students: `local_student_id` (string) and `grade` (Int64, K = 0), neither ever null; one
            row per student, sorted by `local_student_id`.
        lines: The number of lines of the file that hold a student.
        repeated: How many of these repeat student and grade of an earlier line.
    """

    students: pd.DataFrame
    lines: int
    repeated: int


def read_roster(path: Path) -> Roster:
    """Read a tab separated file with `STUDENTS.Student_Number` and `STUDENTS.Grade_Level`.

    Ids are text; only the white space around them is removed. A grade is a whole number from
    -3 to 14, or K, KG, KN (0), PK, TK, P4 (-1), P3 (-2). The file is UTF-8, or UTF-16 with a
    byte order mark. Quotation marks are data, and blank lines hold no student.

    Raises:
        InputFileError: The file cannot be read, holds no student, lacks a column or a cell, or
            contradicts itself.
    """
    cells = _read_cells(path)
    grades = cells["grade"].str.upper().map(_GRADES).astype("Int64")
    _refuse(path, cells[cells["local_student_id"] == ""], "the student number is blank")
    _refuse(path, cells[cells["grade"] == ""], "the grade is blank")
    _refuse(path, cells[grades.isna()], "the grade is neither K, PK or TK nor from -3 to 14")
    known = cells.assign(grade=grades).drop_duplicates(["local_student_id", "grade"])
    ambiguous = known[known.duplicated("local_student_id", keep=False)]
    count = ambiguous["local_student_id"].nunique()
    who = "1 student has" if count == 1 else f"{count} students have"
    _refuse(path, ambiguous, f"{who} more than one grade")
    students = known[["local_student_id", "grade"]]
    return Roster(
        students.sort_values("local_student_id", ignore_index=True),
        lines=len(cells),
        repeated=len(cells) - len(students),
    )


def empty_roster() -> Roster:
    """Return a roster without students, for a run without a roster file."""
    types = {"local_student_id": "string", "grade": "Int64"}
    return Roster(pd.DataFrame(columns=list(types)).astype(types), lines=0, repeated=0)


def _read_cells(path: Path) -> pd.DataFrame:
    """Return `line` (int), `local_student_id` and `grade` (trimmed text), one row per line."""
    # Not the csv module: a quotation mark in a name must not join two lines.
    numbered = enumerate(io.StringIO(_read_text(path), newline=None), start=1)
    rows = [(number, text.split("\t")) for number, text in numbered if text.strip()]
    if len(rows) < 2:
        fault = "it has a header and no student" if rows else "it is empty"
        raise InputFileError.at(path.name, fault, _EXPORT_AGAIN)
    (header_line, header), *rows = rows
    id_at, grade_at = _find_columns(path, header_line, [name.strip() for name in header])
    uneven = pd.DataFrame({"line": [line for line, row in rows if len(row) != len(header)]})
    _refuse(path, uneven, f"there are not {len(header)} cells, as many as in the header")
    return pd.DataFrame(
        [(line, trim(row[id_at]), row[grade_at].strip()) for line, row in rows],
        columns=["line", "local_student_id", "grade"],
    ).astype({"local_student_id": "string", "grade": "string"})


def _find_columns(path: Path, line: int, header: list[str]) -> tuple[int, int]:
    """Return the positions of the student number and the grade in the header."""
    missing = [name for name in (_ID, _GRADE) if name not in header]
    if missing:
        commas = len(header) == 1 and "," in header[0]
        hint = " (it looks comma separated, and must be tab separated)" if commas else ""
        fault = f"the header lacks {' and '.join(missing)}{hint}"
        raise InputFileError.at(f"{path.name}, line {line}", fault, _EXPORT_AGAIN)
    return header.index(_ID), header.index(_GRADE)


def _refuse(path: Path, lines: pd.DataFrame, fault: str) -> None:
    """Raise InputFileError if there are lines with this fault, naming the first few."""
    if lines.empty:
        return
    named = lines["line"].astype(str).tolist()
    if len(named) > _LINES_NAMED:
        named[_LINES_NAMED:] = [f"{len(named) - _LINES_NAMED} more"]
    *front, last = named
    place = f"lines {', '.join(front)} and {last}" if front else f"line {last}"
    raise InputFileError.at(f"{path.name}, {place}", fault, "Fix the roster")


def _read_text(path: Path) -> str:
    """Return the text of the file, or raise InputFileError if its encoding would be a guess."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise InputFileError.unreadable(path, exc) from exc
    encoding = encodings.detect(io.BytesIO(content))
    if encoding is None:
        fault = f"it is not UTF-8 and looks like {encodings.guess(io.BytesIO(content))}"
        raise InputFileError.at(path.name, fault, "Save it as UTF-8")
    return content.decode(encoding)
