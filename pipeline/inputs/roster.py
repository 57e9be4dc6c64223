"""Read the student roster: the grade of every student, and the columns that a district names.

The file is personal data: an error has line numbers and counts, never a value.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.errors import InputFileError, YearError
from pipeline.ids import trim
from pipeline.inputs import oneroster
from pipeline.inputs.grades import GRADES
from pipeline.inputs.sheets import Sheet, read_bytes, read_sheet, refuse_lines
from pipeline.years import SchoolYear

_EXPORT_AGAIN = (
    "Export Student_Number and Grade_Level of the students again, as tab delimited text in UTF-8 "
    "(PowerSchool's Quick Export)"
)
_STUDENT, _GRADE = "local_student_id", "grade"
_MANY = 10  # lines of which at least one has a grade that is known
# No column that a district names can be called so.
_LINE, _IS_CURRENT = "line number", "is current"
# PowerSchool names the table of a field in several ways, and calls that of students number 1;
# headings of files for Illuminate begin with the number of the column.
_PREFIX = re.compile(r"[0-9]{2} |(\[(0*1|students)\]\s*)?(students\.)?", re.IGNORECASE)
# What spreadsheets make of a number: a decimal, an exponent (both also with a comma), a text or a
# formula that holds it, a sign that it does not fit, and the quotation marks of either.
_DAMAGED = r"""^[0-9]+[.,]0*$|^[0-9]+(?:[.,][0-9]+)?[Ee]\+[0-9]+$|^['=+@#]|["]"""


@dataclass(frozen=True)
class Headings:
    """Which headings of a file hold what; an empty one is that of the first known kind that fits.

    Attributes:
        id: That of the student number.
        grade: That of the grade.
        current: That of the enrolment status, each time with a value that says that a line is of
            a current enrolment.
        year: That of the school year; lines of other years are left out.
        columns: Those of the columns to carry along, by the names that they get.
    """

    id: str = ""
    grade: str = ""
    current: Sequence[tuple[str, str]] = ()
    year: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


class _Kind(NamedTuple):
    """A kind of file: its headings, and those of enrolment and school year that it may have."""

    id: str
    grade: str
    current: tuple[str, str] | None = None
    year: str = ""


_KINDS = (
    _Kind("Student_Number", "Grade_Level", ("Enroll_Status", "0")),  # PowerSchool
    _Kind("Student_number", "Grade"),  # Clever's students.csv
    _Kind("Student_id", "Grade"),  # the same, without the column that is optional
    _Kind("Student ID", "Grade Level ID", year="Academic Year"),  # files for Illuminate
    _Kind("Student ID", "Student Grade Level ID", year="Academic Year"),
    _Kind("identifier", "grades"),  # OneRoster's users.csv
)

_WORDS = {
    "KINDERGARTEN": 0,
    "PREKINDERGARTEN": -1,
    "TRANSITIONALKINDERGARTEN": -1,
    "PRESCHOOL": -2,
    "PR": -2,
}
"""How Clever and OneRoster spell some grades."""
# Illuminate counts from kindergarten, which has the id 1; 14 is no grade.
_LEVEL_IDS = {str(grade + 1): grade for grade in range(13)} | {"15": -1}
_SPELLINGS = {
    "grade_level": GRADES,
    "grade_level_id": _LEVEL_IDS,
    "student_grade_level_id": _LEVEL_IDS,
}
"""The grade of each spelling, by the heading; under others, GRADES and _WORDS."""


@dataclass(frozen=True)
class Roster:
    """The students of a roster, and the number of lines they were read from.

    Attributes:
        students: `local_student_id` (string, never null), `grade` (Int64, K = 0, null where the
            file has a code that is no grade), and the named columns (string); one row per
            student, sorted by `local_student_id`.
        lines: The number of lines of the file that hold a student.
        repeated: How many of these repeat a student of another line.
        several: By named column, how many students have several values, and so null.
        has_years: Whether its lines say of which school year they are.
    """

    students: pd.DataFrame
    lines: int
    repeated: int
    several: Mapping[str, int] = field(default_factory=dict)
    has_years: bool = False

    @property
    def without_grade(self) -> int:
        """The number of students with a code in the place of a grade."""
        return int(self.students[_GRADE].isna().sum())


class _Places(NamedTuple):
    """Where the columns of a file are; `current` is the status with each value that is current."""

    id: int
    grade: int
    current: list[tuple[int, str]]
    year: int | None
    columns: dict[str, int]


def read_roster(
    path: Path, headings: Headings | None = None, year: SchoolYear | None = None
) -> Roster:
    """Read the student numbers, the grades and the named columns of a roster.

    It is an export with tabs, semicolons or commas, in UTF-8, or UTF-16 with a byte order mark, or
    the files of a OneRoster export. Headings are found in any case, with or without `STUDENTS.`,
    `[1]` or a number in front. Ids are text; only the white space and the quotation marks around
    them are removed. A grade of an unknown spelling is a code, and null. Blank lines hold no
    student.

    Args:
        path: The file, or the folder of a OneRoster export.
        headings: Those that are not the known ones.
        year: The school year whose lines are read, where lines have one.

    Raises:
        InputFileError: The file cannot be read, holds no student, lacks a column or a cell, has
            ids that a spreadsheet damaged, or contradicts itself.
    """
    headings = headings or Headings()
    files = oneroster.find_files(path)
    if files is None:
        sheet = read_sheet(path.name, read_bytes(path), _EXPORT_AGAIN)
    else:
        sheet = oneroster.read_students(files)
    is_oneroster = files is not None
    places = _find_columns(sheet, headings, _KINDS[-1:] if is_oneroster else _KINDS)
    lines = _read_lines(sheet, places, year, is_oneroster=is_oneroster)
    grades = _settle(lines, _GRADE)
    ambiguous = grades[grades.duplicated(_STUDENT, keep=False)]
    count = ambiguous[_STUDENT].nunique()
    who = "1 student has" if count == 1 else f"{count} students have"
    refuse_lines(sheet.name, _numbers(ambiguous), f"{who} more than one grade")
    students = pd.DataFrame(index=pd.Index(lines[_STUDENT].unique(), name=_STUDENT)).sort_index()
    several = {}
    for name in (_GRADE, *headings.columns):
        values = _settle(lines, name)
        differ = values.duplicated(_STUDENT, keep=False)
        several[name] = values.loc[differ, _STUDENT].nunique()
        students[name] = values[~differ].set_index(_STUDENT)[name]
    del several[_GRADE]
    read = lines[_LINE].nunique()
    has_years = places.year is not None
    return Roster(students.reset_index(), read, read - len(students), several, has_years)


def empty_roster(columns: Sequence[str] = ()) -> Roster:
    """Return a roster without students, for a run without a roster file."""
    types = {_STUDENT: "string", _GRADE: "Int64", **dict.fromkeys(columns, "string")}
    students = pd.DataFrame(columns=list(types)).astype(types)
    return Roster(students, lines=0, repeated=0, several=dict.fromkeys(columns, 0))


def _read_lines(
    sheet: Sheet, places: _Places, year: SchoolYear | None, *, is_oneroster: bool
) -> pd.DataFrame:
    """Return a student's number, grade and named columns for each line, and whether it is current.

    Raises:
        InputFileError: A line is not valid.
    """
    found = pd.DataFrame({_LINE: [line for line, _ in sheet.rows]})
    found[_STUDENT] = _column(sheet, places.id).map(trim)
    found[_GRADE] = _column(sheet, places.grade)
    found[_IS_CURRENT] = False
    for place, value in places.current:
        found[_IS_CURRENT] |= _column(sheet, place).str.casefold() == value.casefold()
    for name, place in places.columns.items():
        found[name] = _column(sheet, place).replace("", pd.NA)
    if year and places.year is not None:
        found = found[_is_of(year, sheet, found[_LINE], _column(sheet, places.year))]
    ids, spelled = found[_STUDENT], found[_GRADE]
    refuse_lines(sheet.name, _numbers(found[ids == ""]), "the student number is blank")
    damaged = "the student number is damaged (a decimal, an exponent, a quotation mark, a formula)"
    export_as_text = f"{sheet.export_again}, and do not save it from a spreadsheet"
    is_damaged = ids.str.contains(_DAMAGED)
    refuse_lines(sheet.name, _numbers(found[is_damaged]), damaged, export_as_text)
    if not is_oneroster:  # which lets a student have none
        refuse_lines(sheet.name, _numbers(found[spelled == ""]), "the grade is blank")
    return found.assign(**{_GRADE: _parse_grades(sheet, places.grade, spelled)})


def _parse_grades(sheet: Sheet, place: int, spelled: pd.Series) -> pd.Series:
    """Return the grades of a column; null where it has a code, or nothing.

    Raises:
        InputFileError: Many lines have a code, and none has a grade.
    """
    heading = sheet.header[place]
    known = spelled.str.upper().map(_SPELLINGS.get(_bare(heading), GRADES | _WORDS))
    if (spelled != "").sum() >= _MANY and known.isna().all():
        fault = f"no line has a grade that is known in {heading}"
        fix = (
            "Name a column of grades like 3, K or PK in [roster] grade, export the roster again "
            "with them, or unset STUDENT_ROSTERS, without which grades are null"
        )
        raise InputFileError.at(f"{sheet.name}, line {sheet.header_line}", fault, fix)
    return known.astype("Int64")


def _column(sheet: Sheet, place: int) -> pd.Series:
    return pd.Series([cells[place] for _, cells in sheet.rows], dtype="string")


def _is_of(year: SchoolYear, sheet: Sheet, lines: pd.Series, texts: pd.Series) -> pd.Series:
    """Return which lines are of a school year.

    Raises:
        InputFileError: A text is no school year, or none is this one.
    """
    years = {text: _parse_year(text) for text in texts.unique()}
    found = texts.map(years)
    refuse_lines(sheet.name, list(lines[found == ""]), "the school year is not one like 2023-24")
    if not (found == str(year)).any():
        fault = f"no line is of the school year {year}"
        raise InputFileError.at(sheet.name, fault, "Export the roster of that year")
    return found == str(year)


def _parse_year(text: str) -> str:
    """Return a school year in its usual spelling; empty if the text is none."""
    try:
        return str(SchoolYear.parse(text))
    except YearError:
        return ""


def _settle(lines: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a row for each value that a student has in a column.

    Where they differ, those of current enrolments count, if there are any. In a named column no
    others count where a student has a current one: the teacher of an old school is none of the new.
    """
    known = lines.dropna(subset=[name]).drop_duplicates([_STUDENT, _IS_CURRENT, name])
    of = known if name == _GRADE else lines
    has_current = known[_STUDENT].isin(of.loc[of[_IS_CURRENT], _STUDENT])
    return known[known[_IS_CURRENT] | ~has_current].drop_duplicates([_STUDENT, name])


def _find_columns(sheet: Sheet, headings: Headings, kinds: Sequence[_Kind]) -> _Places:
    """Return where the columns are.

    Raises:
        InputFileError: The header lacks one, or has it more than once.
    """
    kind = _choose_kind(sheet.header, headings, kinds)
    of_kind = {kind.id, kind.grade} - {headings.id, headings.grade}
    own = [name for name, _ in headings.current] + [headings.year, *headings.columns.values()]
    found = {
        name: _positions(sheet.header, name, as_spelled=name not in of_kind)
        for name in filter(None, (kind.id, kind.grade, *own))
    }
    lacking = [name for name, places in found.items() if not places]
    repeated = [name for name, places in found.items() if len(places) > 1]
    if lacking or repeated:
        fix = "Fix the headings in [roster], or export the roster again with them"
        fix = sheet.export_again if {*lacking, *repeated} <= of_kind else fix
        fault = f"the header lacks {' and '.join(lacking)}"
        if not lacking:
            fault = f"the header has {' and '.join(repeated)} more than once"
        raise InputFileError.at(f"{sheet.name}, line {sheet.header_line}", fault, fix)
    usual = [kind.current] if kind.current and not headings.current else headings.current
    years = found.get(headings.year) or _positions(sheet.header, kind.year)
    return _Places(
        found[kind.id][0],
        found[kind.grade][0],
        [
            (place, value)
            for name, value in usual
            for place in found.get(name) or _positions(sheet.header, name)
        ],
        years[0] if years else None,
        {name: found[heading][0] for name, heading in headings.columns.items()},
    )


def _choose_kind(header: Sequence[str], headings: Headings, kinds: Sequence[_Kind]) -> _Kind:
    """Return the first kind whose headings the file has, with those that a district has named."""
    kinds = [
        kind._replace(id=headings.id or kind.id, grade=headings.grade or kind.grade)
        for kind in kinds
    ]
    fits = (k for k in kinds if _positions(header, k.id) and _positions(header, k.grade))
    return next(fits, kinds[0])


def _positions(header: Sequence[str], name: str, *, as_spelled: bool = False) -> list[int]:
    """Return where a heading is: in any of its spellings, or if possible as it is spelled."""
    same = [at for at, each in enumerate(header) if as_spelled and each == name]
    return same or [at for at, each in enumerate(header) if name and _bare(each) == _bare(name)]


def _bare(heading: str) -> str:
    """Return what the spellings of a heading have in common."""
    return re.sub(r"[ _]+", "_", _PREFIX.sub("", heading, count=1).casefold())


def _numbers(lines: pd.DataFrame) -> list[int]:
    return list(dict.fromkeys(lines[_LINE]))
