"""The tables: every row of the shards, in order, with exactly the values that are promised."""

import csv
import datetime as dt
import io
import re
import tempfile
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.illuminate import endpoints
from pipeline.publish import checks
from pipeline.schema import COMBINED, GROUP, VIEW, Column, Table
from pipeline.transform import build
from pipeline.transform.scan import Source
from tests.helpers import read_csv, source_of, write_csv, write_parquet

NOTHING = Source([], [], [])
LABELLED = ("title", "test_type", "curriculum", "unit", "unit_labels")
TYPES = {"text": pl.String, "number": pl.Float64, "integer": pl.Int64, "date": pl.Date}


# What the tables are compared with: the same promises in plain Python.

ODD_NUMBERS = ("", "n/a", "NaN", "inf", "-inf", "1,5", "12 %", " 5", "0x1F", "1e999", "٣")
ODD_DATES = ("", "2024-02-30", "2024-3-1", "03/01/2024", "2024-03-01T08:00:00", "2024-03-01 ", "x")
NUMBERS = ("66.50", "4", "-0.5", "1e3", "0", "00.50", "100.0000", "-0")


def plain_table(rows, table, endpoint, fixed):
    """The rows as the table has them: in order of its key, odd values null, fixed values put in."""
    unknown = sorted({name for row in rows for name in row} - set(table.names))
    odd = dict.fromkeys(table.of_kind("number"), ODD_NUMBERS)
    odd |= dict.fromkeys(table.of_kind("date"), ODD_DATES)
    made = [
        {
            name: fixed.get(name, None if row.get(name) in odd.get(name, ()) else row.get(name))
            for name in (*table.names, *unknown)
        }
        for row in rows
    ]
    return made, unknown


def key_of(row, table):
    return [(row[name] is not None, row[name] or "") for name in table.key]


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


# What is generated.

texts = st.one_of(
    st.none(),
    st.text(st.sampled_from("aé中 ,\"'\n\r\t=+-@;1"), max_size=5),
    st.sampled_from(["Smith, Jr.", 'the "real" one', "=1+1", "Ängström"]),
)
ids = st.sampled_from(["7", "10", "9", "114845", "A-b", "odd id/1"])
students = st.sampled_from([None, "1", "2", "3", "03", "É"])
numbers = st.one_of(
    st.none(),
    st.sampled_from(NUMBERS + ODD_NUMBERS),
    st.decimals(0, 100, places=2).map(str),
    st.integers(0, 200).map(lambda halves: str(Decimal(halves) / 2)),
)
dates = st.one_of(st.none(), st.dates(dt.date(2023, 7, 1), dt.date(2024, 6, 30)).map(str))
OWN = {
    "local_student_id": students,
    "date_taken": dates,
    "points": numbers,
    "percent_correct": numbers,
    "performance_band_level": st.sampled_from([None, "1", "2", ""]),
    "performance_band_label": st.sampled_from([None, "Met", "Not met"]),
    "mastered": st.sampled_from([None, "t", "f"]),
    "first_name": texts,
}
UNKNOWN = dict.fromkeys(["zeta", "Alpha", "beta, the"], texts)
# Fields that the pipeline fills in by itself, whatever the API sends.
OVERRULED = dict.fromkeys(["year", "response_type"], texts)


@st.composite
def rows_of(draw, **fields):
    """Rows of one endpoint; the shards have different fields beside the ids and titles."""
    fields = {**OWN, **UNKNOWN, **OVERRULED, **fields}
    rows = []
    for assessment_id in draw(st.sets(ids, max_size=3)):
        some = draw(st.sets(st.sampled_from(sorted(fields))))
        shard = {name: fields[name] for name in fields if name in some}
        for drawn in draw(st.lists(st.fixed_dictionaries(shard), min_size=1, max_size=4)):
            row = {"assessment_id": assessment_id, "title": draw(texts), **drawn}
            if row not in rows:
                rows.append(row)
    return rows


CODES = {"standard_code": st.sampled_from([None, "A.1", "a.1", "B"]), "version": texts}
VERSIONS = {"version": texts, "version_label": texts}


def same_rows(got, expected):
    """Whether both hold the same rows, in whatever order."""
    return sorted(map(repr, got)) == sorted(map(repr, expected))


def text_of(rows: pl.LazyFrame, table: Table = COMBINED) -> pl.LazyFrame:
    """Rows as their CSV has them."""
    return build.as_text(rows, table)


def combined(*sources: Source) -> pl.LazyFrame:
    """The combined table as its CSV has it."""
    return text_of(build.combined(*sources, "23-24"))


def group(source: Source) -> pl.LazyFrame:
    """The group table as its CSV has it."""
    return text_of(build.group(source, "23-24"), GROUP)


def odd_values(source: Source, table: Table) -> dict[str, tuple[int, int]]:
    """Per number and date column: how many values were sent as null, and how many made so."""
    rows = build.combined(source, NOTHING, "23-24")
    rows = rows if table is COMBINED else build.group(source, "23-24")
    row = build.stream([], Path(), build.odd_values(rows, table, source))
    return {name: (row[name], row[f"odd {name}"]) for name in row if f"odd {name}" in row}


def compare(got: pl.DataFrame, expected, unknown, table):
    rows = got.rows(named=True)
    assert got.columns == [*table.names, *unknown]
    assert same_rows(rows, [{name: row.get(name) for name in got.columns} for row in expected])
    assert [key_of(row, table) for row in rows] == sorted(key_of(row, table) for row in expected)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def overall(folder, *rows):
    """The combined rows of some as overall shards."""
    source = source_of(folder, [{"assessment_id": "1", "title": "T", **row} for row in rows])
    return build.combined(source, NOTHING, "23-24")


# The combined table.


@settings(max_examples=60, deadline=None)
@given(rows_of(**VERSIONS), rows_of(**CODES))
def test_combined_is_every_row_of_both_endpoints_in_order(of_overall, of_standard):
    with tempfile.TemporaryDirectory() as name:
        sources = (
            source_of(Path(name), of_overall, "overall"),
            source_of(Path(name), of_standard, "standard"),
        )
        got = combined(*sources).collect()
    fixed = {"year": "23-24", "response_type": "overall", "standard_code": "percent"}
    first, unknown_first = plain_table(of_overall, COMBINED, "overall", fixed)
    fixed = {"year": "23-24", "response_type": "standard"}
    second, unknown_second = plain_table(of_standard, COMBINED, "standard", fixed)
    unknown = sorted({*unknown_first, *unknown_second})
    compare(got, first + second, unknown, COMBINED)


@settings(max_examples=40, deadline=None)
@given(rows_of(reporting_group_id=texts, reporting_group=texts))
def test_group_is_every_row_by_reporting_group_in_order(rows):
    with tempfile.TemporaryDirectory() as name:
        got = group(source_of(Path(name), rows, "group")).collect()
    expected, unknown = plain_table(
        rows, GROUP, "group", {"year": "23-24", "response_type": "group"}
    )
    compare(got, expected, unknown, GROUP)


@pytest.mark.parametrize(
    ("make", "table"),
    [
        (lambda: build.combined(NOTHING, NOTHING, "23-24"), COMBINED),
        (lambda: build.group(NOTHING, "23-24"), GROUP),
    ],
    ids=["combined", "group"],
)
def test_without_a_shard_a_table_is_its_header(tmp_path, make, table):
    write_csv(build.as_text(make(), table), tmp_path / "t.csv")
    write_parquet(build.as_values(make(), table), tmp_path / "t.parquet")
    assert (tmp_path / "t.csv").read_bytes() == ",".join(table.names).encode() + b"\n"
    assert pl.read_parquet(tmp_path / "t.parquet").shape == (0, len(table.names))
    assert checks.count_csv(tmp_path / "t.csv") == 0


def test_one_endpoint_without_a_shard_takes_nothing_from_the_other(folder):
    source = source_of(folder, [{"assessment_id": "1", "title": "T", "standard_code": "A"}])
    got = combined(NOTHING, source).collect()
    assert got.select("response_type", "standard_code").rows() == [("standard", "A")]


def test_overall_rows_carry_the_code_percent_and_standard_rows_their_own(folder):
    rows = [{"assessment_id": "1", "title": "T", "standard_code": code} for code in ("B", "A")]
    both = (source_of(folder, rows, "overall"), source_of(folder, rows, "standard"))
    got = combined(*both).collect()
    codes = got.select("response_type", "standard_code").rows()
    assert codes[2:] == [("standard", "A"), ("standard", "B")]
    assert set(codes[:2]) == {("overall", "percent")}


def test_unknown_fields_follow_in_alphabetical_order_and_are_null_where_a_shard_lacks_them(folder):
    source = source_of(
        folder,
        [
            {"assessment_id": "1", "title": "T", "zz": "z", "AA": "a"},
            {"assessment_id": "2", "title": "T", "mm": "m"},
        ],
    )
    got = combined(source, NOTHING).collect()
    assert got.columns[len(COMBINED.names) :] == ["AA", "mm", "zz"]
    assert got.select("AA", "mm", "zz").rows() == [("a", None, "z"), (None, "m", None)]


def test_an_unknown_field_of_one_endpoint_is_null_in_the_rows_of_the_other(folder):
    plain = {"assessment_id": "1", "title": "T"}
    both = (
        source_of(folder, [plain | {"new": "x"}], "overall"),
        source_of(folder, [plain], "standard"),
    )
    assert combined(*both).collect()["new"].to_list() == ["x", None]


def test_shards_may_have_their_columns_in_different_orders(folder):
    source = source_of(
        folder,
        [
            {"assessment_id": "1", "title": "one", "points": "1", "mastered": "t"},
            {"mastered": "f", "points": "2", "title": "two", "assessment_id": "2"},
        ],
    )
    got = combined(source, NOTHING).collect()
    assert got.select("title", "points", "mastered").rows() == [
        ("one", "1", "t"),
        ("two", "2", "f"),
    ]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_the_order_in_which_rows_came_changes_no_byte(data):
    rows = data.draw(rows_of(**CODES))
    # All rows name all fields, so that both shards have their columns in one order.
    names = list(dict.fromkeys(name for row in rows for name in row))
    rows = [{name: row.get(name) for name in names} for row in rows]
    written = []
    for ordered in (rows, data.draw(st.permutations(rows))):
        with tempfile.TemporaryDirectory() as name:
            source = source_of(Path(name), ordered)
            write_csv(combined(source, NOTHING), Path(name) / "t.csv")
            written.append((Path(name) / "t.csv").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("most", [1, 3, 4, 100])
def test_rows_are_the_same_and_in_order_however_many_are_read_at_once(folder, monkeypatch, most):
    rows = [
        {"assessment_id": str(n), "title": f"{n}", "points": str(m)}
        for n in range(5)
        for m in range(n + 1)
    ]
    source = source_of(folder, rows)
    monkeypatch.setattr("pipeline.transform.scan._BATCH", most)
    got = source.scan().collect()
    assert got.select("assessment_id", "points").rows() == [
        (row["assessment_id"], row["points"]) for row in rows
    ]
    batches = [len(paths) for paths in source._together()]
    assert sum(batches) == len(source.paths)
    assert batches == {1: [1] * 5, 3: [2, 1, 1, 1], 4: [2, 1, 1, 1], 100: [5]}[most]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_only_what_is_asked_for_is_read(folder, monkeypatch, most):
    monkeypatch.setattr("pipeline.transform.scan._BATCH", most)
    rows = [{"assessment_id": str(n), "title": f"t{n}"} for n in range(5)]
    scan = source_of(folder, rows).scan()
    assert scan.select("title").head(2).collect().rows() == [("t0",), ("t1",)]
    assert scan.filter(pl.col("title") == "t3").collect().rows() == [("3", "t3")]


def test_shards_are_read_once_for_all_that_is_made_of_them(folder, monkeypatch):
    """The CSV, the Parquet twin and the counts."""
    source, read = source_of(folder, [{"assessment_id": "1", "title": "T", "points": "x"}]), []
    scan = Source.read
    monkeypatch.setattr(Source, "read", lambda *args: read.append(1) or scan(*args))
    rows = build.combined(source, NOTHING, "23-24").cache()
    sinks = [
        build.csv_sink(build.as_text(rows, COMBINED), folder / "t.csv"),
        build.parquet_sink(build.as_values(rows, COMBINED), folder / "t.parquet"),
    ]
    counted = build.stream(sinks, folder, build.odd_values(rows, COMBINED, source))
    assert counted == {"points": 0, "odd points": 1}
    assert len(read) == 1


# The group table.


@pytest.mark.parametrize("names", [("group_no", "group_name"), ("gid", "reporting_group")])
def test_the_fields_of_a_reporting_group_may_be_called_otherwise_by_the_api(folder, names):
    row = {"assessment_id": "1", "title": "T", names[0]: "5", names[1]: "Cohort"}
    renamed = dict(zip(endpoints.group(*names).rename(list(row)), row.values(), strict=True))
    got = group(source_of(folder, [renamed], "group")).collect()
    assert got.columns == list(GROUP.names)
    assert got.select("reporting_group_id", "reporting_group").rows() == [("5", "Cohort")]


# Numbers and dates.


@pytest.mark.parametrize("digits", NUMBERS)
def test_numbers_keep_the_digits_that_were_sent(folder, digits):
    write_csv(text_of(overall(folder, {"points": digits})), folder / "t.csv")
    header, [record] = read_csv(folder / "t.csv")
    assert dict(zip(header, record, strict=True))["points"] == digits


@pytest.mark.parametrize("name", ["points", "points_possible", "percent_correct"])
@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_what_is_no_number_becomes_null_and_is_counted(folder, name, text):
    source = source_of(folder, [{"assessment_id": "1", "title": "T", name: text}])
    assert combined(source, NOTHING).collect()[name].to_list() == [None]
    assert odd_values(source, COMBINED) == {name: (0, 1)}


@pytest.mark.parametrize("text", ODD_DATES)
def test_what_is_no_date_becomes_null_and_is_counted(folder, text):
    source = source_of(folder, [{"assessment_id": "1", "title": "T", "date_taken": text}])
    assert combined(source, NOTHING).collect()["date_taken"].to_list() == [None]
    assert odd_values(source, COMBINED) == {"date_taken": (0, 1)}


def test_the_29th_of_february_is_a_date_in_a_leap_year_only(folder):
    rows = [{"date_taken": "2024-02-29"}, {"date_taken": "2023-02-29"}]
    got = text_of(overall(folder, *rows)).collect()["date_taken"].to_list()
    assert sorted(got, key=str) == ["2024-02-29", None]


def test_nulls_are_counted_apart_from_what_was_made_null(folder):
    rows = [
        {"assessment_id": "1", "title": str(n), "points": points, "date_taken": date}
        for n, (points, date) in enumerate(
            [("1", None), (None, "2024-01-01"), ("x", "y"), (None, None)]
        )
    ]
    counts = odd_values(source_of(folder, rows), COMBINED)
    assert counts == {"points": (2, 1), "date_taken": (2, 1)}


@pytest.mark.parametrize("table", [COMBINED, GROUP], ids=lambda table: table.stem)
def test_without_a_shard_there_is_nothing_odd(table):
    assert not any(map(any, odd_values(NOTHING, table).values()))


@settings(max_examples=30, deadline=None)
@given(rows_of(points_possible=numbers))
def test_odd_and_null_values_add_up_to_the_nulls_of_the_table(rows):
    rows = [row | {"points": row.get("points")} for row in rows]
    with tempfile.TemporaryDirectory() as name:
        source = source_of(Path(name), rows)
        counts = odd_values(source, COMBINED)
        got = combined(source, NOTHING).collect()
    for column, (null, odd) in counts.items():
        assert null + odd == got[column].null_count()
        assert null == sum(row.get(column) is None for row in rows)


# The view.

STUDENT = {"local_student_id": "1"}
NEW_FIELDS = [name for name in VIEW.names if name not in COMBINED.names]


def labels_frame(labels):
    rows = [(assessment_id, *values) for assessment_id, values in labels.items()]
    schema = dict.fromkeys(("assessment_id", *LABELLED), pl.String)
    return pl.LazyFrame(rows, schema=schema, orient="row")


def by_grade_frame(labels_by_grade):
    rows = [(i, grade, *values) for (i, grade), values in labels_by_grade.items()]
    schema = {"assessment_id": pl.String, "grade": pl.Int64, **dict.fromkeys(LABELLED, pl.String)}
    return pl.LazyFrame(rows, schema=schema, orient="row")


def roster_frame(roster):
    schema = {"local_student_id": pl.String, "grade": pl.Int64}
    return pl.LazyFrame(list(roster.items()), schema=schema, orient="row")


def view_of(combined, labels=None, labels_by_grade=None, roster=None):
    """The view as text."""
    return text_of(view_rows(combined, labels, labels_by_grade, roster), VIEW)


def view_rows(combined, labels=None, labels_by_grade=None, roster=None):
    frames = (
        labels_frame(labels or {}),
        by_grade_frame(labels_by_grade or {}),
        roster_frame(roster or {}),
    )
    counted = combined.with_columns(pl.lit(1, pl.Int64).alias(build.ATTEMPTS))
    return build.view(build.labelled(counted, *frames))


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
        under = build.combined(NOTHING, source_of(Path(name), rows, "standard"), "23-24")
        got = view_of(under, labels, by_grade, roster).collect()
        below = text_of(under).collect().rows(named=True)
    assert got.columns == list(VIEW.names)
    assert got.rows(named=True) == [plain_view(row, labels, by_grade, roster) for row in below]


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
def test_a_percentage_beyond_all_measure_does_not_stop_the_run(folder, percent):
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


def test_labels_for_one_grade_hold_for_students_of_that_grade_only(folder):
    rows = [{"local_student_id": student} for student in ("1", "2", "3")]
    usual, special = ("T", "test", "ELA", "1", "1"), ("U", None, "Math", "2", "2")
    got = view_of(
        overall(folder, *rows), {"1": usual}, {("1", 3): special}, {"1": 3, "2": 4}
    ).collect()
    by_student = {row[0]: row[1:] for row in got.select("local_student_id", *LABELLED).rows()}
    assert by_student == {"1": special, "2": usual, "3": usual}


def test_labels_for_the_youngest_grade_hold_too(folder):
    special = ("U", None, "Math", "2", "2")
    got = view_of(overall(folder, STUDENT), {}, {("1", 0): special}, {"1": 0}).collect()
    assert got.select(*LABELLED).rows() == [special]


def test_the_title_of_the_view_is_the_one_of_the_labels(folder):
    labels = {"1": ("A clean title", None, None, None, None)}
    got = view_of(overall(folder, {"title": "A   clean title "}), labels).collect()
    assert got["title"].to_list() == ["A clean title"]


@pytest.mark.parametrize("name", [*NEW_FIELDS, "by_grade", "title_by_grade", "grade_right"])
def test_a_field_that_the_api_may_add_changes_nothing_in_the_view(folder, name):
    labels, roster = {"1": ("T", "test", "ELA", "1", "1")}, {"1": 4}
    known = view_of(overall(folder / "known", STUDENT), labels, None, roster).collect()
    more = overall(folder / "more", STUDENT | {name: "of the API"})
    assert view_of(more, labels, None, roster).collect().equals(known)
    assert text_of(more).collect()[name].to_list() == ["of the API"]


# What is counted on the way.


def test_titles_are_one_per_assessment_that_has_rows(folder):
    overall_rows = [
        {"assessment_id": "2", "title": "Unit 2"},
        {"assessment_id": "1", "title": "b", "points": "1"},
        {"assessment_id": "1", "title": "a", "points": "2"},
    ]
    group_rows = [{"assessment_id": "3", "title": None}]
    write_parquet(text_of(overall(folder, *overall_rows)), folder / "c.parquet")
    write_parquet(group(source_of(folder, group_rows, "group")), folder / "g.parquet")
    tables = [folder / "c.parquet", folder / "g.parquet"]
    assert build.titles(tables).rows() == [("1", "a"), ("2", "Unit 2"), ("3", None)]


def test_without_a_shard_there_are_no_titles(folder):
    write_parquet(group(NOTHING), folder / "g.parquet")
    assert build.titles([folder / "g.parquet"]).rows() == []


def test_the_roster_match_counts_each_student_once(folder):
    rows = [{"local_student_id": s, "points": p} for s in ("1", "2", "3") for p in ("1", "2")]
    frame = view_rows(overall(folder, *rows), roster={"1": 4, "2": 0})
    counts = build.stream([], folder, build.roster_match(frame))
    assert counts == {"students": 3, "students on the roster": 2}


def test_a_row_without_a_student_id_counts_as_no_student(folder):
    frame = view_rows(overall(folder, STUDENT, {"local_student_id": None}), roster={"1": 4})
    counts = build.stream([], folder, build.roster_match(frame))
    assert counts == {"students": 1, "students on the roster": 1}


def test_small_files_are_read_as_text_with_empty_fields_as_null(folder):
    (folder / "f.csv").write_text('a,extra,b\n"1, ""x""\ny",,\n,NA,2\n', encoding="utf-8")
    got = build.read_small(folder / "f.csv", {"a": pl.String, "b": pl.Int64}).collect()
    assert got.rows() == [('1, "x"\ny', None), (None, 2)]


# The CSV file.


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=6))
def test_a_csv_reader_gets_every_text_back(pairs):
    frame = pl.LazyFrame(pairs, schema={"one, é": pl.String, 'the "two"': pl.String}, orient="row")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.csv"
        write_csv(frame, path)
        header, records = read_csv(path)
        count, content = checks.count_csv(path), path.read_bytes()
    assert header == ["one, é", 'the "two"']
    assert records == [[value or "" for value in pair] for pair in pairs]
    assert count == len(pairs)
    assert content.endswith(b"\n")
    assert content.decode("utf-8").startswith('"one, é"')


def test_only_what_must_be_quoted_is_quoted_and_lines_end_in_lf(folder):
    frame = pl.LazyFrame({"a": ["x", "1,5", 'say "hi"', "two\nlines", "Ñandú", None], "b": "."})
    write_csv(frame, folder / "t.csv")
    expected = 'a,b\nx,.\n"1,5",.\n"say ""hi""",.\n"two\nlines",.\nÑandú,.\n,.\n'
    assert (folder / "t.csv").read_bytes() == expected.encode()


# Spreadsheets.

MIXED = Table(
    "mixed",
    "",
    (
        Column("text", "text", "", ""),
        Column("number", "number", "", ""),
        Column("day", "date", "", ""),
        Column("whole", "integer", "", ""),
    ),
    ("text",),
)


def safe(*values: str | None) -> list[str | None]:
    frame = pl.LazyFrame({"text": values, "number": "-0.5", "day": "2024-01-01", "whole": -1})
    frame = frame.with_columns(pl.col("text").cast(pl.String))
    return build.safe_for_spreadsheets(frame, MIXED).collect()["text"].to_list()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=", "-", "=\n"])
def test_text_that_a_spreadsheet_would_run_gets_one_apostrophe(text):
    assert safe(text) == [f"'{text}"]


@pytest.mark.parametrize("text", ["Unit 1", "a=b", "'quoted'", "'", "", " =1", "1-2", "é+", None])
def test_other_text_stays_as_it_is(text):
    assert safe(text) == [text]


@given(st.lists(st.text(st.sampled_from("'=+-@a \n"), max_size=5), min_size=1))
def test_taking_the_apostrophe_away_gives_the_original_back(originals):
    for original, made in zip(originals, safe(*originals), strict=True):
        assert made[:1] not in set("=+-@")
        marked = re.match(r"'+[=+\-@]", made)
        assert (made[1:] if marked else made) == original


def test_numbers_and_days_are_left_alone():
    frame = pl.LazyFrame({"text": "=x", "number": "-0.5", "day": "-", "whole": -1})
    got = build.safe_for_spreadsheets(frame, MIXED).collect()
    assert got.rows() == [("'=x", "-0.5", "-", -1)]


def test_the_view_is_safe_in_the_csv_and_as_it_is_in_the_parquet(folder):
    under = overall(folder, {"standard_code": "x", "points": "-1", "local_student_id": "@me"})
    labels = {"1": ("=Unit 4", "-", None, "'+1", "4")}
    frame = view_rows(under, labels)
    harmless = build.harmless(labels_frame(labels), by_grade_frame({}))
    safe_text = build.safe_for_spreadsheets(text_of(frame, VIEW), VIEW, harmless)
    write_csv(safe_text, folder / "t.csv")
    write_parquet(build.as_values(frame, VIEW), folder / "t.parquet")
    header, [record] = read_csv(folder / "t.csv")
    names = ("title", "test_type", "unit", "local_student_id", "points")
    in_csv = dict(zip(header, record, strict=True))
    assert [in_csv[name] for name in names] == ["'=Unit 4", "'-", "''+1", "'@me", "-1"]
    in_parquet = pl.read_parquet(folder / "t.parquet").row(0, named=True)
    assert [in_parquet[name] for name in names] == ["=Unit 4", "-", "'+1", "@me", -1.0]


# The Parquet twin.


@settings(max_examples=25, deadline=None)
@given(rows_of(**CODES))
def test_both_files_hold_the_same_rows_and_the_parquet_has_true_types(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        under = build.combined(source_of(folder, rows), NOTHING, "23-24")
        for table, frame in ((COMBINED, under), (VIEW, view_rows(under, roster={"1": 3}))):
            write_csv(text_of(frame, table), folder / "t.csv")
            write_parquet(build.as_values(frame, table), folder / "t.parquet")
            twin = pl.read_parquet(folder / "t.parquet")
            header, records = read_csv(folder / "t.csv")
            assert len(records) == twin.height == checks.count_csv(folder / "t.csv")
            assert checks.count_parquet(folder / "t.parquet") == len(rows)
            types = {column.name: TYPES[column.kind] for column in table.columns}
            assert header == twin.columns
            assert dict(twin.schema) == {name: types.get(name, pl.String) for name in header}
            for record, row in zip(records, twin.rows(), strict=True):
                assert all(map(same_value, record, row))


def same_value(text: str, value: object) -> bool:
    if value is None:
        return text == ""
    return float(text) == value if isinstance(value, float) else text == str(value)


def test_parquet_has_numbers_and_days_as_such(folder):
    row = {"points": "66.50", "percent_correct": "1e3", "date_taken": "2024-03-01"}
    write_parquet(build.as_values(overall(folder, row), COMBINED), folder / "t.parquet")
    got = pl.read_parquet(folder / "t.parquet").row(0, named=True)
    assert (got["points"], got["percent_correct"]) == (66.5, 1000.0)
    assert got["date_taken"] == dt.date(2024, 3, 1)
    assert got["points_possible"] is None


def test_a_csv_cell_keeps_digits_that_the_parquet_cannot(folder):
    frame = text_of(overall(folder, {"points": "0.10000000000000000001"}))
    write_csv(frame, folder / "t.csv")
    assert "0.10000000000000000001" in next(
        csv.reader(io.StringIO((folder / "t.csv").read_text().splitlines()[1]))
    )
