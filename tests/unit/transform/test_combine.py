"""The combined and the group table hold every row of the shards, in order."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.illuminate import endpoints
from pipeline.publish import checks
from pipeline.schema import COMBINED, GROUP
from pipeline.transform import combine, values
from pipeline.transform.output import write_files
from pipeline.transform.scan import ShardDataset
from tests.helpers import source_of, write_csv, write_parquet
from tests.unit.transform.rows import (
    CODES,
    NOT_DATES,
    NOT_NUMBERS,
    NOTHING,
    VERSIONS,
    combined,
    count_unparseable,
    group,
    numbers,
    overall,
    rows_of,
    text_of,
    texts,
)


def plain_table(rows, table, endpoint, fixed):
    """The rows as the table has them: unparseable values null, constants filled in."""
    unknown = sorted({name for row in rows for name in row} - set(table.names))
    invalid = dict.fromkeys(table.of_kind("number"), NOT_NUMBERS)
    invalid |= dict.fromkeys(table.of_kind("date"), NOT_DATES)
    made = [
        {
            name: fixed.get(name, None if row.get(name) in invalid.get(name, ()) else row.get(name))
            for name in (*table.names, *unknown)
        }
        for row in rows
    ]
    return made, unknown


def key_of(row, table):
    return [(row[name] is not None, row[name] or "") for name in table.key]


def same_rows(got, expected):
    """Whether both hold the same rows, in whatever order."""
    return sorted(map(repr, got)) == sorted(map(repr, expected))


def compare(got: pl.DataFrame, expected, unknown, table):
    rows = got.rows(named=True)
    assert got.columns == [*table.names, *unknown]
    assert same_rows(rows, [{name: row.get(name) for name in got.columns} for row in expected])
    assert [key_of(row, table) for row in rows] == sorted(key_of(row, table) for row in expected)


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
        (lambda: combine.combine_results(NOTHING, NOTHING, "23-24"), COMBINED),
        (lambda: combine.combine_group(NOTHING, "23-24"), GROUP),
    ],
    ids=["combined", "group"],
)
def test_without_a_shard_a_table_is_its_header(tmp_path, make, table):
    write_csv(values.as_text(make(), table), tmp_path / "t.csv")
    write_parquet(values.as_values(make(), table), tmp_path / "t.parquet")
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


def test_white_space_around_ids_is_removed_and_no_row_with_it(folder):
    ids = ["7", " 7", "7\u3000", "8\t", None, " "]
    rows = [{"assessment_id": " 1\n", "title": " T", "local_student_id": each} for each in ids]
    got = combined(source_of(folder, rows), NOTHING).collect()
    found = sorted(got["local_student_id"].to_list(), key=str)
    assert found == ["", "7", "7", "7", "8", None]
    assert {*got.select("assessment_id", "title").rows()} == {("1", " T")}


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
    batches = [len(paths) for paths in source._path_batches()]
    assert sum(batches) == len(source.paths)
    assert batches == {1: [1] * 5, 3: [2, 1, 1, 1], 4: [2, 1, 1, 1], 100: [5]}[most]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_only_requested_rows_and_columns_are_read(folder, monkeypatch, most):
    monkeypatch.setattr("pipeline.transform.scan._BATCH", most)
    rows = [{"assessment_id": str(n), "title": f"t{n}"} for n in range(5)]
    scan = source_of(folder, rows).scan()
    assert scan.select("title").head(2).collect().rows() == [("t0",), ("t1",)]
    assert scan.filter(pl.col("title") == "t3").collect().rows() == [("3", "t3")]


def test_shards_are_read_once_for_all_that_is_made_of_them(folder, monkeypatch):
    """The CSV, the Parquet file and the counts."""
    source, read = source_of(folder, [{"assessment_id": "1", "title": "T", "points": "x"}]), []
    scan = ShardDataset.read
    monkeypatch.setattr(ShardDataset, "read", lambda *args: read.append(1) or scan(*args))
    rows = combine.combine_results(source, NOTHING, "23-24").cache()
    frames = {
        folder / "t.csv": values.as_text(rows, COMBINED),
        folder / "t.parquet": values.as_values(rows, COMBINED),
    }
    _, counted = write_files(frames, combine.count_unparseable(rows, COMBINED, source))
    assert counted == {"points": {"null": 0, "unparseable": 1}}
    assert len(read) == 1


@pytest.mark.parametrize("names", [("group_no", "group_name"), ("gid", "reporting_group")])
def test_the_fields_of_a_reporting_group_may_be_called_otherwise_by_the_api(folder, names):
    row = {"assessment_id": "1", "title": "T", names[0]: "5", names[1]: "Cohort"}
    renames = endpoints.group(*names).renames
    renamed = {renames.get(name, name): value for name, value in row.items()}
    got = group(source_of(folder, [renamed], "group")).collect()
    assert got.columns == list(GROUP.names)
    assert got.select("reporting_group_id", "reporting_group").rows() == [("5", "Cohort")]


def test_nulls_are_counted_apart_from_what_was_made_null(folder):
    rows = [
        {"assessment_id": "1", "title": str(n), "points": points, "date_taken": date}
        for n, (points, date) in enumerate(
            [("1", None), (None, "2024-01-01"), ("x", "y"), (None, None)]
        )
    ]
    counts = count_unparseable(source_of(folder, rows), COMBINED)
    assert counts == {"points": (2, 1), "date_taken": (2, 1)}


def test_empty_texts_that_are_expected_are_counted_as_well(folder):
    rows = [
        {"assessment_id": "1", "title": str(n), "local_student_id": student, "version": None}
        for n, student in enumerate([None, "1", "2", None])
    ]
    assert count_unparseable(source_of(folder, rows), COMBINED) == {"local_student_id": (2, 0)}


def test_blank_texts_are_as_empty_as_null(folder):
    """An API that sends them in place of ids or bands would replace good ones."""
    rows = [
        {"assessment_id": "1", "title": str(n), "local_student_id": text, "mastered": text}
        for n, text in enumerate(["", " ", "\t", "t", None])
    ]
    counts = count_unparseable(source_of(folder, rows), COMBINED)
    assert counts == {"local_student_id": (4, 0), "mastered": (4, 0)}


@pytest.mark.parametrize("table", [COMBINED, GROUP], ids=lambda table: table.stem)
def test_without_a_shard_nothing_is_unparseable(table):
    assert not any(map(any, count_unparseable(NOTHING, table).values()))


@settings(max_examples=30, deadline=None)
@given(rows_of(points_possible=numbers))
def test_unparseable_and_null_values_add_up_to_the_nulls_of_the_table(rows):
    rows = [row | {"points": row.get("points")} for row in rows]
    with tempfile.TemporaryDirectory() as name:
        source = source_of(Path(name), rows)
        counts = count_unparseable(source, COMBINED)
        got = combined(source, NOTHING).collect()
    for column, (null, unparseable) in counts.items():
        is_text = column in COMBINED.of_kind("text")
        empty = (None, "") if is_text else (None,)
        assert null + unparseable == sum(value in empty for value in got[column])
        assert null == sum(row.get(column) in empty for row in rows)


def test_titles_are_one_per_assessment_that_has_rows(folder):
    overall_rows = [
        {"assessment_id": "2", "title": "Unit 2"},
        {"assessment_id": "1", "title": "b", "points": "1"},
        {"assessment_id": "1", "title": "a", "points": "2"},
        {"assessment_id": "1", "title": " ", "points": "3"},
        {"assessment_id": "1", "title": "", "points": "4"},
    ]
    group_rows = [{"assessment_id": "3", "title": ""}]
    write_parquet(text_of(overall(folder, *overall_rows)), folder / "c.parquet")
    write_parquet(group(source_of(folder, group_rows, "group")), folder / "g.parquet")
    tables = [folder / "c.parquet", folder / "g.parquet"]
    assert combine.read_titles(tables).rows() == [("1", "a"), ("2", "Unit 2"), ("3", None)]


def test_without_a_shard_there_are_no_titles(folder):
    write_parquet(group(NOTHING), folder / "g.parquet")
    assert combine.read_titles([folder / "g.parquet"]).rows() == []
