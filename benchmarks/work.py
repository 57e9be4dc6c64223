"""The work: a made-up district of a given size, and every row that its server sends, as bytes.

The same seed and size make the same bytes. Students, standards, scores and rows are the
simulator's own. Only names are made here, because a few dozen of them compress better than those
of thousands of real students do, and standards get the length of real ones. Rows have no
peculiarities, so that nobody has to agree on what to do with them. Some assessments with results
are not in the catalogue, as in real districts.
"""

import json
import multiprocessing
import shutil
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from benchmarks.sizes import Size
from pipeline.simulator.api import CATALOGUE, Api
from pipeline.simulator.district.administrations import Administration, Endpoint, Row
from pipeline.simulator.district.district import District
from pipeline.simulator.district.people import Student, enrol, grade_label
from pipeline.simulator.district.planning import YEARS, Assessment
from pipeline.simulator.district.rng import seeded
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import ELA, MATH, SCIENCE, common_designs
from pipeline.simulator.protocol import Protocol
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)
SEED = 1
ENDPOINTS: tuple[Endpoint, ...] = ("overall", "standard", "group")

_VERSION = 3
"""Raised when the same seed and size make other bytes."""

_FIRST_ID = 100_003
_BETWEEN_IDS = 7
_SYLLABLES = (
    *("an", "be", "cor", "da", "el", "fi", "gus", "ha", "il", "jo"),
    *("ka", "lu", "mar", "ni", "or", "pe", "ra", "sa", "tu", "vi"),
)
_WORDING = (
    "{} - in {}, with tools and without, and explain in words, drawings or equations to others "
    "how the result was found and why it holds"
)
# How many students sit an assessment: most are given in some classes, some in the whole district.
_WEIGHTS = (1, 1, 1, 2, 2, 3, 5, 8)

_DAYS = (YEAR.last_day - YEAR.first_day).days + 1


@dataclass(frozen=True)
class Work:
    """Work that lies on disk, and what it consists of.

    Attributes:
        rows: by endpoint.
        listed: those of them that are of assessments in the catalogue.
        bytes: of all rows.
    """

    folder: Path
    rows: dict[str, int]
    listed: dict[str, int]
    bytes: int

    @property
    def lines(self) -> Path:
        """Every row as JSON, without `__count` and the last brace, one behind the other.

        First those of the catalogue, then each assessment's, endpoint after endpoint.
        """
        return self.folder / "rows.bin"

    @property
    def offsets(self) -> Path:
        """Where each row begins, and the end, as numbers of eight bytes."""
        return self.folder / "offsets.bin"

    @property
    def by_day(self) -> Path:
        """The numbers of all results, of four bytes: by endpoint, then by date."""
        return self.folder / "by_day.bin"

    @property
    def index(self) -> Path:
        """Which rows are whose, as JSON."""
        return self.folder / "index.json"

    @property
    def roster(self) -> Path:
        """The roster of the year, as PowerSchool exports it."""
        return self.folder / "roster.txt"

    @property
    def wanted(self) -> dict[str, int]:
        """How many rows whoever reads all of it has, by table."""
        return by_table(self.rows)

    @property
    def wanted_of_listed(self) -> dict[str, int]:
        """The same for whoever reads only what the catalogue lists."""
        return by_table(self.listed)

    def read_index(self) -> "Index":
        """Which rows are whose."""
        return Index(**json.loads(self.index.read_text(encoding="utf-8")))

    def day_before_the_last(self, share: float) -> str:
        """The last day after which at least a share of all rows is dated."""
        days = self.read_index().days.values()
        total = sum(starts[-1] - starts[0] for starts in days)
        later = [sum(starts[-1] - starts[day] for starts in days) for day in range(1, _DAYS)]
        last = max(day for day, rows in enumerate(later) if rows >= share * total)
        return (YEAR.first_day + timedelta(days=last)).isoformat()

    @classmethod
    def open(cls, folder: Path) -> "Work":
        """Work that was made before."""
        return cls(folder, **json.loads((folder / "work.json").read_text(encoding="utf-8")))


class Index(NamedTuple):
    """Which rows are whose.

    Attributes:
        assessments: by endpoint and assessment, the first row and their number; the catalogue is
            an endpoint with one assessment, which has no name.
        days: by endpoint, where in the order by date each day of the year begins, and the end.
    """

    assessments: dict[str, dict[str, tuple[int, int]]]
    days: dict[str, list[int]]


def by_table(rows: dict[str, int]) -> dict[str, int]:
    """Rows by endpoint as rows by table."""
    return {"combined": rows["overall"] + rows["standard"], "group": rows["group"]}


def day_of(date_taken: str) -> int:
    """The number of a date's day in the year of the work, from 0."""
    return (date.fromisoformat(date_taken) - YEAR.first_day).days


def make(size: Size, folder: Path) -> Work:
    """Make the work of a size, or take what was made before."""
    place = folder / f"{size.name.replace(' ', '-').replace(',', '')}-{SEED}-{_VERSION}"
    if (place / "work.json").exists():
        work = Work.open(place)
        if json.loads((place / "size.json").read_text(encoding="utf-8")) == _plain(size):
            return work
    shutil.rmtree(place, ignore_errors=True)
    unfinished = place.with_name(f".{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    students = make_students(size)
    assessments = plan(size, students)
    _write(unfinished, assessments)
    (unfinished / "roster.txt").write_text(_roster(students), encoding="utf-8", newline="")
    (unfinished / "size.json").write_text(json.dumps(_plain(size)), encoding="utf-8")
    unfinished.rename(place)
    return Work.open(place)


def make_students(size: Size) -> list[Student]:
    """The students of the year, nearly each with a name of their own."""
    enrolled = [s for s in enrol(SEED, size.students, YEARS) if s.grade(YEAR) is not None]
    return [
        replace(
            student,
            first_name=_name(number * 7_919, 3),
            last_name=_name(number * 104_729, 4),
        )
        for number, student in enumerate(enrolled)
    ]


def plan(size: Size, students: list[Student]) -> list[Assessment]:
    """The assessments, and who sits them; those that nobody sits are between the others.

    Those that the catalogue does not list come last.
    """
    draw = seeded(SEED, size.name)
    given = draw.sample(range(size.assessments), size.with_results)
    every = range(size.assessments + size.unlisted)
    sat = {number: draw.choice(_WEIGHTS) for number in (*given, *every[size.assessments :])}
    rows_of_weight = size.rows / sum(sat.values())
    designs = [d for d in common_designs() if d.subject in {MATH, ELA, SCIENCE}]
    assessments = []
    for number in every:
        assessment_id = str(_FIRST_ID + _BETWEEN_IDS * number)
        design = draw.choice(designs)
        design = replace(design, title=f"{design.title} v{number + 1}")
        created = datetime.combine(YEAR.first_day, time(9))
        administrations: tuple[Administration, ...] = ()
        if number in sat:
            subject, grade = design.subject or MATH, design.grades[0]
            rows = rows_of_weight * sat[number]
            administrations = (
                _administration(assessment_id, subject, grade, rows, size, students, draw),
            )
        listed = int(number < size.assessments)
        assessments.append(Assessment(assessment_id, design, created, listed, administrations))
    return assessments


def _administration(
    assessment_id: str,
    subject: str,
    grade: int,
    rows: float,
    size: Size,
    students: list[Student],
    draw: Random,
) -> Administration:
    """One assessment as it is given, to as many students as bring about so many rows."""
    standards = choose_standards(SEED, assessment_id, subject, grade, draw.randint(*size.standards))
    standards = [
        replace(s, standard_description=_WORDING.format(s.standard_description, s.standard_code))
        for s in standards
    ]
    groups = choose_groups(SEED, assessment_id, subject, draw.randrange(4))
    tested = round(rows / (1 + len(standards) + len(groups)))
    tested = min(max(1, tested), len(students))
    return Administration(
        YEAR, tuple(draw.sample(students, tested)), tuple(standards), tuple(groups)
    )


def _write(folder: Path, assessments: list[Assessment]) -> None:
    """Write all rows one behind the other, where each is, whose it is, and of which day."""
    made = Work(folder, dict.fromkeys(ENDPOINTS, 0), dict.fromkeys(ENDPOINTS, 0), 0)
    listed = {each.assessment_id for each in assessments if each.times_listed}
    index = Index({CATALOGUE: {}, **{endpoint: {} for endpoint in ENDPOINTS}}, {})
    ends, at = array("Q", [0]), 0
    by_day = {str(endpoint): [array("I") for _ in range(_DAYS)] for endpoint in ENDPOINTS}
    with made.lines.open("wb") as file:
        for kind, name, lines, days in _rendered(assessments):
            first = len(ends) - 1
            index.assessments[kind][name] = first, len(lines)
            file.write(b"".join(lines))
            ends.extend(at := at + len(line) for line in lines)
            for number, day in enumerate(days, first):
                by_day[kind][day].append(number)
            if kind != CATALOGUE:
                made.rows[kind] += len(lines)
                made.listed[kind] += len(lines) if name in listed else 0
    made.offsets.write_bytes(ends.tobytes())
    total = 0
    with made.by_day.open("wb") as file:
        for endpoint, days_of_year in by_day.items():
            index.days[endpoint] = [total]
            for numbers in days_of_year:
                file.write(numbers.tobytes())
                index.days[endpoint].append(total := total + len(numbers))
    made.index.write_text(json.dumps(index._asdict()), encoding="utf-8")
    facts = {"rows": made.rows, "listed": made.listed, "bytes": at}
    (folder / "work.json").write_text(json.dumps(facts), encoding="utf-8")


Rendered = tuple[str, str, list[bytes], list[int]]
"""Rows of one endpoint and assessment: both names, each row, and each row's day of the year."""


def _rendered(assessments: list[Assessment]) -> Iterator[Rendered]:
    listed = District(SEED, (), assessments).catalogue
    yield CATALOGUE, "", _lines(listed), []
    sat = [assessment for assessment in assessments if assessment.administrations]
    # Not forked: whoever makes work may have threads.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for rendered in pool.map(render, sat, chunksize=4):
            yield from rendered


def render(assessment: Assessment) -> list[Rendered]:
    """All rows of one assessment, as the simulator sends them."""
    district, name = District(SEED, (), [assessment]), assessment.assessment_id
    found = ((endpoint, district.results(endpoint, name)) for endpoint in ENDPOINTS)
    return [
        (endpoint, name, _lines(rows), [day_of(row["date_taken"] or "") for row in rows])
        for endpoint, rows in found
        if rows
    ]


def _lines(rows: list[Row]) -> list[bytes]:
    api = Api(District(SEED, (), ()), Protocol())
    return [api.to_json(row)[:-1] for row in rows]


def _roster(students: Iterable[Student]) -> str:
    """Student number and grade; kindergarten is grade 0."""
    lines = ["STUDENTS.Student_Number\tSTUDENTS.Grade_Level"]
    for student in students:
        grade = student.grade(YEAR)
        if student.on_roster and grade is not None:
            label = grade_label(grade)
            lines.append(f"{student.number}\t{'0' if label == 'K' else label}")
    return "".join(f"{line}\r\n" for line in lines)


def _name(number: int, syllables: int) -> str:
    """A made-up name; numbers less than 20 to the power of `syllables` apart have other names."""
    parts = []
    for _ in range(syllables):
        number, rest = divmod(number, len(_SYLLABLES))
        parts.append(_SYLLABLES[rest])
    return "".join(parts).capitalize()


def _plain(size: Size) -> Any:  # noqa: ANN401  what JSON makes of it
    return json.loads(json.dumps(asdict(size)))
