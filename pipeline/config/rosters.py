"""What is read of the roster, and the tables with the columns that a district names of it."""

import re
from typing import Any

from pipeline import schema
from pipeline.config import sections, settings
from pipeline.errors import SettingsError
from pipeline.schema import COMBINED, LATEST, Table

DEMO_COLUMNS = (
    "school=STUDENTS.School_Name, ela_teacher=STUDENTS.ELA_Teacher, "
    "math_teacher=STUDENTS.Math_Teacher, science_teacher=STUDENTS.Science_Teacher, "
    "social_studies_teacher=STUDENTS.Social_Studies_Teacher"
)
"""`[roster] columns` for the demo district's roster, where none is set."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


def has_columns() -> bool:
    """Return True if columns of the roster are named, whether or not they are valid."""
    return bool(_columns().strip())


def columns() -> dict[str, str]:
    """Return the columns of the roster that views have, and their headings in the file.

    Raises:
        SettingsError: `[roster] columns` is not valid.
    """
    pairs = _pairs("columns", _columns(), "school=STUDENTS.School_Name, teacher=Home_Room")
    names = [name for name, _ in pairs]
    for name in names:
        fault = ""
        if not _NAME.fullmatch(name):
            fault = "is not up to 60 of a-z, 0-9 and _, beginning with a letter"
        elif name in {*COMBINED.names, *LATEST.names} or names.count(name) > 1:
            fault = "is the name of another column"
        if fault:
            raise SettingsError.refused(
                f"[roster] columns has {name!r}, which {fault}", "Choose another name"
            )
    return dict(pairs)


def current() -> list[tuple[str, str]]:
    """Return the heading of the enrolment status with each value that current lines have.

    Raises:
        SettingsError: `[roster] current` is not valid.
    """
    return _pairs("current", settings.read(sections.roster).current, "Enroll_Status=0")


def parameters() -> dict[str, Any]:
    """Return what is set of how a roster is read; empty if nothing is."""
    chosen = settings.read(sections.roster)
    found = {
        "id": chosen.id,
        "grade": chosen.grade,
        "current": [list(pair) for pair in current()],
        "year": chosen.year,
        "columns": [list(pair) for pair in columns().items()],
    }
    return {name: value for name, value in found.items() if value}


def with_columns(table: Table) -> Table:
    """Return a table with the roster's columns after its own, if it is one that has them."""
    return schema.with_roster_columns(table, columns())


def _columns() -> str:
    named: str = settings.read(sections.roster).columns
    is_own = settings.is_demo() and not settings.read(sections.paths).rosters
    return named or (DEMO_COLUMNS if is_own else "")


def _pairs(name: str, text: str, example: str) -> list[tuple[str, str]]:
    """Return pairs that are written like `one=1, two=2`; raise SettingsError if they are not."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    pairs = [(left.strip(), right.strip()) for left, _, right in parts]
    if not all(left and right for left, right in pairs):
        raise SettingsError.refused(f"[roster] {name} is {text!r}; it must be like {example}")
    return pairs
