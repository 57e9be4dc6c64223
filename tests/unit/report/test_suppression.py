"""Attempts to recover what the report suppresses, from everything on its page.

The attacker knows the rules, every student on the grade's roster, and all other groups. The size
and the results of a suppressed group are safe if the page is the same whatever they are.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report import aggregates, charts, disclosure, drawing, findings, page, run_history
from pipeline.report.disclosure import Rule
from pipeline.report.groups import CUTS
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
    "school": pl.String,
    "local_student_id": pl.String,
    "curriculum": pl.String,
    "unit": pl.String,
    "unit_labels": pl.String,
    "title": pl.String,
    "standard_code": pl.String,
    "academic_benchmark_guid": pl.String,
    "score": pl.Int64,
    "points": pl.Float64,
    "performance_band_level": pl.String,
    "mastered": pl.String,
    "response_type": pl.String,
}
GROUP_COLUMNS = {
    "assessment_id": pl.String,
    "reporting_group": pl.String,
    "local_student_id": pl.String,
    "date_taken": pl.Date,
    "points": pl.Float64,
    "percent_correct": pl.Float64,
    "performance_band_level": pl.String,
    "mastered": pl.String,
    "response_type": pl.String,
}
SPELLINGS = {
    "standard_code": pl.String,
    "academic_benchmark_guid": pl.String,
    "normalised_code": pl.String,
    "standard_description": pl.String,
}

NO_RUNS = RunHistory([], [], [])
OTHER_ROWS = 20_000

Rows = list[dict[str, object]]


def view(folder: Path, name: str, rows: Rows) -> Path:
    """Write a view with the columns that the report reads."""
    path = folder / f"{name}.parquet"
    pl.DataFrame(rows, schema=COLUMNS).write_parquet(path)
    return path


def result(student: str, grade: int, curriculum: str | None, level: int, **more: object):
    return {
        "assessment_id": curriculum or "none",
        "date_taken": dt.date(2024, 1, 31),
        "grade": grade,
        "school": None,
        "local_student_id": student,
        "curriculum": curriculum,
        "unit": "Unit 1",
        "unit_labels": "01 Unit",
        "title": f"{curriculum} Unit 1",
        "standard_code": "percent",
        "academic_benchmark_guid": None,
        "score": 20 * level,
        "points": None,
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


def count(path: Path, group_rows: Sequence[dict[str, object]] = ()) -> pl.DataFrame:
    """Return the true counts of a view; each standard is spelled in one way."""
    groups = path.with_suffix(".groups")
    pl.DataFrame(list(group_rows), schema=GROUP_COLUMNS).write_parquet(groups)
    codes = pl.read_parquet(path)["standard_code"].unique().to_list()
    rows = [[code, None, code, f"Wording of {code}"] for code in codes]
    spellings = pl.LazyFrame(rows, schema=SPELLINGS, orient="row")
    return aggregates.count(path, groups, spellings)


def numbers(path: Path, kind: str = "overall") -> dict[tuple[object, ...], tuple[int, ...]]:
    """Return the students and those beyond each cut by grade, assessment and part."""
    of = count(path).filter(kind=kind)
    names = ("grade", "assessment_id", *(("part",) if kind != "overall" else ()))
    return {
        tuple(row[name] for name in names): (row["students"], *(row[cut] for cut in CUTS))
        for row in of.iter_rows(named=True)
    }


def sources_of(
    path: Path, on_the_roster: dict[int, int] = ON_THE_ROSTER, unlisted: Sequence[str] = ()
) -> findings.Sources:
    roster = path.with_suffix(".csv")
    lines = [
        f"{number} of {of},{of}" for of, all_ in on_the_roster.items() for number in range(all_)
    ]
    roster.write_text("\n".join(["local_student_id,grade", *lines]) + "\n", encoding="utf-8")
    labels = path.with_name("labels.csv")
    listed = ["1,t", *(f"{each},f" for each in unlisted)]
    labels.write_text("\n".join(["assessment_id,in_catalogue", *listed]), encoding="utf-8")
    figures = disclosure.disclose(count(path), disclosure.no_figures(), RULE)
    standards = pl.DataFrame(
        schema=dict.fromkeys(("normalised_code", "name", "wording"), pl.String)
    )
    return findings.Sources(
        year="23-24",
        figures=figures,
        earlier={"22-23": figures},
        rostered=disclosure.disclose_sizes(aggregates.rostered(roster), RULE),
        standards=standards,
        unlisted=aggregates.unlisted(labels),
        smallest=RULE.smallest,
    )


def found_in(
    path: Path, on_the_roster: dict[int, int] = ON_THE_ROSTER, unlisted: Sequence[str] = ()
) -> findings.Findings:
    return findings.find(sources_of(path, on_the_roster, unlisted))


def html(found: findings.Findings, history: RunHistory = NO_RUNS) -> str:
    """Return the page without its charts: they show the same findings and take long to draw."""
    with pytest.MonkeyPatch.context() as patch:
        for chart in ("bands", "cells", "movements"):
            patch.setattr(charts, chart, lambda *_: [{}])
        patch.setattr(drawing, "draw", lambda specs: ["<svg/>"] * len(specs))
        (text,), lost = page.render([page.year_page(ABOUT, found, history, {})])
        assert not lost
        return text


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
    """Not even its existence is visible."""
    known = Student(3, True, True, True, False)
    folder = tmp_path_factory.mktemp("views")
    pages = [page_with(folder, [known, *of[:8]], "Ready") for of in (one, other)]
    assert pages[0] == pages[1]


@settings(max_examples=30, deadline=None)
@given(GROUP, st.sampled_from(["Ready", None]))
def test_unreadable_results_leave_no_trace(
    tmp_path_factory: pytest.TempPathFactory, group: list[Student], curriculum: str | None
) -> None:
    folder = tmp_path_factory.mktemp("views")
    unread = [of._replace(is_readable=False) for of in group]
    assert page_with(folder, unread, curriculum) == page_with(folder, [], curriculum)


def test_the_attack_succeeds_if_suppressed_groups_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack works: any group that is shown although it is small changes the page."""
    monkeypatch.setattr(Rule, "shows", lambda _, students: students >= 1)
    monkeypatch.setattr(Rule, "size", lambda _, students: students)
    alike = Student(5, True, False, True, False)
    pages = [page_with(tmp_path, [alike] * size, "Ready") for size in (1, 9)]
    assert pages[0] != pages[1]


def test_totals_sum_the_groups_that_are_shown(tmp_path: Path) -> None:
    rows = results({"Eureka": [1, 4] * 20, "Ready": [1] * 9})
    found = found_in(view(tmp_path, "view", [*rows, *results({"Ready": [4] * 40}, GRADE + 1)]))
    sizes = {row.name: row.total.results for row in (*found.by_grade, *found.by_curriculum)}
    assert sizes == {"3": 40, "4": 40, "Eureka": 40, "Ready": 40}
    points = {(point.year, point.total.results) for point in found.years}
    assert points == {("22-23", 40), ("23-24", 40)}
    assert found.total is not None
    assert found.total.results == 80


def test_a_share_is_the_same_wherever_it_appears(tmp_path: Path) -> None:
    """Everything said of one group comes from its one figure."""
    found = found_in(view(tmp_path, "view", results({"Eureka": [1, 2, 3, 4, 5] * 5})))
    totals = [row.total for row in (*found.by_grade, *found.by_curriculum, *found.cells)]
    totals += [each.total for each in (*found.years, *found.assessments, *found.standards)]
    assert len(totals) == 7
    assert {total.mastered for total in totals} == {found.total.mastered}
    assert {total.bands for total in totals} == {found.total.bands}


def test_totals_follow_from_the_shares_that_are_shown(tmp_path: Path) -> None:
    """Not from students: 11 of 20 and 12 of 30 are rounded first."""
    rows = results({"Eureka": [4] * 11 + [1] * 9, "ELA": [4] * 12 + [1] * 18})
    found = found_in(view(tmp_path, "view", rows))
    shares = {row.name: row.total.mastered.value for row in found.by_curriculum}
    assert shares == {"Eureka": 50.0, "ELA": 50.0}
    assert found.total.mastered.value == sum((20 * 50.0, 30 * 50.0)) / 50


def test_standards_count_only_groups_that_are_shown(tmp_path: Path) -> None:
    path = view(tmp_path, "view", results({"Eureka": [1] * 20, "Ready": [5] * 9}))
    (standard,) = found_in(path).standards
    assert (standard.curriculum, standard.total.results) == ("Eureka", 20)


def test_a_standard_in_four_spellings_is_counted_as_one(tmp_path: Path) -> None:
    """Each spelling alone has too few students; an empty guid is none."""
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
    path, groups = view(tmp_path, "view", [*overall, *of_standard]), tmp_path / "groups"
    pl.DataFrame(schema=GROUP_COLUMNS).write_parquet(groups)
    guids = ["G", "G", "G", None]
    rows = [[code, guid, "4NF3", "Fractions"] for code, guid in zip(codes, guids, strict=True)]
    spellings = pl.LazyFrame(rows, schema=SPELLINGS, orient="row")
    of = aggregates.count(path, groups, spellings).filter(kind="standard")
    assert of.select("part", "students").rows() == [("4NF3", 20)]
    assert aggregates.wording(spellings).rows() == [("4NF3", "4.NF.3", "Fractions")]


def test_who_took_an_assessment_is_compared_with_its_grades_on_the_roster(tmp_path: Path) -> None:
    shown, hidden = results({"Eureka": [3] * 22}), results({"Ready": [3] * 8})
    more = [
        {**shown[0], "local_student_id": "another", "performance_band_level": None},
        {**shown[0], "local_student_id": "not on the roster", "grade": None},
    ]
    found = found_in(view(tmp_path, "view", [*shown, *hidden, *more]), {GRADE: 44, GRADE + 1: 40})
    (assessment,) = found.assessments
    assert (assessment.total.results, assessment.rostered, assessment.grades) == (20, 40, "3")
    assert found.taken_by.text == "50 %"


def test_students_with_a_code_in_place_of_a_grade_are_in_no_grade_of_the_roster(tmp_path):
    (tmp_path / "roster.csv").write_text("local_student_id,grade\n1,4\n2,\n3,4\n")
    of = aggregates.rostered(tmp_path / "roster.csv")
    assert of.rows() == [("", 4, 2)]


def test_each_student_counts_once_with_the_latest_result(tmp_path: Path) -> None:
    """A standard may be spelled in two ways, or have two guids, in one assessment."""
    early = [
        {**row, "date_taken": dt.date(2023, 9, 1), "academic_benchmark_guid": "A"}
        for row in by_standard(results({"Eureka": [5] * 20})[:20])
    ]
    late = results({"Eureka": [1] * 20})
    path = view(tmp_path, "view", [*early, *late])
    assert numbers(path) == {(GRADE, "Eureka"): (20, 0, 0, 0, 0, 0)}
    spelled = pl.LazyFrame(
        [["3.OA.1", "A", "3OA1", ""], ["3.OA.1", None, "3OA1", ""]], schema=SPELLINGS, orient="row"
    )
    of = aggregates.count(path, path.with_suffix(".groups"), spelled).filter(kind="standard")
    assert of.select("part", "students", *CUTS).rows() == [("3OA1", 20, 0, 0, 0, 0, 0)]


@pytest.mark.parametrize(
    ("counts", "other"),
    [
        ({"score": 100}, {"score": 90}),
        ({"points": 10.0}, {"points": 9.0}),
        ({"points": 0.0}, {"points": None}),
    ],
    ids=str,
)
def test_of_one_day_the_best_result_counts(
    tmp_path: Path, counts: dict[str, object], other: dict[str, object]
) -> None:
    """Numbers that are kept as text are compared as numbers, wherever the rows are."""
    same = {"score": 50, "mastered": "f"}
    latest = [{**row, **same, **counts} for row in results({"Eureka": [1] * 20})]
    others = [{**row, **same, **other, "mastered": "t"} for row in results({"Eureka": [4] * 20})]
    for number, rows in enumerate(([*others, *latest], [*latest, *others])):
        path = view(tmp_path, f"view {number}", rows)
        assert numbers(path) == {(GRADE, "Eureka"): (20, 0, 0, 0, 0, 0)}
        assert numbers(path, "standard") == {(GRADE, "Eureka", "3.OA.1"): (20, 0, 0, 0, 0, 0)}


@pytest.mark.parametrize("level", ["10", "9"])
def test_levels_are_compared_as_numbers(tmp_path: Path, level: str) -> None:
    rows = [
        {**result("1", GRADE, "Eureka", 1), "performance_band_level": each, "mastered": "t"}
        for each in (level, "4")
    ]
    assert numbers(view(tmp_path, "view", rows)) == {(GRADE, "Eureka"): (1, 1, 1, 1, 1, 1)}


def test_bands_are_divided_by_mastery(tmp_path: Path) -> None:
    """Level 3 is mastered in some band sets, and not in others."""
    rows = [
        {**result(f"{level}{mastered}", GRADE, "Eureka", level), "mastered": mastered}
        for mastered in "ft"
        for level in range(1, 6)
    ]
    assert numbers(view(tmp_path, "view", rows)) == {(GRADE, "Eureka"): (10, 9, 8, 5, 2, 1)}


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_standards_are_the_same_for_any_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(aggregates, "_BATCH_ROWS", batch_rows)
    codes = [f"3.OA.{number}" for number in range(9)]
    of_one = results({"Eureka": [1, 2, 3, 4, 5] * 4})
    # Some standards have only students who are not on the roster; the others have grades.
    rows = [
        {**row, "standard_code": code, "grade": row["grade"] if place % 3 else None}
        for place, code in enumerate(codes)
        for row in of_one[20:]
    ]
    found = numbers(view(tmp_path, "view", [*of_one[:20], *rows]), "standard")
    shown = [code for place, code in enumerate(codes) if place % 3]
    assert found == {(GRADE, "Eureka", code): (20, 16, 12, 12, 8, 4) for code in shown}


def test_without_a_roster_all_students_share_one_grade(tmp_path: Path) -> None:
    rows = [{**row, "grade": None} for row in results({"Eureka": [4] * 20})]
    found = found_in(view(tmp_path, "view", rows), {})
    assert [(row.name, row.total.results) for row in found.by_grade] == [("all", 20)]
    assert [each.rostered for each in found.assessments] == [None]
    assert found.taken_by is None


@pytest.mark.parametrize("curriculum", ["Eureka", None])
def test_unmapped_titles_are_listed_if_enough_students_have_results(
    tmp_path: Path, curriculum: str | None
) -> None:
    titled = [
        {**row, "title": title, "curriculum": curriculum, "unit": None, "assessment_id": title}
        for title, students in (("Survey", 10), ("Retake", 9))
        for row in results({"Eureka": [3] * students}) * 3
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
    assert numbers(path) == {}
    assert numbers(path, "standard") == {}


def reporting_groups(overall: Rows, name: str, **more: object) -> Rows:
    """Return the same results as results of a reporting group."""
    return [
        {
            **{column: row.get(column) for column in GROUP_COLUMNS},
            "reporting_group": name,
            "response_type": "group",
            **more,
        }
        for row in overall
    ]


def test_reporting_groups_have_the_grades_and_schools_of_the_view(tmp_path: Path) -> None:
    overall = [{**row, "school": "Lincoln"} for row in results({"Eureka": [3] * 20})[:20]]
    groups = [
        *reporting_groups(overall, "Fluency", performance_band_level="1", mastered="f"),
        *reporting_groups(overall, "Essay"),
    ]
    of = count(view(tmp_path, "view", overall), groups).filter(kind="group")
    found = of.select("school", "grade", "part", "students", *CUTS[:3], "is_only").rows()
    assert found == [
        ("Lincoln", GRADE, "Essay", 20, 20, 20, 20, False),
        ("Lincoln", GRADE, "Fluency", 20, 0, 0, 0, False),
    ]


@pytest.mark.parametrize("schools", [1, 2])
def test_with_schools_a_group_is_of_one_school(tmp_path: Path, schools: int) -> None:
    """Nine students of each of two schools are suppressed, not added up; all of one are shown."""
    overall = results({"Eureka": [3] * 18})[:18]
    rows = [{**row, "school": f"School {n % schools}"} for n, row in enumerate(overall)]
    found = found_in(view(tmp_path, "view", rows))
    assert [(row.name, row.total.results) for row in found.schools] == (
        [("School 0", 20)] if schools == 1 else []
    )
    assert (found.total is None) == (schools == 2)
