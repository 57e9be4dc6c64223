"""Numbers, dates and formulas are in both files exactly as promised."""

import csv
import datetime as dt
import io
import re
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.publish import checks
from pipeline.schema import COMBINED, VIEW, Column, Table
from pipeline.transform import combine, values
from tests.helpers import read_csv, source_of, write_csv, write_parquet
from tests.unit.transform.rows import (
    CODES,
    MIDNIGHTS,
    NOT_DATES,
    NOT_NUMBERS,
    NOTHING,
    NUMBERS,
    combined,
    count_unparseable,
    overall,
    rows_of,
    text_of,
    view_rows,
)

DAY = "2024-03-01"
TYPES = {"text": pl.String, "number": pl.Float64, "integer": pl.Int64, "date": pl.Date}


@pytest.mark.parametrize("digits", NUMBERS)
def test_numbers_keep_the_digits_that_were_sent(folder, digits):
    write_csv(text_of(overall(folder, {"points": digits})), folder / "t.csv")
    header, [record] = read_csv(folder / "t.csv")
    assert dict(zip(header, record, strict=True))["points"] == digits


@pytest.mark.parametrize("name", ["points", "points_possible", "percent_correct"])
@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_an_unparseable_number_becomes_null_and_is_counted(folder, name, text):
    source = source_of(folder, [{"assessment_id": "1", "title": "T", name: text}])
    assert combined(source, NOTHING).collect()[name].to_list() == [None]
    assert count_unparseable(source, COMBINED) == {name: (0, 1)}


@pytest.mark.parametrize("text", NOT_DATES)
def test_an_unparseable_date_becomes_null_and_is_counted(folder, text):
    source = source_of(folder, [{"assessment_id": "1", "title": "T", "date_taken": text}])
    assert combined(source, NOTHING).collect()["date_taken"].to_list() == [None]
    assert count_unparseable(source, COMBINED) == {"date_taken": (0, 1)}


@pytest.mark.parametrize("midnight", MIDNIGHTS)
def test_a_date_followed_by_midnight_is_that_date_in_both_files(folder, midnight):
    source = source_of(folder, [{"assessment_id": "1", "title": "T", "date_taken": DAY + midnight}])
    rows = combine.combine_results(source, NOTHING, "23-24")
    assert text_of(rows).collect()["date_taken"].to_list() == [DAY]
    in_parquet = values.as_values(rows, COMBINED).collect()["date_taken"].to_list()
    assert in_parquet == [dt.date.fromisoformat(DAY)]
    assert count_unparseable(source, COMBINED) == {"date_taken": (0, 0)}


def test_the_29th_of_february_is_a_date_in_a_leap_year_only(folder):
    rows = [{"date_taken": "2024-02-29"}, {"date_taken": "2023-02-29"}]
    got = text_of(overall(folder, *rows)).collect()["date_taken"].to_list()
    assert sorted(got, key=str) == ["2024-02-29", None]


MIXED = Table(
    "mixed",
    "",
    (
        Column("text", ""),
        Column("number", "", "number"),
        Column("day", "", "date"),
        Column("whole", "", "integer"),
    ),
    ("text",),
)


def safe(*texts: str | None) -> list[str | None]:
    frame = pl.LazyFrame({"text": texts, "number": "-0.5", "day": "2024-01-01", "whole": -1})
    frame = frame.with_columns(pl.col("text").cast(pl.String))
    return values.escape_formulas(frame, MIXED).collect()["text"].to_list()


SIGNS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=", "-", "=\n", *SIGNS, "\t=1"])
def test_a_formula_gets_one_apostrophe(text):
    assert safe(text) == [f"'{text}"]


@pytest.mark.parametrize("text", ["Unit 1", "a=b", "'quoted'", "'", "", " =1", "1-2", "é+", None])
def test_other_text_stays_as_it_is(text):
    assert safe(text) == [text]


@given(st.lists(st.text(st.sampled_from("'a \n" + SIGNS), max_size=5), min_size=1))
def test_removing_the_apostrophe_gives_the_original_back(originals):
    made = safe(*originals)
    for original, text in zip(originals, made, strict=True):
        assert text[:1] not in set(SIGNS)
        marked = re.match(f"'+[{re.escape(SIGNS)}]", text)
        assert (text[1:] if marked else text) == original
    frame = values.unescape_formulas(pl.LazyFrame({"text": made}), MIXED).collect()
    assert frame["text"].to_list() == originals


def test_an_unknown_column_of_text_is_escaped_and_one_of_our_own_is_not_searched():
    table = Table("t", "", (Column("year", "", source="the run"), Column("b", "")), ("b",))
    frame = pl.LazyFrame({"year": "=x", "b": "=x", "unknown": "=x"})
    assert values.escape_formulas(frame, table).collect().rows() == [("=x", "'=x", "'=x")]


def test_numbers_and_days_are_left_alone():
    frame = pl.LazyFrame({"text": "=x", "number": "-0.5", "day": "-", "whole": -1})
    got = values.escape_formulas(frame, MIXED).collect()
    assert got.rows() == [("'=x", "-0.5", "-", -1)]


@settings(max_examples=25, deadline=None)
@given(rows_of(**CODES))
def test_both_files_hold_the_same_rows_and_the_parquet_has_true_types(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        under = combine.combine_results(source_of(folder, rows), NOTHING, "23-24")
        for table, frame in ((COMBINED, under), (VIEW, view_rows(under, roster={"1": 3}))):
            write_csv(text_of(frame, table), folder / "t.csv")
            write_parquet(values.as_values(frame, table), folder / "t.parquet")
            in_parquet = pl.read_parquet(folder / "t.parquet")
            header, records = read_csv(folder / "t.csv")
            assert len(records) == in_parquet.height == checks.count_csv(folder / "t.csv")
            assert checks.count_parquet(folder / "t.parquet") == len(rows)
            types = {column.name: TYPES[column.kind] for column in table.columns}
            assert header == in_parquet.columns
            assert dict(in_parquet.schema) == {name: types.get(name, pl.String) for name in header}
            for record, row in zip(records, in_parquet.rows(), strict=True):
                assert all(map(same_value, record, row))


def same_value(text: str, value: object) -> bool:
    if value is None:
        return text == ""
    return float(text) == value if isinstance(value, float) else text == str(value)


def test_parquet_has_numbers_and_days_as_such(folder):
    row = {"points": "66.50", "percent_correct": "1e3", "date_taken": "2024-03-01"}
    write_parquet(values.as_values(overall(folder, row), COMBINED), folder / "t.parquet")
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
