"""The students of the made-up district. None of them exists."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.simulator.district.chance import seeded
from pipeline.years import SchoolYear

KINDERGARTEN, LAST_GRADE = 0, 12

# Letters beyond ASCII, apostrophes, hyphens, commas and quotes are what real rosters hold.
_FIRST = (
    *("Ada", "José", "Maya", "D'Angelo", "Liam", "Zoë", "Noor", "Renée", "Omar", "Siân", "Ivy"),
    *("Łukasz", "Mei-Ling", "Amir", "Ngọc", "Ruth", "Søren", "Tariq", 'Robert "Bobby"', "Inés"),
    *("Caleb", "Anaïs", "Priya", "Björn", "Elena", "Kofi", "Hana", "Mateo", "Jo Ann", "Tuấn"),
    *("Esme", "Dmitri", "Nia", "Oisín", "Leila", "Hugo", "Sade"),
)
_LAST = (
    *("Rivera", "O'Brien", "Nguyễn", "Smith-Jones", "Núñez", "Okafor", "Müller", "King, Jr."),
    *("de la Cruz", "Haddad", "Kowalski", "Park", "Singh", "Åberg", "Lopez", "McAllister", "Wu"),
    *("Santos", "Żak", "Abdi", "Peña", "Castillo", "Brown", "Ferreira", "Ito", "St. Clair"),
    *("Novák", "Ramos", "Osei", "Fontaine", "Ümit", "Baptiste", "Green", "Đặng", "Moss"),
    *("Tran", "Vega", "Ortiz", "Quinn", "Bauer", "Diaz"),
)
_MIDDLE = (None, None, "A.", "Marie", None, "Lee", "José", None, "", "van", None)
_ONE_NOT_ON_ROSTER_OF = 29
_LEAST_ABILITY, _RANGE_OF_ABILITY = 0.35, 0.55


@dataclass(frozen=True)
class Student:
    """One made-up student.

    Attributes:
        number: the district's id, which results call `local_student_id`.
        began: the year of starting kindergarten, also when that was elsewhere.
        ability: the chance of a right answer.
    """

    number: str
    first_name: str
    middle_name: str | None
    last_name: str
    began: int
    ability: float
    on_roster: bool

    def grade(self, year: SchoolYear) -> int | None:
        """The grade in a school year, kindergarten being 0; None while not at school."""
        grade = year.start - self.began
        return grade if KINDERGARTEN <= grade <= LAST_GRADE else None


def grade_label(grade: int) -> str:
    """A grade as the API writes it: `K`, `1`, `2` ..."""
    return "K" if grade == KINDERGARTEN else str(grade)


def enrol(seed: int, per_year: int, years: tuple[SchoolYear, ...]) -> tuple[Student, ...]:
    """Make about `per_year` students at school in each of `years`, equally many in each grade."""
    draw = seeded(seed, "students")
    first_names, last_names = draw.sample(_FIRST, len(_FIRST)), draw.sample(_LAST, len(_LAST))
    numbers = _student_numbers(seed)
    cohorts = range(years[0].start - LAST_GRADE, years[-1].start + 1)
    each = max(1, round(per_year / (LAST_GRADE + 1)))
    # The lists of names have lengths without a common factor: taken in turn, every name occurs
    # and no pair of them soon occurs again.
    return tuple(
        Student(
            number=next(numbers),
            first_name=first_names[index % len(first_names)],
            middle_name=_MIDDLE[index % len(_MIDDLE)],
            last_name=last_names[index % len(last_names)],
            began=began,
            ability=_LEAST_ABILITY + _RANGE_OF_ABILITY * (draw.random() + draw.random()) / 2,
            on_roster=index % _ONE_NOT_ON_ROSTER_OF != 5,
        )
        for index, began in enumerate(began for _ in range(each) for began in cohorts)
    )


def _student_numbers(seed: int) -> Iterator[str]:
    """Numbers of 5, 6 and 8 digits, some with a leading zero, no two alike.

    Some differ from another student's by the leading zero alone: who reads them as numbers takes
    two students for one.
    """
    draw = seeded(seed, "numbers")
    for short in draw.sample(range(10_000, 100_000), 15_000):
        yield str(short)
        yield f"0{short}"
        yield str(9_000_000 + 900 * short + draw.randrange(900))
        for offset in (0, 300_000, 600_000):
            yield str(100_000 + offset + short)
