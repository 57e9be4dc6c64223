"""What students scored in an assessment: the rows of the three kinds of results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from random import Random
from typing import Literal, TypeAlias

from pipeline.simulator.district.oddities import roughen
from pipeline.simulator.district.people import Student
from pipeline.simulator.district.standards import Group, Standard
from pipeline.years import SchoolYear

Row: TypeAlias = dict[str, str | None]
Endpoint: TypeAlias = Literal["overall", "standard", "group"]

# Band sets differ from assessment to assessment: least percent, level, label.
_BANDS = (
    (
        (80, "4", "Exceeds Expectations"),
        (60, "3", "Meets Expectations"),
        (40, "2", "Approaching Expectations"),
        (0, "1", "Below Expectations"),
    ),
    (
        (90, "5", "Mastery"),
        (70, "4", "Near Mastery"),
        (50, "3", "On Track"),
        (30, "2", "Emerging"),
        (0, "1", "Beginning (aún no)"),
    ),
)
_MASTERY_PERCENT = 60
_ONE_TRIES_AGAIN_OF = 50


@dataclass(frozen=True)
class Sitting:
    """One assessment as it was given in one school year.

    `oddity` is the number of the peculiarity that real data would have; None for clean rows.
    """

    year: SchoolYear
    students: tuple[Student, ...]
    standards: tuple[Standard, ...]
    groups: tuple[Group, ...]
    oddity: int | None = None


@dataclass(frozen=True)
class _Attempt:
    """One student's one try: what was scored on each standard, in halves of a point."""

    student: Student
    date: str
    halves: tuple[int, ...]


def score(
    assessment_id: str, title: str, sitting: Sitting, draw: Random
) -> dict[Endpoint, list[Row]]:
    """Let the students sit the assessment; the rows of each kind of results."""
    possible = tuple(draw.randrange(1, 7) for _ in sitting.standards)
    bands = draw.choice(_BANDS)
    version = draw.choice(("1", "1", "2"))
    attempts = _attempts(sitting, possible, draw)
    about = {"assessment_id": assessment_id, "title": title}
    rows: dict[Endpoint, list[Row]] = {"overall": [], "standard": [], "group": []}
    for attempt in attempts:
        who, when = _who(attempt.student), {"date_taken": attempt.date}
        total = _points(attempt.halves, possible, bands)
        edition = {"version": version, "version_label": f"Version {version}"}
        rows["overall"].append({**about, **who, **edition, **when, **total})
        for standard, halves, most in zip(sitting.standards, attempt.halves, possible, strict=True):
            rows["standard"].append(
                {**about, **_standard(standard), **who, **when, **_points([halves], [most], bands)}
            )
        for index, group in enumerate(sitting.groups):
            part = slice(index, None, len(sitting.groups))
            points = _points(attempt.halves[part], possible[part], bands)
            rows["group"].append({**about, **_group(group), **who, **when, **points})
    rows["standard"].sort(key=itemgetter("standard_code"))
    if sitting.oddity is not None:
        for kind in rows.values():
            roughen(kind, sitting.oddity, draw)
    return rows


def _attempts(sitting: Sitting, possible: Sequence[int], draw: Random) -> list[_Attempt]:
    first_day = sitting.year.first_day + timedelta(days=draw.randrange(45, 330))
    finely = draw.random() < 0.3
    attempts = []
    for index, student in enumerate(sitting.students):
        day = first_day + timedelta(days=draw.randrange(4))
        attempts.append(_attempt(student, day.isoformat(), possible, finely, draw))
        if sitting.oddity is not None and index % _ONE_TRIES_AGAIN_OF == 3:
            again = day + timedelta(days=7)
            attempts.append(_attempt(student, again.isoformat(), possible, finely, draw))
    return attempts


def _attempt(
    student: Student, date: str, possible: Iterable[int], finely: bool, draw: Random
) -> _Attempt:
    """Answer each question at random; `finely` gives half points too."""
    halves = []
    for most in possible:
        right = sum(draw.random() < student.ability for _ in range(most))
        halves.append(2 * right - (finely and right > 0 and draw.random() < 0.4))
    return _Attempt(student, date, tuple(halves))


def _who(student: Student) -> Row:
    return {
        "local_student_id": student.number,
        "first_name": student.first_name,
        "last_name": student.last_name,
        "middle_name": student.middle_name,
    }


def _standard(standard: Standard) -> Row:
    return {
        "academic_benchmark_guid": standard.guid,
        "standard_code": standard.code,
        "standard_description": standard.description,
    }


def _group(group: Group) -> Row:
    return {"reporting_group_id": group.group_id, "reporting_group": group.label}


def _points(
    halves: Sequence[int], possible: Sequence[int], bands: tuple[tuple[int, str, str], ...]
) -> Row:
    """The scored part of a row; where no points were possible there is no percent and no band."""
    points, most = sum(halves), 2 * sum(possible)
    hundredths = (20_000 * points + most) // (2 * most) if most else None
    level, label = _band(hundredths, bands)
    return {
        "points": _decimal(50 * points),
        "points_possible": _decimal(50 * most),
        "percent_correct": None if hundredths is None else _decimal(hundredths),
        "performance_band_level": level,
        "performance_band_label": label,
        "mastered": "t" if hundredths is not None and hundredths >= 100 * _MASTERY_PERCENT else "f",
    }


def _band(
    hundredths: int | None, bands: tuple[tuple[int, str, str], ...]
) -> tuple[str | None, str | None]:
    if hundredths is None:
        return None, None
    return next((level, label) for least, level, label in bands if hundredths >= 100 * least)


def _decimal(hundredths: int) -> str:
    """Write a number of hundredths with as many digits as it needs: `4`, `3.5`, `66.67`."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)
