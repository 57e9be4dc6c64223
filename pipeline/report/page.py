"""The page: findings, run history and charts in one HTML file that loads nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pipeline.report import charts
from pipeline.report.aggregates import BANDS
from pipeline.report.findings import Findings, Row
from pipeline.report.run_history import RunHistory

_HERE = Path(__file__).parent
_NO_GROUP = "No group of students is large enough to show."
_NAMED = 10
_PERCENTILES = ("p10", "p25", "median", "p75", "p90")


@dataclass(frozen=True)
class Section:
    """A question, its answer as a chart, and the same as a table; `empty` if there are no rows."""

    name: str
    title: str
    text: str
    draw: Callable[[], str]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = _NO_GROUP


@dataclass(frozen=True)
class About:
    """Which tables the page is about."""

    year: str
    as_of: str
    fetched_on: str
    run: str
    made_at: str
    is_made_up: bool


def render(about: About, findings: Findings, history: RunHistory) -> str:
    """Return the page as HTML."""
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
        history=history,
        unmapped=[[title] for title in findings.unmapped],
        unlisted=_first(findings.unlisted),
        numbers=_numbers(findings, history),
        sections=[
            _runs(history),
            _by_grade(findings),
            _by_curriculum(findings),
            _cells(findings),
            _standards(findings),
            _years(findings),
            _coverage(findings),
            _scores(findings),
        ],
        checks=[(name, "passed" if ok else "FAILED") for name, ok in history.checks],
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
    )


def _first(names: Sequence[str]) -> list[list[str]]:
    """Return a row of each of some names, and how many there are beside them."""
    more = [[f"and {len(names) - _NAMED:,} more"]] if len(names) > _NAMED else []
    return [*([name] for name in names[:_NAMED]), *more]


def _numbers(findings: Findings, history: RunHistory) -> list[tuple[str, str]]:
    """Return the headline numbers, each with what it counts."""
    passed = sum(ok for _, ok in history.checks)
    mastered = "of latest results mastered (at or above the assessment's mastery cut score)"
    numbers = [
        (history.latest.rows_text if history.latest else "", "rows of results"),
        (f"{passed} of {len(history.checks)}" if history.checks else "", "checks passed"),
        (f"≈ {findings.students:,}" if findings.students else "", "students with results shown"),
        (findings.covered.text if findings.covered else "", "of the roster with results shown"),
        (findings.mastered.text if findings.mastered else "", mastered),
    ]
    return [(number, of) for number, of in numbers if number]


def _runs(history: RunHistory) -> Section:
    return Section(
        "runs",
        "Was the latest run complete?",
        "Rows in the combined table after each recent run, rounded to two digits. The reasons for "
        "failed steps are in the run's own record.",
        lambda: charts.runs(history.runs),
        [
            *("ended (UTC)", "outcome", "rows", "requests"),
            *("retries", "failed shards", "failed steps", "seconds"),
        ],
        [
            [
                run.finished,
                run.outcome,
                run.rows_text,
                f"{run.requests:,}",
                f"{run.retries:,}",
                f"{run.failed_shards:,}",
                ", ".join(run.failed_steps) or "none",
                f"{run.seconds:g}",
            ]
            for run in reversed(history.runs)
        ],
        "No run of this year has been recorded.",
    )


def _by_grade(findings: Findings) -> Section:
    text = (
        "Each student counts once in each curriculum, with the latest overall result there. Blue "
        "bars are mastered: at or above the cut score for mastery that the assessment itself sets. "
        "Orange bars are below it."
    )
    return _bands("grades", "grade", text, "latest results", findings.by_grade)


def _by_curriculum(findings: Findings) -> Section:
    text = "All grades that are shown, combined; highest share of mastery first."
    return _bands("curricula", "curriculum", text, "students", findings.by_curriculum)


def _bands(name: str, group: str, text: str, counted: str, rows: Sequence[Row]) -> Section:
    return Section(
        name,
        f"Which {name} are reaching mastery?",
        text,
        lambda: charts.bands(rows, name, f"latest results (% of the {group})"),
        [group, f"{counted} (about)", *(f"{band} (%)" for band in BANDS)],
        [[row.name, f"{row.students:,}", *(s.text for s in row.shares)] for row in rows],
    )


def _cells(findings: Findings) -> Section:
    too_few = f"fewer than {findings.smallest}"
    return Section(
        "cells",
        "Where are students reaching mastery, and where not?",
        f"The share of students whose latest overall result is mastered. Grey: {too_few} students; "
        "these groups are not part of any total on this page.",
        lambda: charts.cells(findings.cells, findings.smallest),
        ["grade", "curriculum", "students (about)", "mastered (%)"],
        [
            [
                cell.grade,
                cell.curriculum,
                f"{cell.students:,}" if cell.students else too_few,
                cell.mastered.text if cell.mastered else "suppressed",
            ]
            for cell in findings.cells
        ],
    )


def _standards(findings: Findings) -> Section:
    return Section(
        "standards",
        "Which standards need reteaching?",
        "The five standards in each grade with the smallest share of students who mastered them. "
        "Each student counts with the latest result.",
        lambda: charts.standards(findings.standards),
        ["grade", "rank", "standard", "students (about)", "mastered (%)"],
        [
            [of.grade, str(of.rank), of.code, f"{of.students:,}", of.mastered.text]
            for of in findings.standards
        ],
        "No standard has results from a group that is large enough to show.",
    )


def _years(findings: Findings) -> Section:
    several = len({point.year for point in findings.years}) > 1
    return Section(
        "years",
        "Are we improving?",
        "The share of latest results mastered in each of this year's curricula, for every "
        "published year."
        if several
        else "Only one year has results to show. Run earlier years too (make years) to compare.",
        lambda: charts.years(findings.years),
        ["curriculum", "school year", "students (about)", "mastered (%)"],
        [[of.curriculum, of.year, f"{of.students:,}", of.mastered.text] for of in findings.years],
    )


def _coverage(findings: Findings) -> Section:
    suppressed = ", ".join(findings.coverage_suppressed)
    return Section(
        "coverage",
        "Who is missing a result?",
        "Students on the roster with a result of any kind in a group that is shown. The number "
        "missing is never given: it would be the size of a small group."
        + (f" Not shown: grade {suppressed}." if suppressed else ""),
        lambda: charts.coverage(findings.coverage),
        ["grade", "on the roster (about)", "with a result that is shown (%)"],
        [[row.name, f"{row.students:,}", row.shares[0].text] for row in findings.coverage],
        "No grade is large enough to show, or there is no roster.",
    )


def _scores(findings: Findings) -> Section:
    return Section(
        "scores",
        "How are scores distributed?",
        "The median student (tick), the middle half (bar) and the middle 80 % (line). Each student "
        "counts with the latest overall score, rounded to 5 points. A mark is left out if fewer "
        "than five students lie beyond it.",
        lambda: charts.scores(findings.scores),
        ["grade", "students (about)", *(f"{p} (% correct)" for p in _PERCENTILES)],
        [
            [
                of.name,
                f"{of.students:,}",
                *("suppressed" if percent is None else str(percent) for percent in of.percents),
            ]
            for of in findings.scores
        ],
    )
