"""Academic standards and reporting groups, with the mixed spellings of a real district."""

import uuid
from dataclasses import dataclass
from random import Random

from pipeline.simulator.district.people import grade_label
from pipeline.simulator.district.rng import seeded

_NAMESPACE = uuid.UUID("5e1d0c5a-0000-4000-8000-000000000000")
_ELEMENTARY_ENDS, _MIDDLE_SCHOOL_ENDS = 5, 8


@dataclass(frozen=True)
class Standard:
    """An academic standard as results name it; an assessment has its own spelling of the code."""

    academic_benchmark_guid: str | None
    standard_code: str
    standard_description: str | None


@dataclass(frozen=True)
class Group:
    """A part of an assessment that has results of its own."""

    reporting_group_id: str
    reporting_group: str


@dataclass(frozen=True)
class _Subject:
    """The codes of a subject's standards, and the groups in which its results are reported."""

    strands: tuple[tuple[str, str], ...]
    spellings: tuple[str, ...]
    high_school: tuple[str, ...]
    groups: tuple[str, ...]
    numbers: tuple[str, ...] = ("1", "2", "3", "4")


_SUBJECTS = {
    "Mathematics": _Subject(
        strands=(
            ("NF.B", "Build fractions from unit fractions"),
            ("NBT.A", "Understand the place value system"),
            ("OA.A", "Represent and solve problems, including money"),
            ("EE.C", "Analyze and solve equations, and pairs of them"),
            ("MD.C", 'Measure and convert, "to the nearest inch"'),
            ("G.A", "Draw, construct and describe figures"),
        ),
        spellings=(
            "{grade}.{strand}.{number}",
            "CCSS.Math.Content.{grade}.{strand}.{number}",
            "{grade}.{short}.{number}",
        ),
        high_school=(
            *("S-ID.{number}", "A-REI.{number}", "F-IF.{number}", "G-CO.{number}"),
            *("A-SSE.{number}", "N-RN.{number}"),
        ),
        groups=("Number Sense", "Fluency", "Modeling & Reasoning", "Word Problems"),
        numbers=("1", "2", "3", "8.b"),
    ),
    "English Language Arts": _Subject(
        strands=(
            ("RL", "Read closely and cite evidence from stories, drama and poems"),
            ("RI", "Read closely and cite evidence from informational texts"),
            ("W", "Write arguments, explanations and narratives"),
            ("L", "Use the conventions of standard English"),
            ("SL", "Take part in discussions, building on others' ideas"),
        ),
        spellings=("{strand}.{grade}.{number}", "CCSS.ELA-Literacy.{strand}.{grade}.{number}"),
        high_school=(
            *("RL.9-10.{number}", "RI.9-10.{number}", "W.11-12.{number}", "L.9-10.{number}"),
            "SL.11-12.{number}",
        ),
        groups=("Reading: Literature", "Reading: Informational", "Writing", "Vocabulary"),
        numbers=("1", "2", "3", "4.a"),
    ),
    "Science": _Subject(
        strands=(
            ("LS1", "From molecules to organisms: structures and processes"),
            ("PS2", "Motion and stability: forces and interactions"),
            ("ESS2", "Earth's systems"),
            ("PS3", "Energy"),
        ),
        spellings=("{band}-{strand}-{number}",),
        high_school=("HS-LS1-{number}", "HS-PS2-{number}", "HS-ESS2-{number}", "HS-LS4-{number}"),
        groups=("Investigation", "Explanation", "Data & Models"),
    ),
    "History/Social Science": _Subject(
        strands=(("H", "Place events in order and explain causes"), ("C", "Rights and duties")),
        spellings=("{grade}.{number}.{strand}",),
        high_school=("11.{number}.2", "10.{number}.1", "12.{number}", "RH.11-12.{number}"),
        groups=("Sources", "Essay", "Geography"),
    ),
}


def choose_standards(seed: int, key: str, subject: str, grade: int, count: int) -> list[Standard]:
    """Return `count` distinct standards for an assessment, all in one spelling."""
    rng = seeded(seed, key, "standards")
    if grade > _MIDDLE_SCHOOL_ENDS:
        return rng.sample(_high_school_standards(_SUBJECTS[subject]), count)
    return rng.sample(_standards_to_grade_8(_SUBJECTS[subject], grade, rng), count)


def choose_groups(seed: int, key: str, subject: str, count: int) -> list[Group]:
    """Return `count` distinct reporting groups for an assessment."""
    names = _SUBJECTS[subject].groups
    first = 301 + 10 * list(_SUBJECTS).index(subject)
    groups = [Group(str(first + index), name) for index, name in enumerate(names)]
    return seeded(seed, key, "groups").sample(groups, count)


def _standards_to_grade_8(subject: _Subject, grade: int, rng: Random) -> list[Standard]:
    spelling, dotted = rng.choice(subject.spellings), rng.random() < 0.5
    label = grade_label(grade)
    band = "MS" if grade > _ELEMENTARY_ENDS else label
    return [
        _standard(
            spelling.format(
                grade=label,
                band=band,
                strand=strand,
                short=strand.partition(".")[0],
                number=number if dotted else number.replace(".", ""),
            ),
            f"{label} {strand} {number}",
            description,
        )
        for strand, description in subject.strands
        for number in subject.numbers
    ]


def _high_school_standards(subject: _Subject) -> list[Standard]:
    return [
        _standard(strand.format(number=number), f"{strand} {number}", None)
        for strand in subject.high_school
        for number in range(1, 5)
    ]


def _standard(code: str, meaning: str, description: str | None) -> Standard:
    """Return a standard; its guid depends on its meaning, not its spelling, and may be missing."""
    guid = uuid.uuid5(_NAMESPACE, meaning)
    return Standard(None if guid.int % 11 == 0 else str(guid).upper(), code, description)
