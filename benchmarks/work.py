"""The work: a made-up district of a given size, and every page that its server sends, as bytes.

The same seed and size make the same bytes. Students, standards, scores and pages are the
simulator's own. Only names are made here, because a few dozen of them compress better than those
of thousands of real students do, and standards get the length of real ones. Rows have no
peculiarities, so that nobody has to agree on what to do with them.
"""

import json
import multiprocessing
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, time
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.sizes import Size
from pipeline.simulator.api import CATALOGUE, Api, Query
from pipeline.simulator.district.administrations import Administration, Endpoint
from pipeline.simulator.district.district import District
from pipeline.simulator.district.people import Student, enrol, grade_label
from pipeline.simulator.district.planning import YEARS, Assessment
from pipeline.simulator.district.rng import seeded
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import ELA, MATH, SCIENCE, common_designs
from pipeline.simulator.protocol import Protocol
from pipeline.simulator.responses import Response
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)
PAGE = 1000
SEED = 1
ENDPOINTS: tuple[Endpoint, ...] = ("overall", "standard", "group")

_VERSION = 2
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

Slices = dict[str, list[tuple[int, int]]]
"""Where the answers for each assessment lie in the file of answers: offset and length by page."""


@dataclass(frozen=True)
class Work:
    """Work that lies on disk, and what it consists of.

    Attributes:
        rows: by endpoint.
        requests: how many it takes to fetch everything: each page of every assessment's results.
        bytes: of all bodies.
    """

    folder: Path
    rows: dict[str, int]
    requests: int
    bytes: int

    @property
    def answers(self) -> Path:
        """Every page as a complete answer, one behind the other."""
        return self.folder / "answers.bin"

    @property
    def index(self) -> Path:
        """Where each answer lies in the file of answers."""
        return self.folder / "index.json"

    @property
    def roster(self) -> Path:
        """The roster of the year, as PowerSchool exports it."""
        return self.folder / "roster.txt"

    @property
    def wanted(self) -> dict[str, int]:
        """How many rows whoever reads all of it has, by table."""
        return {
            "combined": self.rows["overall"] + self.rows["standard"],
            "group": self.rows["group"],
        }

    @classmethod
    def open(cls, folder: Path) -> "Work":
        """Work that was made before."""
        return cls(folder, **json.loads((folder / "work.json").read_text(encoding="utf-8")))


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
    """The assessments, and who sits them; those that nobody sits are between the others."""
    draw = seeded(SEED, size.name)
    sat = {
        i: draw.choice(_WEIGHTS) for i in draw.sample(range(size.assessments), size.with_results)
    }
    rows_of_weight = size.rows / sum(sat.values())
    designs = [d for d in common_designs() if d.subject in {MATH, ELA, SCIENCE}]
    assessments = []
    for number in range(size.assessments):
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
        assessments.append(Assessment(assessment_id, design, created, 1, administrations))
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
    """Write the answers of all pages one behind the other, and where each of them is."""
    index: dict[str, Slices] = {CATALOGUE: {}, **{endpoint: {} for endpoint in ENDPOINTS}}
    rows: dict[str, int] = dict.fromkeys(ENDPOINTS, 0)
    bodies = at = 0
    with (folder / "answers.bin").open("wb") as file:
        for kind, assessment_id, count, answers in _answers(assessments):
            slices = index[kind].setdefault(assessment_id, [])
            for head, body in answers:
                file.write(head)
                file.write(body)
                slices.append((at, len(head) + len(body)))
                at += len(head) + len(body)
                bodies += len(body)
            if kind != CATALOGUE:
                rows[kind] += count
    of_results = sum(len(slices) for e in ENDPOINTS for slices in index[e].values())
    empty = len(ENDPOINTS) * len(assessments) - sum(len(index[e]) for e in ENDPOINTS)
    facts = {
        "rows": rows,
        "requests": len(index[CATALOGUE][""]) + of_results + empty,
        "bytes": bodies,
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "work.json").write_text(json.dumps(facts), encoding="utf-8")


Rendered = tuple[str, str, int, list[tuple[bytes, bytes]]]
"""The pages of one question: endpoint, assessment, rows, and head and body of each page."""


def _answers(assessments: list[Assessment]) -> Iterator[Rendered]:
    api = Api(District(SEED, (), assessments), Protocol())
    yield CATALOGUE, "", len(assessments), list(_pages(api, CATALOGUE, None))
    sat = [assessment for assessment in assessments if assessment.administrations]
    # Not forked: whoever makes work may have threads.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for rendered in pool.map(render, sat, chunksize=4):
            yield from rendered


def render(assessment: Assessment) -> list[Rendered]:
    """All pages of one assessment, as the simulator sends them."""
    district = District(SEED, (), [assessment])
    api = Api(district, Protocol())
    name = assessment.assessment_id
    return [
        (endpoint, name, len(rows), list(_pages(api, endpoint, name)))
        for endpoint in ENDPOINTS
        if (rows := district.results(endpoint, name))
    ]


def _pages(api: Api, endpoint: str, assessment_id: str | None) -> Iterator[tuple[bytes, bytes]]:
    first = Query(endpoint, assessment_id, 1, PAGE, None, None)
    for number in range(1, max(1, api.num_pages(first)) + 1):
        response = Response(api.body(first._replace(page=number)) or b"")
        yield response.head, response.body


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
