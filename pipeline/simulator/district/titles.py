"""Titles of the made-up district's assessments, as inconsistent as real ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from pipeline.simulator.district.people import grade_label

MATH, ELA = "Mathematics", "English Language Arts"
SCIENCE, HISTORY = "Science", "History/Social Science"

_LOWER, _K5, _MIDDLE, _HIGH = range(9), range(6), range(6, 9), range(9, 13)


@dataclass(frozen=True)
class Design:
    """An assessment's title, subject and grades; without a subject, nothing can be scored."""

    title: str
    subject: str | None
    grades: tuple[int, ...]
    description: str | None = None


@dataclass(frozen=True)
class _Family:
    """A pattern of titles: one for each grade, unit and part."""

    pattern: str
    subject: str
    grades: range
    units: range = range(1, 7)
    parts: tuple[str, ...] = ("",)

    def designs(self) -> Iterator[Design]:
        for grade, unit, part in product(self.grades, self.units, self.parts):
            title = self.pattern.format(
                grade=grade_label(grade), ordinal=_ordinal(grade), unit=unit, part=part
            )
            yield Design(title, self.subject, (grade,))


# Trailing and double spaces are deliberate: people type them.
_FAMILIES = (
    _Family("{ordinal} - Unit {unit} - End of Unit Assessment ", MATH, _K5),
    _Family("Gr {grade} Math Module {unit} Exit Ticket", MATH, _LOWER),
    _Family("Eureka Math Grade {grade} Module {unit} {part}-Module Assessment",
            MATH, _K5, parts=("Mid", "End-of")),
    _Family("Illustrative Math Grade {grade} Unit {unit} {part}", MATH, _MIDDLE, range(1, 10),
            ("End-of-Unit", "Mid-Unit", "Checkpoint A", "Checkpoint  B")),
    _Family("Algebra I Unit {unit} {part}", MATH, range(9, 10), range(1, 9),
            ("Checkpoint A", "Checkpoint B", "Assessment")),
    _Family("Geometry Unit {unit} Test {part}", MATH, range(10, 11), range(1, 9), ("A", "B ")),
    _Family("Zearn Math G{grade}M{unit} {part}", MATH, range(1, 6), range(1, 8),
            ("Mid-Module", "End of Module")),
    _Family("ELA Interim {unit} Grade {grade}", ELA, range(2, 12), range(1, 4)),
    _Family("EL Education G{grade} M{unit} {part} Assessment", ELA, _LOWER, range(1, 5),
            ("U1 Mid-Unit", "U1 End of Unit", "U2 Mid-Unit", "U3 End of Unit")),
    _Family("Wit & Wisdom Grade {grade} Module {unit} {part}", ELA, _K5, range(1, 5),
            ("EOM Task", "New-Read Assessment")),
    _Family("{ordinal} Reading Quiz  Week {unit}", ELA, range(1, 6), range(1, 13)),
    _Family("Amplify Science {grade} Lesson {part}.{unit} Exit Ticket", SCIENCE, _MIDDLE,
            range(1, 6), ("1", "2", "3", "4")),
    _Family("Biology Unit {unit} {part}", SCIENCE, range(9, 10), range(1, 8),
            ("Assessment", "Lab Check", "Quiz")),
    _Family("Grade {grade} Social Studies Unit {unit} Assessment", HISTORY, range(4, 9)),
    _Family("Government Ch. {unit} Quiz", HISTORY, range(12, 13), range(1, 15)),
)  # fmt: skip

# Given in every year, so that every year has each kind. The first ones have the most students.
SPECIAL = (
    Design("ELA Interim 1 Grades 6-8", ELA, (6, 7, 8), "Given on two days"),
    Design("US History Final 2024", HISTORY, (11,), "Semester 2, all periods"),
    Design("NGSS Interim 1 (MS)", SCIENCE, (7,)),
    Design("Kinder Math Benchmark, Fall", MATH, (0,)),
    Design("Español II, Examen Final: Años y Estaciones", ELA, (10,)),
    Design('=Unit 4 Quiz (copy of "Unit 3")', MATH, (7,)),
    Design("- DRAFT - Grade 6 ELA Writing Checkpoint ", ELA, (6,)),
    Design("Healthy Relationships Survey", None, (8,)),
    Design("Family Delay Form", None, ()),
    Design("  Illustrative Math  Grade 8 Unit 6 End-of-Unit ", MATH, (8,)),
    Design("Gr 5 Math Module 3 Exit Ticket\tLesson 12", MATH, (5,)),
    Design("4th Grade - Fractions re-take", MATH, (4,)),
)


def common_designs() -> list[Design]:
    """Return all designs whose titles follow a pattern, in a fixed order."""
    return [design for family in _FAMILIES for design in family.designs()]


def _ordinal(grade: int) -> str:
    if grade == 0:
        return "Kindergarten"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(grade, "th")
    return f"{grade}{ending} Grade"
