"""A made-up district of five assessments, small enough to be fetched thousands of times.

Two rows fill a page, so LONG fills three at each endpoint, and so does the catalogue. Every
credential and every student is a canary: unlike any other word, and too long to occur by chance.
"""

import datetime as dt
from dataclasses import astuple

from pipeline.simulator import Credentials, District, Protocol
from pipeline.simulator.district.administrations import Administration
from pipeline.simulator.district.people import Student
from pipeline.simulator.district.planning import Assessment
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import MATH, Design
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)
YESTERDAY, TODAY = dt.date(2024, 2, 29), dt.date(2024, 6, 30)
LONG, NEVER_GIVEN = "7001", "7005"
IDS = (LONG, "7002", "7003", "7004", NEVER_GIVEN)
PAGES = 3

PROTOCOL = Protocol(cap=2)
CREDENTIALS = Credentials(
    client_id="canaryclient4b7d",
    client_secret='5e81+canarysecret9f2c/="%é',
    consumer_key="canaryconsumer61d0",
    consumer_secret="canaryconsumersecret8a3e",
    access_token="canaryaccess27c5",
    access_token_secret='canaryaccesssecretb94f/="%é',
)

_GRADE = 5
_SEED = 4


def make_district() -> District:
    """Return the district; LONG also has results in the year before, to test ignored dates."""
    counts = {LONG: 5, NEVER_GIVEN: 0}
    return District(_SEED, _students(), [_assessment(i, counts.get(i, 1), i == LONG) for i in IDS])


def make_district_with_ids(ids: tuple[str, ...]) -> District:
    """Return a district whose assessments have these ids."""
    return District(_SEED, _students(), [_assessment(i, 1, again=False) for i in ids])


def _students() -> list[Student]:
    return [
        Student(
            number=f"8844{index}7719206",
            first_name=f"Quixfirst{index}é",
            middle_name=f"Quixmiddle{index}",
            last_name=f"O'Quixlast{index}",
            kindergarten_year=YEAR.start - _GRADE,
            ability=0.6,
            on_roster=True,
        )
        for index in range(5)
    ]


def _assessment(assessment_id: str, tested_students: int, again: bool) -> Assessment:
    years = (SchoolYear(YEAR.start - 1), YEAR) if again else (YEAR,)
    return Assessment(
        assessment_id,
        Design(f"Gr 5 Math Unit {len(assessment_id)} Assessment", MATH, (_GRADE,)),
        dt.datetime.combine(YEAR.first_day, dt.time(9)),
        1,
        tuple(_administration(assessment_id, tested_students, year) for year in years),
    )


def _administration(assessment_id: str, tested_students: int, year: SchoolYear) -> Administration:
    key = (_SEED, assessment_id, MATH)
    return Administration(
        year,
        tuple(_students()[:tested_students]),
        tuple(choose_standards(*key, _GRADE, 1)),
        tuple(choose_groups(*key, 1)),
    )


SECRETS = frozenset(astuple(CREDENTIALS))
STUDENTS = frozenset(
    value
    for student in _students()
    for value in (student.number, student.first_name, student.middle_name, student.last_name)
    if value
)
"""What must not appear in anything that is printed, logged, requested or recorded."""
