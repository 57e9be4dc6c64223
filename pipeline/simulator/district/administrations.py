"""Administrations of assessments, and the rows of their three kinds of results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from pipeline.simulator.district.anomalies import inject
from pipeline.simulator.district.people import Student
from pipeline.simulator.district.standards import Group, Standard
from pipeline.years import SchoolYear

Row: TypeAlias = dict[str, str | None]
Endpoint: TypeAlias = Literal["overall", "standard", "group"]

_Bands: TypeAlias = tuple[tuple[int, str, str], ...]
# Band sets differ from assessment to assessment: least percent, level, label.
_BANDS: tuple[_Bands, ...] = (
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
_ONE_RETAKES_OF = 50


@dataclass(frozen=True)
class Administration:
    """An assessment given to students in one school year.

    Attributes:
        has_retakes: a few students take it again a week later.
        anomaly: the anomaly to inject, as in real data; None for clean rows.
    """

    year: SchoolYear
    students: tuple[Student, ...]
    standards: tuple[Standard, ...]
    groups: tuple[Group, ...]
    has_retakes: bool = False
    anomaly: int | None = None


class Scoring(NamedTuple):
    """How an administration is scored: the points of each standard, the bands, the version."""

    possible: tuple[int, ...]
    bands: _Bands
    version: str


@dataclass(frozen=True)
class _Attempt:
    """One attempt of one student, scored in half points per standard."""

    student: Student
    date: str
    half_points: tuple[int, ...]


def draw_scoring(given: Administration, rng: Random) -> Scoring:
    """Return how an administration is scored; these are the first draws of its results."""
    possible = tuple(rng.randrange(1, 7) for _ in given.standards)
    return Scoring(possible, rng.choice(_BANDS), rng.choice(("1", "1", "2")))


def generate_results(
    assessment_id: str, title: str, given: Administration, rng: Random
) -> dict[Endpoint, list[Row]]:
    """Return the result rows of one administration, by endpoint."""
    possible, bands, version = draw_scoring(given, rng)
    edition: Row = {"version": version, "version_label": f"Version {version}"}
    assessment = {"assessment_id": assessment_id, "title": title}
    rows: dict[Endpoint, list[Row]] = {"overall": [], "standard": [], "group": []}

    def add(endpoint: Endpoint, attempt: _Attempt, part: slice, before: Row, after: Row) -> None:
        student, date = _student(attempt.student), {"date_taken": attempt.date}
        scored = _score(attempt.half_points[part], possible[part], bands)
        rows[endpoint].append({**assessment, **before, **student, **after, **date, **scored})

    for attempt in _attempts(given, possible, rng):
        add("overall", attempt, slice(None), {}, edition)
        for index, standard in enumerate(given.standards):
            add("standard", attempt, slice(index, index + 1), vars(standard), {})
        for index, group in enumerate(given.groups):
            add("group", attempt, slice(index, None, len(given.groups)), vars(group), {})
    rows["standard"].sort(key=itemgetter("standard_code"))
    if given.anomaly is not None:
        for kind in rows.values():
            inject(kind, given.anomaly, rng)
    return rows


def _attempts(given: Administration, possible: Sequence[int], rng: Random) -> list[_Attempt]:
    first_day = given.year.first_day + timedelta(days=rng.randrange(45, 330))
    has_half_points = rng.random() < 0.3
    attempts = []
    for index, student in enumerate(given.students):
        day = first_day + timedelta(days=rng.randrange(4))
        attempts.append(_attempt(student, day.isoformat(), possible, has_half_points, rng))
        if given.has_retakes and index % _ONE_RETAKES_OF == 3:
            retake = day + timedelta(days=7)
            attempts.append(_attempt(student, retake.isoformat(), possible, has_half_points, rng))
    return attempts


def _attempt(
    student: Student, date: str, possible: Iterable[int], has_half_points: bool, rng: Random
) -> _Attempt:
    """Answer each question at random."""
    half_points = []
    for most in possible:
        right = sum(rng.random() < student.ability for _ in range(most))
        half_points.append(2 * right - (has_half_points and right > 0 and rng.random() < 0.4))
    return _Attempt(student, date, tuple(half_points))


def _student(student: Student) -> Row:
    return {
        "local_student_id": student.number,
        "first_name": student.first_name,
        "last_name": student.last_name,
        "middle_name": student.middle_name,
    }


def _score(half_points: Sequence[int], possible: Sequence[int], bands: _Bands) -> Row:
    """Return the scored fields of a row; without possible points, no percent and no band."""
    points, most = sum(half_points), 2 * sum(possible)
    hundredths = (20_000 * points + most) // (2 * most) if most else -1
    reached = ((level, label) for least, level, label in bands if hundredths >= 100 * least)
    level, label = next(reached, (None, None))
    return {
        "points": _decimal(50 * points),
        "points_possible": _decimal(50 * most),
        "percent_correct": _decimal(hundredths) if most else None,
        "performance_band_level": level,
        "performance_band_label": label,
        "mastered": "t" if hundredths >= 100 * _MASTERY_PERCENT else "f",
    }


def _decimal(hundredths: int) -> str:
    """Return a number of hundredths in as few digits as possible: `4`, `3.5`, `66.67`."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)
