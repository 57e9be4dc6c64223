"""The page: findings, loads and charts in one HTML file that asks nobody for anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report import charts
from pipeline.report.aggregates import BANDS
from pipeline.report.findings import Findings
from pipeline.report.load import Loads

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A question, its answer as a chart, and the same as a table.

    `svg` is empty where there is nothing to draw; then `empty` says why.
    """

    name: str
    title: str
    said: str
    svg: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = ""


@dataclass(frozen=True)
class About:
    """Which tables the page is about."""

    year: str
    as_of: str
    run: str
    made_at: str
    is_made_up: bool


def render(about: About, findings: Findings, loads: Loads) -> str:
    """Write the page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        about=about,
        findings=findings,
        loads=loads,
        unmapped=[[title] for title in findings.unmapped],
        numbers=_numbers(findings, loads),
        sections=_sections(findings, loads),
        checks=[(name, "passed" if ok else "FAILED") for name, ok in loads.checks],
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
    )


def _numbers(findings: Findings, loads: Loads) -> list[tuple[str, str]]:
    """The first things to know: a number, and of what."""
    passed = sum(ok for _, ok in loads.checks)
    told = [
        (loads.latest.rows_told if loads.latest else "", "rows of results"),
        (f"{passed} of {len(loads.checks)}" if loads.checks else "", "checks passed"),
        (f"≈ {findings.students:,}" if findings.students else "", "students with results shown"),
        (findings.covered.text if findings.covered else "", "of the roster with results shown"),
        (findings.met.text if findings.met else "", "of latest results met the bar"),
    ]
    return [(number, of) for number, of in told if number]


def _sections(findings: Findings, loads: Loads) -> list[Section]:
    return [
        _load(loads),
        _by_grade(findings),
        _by_curriculum(findings),
        _cells(findings),
        _standards(findings),
        _years(findings),
        _coverage(findings),
        _spread(findings),
    ]


_LOAD_HEAD = (
    "ended at (UTC)",
    "outcome",
    "rows",
    "requests",
    "retries",
    "failed shards",
    "failed steps",
    "seconds",
)


def _load(loads: Loads) -> Section:
    rows = [
        [
            load.finished,
            load.outcome,
            load.rows_told,
            f"{load.requests:,}",
            f"{load.retries:,}",
            f"{load.failed_shards:,}",
            ", ".join(load.failed_steps) or "none",
            f"{load.seconds:g}",
        ]
        for load in reversed(loads.loads)
    ]
    return Section(
        "loads",
        "Was the latest load complete?",
        "Rows of the combined table after each of the latest runs, to two digits. The "
        "reasons of failed steps stand in the run's own record.",
        charts.loads(loads.loads) if loads.loads else "",
        _LOAD_HEAD,
        rows,
        "There is no record of a run of this year.",
    )


_LATEST = "Each student counts once in each curriculum, with the latest overall result there."
_NO_GROUP = "No group of students is large enough to be shown."


def _by_grade(findings: Findings) -> Section:
    unit = "latest results (% of the grade)"
    return Section(
        "grades",
        "Who met the bar, by grade?",
        f"{_LATEST} Blue is at or above the bar that the assessment itself sets (mastered).",
        charts.bands(findings.by_grade, "grades", unit) if findings.by_grade else "",
        ["grade", "latest results (about)", *(f"{band} (%)" for band in BANDS)],
        _band_rows(findings.by_grade),
        _NO_GROUP,
    )


def _by_curriculum(findings: Findings) -> Section:
    unit = "latest results (% of the curriculum)"
    return Section(
        "curricula",
        "Who met the bar, by curriculum?",
        "All grades that are shown, highest share first.",
        charts.bands(findings.by_curriculum, "curricula", unit) if findings.by_curriculum else "",
        ["curriculum", "students (about)", *(f"{band} (%)" for band in BANDS)],
        _band_rows(findings.by_curriculum),
        _NO_GROUP,
    )


def _band_rows(rows: Sequence[Any]) -> list[list[str]]:
    return [[row.name, f"{row.students:,}", *(s.text for s in row.shares)] for row in rows]


def _cells(findings: Findings) -> Section:
    hidden = f"fewer than {findings.smallest}"
    return Section(
        "cells",
        "Where is the bar met, and where not?",
        f"Students who met the bar. Grey: {hidden} students; they are in no total of this page.",
        charts.cells(findings.cells, findings.smallest) if findings.cells else "",
        ["grade", "curriculum", "students (about)", "met the bar (%)"],
        [
            [
                cell.grade,
                cell.curriculum,
                f"{cell.students:,}" if cell.students else hidden,
                cell.met.text if cell.met else "hidden",
            ]
            for cell in findings.cells
        ],
        _NO_GROUP,
    )


def _standards(findings: Findings) -> Section:
    return Section(
        "standards",
        "Which standards need reteaching?",
        "The five standards of each grade that the smallest part of its students mastered, each "
        "student with the latest result.",
        charts.standards(findings.standards) if findings.standards else "",
        ["grade", "place", "standard", "students (about)", "mastered (%)"],
        [
            [of.grade, str(of.rank), of.code, f"{of.students:,}", of.mastered.text]
            for of in findings.standards
        ],
        "No standard has results of a group that is large enough to be shown.",
    )


def _years(findings: Findings) -> Section:
    years = sorted({point.year for point in findings.years})
    alone = "There is one year so far. Run earlier years too (make years) to compare them."
    return Section(
        "years",
        "Are we improving?",
        "Who met the bar in each curriculum of this year, in the years that are published."
        if len(years) > 1
        else alone,
        charts.years(findings.years) if findings.years else "",
        ["curriculum", "school year", "students (about)", "met the bar (%)"],
        [[of.curriculum, of.year, f"{of.students:,}", of.met.text] for of in findings.years],
        _NO_GROUP,
    )


def _coverage(findings: Findings) -> Section:
    return Section(
        "coverage",
        "Who is missing a result?",
        "Students on the roster with a result of any kind in a group that is shown. How many are "
        "missing is never said: it would be a small group."
        + (
            f" Not shown: grade {', '.join(findings.coverage_hidden)}."
            if findings.coverage_hidden
            else ""
        ),
        charts.coverage(findings.coverage) if findings.coverage else "",
        ["grade", "on the roster (about)", "with a result that is shown (%)"],
        [[row.name, f"{row.students:,}", row.shares[0].text] for row in findings.coverage],
        "No grade can be shown, or there is no roster.",
    )


def _spread(findings: Findings) -> Section:
    shown = [row for row in findings.spread if row.at[2] is not None]
    return Section(
        "spread",
        "How are scores spread?",
        "The middle student, the middle half (bar) and the middle eight of ten (line), each "
        "student with the latest overall score, to the nearest 5 points. A mark is left out where "
        "fewer than five students lie beyond it.",
        charts.spread(shown) if shown else "",
        ["grade", "students (about)", *(f"{p} (% correct)" for p in _PERCENTILES)],
        [
            [of.grade, f"{of.students:,}", *("hidden" if at is None else str(at) for at in of.at)]
            for of in shown
        ],
        _NO_GROUP,
    )


_PERCENTILES = ("p10", "p25", "median", "p75", "p90")
