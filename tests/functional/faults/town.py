"""A made-up district of five assessments, small enough to be fetched some thousand times.

Two rows fill a page, so that LONG fills three at each endpoint, and the catalogue three as well.
Every credential and every student is a canary: like no other word, and long enough to be none by
chance.
"""

import datetime as dt
from dataclasses import astuple

from pipeline.simulator import Credentials, District, Protocol
from pipeline.simulator.district.people import Student
from pipeline.simulator.district.planning import Assessment
from pipeline.simulator.district.sittings import Sitting
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import MATH, Design
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)
YESTERDAY, TODAY = dt.date(2024, 2, 29), dt.date(2024, 6, 30)
LONG, NEVER_SAT = "7001", "7005"
IDS = (LONG, "7002", "7003", "7004", NEVER_SAT)
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


def make_town() -> District:
    """The district; LONG was sat in the year before as well, for a server that ignores dates."""
    takers = {LONG: 5, NEVER_SAT: 0}
    return District(_SEED, _students(), [_assessment(i, takers.get(i, 1), i == LONG) for i in IDS])


def make_odd_town(ids: tuple[str, ...]) -> District:
    """A district whose assessments have these ids."""
    return District(_SEED, _students(), [_assessment(i, 1, again=False) for i in ids])


def _students() -> list[Student]:
    return [
        Student(
            number=f"8844{index}7719206",
            first_name=f"Quixfirst{index}é",
            middle_name=f"Quixmiddle{index}",
            last_name=f"O'Quixlast{index}",
            began=YEAR.start - _GRADE,
            ability=0.6,
            on_roster=True,
        )
        for index in range(5)
    ]


def _assessment(assessment_id: str, takers: int, again: bool) -> Assessment:
    years = (SchoolYear(YEAR.start - 1), YEAR) if again else (YEAR,)
    return Assessment(
        assessment_id,
        Design(f"Gr 5 Math Unit {len(assessment_id)} Assessment", MATH, (_GRADE,)),
        dt.datetime.combine(YEAR.first_day, dt.time(9)),
        1,
        tuple(_sitting(assessment_id, takers, year) for year in years),
    )


def _sitting(assessment_id: str, takers: int, year: SchoolYear) -> Sitting:
    key = (_SEED, assessment_id, MATH)
    return Sitting(
        year,
        tuple(_students()[:takers]),
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
"""What nobody may read in anything that is printed, logged, asked or recorded."""
