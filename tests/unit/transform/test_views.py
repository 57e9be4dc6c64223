"""The view has one row per combined row, with labels, grade and score."""

import tempfile
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schema import COMBINED, LATEST, VIEW
from pipeline.transform import combine, values, views
from pipeline.transform.attempts import ATTEMPTS
from pipeline.transform.output import write_files
from tests.helpers import read_csv, source_of, write_csv, write_parquet
from tests.unit.transform.rows import (
    CODES,
    LABELLED,
    NOTHING,
    by_grade_frame,
    ids,
    labels_frame,
    overall,
    roster_frame,
    rows_of,
    students,
    text_of,
    view_of,
    view_rows,
)


def plain_view(row, labels, labels_by_grade, roster):
    """One row of the view."""
    grade = roster.get(row["local_student_id"])
    label = labels_by_grade.get((row["assessment_id"], grade)) or labels.get(row["assessment_id"])
    percent = row["percent_correct"]
    score = percent and (Decimal(percent) + Decimal("0.5")).to_integral_value(ROUND_FLOOR)
    level, name = row["performance_band_level"], row["performance_band_label"]
    derived = {
        "data_source": "illuminate",
        "grade": grade,
        "score": None if score is None else int(score),
        "proficiency": None if level is None or name is None else f"{level} {name}",
        **dict(zip(LABELLED, label or [None] * len(LABELLED), strict=True)),
    }
    return {name: derived.get(name, row.get(name)) for name in VIEW.names}


STUDENT = {"local_student_id": "1"}
# Names that the builders use themselves on the way.
RESERVED = [
    "by_grade",
    "title_by_grade",
    "grade_right",
    "text",
    "value",
    "attempts",
    "points.value",
]
NEW_FIELDS = [name for name in VIEW.names if name not in COMBINED.names]
label_values = st.tuples(*[st.one_of(st.none(), st.text("aé ,\n", max_size=3))] * len(LABELLED))


@settings(max_examples=60, deadline=None)
@given(
    rows_of(**CODES),
    st.dictionaries(ids, label_values),
    st.dictionaries(st.tuples(ids, st.integers(-1, 3)), label_values),
    st.dictionaries(students.filter(bool), st.integers(-1, 3)),
)
def test_the_view_is_one_row_per_combined_row_with_labels_and_grade(rows, labels, by_grade, roster):
    with tempfile.TemporaryDirectory() as name:
        under = combine.combine_results(NOTHING, source_of(Path(name), rows, "standard"), "23-24")
        got = view_of(under, labels, by_grade, roster).collect()
        below = text_of(under).collect().rows(named=True)
    assert got.columns == list(VIEW.names)
    assert got.rows(named=True) == [plain_view(row, labels, by_grade, roster) for row in below]


def test_columns_of_the_roster_come_last(folder):
    """Whatever they are called, and null where the student is not on it."""
    names = ["by_grade", "text", "value", "is_on_it", "bare", "title_right"]
    roster = pl.LazyFrame(
        {"local_student_id": ["1"], "grade": [4], **{name: [f"=a {name}"] for name in names}}
    )
    under = overall(folder, {"local_student_id": "1"}, {"local_student_id": "2"})
    counted = under.with_columns(pl.lit(1, pl.Int64).alias(name) for name in ATTEMPTS)
    rows = views.label_rows(counted, labels_frame({}), by_grade_frame({}), roster)
    all_rows = views.select_all(rows).collect()
    assert all_rows.columns == [*VIEW.names, *names]
    assert all_rows.select(names).rows() == [
        tuple(f"=a {name}" for name in names),
        (None,) * len(names),
    ]
    assert views.select_latest(rows).collect_schema().names() == [*LATEST.names, *names]
    free = views.formula_free_columns(labels_frame({}), by_grade_frame({}), roster=roster)
    assert not free & set(names)


def test_a_column_of_the_roster_without_a_formula_is_not_searched():
    roster = pl.LazyFrame(
        {"local_student_id": ["=1"], "grade": [4], "school": ["Elm"], "room": ["=1"]}
    )
    free = views.formula_free_columns(labels_frame({}), by_grade_frame({}), roster=roster)
    assert free & {"local_student_id", "school", "room"} == {"school"}


@pytest.mark.parametrize(
    ("percent", "score"),
    [
        ("66.50", 67),
        ("66.49", 66),
        ("0.5", 1),
        ("1.5", 2),
        ("2.5", 3),
        ("99.5", 100),
        ("100", 100),
        ("0", 0),
        ("-0.5", 0),
        ("-1.5", -1),
        ("1e2", 100),
        (None, None),
        ("n/a", None),
    ],
)
def test_the_score_is_the_nearest_whole_number_and_halves_go_up(folder, percent, score):
    got = view_of(overall(folder, {"percent_correct": percent})).collect()
    assert got["score"].to_list() == [score]


@pytest.mark.parametrize("percent", ["1e30", "-1e30"])
def test_an_enormous_percentage_does_not_stop_the_run(folder, percent):
    under = overall(folder, {"percent_correct": percent}, {"percent_correct": "50"})
    assert sorted(view_of(under).collect()["score"].to_list(), key=str) == [50, None]


@pytest.mark.parametrize(
    ("level", "label", "proficiency"),
    [("2", "Met", "2 Met"), (None, "Met", None), ("2", None, None), (None, None, None)],
)
def test_proficiency_is_level_and_label_and_null_where_either_is(folder, level, label, proficiency):
    row = {"performance_band_level": level, "performance_band_label": label}
    assert view_of(overall(folder, row)).collect()["proficiency"].to_list() == [proficiency]


def test_students_have_the_grade_of_the_roster_and_keep_their_row_without_one(folder):
    rows = [{"local_student_id": student} for student in ("1", "01", "2", None)]
    got = view_of(overall(folder, *rows), roster={"1": 0, "2": 12}).collect()
    by_student = dict(got.select("local_student_id", "grade").rows())
    assert by_student == {"1": 0, "01": None, "2": 12, None: None}


def test_labels_for_one_grade_apply_to_students_of_that_grade_only(folder):
    rows = [{"local_student_id": student} for student in ("1", "2", "3")]
    usual, special = ("T", "test", "ELA", "1", "1"), ("U", None, "Math", "2", "2")
    got = view_of(
        overall(folder, *rows), {"1": usual}, {("1", 3): special}, {"1": 3, "2": 4}
    ).collect()
    by_student = {row[0]: row[1:] for row in got.select("local_student_id", *LABELLED).rows()}
    assert by_student == {"1": special, "2": usual, "3": usual}


def test_overrides_for_a_grade_that_no_student_is_in_are_listed(folder):
    special = ("U", None, "Math", "2", "2")
    by_grade = {("1", 0): special, ("1", 4): special, ("1", 12): special}
    rows = overall(folder, {"local_student_id": "1"}, {"local_student_id": "2"})
    labelled = view_rows(rows, {}, by_grade, {"1": 4, "2": None, "3": 12})
    lists = views.list_unmatched(labelled, by_grade_frame(by_grade))
    assert write_files({}, lists)[1]["unmatched overrides"] == [
        {"assessment_id": "1", "grade": 0},
        {"assessment_id": "1", "grade": 12},
    ]
    none = views.list_unmatched(labelled, by_grade_frame({}))
    assert write_files({}, none)[1]["unmatched overrides"] == []


def test_labels_for_grade_0_apply_too(folder):
    special = ("U", None, "Math", "2", "2")
    got = view_of(overall(folder, STUDENT), {}, {("1", 0): special}, {"1": 0}).collect()
    assert got.select(*LABELLED).rows() == [special]


def test_the_title_of_the_view_is_the_one_of_the_labels(folder):
    labels = {"1": ("A clean title", None, None, None, None)}
    got = view_of(overall(folder, {"title": "A   clean title "}), labels).collect()
    assert got["title"].to_list() == ["A clean title"]


@pytest.mark.parametrize("name", [*NEW_FIELDS, *RESERVED])
def test_a_field_that_the_api_may_add_changes_nothing_in_the_view(folder, name):
    labels, roster = {"1": ("T", "test", "ELA", "1", "1")}, {"1": 4}
    known = view_of(overall(folder / "known", STUDENT), labels, None, roster).collect()
    more = overall(folder / "more", STUDENT | {name: "of the API"})
    assert view_of(more, labels, None, roster).collect().equals(known)
    assert text_of(more).collect()[name].to_list() == ["of the API"]


def test_the_roster_match_counts_each_student_once(folder):
    rows = [{"local_student_id": s, "points": p} for s in ("1", "2", "3") for p in ("1", "2")]
    assert roster_match(overall(folder, *rows), {"1": 4, "2": None}) == (3, 2, 0)


def test_a_row_without_a_student_id_counts_as_no_student(folder):
    rows = overall(folder, STUDENT, {"local_student_id": None})
    assert roster_match(rows, {"1": 4}) == (1, 1, 0)


@pytest.mark.parametrize(
    ("sent", "on_roster", "near"),
    [
        ("0042", "42", 1),
        ("42", "0042", 1),
        ("42.0", "42", 1),
        ("0042.00", "042", 1),
        ("42", "42", 0),
        ("42", "420", 0),
        ("42", "43", 0),
        ("420", "42", 0),
    ],
)
def test_an_id_that_only_lost_its_zeros_is_a_near_miss(folder, sent, on_roster, near):
    rows = overall(folder, {"local_student_id": sent}, {"local_student_id": "7"})
    found = roster_match(rows, {on_roster: 4, "7": 4, "007": 5})
    assert found == (2, 1 + (sent == on_roster), near)


def roster_match(rows, roster):
    """The students, those on the roster, and the near misses."""
    counts = views.count_roster_match(view_rows(rows, roster=roster), roster_frame(roster))
    return tuple(write_files({}, counts)[1].values())


def test_small_files_are_read_as_text_with_empty_fields_as_null(folder):
    (folder / "f.csv").write_text('a,extra,b\n"1, ""x""\ny",,\n,NA,2\n', encoding="utf-8")
    got = views.read_small_table(folder / "f.csv", {"a": pl.String, "b": pl.Int64}).collect()
    assert got.rows() == [('1, "x"\ny', None), (None, 2)]


def test_formulas_of_the_view_are_escaped_in_the_csv_only(folder):
    under = overall(folder, {"standard_code": "x", "points": "-1", "local_student_id": "@me"})
    labels = {"1": ("=Unit 4", "-", None, "'+1", "4")}
    frame = view_rows(under, labels)
    formula_free = views.formula_free_columns(labels_frame(labels), by_grade_frame({}))
    safe_text = values.escape_formulas(text_of(frame, VIEW), VIEW, formula_free)
    write_csv(safe_text, folder / "t.csv")
    write_parquet(values.as_values(frame, VIEW), folder / "t.parquet")
    header, [record] = read_csv(folder / "t.csv")
    names = ("title", "test_type", "unit", "local_student_id", "points")
    in_csv = dict(zip(header, record, strict=True))
    assert [in_csv[name] for name in names] == ["'=Unit 4", "'-", "''+1", "'@me", "-1"]
    in_parquet = pl.read_parquet(folder / "t.parquet").row(0, named=True)
    assert [in_parquet[name] for name in names] == ["=Unit 4", "-", "'+1", "@me", -1.0]
