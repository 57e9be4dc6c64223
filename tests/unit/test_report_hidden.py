"""Tries to find out what the report hides, from everything that stands on its page.

Those who try know the rules, the roster of the grade to the student, and all other groups. A size
or a result of a hidden group is safe when the page is the same whatever it is.
"""

import dataclasses
import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.report import aggregates, findings, page
from pipeline.report.disclosure import Rule
from pipeline.report.load import Loads

RULE = Rule(10)
GRADE = 3
CURRICULA = ("Eureka", "Ready", "Zearn", "ELA")
ABOUT = page.About("23-24", "2024-06-30", "a run", "2024-07-01 02:00", True)

Sizes = dict[str, tuple[int, int]]
"""The students of a grade by curriculum, each of whom has results in one: below the bar, above."""


def counted(grade: Sizes, other: Sizes, missing: int) -> findings.Counted:
    """The counts of two grades of which all students but `missing` of the first were tested."""
    both = {(GRADE, c): parts for c, parts in grade.items()}
    both |= {(GRADE + 1, c): parts for c, parts in other.items()}
    bands = {group: [0, low, 0, 0, high, 0] for group, (low, high) in both.items() if low + high}
    shown = findings.shown(bands, RULE)
    tested = {g: sum(sum(b) for (of, _), b in shown.items() if of == g) for g in (3, 4)}
    there = {g: sum(sum(b) for (of, _), b in bands.items() if of == g) for g in (3, 4)}
    return findings.Counted(
        bands=bands,
        standards={},
        scores={},
        tested=tested,
        rostered={GRADE: there[GRADE] + missing, GRADE + 1: there[GRADE + 1]},
        unmapped=[],
        earlier={},
    )


def html(found: findings.Findings) -> str:
    """The page; the charts are drawn from the same findings, and dear, so they are left out."""
    blank = dict.fromkeys(
        ("loads", "bands", "cells", "standards", "years", "coverage", "spread"), lambda *_: ""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "charts", SimpleNamespace(**blank))
        # A section without a chart has no table either, so something must stand for it.
        for name in blank:
            patch.setattr(page.charts, name, lambda *_: "<svg/>")
        return page.render(ABOUT, found, Loads([], [], []))


def pages(grade: Sizes, other: Sizes, roster: int, hidden: str) -> dict[int, str]:
    """The page for each size that a hidden group may have on that roster."""
    left = roster - sum(sum(parts) for name, parts in grade.items() if name != hidden)
    made = {}
    for size in range(1, min(RULE.smallest - 1, left) + 1):
        district = {**grade, hidden: (size - size // 2, size // 2)}
        made[size] = html(findings.find("23-24", counted(district, other, left - size), RULE))
    return made


PARTS = st.one_of(
    st.tuples(st.integers(0, 5), st.integers(0, 4)).filter(any),
    st.tuples(st.integers(0, 16), st.integers(0, 16)).filter(any),
)
GRADES = st.dictionaries(st.sampled_from(CURRICULA[:3]), PARTS, min_size=1)


@given(GRADES, GRADES, st.integers(0, 6))
@example({"Eureka": (0, 1), "Ready": (0, 15)}, {"Eureka": (0, 1)}, 4)
def test_a_hidden_group_may_be_of_any_size(grade: Sizes, other: Sizes, missing: int) -> None:
    hidden = [name for name, parts in grade.items() if RULE.hides(sum(parts))]
    assume(hidden)
    roster = sum(map(sum, grade.values())) + missing
    for name in hidden:
        assert len(set(pages(grade, other, roster, name).values())) == 1


def test_the_attempt_succeeds_where_totals_count_hidden_groups(monkeypatch) -> None:
    """It is no blunt tool: exact sizes and totals of everything give a hidden group away."""
    monkeypatch.setattr(Rule, "about", lambda _, students: students)
    monkeypatch.setattr(findings, "shown", lambda bands, _: bands)
    made = pages({"Eureka": (20, 30), "Ready": (3, 4)}, {"Eureka": (10, 10)}, 60, "Ready")
    assert len(set(made.values())) == len(made) == 9


def view(folder: Path, name: str, results: list[dict[str, object]]) -> Path:
    """A view as it is published, as far as the report reads it."""
    path = folder / f"{name}.parquet"
    schema = {
        "assessment_id": pl.String,
        "date_taken": pl.Date,
        "grade": pl.Int64,
        "local_student_id": pl.String,
        "curriculum": pl.String,
        "standard_code": pl.String,
        "score": pl.Int64,
        "performance_band_level": pl.String,
        "mastered": pl.String,
        "response_type": pl.String,
    }
    pl.DataFrame(results, schema=schema).write_parquet(path)
    return path


def result(student: str, grade: int, curriculum: str, level: int, **more: object):
    return {
        "assessment_id": "1",
        "date_taken": dt.date(2024, 1, 31),
        "grade": grade,
        "local_student_id": student,
        "curriculum": curriculum,
        "standard_code": "percent",
        "score": 20 * level,
        "performance_band_level": str(level),
        "mastered": "t" if level > 2 else "f",
        "response_type": "overall",
        **more,
    }


def results(levels: dict[str, list[int]]) -> list[dict[str, object]]:
    """Overall and standard results of grade 3; a student of each curriculum has one of each."""
    overall = [
        result(f"{curriculum}{number}", GRADE, curriculum, level)
        for curriculum, of in levels.items()
        for number, level in enumerate(of)
    ]
    by_standard = [
        {**row, "response_type": "standard", "standard_code": "3.OA.1"} for row in overall
    ]
    return overall + by_standard


def found_in(path: Path) -> findings.Findings:
    bands = aggregates.bands(path)
    groups = findings.shown(bands, RULE)
    tested = aggregates.tested(path, findings.hidden(bands, RULE))
    everything = findings.Counted(
        bands=bands,
        standards=aggregates.standards(path, groups),
        scores=aggregates.scores(path, groups),
        tested=tested,
        rostered={grade: students + 12 for grade, students in tested.items()},
        unmapped=[],
        earlier={"22-23": bands},
    )
    return findings.find("23-24", everything, RULE)


LEVELS = st.lists(st.integers(1, 5), min_size=9, max_size=9)


@settings(max_examples=10)
@given(LEVELS, LEVELS)
def test_results_of_a_hidden_group_are_nowhere_on_the_page(
    tmp_path_factory: pytest.TempPathFactory, some: list[int], others: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("views")
    large = {"Eureka": [1, 2, 3, 4, 5] * 8, "ELA": [2, 3] * 6}
    one, two = (
        found_in(view(folder, name, results({**large, "Ready": levels})))
        for name, levels in (("one", some), ("two", others))
    )
    assert [cell.curriculum for cell in one.cells if cell.met is None] == ["Ready"]
    assert html(one) == html(two)


def test_what_adds_up_adds_up_what_is_shown() -> None:
    grade = {"Eureka": (20, 20), "Ready": (9, 0)}
    found = findings.find("23-24", counted(grade, {"Ready": (0, 40)}, 0), RULE)
    sizes = {row.name: row.students for row in (*found.by_grade, *found.by_curriculum)}
    assert sizes == {"3": 40, "4": 40, "Eureka": 40, "Ready": 40}
    assert [point.students for point in found.years] == [40, 40]


def test_standards_are_those_of_shown_groups(tmp_path: Path) -> None:
    path = view(tmp_path, "view", results({"Eureka": [1] * 20, "Ready": [5] * 9}))
    (standard,) = found_in(path).standards
    assert (standard.students, standard.mastered.text) == (20, RULE.share(0, 20).text)


def test_students_with_results_in_hidden_groups_only_count_as_not_tested(tmp_path: Path) -> None:
    shown, hidden = results({"Eureka": [3] * 20}), results({"Ready": [3] * 9})
    both = [{**row, "local_student_id": "Eureka0"} for row in hidden[:1]]
    untitled = [{**shown[0], "local_student_id": "another", "curriculum": None}]
    path = view(tmp_path, "view", [*shown, *hidden, *both, *untitled])
    assert aggregates.tested(path, [(GRADE, "Ready")]) == {GRADE: 21}
    assert aggregates.tested(path, []) == {GRADE: 30}


def test_the_latest_result_counts(tmp_path: Path) -> None:
    early = [
        {**row, "date_taken": dt.date(2023, 9, 1), "assessment_id": "9"}
        for row in results({"Eureka": [5] * 20})
    ]
    path = view(tmp_path, "view", [*early, *results({"Eureka": [1] * 20})])
    assert aggregates.bands(path) == {(GRADE, "Eureka"): [20, 0, 0, 0, 0, 0]}


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_standards_are_the_same_however_many_are_counted_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(aggregates, "_AT_ONCE", at_once)
    codes = [f"3.OA.{number}" for number in range(9)]
    of_one = results({"Eureka": [1, 2, 3, 4, 5] * 4})[20:]
    # Where some standards have only students who are not on the roster, the others have grades.
    rows = [
        {**row, "standard_code": code, "grade": row["grade"] if place % 3 else None}
        for place, code in enumerate(codes)
        for row in of_one
    ]
    found = aggregates.standards(view(tmp_path, "view", rows), [(GRADE, "Eureka")])
    shown = [code for place, code in enumerate(codes) if place % 3]
    assert found == {(GRADE, code): aggregates.Standing(12, 20) for code in shown}


def test_without_a_roster_all_students_are_of_one_grade(tmp_path: Path) -> None:
    rows = [{**row, "grade": None} for row in results({"Eureka": [4] * 20})]
    found = found_in(view(tmp_path, "view", rows))
    assert [(row.name, row.students) for row in found.by_grade] == [("all", 20)]
    assert found.coverage == []


def test_titles_with_few_rows_are_counted_and_not_named() -> None:
    district = dataclasses.replace(
        counted({"Eureka": (20, 20)}, {}, 0), unmapped=[("Survey", 31), ("Retake of one", 3)]
    )
    found = findings.find("23-24", district, RULE)
    assert (found.unmapped, found.unmapped_hidden) == ([("Survey", "30")], 1)
    assert "Retake" not in html(found)
