"""The students of the made-up district. None of them exists."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.simulator.district.rng import seeded
from pipeline.years import SchoolYear

KINDERGARTEN, LAST_GRADE = 0, 12

# As in real rosters: letters beyond ASCII, apostrophes, hyphens, commas and quotes.
FIRST_NAMES = (
    *("Ada", "José", "Maya", "D'Angelo", "Liam", "Zoë", "Noor", "Renée", "Omar", "Siân", "Ivy"),
    *("Łukasz", "Mei-Ling", "Amir", "Ngọc", "Ruth", "Søren", "Tariq", 'Robert "Bobby"', "Inés"),
    *("Caleb", "Anaïs", "Priya", "Björn", "Elena", "Kofi", "Hana", "Mateo", "Jo Ann", "Tuấn"),
    *("Esme", "Dmitri", "Nia", "Oisín", "Leila", "Hugo", "Sade"),
)
LAST_NAMES = (
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
        kindergarten_year: the year of starting kindergarten, even if that was elsewhere.
        ability: the probability of a right answer.
    """

    number: str
    first_name: str
    middle_name: str | None
    last_name: str
    kindergarten_year: int
    ability: float
    on_roster: bool

    def grade(self, year: SchoolYear) -> int | None:
        """Return the grade in a school year, 0 for kindergarten; None while not at school."""
        grade = year.start - self.kindergarten_year
        return grade if KINDERGARTEN <= grade <= LAST_GRADE else None


def grade_label(grade: int) -> str:
    """Return a grade as the API writes it: `K`, `1`, `2` ..."""
    return "K" if grade == KINDERGARTEN else str(grade)


def enrol(
    seed: int, per_year: int, years: Sequence[SchoolYear], later: Sequence[SchoolYear] = ()
) -> tuple[Student, ...]:
    """Return about `per_year` students for each of `years`, the same number in each grade.

    The kindergartens of `later` years follow, so that they change nobody before them.
    """
    rng = seeded(seed, "students")
    first_names = rng.sample(FIRST_NAMES, len(FIRST_NAMES))
    last_names = rng.sample(LAST_NAMES, len(LAST_NAMES))
    numbers = _student_numbers(seed)
    cohorts = range(years[0].start - LAST_GRADE, years[-1].start + 1)
    each = max(1, round(per_year / (LAST_GRADE + 1)))
    starts = [*list(cohorts) * each, *(year.start for year in later for _ in range(each))]
    # The lengths of the name lists have no common factor: cycling through them uses every name,
    # and a pair of names rarely repeats.
    return tuple(
        Student(
            number=next(numbers),
            first_name=first_names[index % len(first_names)],
            middle_name=_MIDDLE[index % len(_MIDDLE)],
            last_name=last_names[index % len(last_names)],
            kindergarten_year=kindergarten_year,
            ability=_LEAST_ABILITY + _RANGE_OF_ABILITY * (rng.random() + rng.random()) / 2,
            on_roster=index % _ONE_NOT_ON_ROSTER_OF != 5,
        )
        for index, kindergarten_year in enumerate(starts)
    )


def _student_numbers(seed: int) -> Iterator[str]:
    """Yield distinct numbers of 5, 6 and 8 digits, some with a leading zero.

    Some differ from another only by the leading zero, so reading them as integers merges students.
    """
    rng = seeded(seed, "numbers")
    for short in rng.sample(range(10_000, 100_000), 15_000):
        yield str(short)
        yield f"0{short}"
        yield str(9_000_000 + 900 * short + rng.randrange(900))
        for offset in (0, 300_000, 600_000):
            yield str(100_000 + offset + short)
