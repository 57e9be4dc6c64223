"""Which assessments a made-up district has, and who sits them in which school year."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from pipeline.simulator.district.chance import seeded
from pipeline.simulator.district.people import Student, grade_label
from pipeline.simulator.district.sittings import Row, Sitting
from pipeline.simulator.district.size import Size
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import (
    ELA,
    HISTORY,
    MATH,
    SCIENCE,
    SPECIAL,
    Design,
    common_designs,
)
from pipeline.years import SchoolYear

YEARS = (SchoolYear(2022), SchoolYear(2023), SchoolYear(2024))

# Ids grow with time; a district's have five digits at first and six later.
_MIDDLE_OF_IDS = 100_000
_MOST_BETWEEN_IDS = 60
# Which of the special assessments have an id from another product, and a second catalogue row.
_FOREIGN, _LISTED_TWICE = 4, 9
_ONE_GIVEN_AGAIN_OF = 10

_SUBJECT_IDS = {MATH: "2", ELA: "1", SCIENCE: "5", HISTORY: "4"}
_AUTHORS = (
    ("5120", "Ada", "Quinn"),
    ("5133", "Renée", "O'Dell"),
    ("6044", "Tomás", "Park"),
    ("6101", "Priya", "Van Horn"),
)


@dataclass(frozen=True)
class Assessment:
    """One assessment; `listed` is how many rows of the catalogue it has."""

    assessment_id: str
    design: Design
    created: dt.datetime
    listed: int
    sittings: tuple[Sitting, ...]


@dataclass(frozen=True)
class _Draft:
    """An assessment that has no id yet: when it was made and the years it is given in."""

    design: Design
    made: SchoolYear
    years: tuple[SchoolYear, ...]
    listed: int = 1
    special: int | None = None


@dataclass
class _Calendar:
    """Who sits what in which year; within a year, every sitting has the next peculiarity."""

    seed: int
    size: Size
    students: Sequence[Student]
    given: Counter[SchoolYear] = field(default_factory=Counter)

    def sitting(self, assessment_id: str, draft: _Draft, year: SchoolYear) -> Sitting:
        """Give an assessment in a year."""
        draw = seeded(self.seed, assessment_id, year, "sitting")
        takers, standards = draw.randrange(*self.size.sitting), draw.randrange(2, 7)
        if draft.special is not None and draft.special < len(self.size.long):
            takers, standards = self.size.long[draft.special]
        students = self._takers(draft.design, year, takers, draw)
        oddity = self.given[year]
        self.given[year] += 1
        subject = draft.design.subject
        if subject is None:
            return Sitting(year, students, (), (), oddity)
        key, grade = (self.seed, assessment_id, subject), draft.design.grades[0]
        return Sitting(
            year,
            students,
            tuple(choose_standards(*key, grade, standards)),
            tuple(choose_groups(*key, min(draw.randrange(4), standards))),
            oddity,
        )

    def _takers(
        self, design: Design, year: SchoolYear, count: int, draw: Random
    ) -> tuple[Student, ...]:
        """Students of the grades it is for; of all grades where these have too few."""
        enrolled = [s for s in self.students if s.grade(year) is not None]
        meant = [s for s in enrolled if s.grade(year) in design.grades]
        pool = meant if len(meant) >= count else enrolled
        return tuple(draw.sample(pool, min(count, len(pool))))


def plan(seed: int, size: Size, students: Sequence[Student]) -> list[Assessment]:
    """Make all assessments of a district, those that the catalogue does not list among them."""
    draw = seeded(seed, "plan")
    calendar = _Calendar(seed, size, students)
    drafts = [*_special_drafts(), *_common_drafts(size, draw)]
    number = _MIDDLE_OF_IDS - len(drafts) * _MOST_BETWEEN_IDS // 4
    assessments = []
    for draft in drafts:
        number += draw.randrange(1, _MOST_BETWEEN_IDS)
        foreign = draft.special == _FOREIGN
        assessment_id = f"{draw.randrange(16**24):024x}" if foreign else str(number)
        made = _made(draft, draw)
        sittings = tuple(calendar.sitting(assessment_id, draft, year) for year in draft.years)
        assessments.append(Assessment(assessment_id, draft.design, made, draft.listed, sittings))
    return assessments


def catalogue_row(assessment: Assessment) -> Row:
    """What the catalogue says of an assessment; some have no scope, subject or grades."""
    design = assessment.design
    draw = seeded(assessment.assessment_id)
    author_id, first, last = draw.choice(_AUTHORS)
    scoped = design.subject is not None and draw.random() < 0.9
    updated = assessment.created + dt.timedelta(minutes=draw.randrange(60_000))
    grades = ",".join(map(grade_label, design.grades)) if draw.random() < 0.95 else ""
    return {
        "assessment_id": assessment.assessment_id,
        "local_assessment_id": None,
        "title": design.title,
        "description": design.description,
        "author_id": author_id,
        "district_author_id": author_id,
        "author_first": first,
        "author_last": last,
        "created_at": str(assessment.created),
        "updated_at": str(updated),
        "scope_id": "11" if scoped else None,
        "scope": "Grade Level" if scoped else None,
        "subject_id": _SUBJECT_IDS[design.subject] if design.subject else None,
        "subject": design.subject,
        "grade_levels": grades or None,
    }


def _special_drafts() -> Iterator[_Draft]:
    for index, design in enumerate(SPECIAL):
        yield _Draft(design, YEARS[0], YEARS, 2 if index == _LISTED_TWICE else 1, index)


def _common_drafts(size: Size, draw: Random) -> Iterator[_Draft]:
    """The titles of each year differ; most are never given, and some again the year after."""
    designs = common_designs()
    given = round(size.share * size.assessments) - len(SPECIAL)
    for index, year in enumerate(YEARS):
        listed = (size.assessments - len(SPECIAL) + index) // len(YEARS)
        again = YEARS[index : index + 2]
        drafts = []
        for number, design in enumerate(draw.sample(designs, size.hidden + listed)):
            years = again if number % _ONE_GIVEN_AGAIN_OF == 1 else (year,)
            hidden = number < size.hidden
            drafts.append(_Draft(design, year, years if number < given else (), 0 if hidden else 1))
        draw.shuffle(drafts)
        yield from drafts


def _made(draft: _Draft, draw: Random) -> dt.datetime:
    midnight = dt.datetime.combine(draft.made.first_day, dt.time())
    return midnight + dt.timedelta(
        days=draw.randrange(30), hours=7 + draw.randrange(10), minutes=draw.randrange(60)
    )
