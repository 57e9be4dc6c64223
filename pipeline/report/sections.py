"""The sections of a page, in order: each a chart, its table, and what it says in a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from pipeline.report import charts
from pipeline.report.charts import Movement, Spec
from pipeline.report.disclosure import Share
from pipeline.report.findings import Findings, Part, Point, Row
from pipeline.report.groups import BANDS
from pipeline.report.movement import signed

_DRAWN = 8
"""How many falls, and how many rises, a chart shows."""


@dataclass(frozen=True)
class Value:
    """A cell of a table: its text, what it is sorted by, the length of its bar, and its link."""

    text: str
    sort: str = ""
    percent: float | None = None
    href: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table, with a name if there are several in a section."""

    head: Sequence[str]
    rows: Sequence[Sequence[Value]]
    name: str = ""


@dataclass(frozen=True)
class Section:
    """What a section says; a table without a chart is always shown."""

    name: str
    title: str
    text: str
    tables: Sequence[Table]
    specs: Sequence[Spec] = ()
    legend: Sequence[tuple[str, str]] = ()
    is_open: bool = False
    """Whether the table below a chart is shown at once."""
    is_sortable: bool = False
    """Whether the page's script sorts and filters the table; then its first rows are shown."""


@dataclass(frozen=True)
class Fact:
    """A number at the top of the page, and the sentence that it is part of."""

    number: str
    sentence: str


def of_year(findings: Findings, hrefs: Mapping[str, str]) -> list[Section]:
    """Return the sections about a school year; `hrefs` has the page of each school."""
    of_all = [*_of_results(findings), _schools(findings, hrefs), _reporting_groups(findings)]
    return [section for section in of_all if any(table.rows for table in section.tables)]


def of_school(findings: Findings) -> list[Section]:
    """Return the sections about one school."""
    of_all = [*_of_results(findings), _reporting_groups(findings)]
    return [section for section in of_all if any(table.rows for table in section.tables)]


def facts(findings: Findings) -> list[Fact]:
    """Return what the year says, a sentence each."""
    found = []
    if total := findings.total:
        found.append(
            Fact(
                total.mastered.text,
                f"of about {total.results:,} results are mastered: they are at or above the cut "
                "score for mastery that the assessment itself sets.",
            )
        )
    if change := findings.since_last_year:
        what = f"percentage points since {change.since}, in the units that both years have."
        found.append(Fact(change.text, what))
    if change := findings.since_last_unit:
        what = "percentage points from the unit before to the latest unit of each grade."
        found.append(Fact(change.text, what))
    if findings.taken_by:
        what = "of the students of a grade took an assessment that was given in it, on average."
        found.append(Fact(findings.taken_by.text, what))
    return found


def _of_results(findings: Findings) -> list[Section]:
    return [
        _curricula(findings),
        _grades(findings),
        _cells(findings),
        _years(findings),
        _assessments(findings),
        _units(findings),
        _standards(findings),
    ]


def _curricula(findings: Findings) -> Section:
    text = "All results of each curriculum, and in bold the percentage mastered; highest first."
    return _bands(
        "curricula",
        "Which curricula are reaching mastery?",
        text,
        "curriculum",
        findings.by_curriculum,
    )


def _grades(findings: Findings) -> Section:
    text = "All results of each grade, in all curricula, and in bold the percentage mastered."
    return _bands("grades", "Which grades are reaching mastery?", text, "grade", findings.by_grade)


def _bands(name: str, title: str, text: str, group: str, rows: Sequence[Row]) -> Section:
    named = [Row(f"Grade {row.name}" if group == "grade" else row.name, row.total) for row in rows]
    return Section(
        name,
        title,
        text,
        [Table([group, "results", "mastered", *BANDS], [_band_row(row) for row in rows])],
        charts.bands(named) if rows else (),
        list(zip(BANDS, charts.BAND_COLOURS, strict=True)),
    )


def _band_row(row: Row, href: str = "") -> list[Value]:
    bands = (Value(f"{percent:.0f} %", f"{percent:.0f}") for percent in row.total.bands)
    return [
        Value(row.name, href=href),
        _about(row.total.results),
        _share(row.total.mastered),
        *bands,
    ]


def _cells(findings: Findings) -> Section:
    curricula = [row.name for row in findings.by_curriculum]
    return Section(
        "cells",
        "Where is mastery reached, and where not?",
        "The share of results mastered, in percent: blue above half, orange below. Nothing is "
        f"shown where fewer than {findings.smallest} students took an assessment.",
        [
            Table(
                ["grade", "curriculum", "results", "mastered"],
                [
                    [
                        Value(of.grade),
                        Value(of.curriculum),
                        _about(of.total.results),
                        _share(of.total.mastered),
                    ]
                    for of in findings.cells
                ],
            )
        ],
        charts.cells(findings.cells, curricula) if findings.cells else (),
    )


def _years(findings: Findings) -> Section:
    by_curriculum: dict[str, list[Point]] = {}
    for point in findings.years:
        by_curriculum.setdefault(point.curriculum, []).append(point)
    several = {name: of for name, of in by_curriculum.items() if len(of) > 1}
    moved = [
        Movement(name, of[-2].total.mastered, of[-1].total.mastered) for name, of in several.items()
    ]
    return Section(
        "years",
        "Are we improving?",
        "From the year before (grey) to this year, by curriculum, the largest fall first. "
        "Other students, and often other units: a difference of a few points says little.",
        [
            Table(
                ["curriculum", "school year", "results", "mastered", "change"],
                [
                    [
                        Value(name),
                        Value(at.year),
                        _about(at.total.results),
                        _share(at.total.mastered),
                        _change(before, at) if before else Value(""),
                    ]
                    for name, of in several.items()
                    for before, at in zip([None, *of], of, strict=False)
                ],
            )
        ],
        charts.movements(sorted(moved, key=_fall)) if moved else (),
    )


def _change(before: Point, after: Point) -> Value:
    points = round(after.total.mastered.value) - round(before.total.mastered.value)
    return Value(signed(points), f"{points}")


def _fall(of: Movement) -> tuple[int, str]:
    return of.points, of.name


def _assessments(findings: Findings) -> Section:
    return Section(
        "assessments",
        "How did each assessment go?",
        "The day is the one by which half of the results were there; the latest is first. The "
        "number on the roster is that of the grades and schools in which it was taken.",
        [
            Table(
                ["assessment", "grade", "day", "took it", "on the roster", "mastered"],
                [
                    [
                        Value(of.title, note=", ".join(filter(None, (of.curriculum, of.unit)))),
                        Value(of.grades),
                        Value(of.day),
                        _about(of.total.results),
                        _about(of.rostered),
                        _share(of.total.mastered),
                    ]
                    for of in findings.assessments
                ],
            )
        ],
        is_sortable=True,
    )


def _units(findings: Findings) -> Section:
    moved = [
        Movement(
            f"{of.curriculum}, grade {of.grade}",
            Share.of_several(of.percents[0]),
            Share.of_several(of.percents[1]),
            " to ".join(of.units),
        )
        for of in findings.units
    ]
    return Section(
        "units",
        "What changed from unit to unit?",
        "From the unit before (grey) to the latest unit, by curriculum and grade: the largest "
        "falls, then the largest rises; the table has all. Where there are several schools, those "
        "with both units count.",
        [
            Table(
                ["curriculum", "grade", "unit before", "latest unit", "before", "latest", "change"],
                [
                    [
                        *map(Value, (of.curriculum, of.grade, *of.units)),
                        *(Value(f"{percent} %", f"{percent}") for percent in of.percents),
                        Value(signed(of.points), f"{of.points}"),
                    ]
                    for of in findings.units
                ],
            )
        ],
        charts.movements([*moved[:_DRAWN], *moved[_DRAWN:][-_DRAWN:]]) if moved else (),
    )


def _standards(findings: Findings) -> Section:
    return Section(
        "standards",
        "Which standards need reteaching?",
        "Of each curriculum the standards with the smallest share of results mastered.",
        _parts(findings.standards, "standard"),
    )


def _reporting_groups(findings: Findings) -> Section:
    return Section(
        "groups",
        "How are the reporting groups?",
        "Reporting groups are the parts of an assessment, such as its types of question. Of each "
        "curriculum, those with the smallest share of results mastered.",
        _parts(findings.reporting_groups, "reporting group"),
    )


def _parts(parts: Sequence[Part], what: str) -> list[Table]:
    return [
        Table(
            [what, "grade", "results", "mastered"],
            [
                [
                    Value(of.name, note=of.wording),
                    Value(of.grade),
                    _about(of.total.results),
                    _share(of.total.mastered),
                ]
                for of in of_curriculum
            ],
            curriculum,
        )
        for curriculum, of_curriculum in groupby(parts, key=attrgetter("curriculum"))
    ]


def _schools(findings: Findings, hrefs: Mapping[str, str]) -> Section:
    rows = findings.schools
    return Section(
        "schools",
        "Which schools are reaching mastery?",
        "All results of each school, and in bold the percentage mastered. Each name in the table "
        "leads to the page of that school.",
        [
            Table(
                ["school", "results", "mastered", *BANDS],
                [_band_row(row, hrefs.get(row.name, "")) for row in rows],
            )
        ],
        charts.bands(rows) if rows else (),
        list(zip(BANDS, charts.BAND_COLOURS, strict=True)),
        is_open=True,
    )


def _share(share: Share) -> Value:
    return Value(share.text, f"{share.value:.2f}", share.value)


def _about(number: int | None) -> Value:
    return Value("", "-1") if number is None else Value(f"{number:,}", f"{number}")
