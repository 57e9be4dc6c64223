"""Which assessments a made-up district has, and who takes them in which school year."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from pipeline.simulator.district import titles
from pipeline.simulator.district.administrations import Administration, Row
from pipeline.simulator.district.anomalies import Dirtiness, choose
from pipeline.simulator.district.people import Student, grade_label
from pipeline.simulator.district.rng import seeded
from pipeline.simulator.district.schools import AUTHORS
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import SPECIAL, Design
from pipeline.years import SchoolYear

YEARS = (SchoolYear(2022), SchoolYear(2023), SchoolYear(2024))
"""The years that assessments are made for; each later year gives those of one of them again."""

# Ids grow with time; a district's have five digits at first and six later.
_MIDDLE_OF_IDS = 100_000
_LARGEST_ID_GAP = 60
# Indexes in SPECIAL: the id is from another product; the catalogue lists it twice.
_FOREIGN, _LISTED_TWICE = 4, 9
_ONE_REPEATED_OF = 10

_SUBJECT_IDS = {titles.MATH: "2", titles.ELA: "1", titles.SCIENCE: "5", titles.HISTORY: "4"}


@dataclass(frozen=True)
class Size:
    """What determines a district, besides its seed and the day.

    Attributes:
        students: about how many are at school in a year.
        assessments: how many the catalogue lists.
        share_given: the share of them that have results in a given school year.
        unlisted: how many more have results each year although the catalogue does not list them.
        tested_students: the range (stop excluded) of students who take an ordinary assessment.
        multi_page: students and standards of the assessments that fill several pages.
        dirtiness: how many values are not what they should be (`anomalies.choose`).
    """

    students: int
    assessments: int
    share_given: float
    unlisted: int
    tested_students: tuple[int, int]
    multi_page: tuple[tuple[int, int], ...]
    dirtiness: Dirtiness = "realistic"


DEMO = Size(
    students=2_000,
    assessments=1_126,
    share_given=0.13,
    unlisted=5,
    tested_students=(18, 70),
    multi_page=((245, 10), (150, 11), (140, 9), (145, 12)),
)
SMALL = Size(
    students=120,
    assessments=40,
    share_given=0.4,
    unlisted=2,
    tested_students=(4, 9),
    multi_page=((200, 11),),
    dirtiness="harsh",
)
"""For tests: as few rows as possible, with everything that can be wrong with them."""


@dataclass(frozen=True)
class Assessment:
    """An assessment; the catalogue lists it `times_listed` times."""

    assessment_id: str
    design: Design
    created: dt.datetime
    times_listed: int
    administrations: tuple[Administration, ...]


@dataclass(frozen=True)
class _Draft:
    """An assessment without an id yet; `special` is its index in SPECIAL."""

    design: Design
    created_in: SchoolYear
    years: tuple[SchoolYear, ...]
    times_listed: int = 1
    special: int | None = None

    def is_given(self, year: SchoolYear) -> bool:
        """Return whether it is given in a year of YEARS, or in one that repeats such a year."""
        return YEARS[(year.start - YEARS[0].start) % len(YEARS)] in self.years


@dataclass
class _Scheduler:
    """Gives assessments to students, and counts the administrations of each year."""

    seed: int
    size: Size
    enrolled: Mapping[SchoolYear, Sequence[Student]]
    given: Counter[SchoolYear] = field(default_factory=Counter)

    def administer(self, assessment_id: str, draft: _Draft, year: SchoolYear) -> Administration:
        """Give an assessment in a year."""
        rng = seeded(self.seed, assessment_id, year, "sitting")
        count, standards = rng.randrange(*self.size.tested_students), rng.randrange(2, 7)
        if draft.special is not None and draft.special < len(self.size.multi_page):
            count, standards = self.size.multi_page[draft.special]
        given = Administration(
            year,
            self._tested_students(draft.design, year, count, rng),
            standards=(),
            groups=(),
            has_retakes=True,
            anomaly=choose(self.given[year], self.size.dirtiness),
        )
        self.given[year] += 1
        if draft.design.subject is None:
            return given
        key = self.seed, assessment_id, draft.design.subject
        return replace(
            given,
            standards=tuple(choose_standards(*key, draft.design.grades[0], standards)),
            groups=tuple(choose_groups(*key, min(rng.randrange(4), standards))),
        )

    def _tested_students(
        self, design: Design, year: SchoolYear, count: int, rng: Random
    ) -> tuple[Student, ...]:
        """Return students of the intended grades, or of all grades if those have too few."""
        enrolled = self.enrolled[year]
        intended = [s for s in enrolled if s.grade(year) in design.grades]
        pool = intended if len(intended) >= count else enrolled
        return tuple(rng.sample(pool, min(count, len(pool))))


def years_until(day: dt.date) -> tuple[SchoolYear, ...]:
    """Return YEARS and all later ones up to that of a day."""
    last = max(YEARS[-1], SchoolYear.of(day))
    return tuple(map(SchoolYear, range(YEARS[0].start, last.start + 1)))


def plan(
    seed: int, size: Size, students: Sequence[Student], years: Sequence[SchoolYear]
) -> list[Assessment]:
    """Return all assessments of a district, including those that the catalogue does not list.

    Neither the catalogue nor what is given in a year depends on how many years follow.
    """
    rng = seeded(seed, "plan")
    enrolled = {year: [s for s in students if s.grade(year) is not None] for year in years}
    scheduler = _Scheduler(seed, size, enrolled)
    drafts = [*_special_drafts(), *_common_drafts(size, rng)]
    number = _MIDDLE_OF_IDS - len(drafts) * _LARGEST_ID_GAP // 4
    assessments = []
    for draft in drafts:
        number += rng.randrange(1, _LARGEST_ID_GAP)
        foreign = draft.special == _FOREIGN
        new_id = f"{rng.randrange(16**24):024x}" if foreign else str(number)
        created = dt.datetime.combine(draft.created_in.first_day, dt.time()) + dt.timedelta(
            days=rng.randrange(30), hours=7 + rng.randrange(10), minutes=rng.randrange(60)
        )
        given = tuple(
            scheduler.administer(new_id, draft, year) for year in years if draft.is_given(year)
        )
        assessments.append(Assessment(new_id, draft.design, created, draft.times_listed, given))
    return assessments


def catalogue_row(assessment: Assessment) -> Row:
    """Return an assessment's row of the catalogue; some have no scope, subject or grades."""
    design = assessment.design
    rng = seeded(assessment.assessment_id)
    author_id, first, last = rng.choice(AUTHORS)
    scoped = design.subject is not None and rng.random() < 0.9
    updated = assessment.created + dt.timedelta(minutes=rng.randrange(60_000))
    grades = ",".join(map(grade_label, design.grades)) if rng.random() < 0.95 else ""
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


def _common_drafts(size: Size, rng: Random) -> Iterator[_Draft]:
    """Yield different titles for each year; most are never given, some again the year after."""
    designs = titles.common_designs()
    given = round(size.share_given * size.assessments) - len(SPECIAL)
    for index, year in enumerate(YEARS):
        listed = (size.assessments - len(SPECIAL) + index) // len(YEARS)
        again = YEARS[index : index + 2]
        drafts = []
        for number, design in enumerate(rng.sample(designs, size.unlisted + listed)):
            years = again if number % _ONE_REPEATED_OF == 1 else (year,)
            times_listed = 0 if number < size.unlisted else 1
            drafts.append(_Draft(design, year, years if number < given else (), times_listed))
        rng.shuffle(drafts)
        yield from drafts
