"""Attempts to recover what the report suppresses, from everything on its page.

The attacker knows the rules, every student on the grade's roster, and all other groups. The size
and the results of a suppressed group are safe if the page is the same whatever they are.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report import aggregates, findings, page, run_history
from pipeline.report.disclosure import Rule
from pipeline.report.run_history import RunHistory
from tests.unit.report.test_run_history import record

RULE = Rule(10)
GRADE = 3
ABOUT = page.About("23-24", "2024-06-30", "2024-06-30", "a run", "2024-07-01 02:00", True)
ON_THE_ROSTER = {GRADE: 70, GRADE + 1: 40}
COLUMNS = {
    "assessment_id": pl.String,
    "date_taken": pl.Date,
    "grade": pl.Int64,
    "local_student_id": pl.String,
    "curriculum": pl.String,
    "unit": pl.String,
    "title": pl.String,
    "standard_code": pl.String,
    "academic_benchmark_guid": pl.String,
    "score": pl.Int64,
    "points": pl.Float64,
    "performance_band_level": pl.String,
    "mastered": pl.String,
    "response_type": pl.String,
}

NO_RUNS = RunHistory([], [], [])
OTHER_ROWS = 20_000
CODES = ["3.OA.1", *(f"3.OA.{number}" for number in range(9) if number != 1)]
SPELLINGS = pl.LazyFrame(
    {"standard_code": CODES, "academic_benchmark_guid": None, "normalised_code": CODES},
    schema_overrides={"academic_benchmark_guid": pl.String},
)

Rows = list[dict[str, object]]


def view(folder: Path, name: str, rows: Rows) -> Path:
    """Write a view with the columns that the report reads."""
    path = folder / f"{name}.parquet"
    pl.DataFrame(rows, schema=COLUMNS).write_parquet(path)
    return path


def result(student: str, grade: int, curriculum: str | None, level: int, **more: object):
    return {
        "assessment_id": "1",
        "date_taken": dt.date(2024, 1, 31),
        "grade": grade,
        "local_student_id": student,
        "curriculum": curriculum,
        "unit": "Unit 1",
        "title": f"{curriculum} Unit 1",
        "standard_code": "percent",
        "score": 20 * level,
        "performance_band_level": str(level),
        "mastered": "t" if level > 2 else "f",
        "response_type": "overall",
        **more,
    }


def by_standard(overall: Rows) -> Rows:
    """Return the same results as results of a standard."""
    return [{**row, "response_type": "standard", "standard_code": "3.OA.1"} for row in overall]


def results(levels: dict[str, list[int]], grade: int = GRADE) -> Rows:
    """Return results of a grade: one overall and one standard result per student and curriculum."""
    overall = [
        result(f"{curriculum}{number} of {grade}", grade, curriculum, level)
        for curriculum, of in levels.items()
        for number, level in enumerate(of)
    ]
    return overall + by_standard(overall)


def found_in(
    path: Path,
    on_the_roster: dict[int, int] = ON_THE_ROSTER,
    unlisted: Sequence[str] = (),
    spellings: pl.LazyFrame = SPELLINGS,
) -> findings.Findings:
    roster = path.with_suffix(".csv")
    lines = [
        f"{number} of {of},{of}" for of, all_ in on_the_roster.items() for number in range(all_)
    ]
    roster.write_text("\n".join(["local_student_id,grade", *lines]) + "\n", encoding="utf-8")
    labels = path.with_name("labels.csv")
    listed = ["1,t", *(f"{each},f" for each in unlisted)]
    labels.write_text("\n".join(["assessment_id,in_catalogue", *listed]), encoding="utf-8")
    return findings.disclose("23-24", path, roster, {"22-23": path}, RULE, labels, spellings)


def html(found: findings.Findings, history: RunHistory = NO_RUNS) -> str:
    """Return the page without its charts: they show the same findings and take long to draw."""
    names = ("runs", "bands", "cells", "standards", "years", "coverage", "scores")
    blank = SimpleNamespace(**dict.fromkeys(names, lambda *_: "<svg/>"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "charts", blank)
        return page.render(ABOUT, found, history)


class Student(NamedTuple):
    """A student whose results may reveal a small group."""

    level: int
    is_readable: bool
    has_unit: bool
    has_standards: bool
    is_elsewhere: bool
    """True if another group, which is shown, has results of the same student."""

    def rows(self, number: int, curriculum: str | None) -> Rows:
        """Return the results in the small group."""
        of = result(
            f"Eureka{number} of 3" if self.is_elsewhere else f"{curriculum} {number}",
            GRADE,
            curriculum,
            self.level,
            date_taken=dt.date(2024, 5, 31),
            title="Only here" if self.has_unit else "Too little",
        )
        of["unit"] = "Unit 1" if self.has_unit else None
        if not self.is_readable:
            of["performance_band_level"], of["score"] = None, None
        return [of, *(by_standard([of] * 3) if self.has_standards else ())]


STUDENT = st.builds(
    Student, st.integers(1, 5), st.booleans(), st.booleans(), st.booleans(), st.booleans()
)
GROUP = st.lists(STUDENT, max_size=RULE.smallest - 1)
READY = results({"Ready": [1, 4] * 10}, GRADE + 1)
SHOWN = [
    *results({"Eureka": [1, 2, 3, 4, 5] * 8, "ELA": [2, 3] * 6}),
    *READY,
    *({**row, "unit": None, "title": "Too little"} for row in READY[:5]),
]


def page_with(folder: Path, group: Sequence[Student], curriculum: str | None) -> str:
    """Return the page about the groups that are shown and one more."""
    more = [row for number, of in enumerate(group) for row in of.rows(number, curriculum)]
    unread = sum(row["score"] is None for row in more)
    history = run_history.read([record(OTHER_ROWS + len(more), null=unread, unparseable=unread)])
    return html(found_in(view(folder, "view", [*SHOWN, *more])), history)


@settings(max_examples=30, deadline=None)
@given(GROUP, GROUP)
def test_the_page_is_the_same_for_any_size_and_results_of_a_suppressed_group(
    tmp_path_factory: pytest.TempPathFactory, one: list[Student], other: list[Student]
) -> None:
    """Its existence is visible as soon as one of its results is readable."""
    known = Student(3, True, True, True, False)
    folder = tmp_path_factory.mktemp("views")
    pages = [page_with(folder, [known, *of[:8]], "Ready") for of in (one, other)]
    assert "fewer than 10</td>" in pages[0]
    assert pages[0] == pages[1]


@settings(max_examples=30, deadline=None)
@given(GROUP, st.sampled_from(["Ready", None]))
def test_unreadable_results_leave_no_trace(
    tmp_path_factory: pytest.TempPathFactory, group: list[Student], curriculum: str | None
) -> None:
    folder = tmp_path_factory.mktemp("views")
    unread = [of._replace(is_readable=False) for of in group]
    assert page_with(folder, unread, curriculum) == page_with(folder, [], curriculum)


@pytest.mark.parametrize("count", ["bands", "tested", "standards", "scores", "unmapped"])
def test_the_attack_succeeds_if_suppressed_groups_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: str
) -> None:
    """The attack works: each count alone reveals a suppressed group if it includes all groups."""
    every = {(GRADE, "Eureka"), (GRADE, "ELA"), (GRADE, "Ready"), (GRADE + 1, "Ready")}
    true = getattr(aggregates, count)
    if count == "bands":
        monkeypatch.setattr(findings, "shown", lambda bands, _: bands)
    else:
        monkeypatch.setattr(aggregates, count, lambda path, _, *more: true(path, every, *more))
    monkeypatch.setattr(Rule, "rounded_size", lambda _, students: students)
    alike = Student(5, True, False, True, False)
    pages = [page_with(tmp_path, [alike] * size, "Ready") for size in (1, 9)]
    assert pages[0] != pages[1]


def test_totals_sum_the_groups_that_are_shown(tmp_path: Path) -> None:
    rows = results({"Eureka": [1, 4] * 20, "Ready": [1] * 9})
    found = found_in(view(tmp_path, "view", [*rows, *results({"Ready": [4] * 40}, GRADE + 1)]))
    sizes = {row.name: row.students for row in (*found.by_grade, *found.by_curriculum)}
    assert sizes == {"3": 40, "4": 40, "Eureka": 40, "Ready": 40}
    assert {(point.year, point.students) for point in found.years} == {("22-23", 40), ("23-24", 40)}


def test_standards_count_only_groups_that_are_shown(tmp_path: Path) -> None:
    path = view(tmp_path, "view", results({"Eureka": [1] * 20, "Ready": [5] * 9}))
    (standard,) = found_in(path).standards
    assert (standard.students, standard.mastered.text) == (20, RULE.share(0, 20).text)


def test_a_standard_in_four_spellings_is_shown_as_one(tmp_path: Path) -> None:
    """Each spelling alone has too few students."""
    codes = ["4.NF.B.3", "4.NF.3", "CCSS.Math.Content.4.NF.B.3", "4-nf-b-3"]
    overall = results({"Eureka": [1] * 20})[:20]
    of_standard = [
        {
            **row,
            "standard_code": codes[number % 4],
            "academic_benchmark_guid": "G" * (number % 4 < 3),
        }
        for number, row in enumerate(by_standard(overall))
    ]
    spellings = pl.LazyFrame(
        {
            "standard_code": codes,
            "academic_benchmark_guid": ["G", "G", "G", None],
            "normalised_code": "4NF3",
        }
    )
    path = view(tmp_path, "view", [*overall, *of_standard])
    (standard,) = found_in(path, spellings=spellings).standards
    assert (standard.code, standard.students) == ("4.NF.3", 20)


def test_coverage_counts_students_with_any_result_in_a_group_that_is_shown(tmp_path: Path) -> None:
    shown, hidden = results({"Eureka": [3] * 20}), results({"Ready": [3] * 8})
    both = [{**row, "local_student_id": "Eureka0 of 3"} for row in hidden[:1]]
    more = [
        {**shown[0], "local_student_id": "another", "performance_band_level": None},
        {**shown[0], "local_student_id": "a third", "response_type": "standard"},
        {**shown[0], "local_student_id": "not counted", "curriculum": None},
        {**shown[0], "local_student_id": "not on the roster", "grade": None},
    ]
    path = view(tmp_path, "view", [*shown, *hidden, *both, *more])
    assert aggregates.tested(path, [(GRADE, "Eureka")]) == {GRADE: 22}
    found = found_in(path, {GRADE: 44})
    assert [row.shares[0].text for row in found.coverage] == [RULE.share(22, 44).text]
    assert found.students == 20


def test_students_with_a_code_in_place_of_a_grade_are_in_no_grade_of_the_roster(tmp_path):
    (tmp_path / "roster.csv").write_text("local_student_id,grade\n1,4\n2,\n3,4\n")
    assert aggregates.rostered(tmp_path / "roster.csv") == {4: 2}


def test_quantiles_count_each_student_once(tmp_path: Path) -> None:
    """Two students with many results are still two students."""
    few = [
        result(f"{student}", GRADE, curriculum, 1, score=0)
        for student in range(2)
        for curriculum in ("A", "B", "C", "D", "E")
    ]
    others = [
        result(f"{curriculum}{number}", GRADE, curriculum, 3)
        for curriculum in ("A", "B", "C", "D", "E")
        for number in range(11)
    ]
    (scores,) = found_in(view(tmp_path, "view", [*few, *others])).scores
    assert scores.percents == [60, 60, 60, 60, 60]


def test_the_latest_result_counts(tmp_path: Path) -> None:
    early = [
        {**row, "date_taken": dt.date(2023, 9, 1), "assessment_id": "9"}
        for row in results({"Eureka": [5] * 20})
    ]
    path = view(tmp_path, "view", [*early, *results({"Eureka": [1] * 20})])
    assert aggregates.bands(path) == {(GRADE, "Eureka"): [20, 0, 0, 0, 0, 0]}


@pytest.mark.parametrize(
    ("counts", "other"),
    [
        ({"assessment_id": "10"}, {"assessment_id": "9"}),
        ({"assessment_id": "9"}, {"assessment_id": "A10"}),
        ({"score": 100}, {"score": 90}),
        ({"points": 10.0}, {"points": 9.0}),
        ({"points": 0.0}, {"points": None}),
    ],
    ids=str,
)
def test_of_one_day_the_later_assessment_and_its_best_result_count(
    tmp_path: Path, counts: dict[str, object], other: dict[str, object]
) -> None:
    """Numbers that are kept as text are compared as numbers, wherever the rows are."""
    same = {"score": 50, "mastered": "f"}
    latest = [{**row, **same, **counts} for row in results({"Eureka": [1] * 20})]
    others = [{**row, **same, **other, "mastered": "t"} for row in results({"Eureka": [4] * 20})]
    for number, rows in enumerate(([*others, *latest], [*latest, *others])):
        path = view(tmp_path, f"view {number}", rows)
        assert aggregates.bands(path) == {(GRADE, "Eureka"): [20, 0, 0, 0, 0, 0]}
        found = aggregates.standards(path, [(GRADE, "Eureka")], SPELLINGS)
        assert found == {(GRADE, "3.OA.1"): aggregates.MasteryCount(0, 20)}


@pytest.mark.parametrize("level", ["10", "9"])
def test_levels_are_compared_as_numbers(tmp_path: Path, level: str) -> None:
    rows = [
        {**result("1", GRADE, "Eureka", 1), "performance_band_level": each, "mastered": "t"}
        for each in (level, "4")
    ]
    path = view(tmp_path, "view", rows)
    assert aggregates.bands(path) == {(GRADE, "Eureka"): [0, 0, 0, 0, 0, 1]}


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_standards_are_the_same_for_any_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(aggregates, "_BATCH_ROWS", batch_rows)
    codes = [f"3.OA.{number}" for number in range(9)]
    of_one = results({"Eureka": [1, 2, 3, 4, 5] * 4})[20:]
    # Some standards have only students who are not on the roster; the others have grades.
    rows = [
        {**row, "standard_code": code, "grade": row["grade"] if place % 3 else None}
        for place, code in enumerate(codes)
        for row in of_one
    ]
    found = aggregates.standards(view(tmp_path, "view", rows), [(GRADE, "Eureka")], SPELLINGS)
    shown = [code for place, code in enumerate(codes) if place % 3]
    assert found == {(GRADE, code): aggregates.MasteryCount(12, 20) for code in shown}


def test_without_a_roster_all_students_share_one_grade(tmp_path: Path) -> None:
    rows = [{**row, "grade": None} for row in results({"Eureka": [4] * 20})]
    found = found_in(view(tmp_path, "view", rows), {})
    assert [(row.name, row.students) for row in found.by_grade] == [("all", 20)]
    assert found.coverage == []


@pytest.mark.parametrize("curriculum", ["Eureka", None])
def test_unmapped_titles_are_listed_if_enough_students_have_results(
    tmp_path: Path, curriculum: str | None
) -> None:
    titled = [
        {**row, "title": title, "curriculum": curriculum, "unit": None}
        for title, students in (("Survey", 10), ("Retake", 9))
        for row in by_standard(results({"Eureka": [3] * students})[:students] * 3)
    ]
    found = found_in(view(tmp_path, "view", [*results({"Eureka": [3] * 20}), *titled]))
    assert found.unmapped == ["Survey"]
    assert "Retake" not in html(found)


@pytest.mark.parametrize("curriculum", ["Eureka", None])
def test_assessments_that_are_not_listed_are_named_with_titles_that_enough_students_share(
    tmp_path: Path, curriculum: str | None
) -> None:
    titled = [
        {**row, "title": title, "curriculum": curriculum, "assessment_id": number}
        for number, title, students in (("7", "Survey", 10), ("8", "Retake", 9))
        for row in results({"Eureka": [3] * students})
    ]
    rows = [*results({"Eureka": [3] * 20}), *titled]
    found = found_in(view(tmp_path, "view", rows), unlisted=["8", "7"])
    assert found.unlisted == ["7: Survey", "8"]
    assert "7: Survey" in html(found)
    assert "Retake" not in html(found)


def test_of_many_assessments_that_are_not_listed_ten_are_named(tmp_path: Path) -> None:
    many = [str(number) for number in range(100, 1112)]
    page = html(found_in(view(tmp_path, "view", results({"Eureka": [3] * 20})), unlisted=many))
    first, tenth = ('<th scope="row">100</th>', '<th scope="row">1008</th>')
    assert first in page
    assert tenth in page
    assert '<th scope="row">1009</th>' not in page
    assert "and 1,002 more" in page


def test_a_title_of_a_suppressed_group_is_not_given(tmp_path: Path) -> None:
    """Ten students have it, of two grades that have nine and one."""
    several = [*results({"ELA": [3] * 9}), *results({"ELA": [3]}, GRADE + 1)]
    rows = [{**row, "title": "Survey", "assessment_id": "7"} for row in several]
    found = found_in(
        view(tmp_path, "view", [*results({"Eureka": [3] * 20}), *rows]), unlisted=["7"]
    )
    assert found.unlisted == ["7"]


def test_a_single_result_with_a_grade_leaves_the_others_without_one(tmp_path: Path) -> None:
    """Whether there is a roster is decided once, not for each kind of result."""
    without = [{**row, "grade": None} for row in results({"Eureka": [4] * 20})]
    one = [{**row, "local_student_id": "another"} for row in by_standard(results({"Eureka": [4]}))]
    path = view(tmp_path, "view", [*without, *one])
    assert (aggregates.bands(path), aggregates.standards(path, [(GRADE, "Eureka")], SPELLINGS)) == (
        {},
        {(GRADE, "3.OA.1"): aggregates.MasteryCount(1, 1)},
    )
