"""The latest attempt of each student, assessment and standard; every attempt counted once."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import attempts, build
from pipeline.tables import LATEST, VIEW
from tests.functional import oracle
from tests.helpers import read_csv

TYPES = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
SCHEMA = {column.name: TYPES[column.kind] for column in VIEW.columns}
MAY = dt.date(2024, 5, 2)
JUNE = dt.date(2024, 6, 3)

Rows = list[dict]


def row(student: str | None = "1", day: dt.date | None = MAY, **other) -> dict:
    usual = {"response_type": "overall", "assessment_id": "7", "standard_code": "percent"}
    return {**usual, "local_student_id": student, "date_taken": day, "points": 1.5, **other}


def latest_of(folder: Path, rows: Rows) -> tuple[Rows, Rows]:
    """The rows of both files: the CSV's as texts, the Parquet's as values."""
    view = pl.LazyFrame(rows, schema=SCHEMA)
    csv, parquet = folder / "view.csv", folder / "view.parquet"
    build.stream([build.csv_sink(view, csv), build.parquet_sink(view, parquet)], folder)
    text, values = attempts.latest(csv, parquet)
    made = folder / "latest.csv", folder / "latest.parquet"
    build.stream([attempts.csv_sink(text, made[0]), build.parquet_sink(values, made[1])], folder)
    header, records = read_csv(made[0])
    assert header == list(LATEST.names)
    twin = pl.read_parquet(made[1])
    assert twin.columns == header
    return [dict(zip(header, record, strict=True)) for record in records], twin.to_dicts()


def kept(folder: Path, *rows: dict) -> list[tuple]:
    """What is kept of rows: their points, attempt and attempts."""
    text, values = latest_of(folder, list(rows))
    names = ("points", "attempt", "attempts")
    found = [tuple(of[name] for name in names) for of in values]
    told = [tuple(of[name] for name in names) for of in text]
    assert told == [tuple(str(value) for value in of) for of in found]
    return found


def test_the_last_by_date_is_kept_wherever_it_stands(tmp_path):
    rows = [row(day=JUNE, points=2), row(day=MAY, points=1)]
    assert kept(tmp_path, *rows) == [(2, 2, 2)]


def test_a_row_without_a_date_is_the_earliest(tmp_path):
    assert kept(tmp_path, row(points=2), row(day=None, points=1)) == [(2, 2, 2)]
    ancient = row(day=dt.date(1, 1, 1), points=3)
    assert kept(tmp_path, ancient, row(day=None, points=1)) == [(3, 2, 2)]


def test_without_any_date_the_last_row_is_kept(tmp_path):
    assert kept(tmp_path, row(day=None, points=1), row(day=None, points=2)) == [(2, 2, 2)]


def test_of_several_on_one_day_the_last_row_is_kept(tmp_path):
    rows = [row(points=1), row(points=2), row(points=3)]
    assert kept(tmp_path, *rows) == [(3, 3, 3)]


@pytest.mark.parametrize(
    "other",
    [
        {"response_type": "standard"},
        {"assessment_id": "8"},
        {"standard_code": "6.RP.A.1"},
        {"local_student_id": "2"},
    ],
    ids=str,
)
def test_attempts_at_other_things_are_not_counted_together(tmp_path, other):
    assert kept(tmp_path, row(points=1), row(points=2, **other)) == [(1, 1, 1), (2, 1, 1)]


@pytest.mark.parametrize("name", ["local_student_id", "standard_code"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_row_that_cannot_be_told_apart_stands_by_itself(tmp_path, name, nothing):
    rows = [row(points=1, **{name: nothing}), row(points=2, **{name: nothing})]
    assert kept(tmp_path, *rows) == [(1, 1, 1), (2, 1, 1)]


def test_a_view_without_rows(tmp_path):
    assert latest_of(tmp_path, []) == ([], [])


def test_texts_keep_their_digits_and_quotes(tmp_path):
    """The CSV of the view is where the digits are; nothing is read out of the Parquet."""
    view = pl.DataFrame([row(title='a, "b"\nc', curriculum="'=d", unit="")], schema=SCHEMA)
    view.write_parquet(tmp_path / "view.parquet")
    as_sent = view.with_columns(points=pl.lit("1.500"))
    build.stream([build.csv_sink(as_sent.lazy(), tmp_path / "view.csv")], tmp_path)
    text, _ = attempts.latest(tmp_path / "view.csv", tmp_path / "view.parquet")
    build.stream([attempts.csv_sink(text, tmp_path / "latest.csv")], tmp_path)
    head, body = (tmp_path / "view.csv").read_bytes().split(b"\n", 1)
    made = head + b",attempt,attempts\n" + body.removesuffix(b"\n") + b",1,1\n"
    assert (tmp_path / "latest.csv").read_bytes() == made


def test_rows_of_an_assessment_that_lie_apart_are_not_counted(tmp_path):
    rows = [row(), row(assessment_id="8"), row()]
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(tmp_path / "view.parquet")
    with pytest.raises(ValueError, match="do not lie together"):
        attempts.count_keys(tmp_path / "view.parquet")


CELL = st.sampled_from
ROWS = st.lists(
    st.builds(
        row,
        CELL(["1", "2", "3", None, ""]),
        CELL([None, MAY, JUNE]),
        response_type=CELL(["overall", "standard"]),
        assessment_id=CELL(["1", "2", "3"]),
        standard_code=CELL(["a", "b", None]),
        points=st.integers(0, 99).map(float),
        title=CELL(["plain", 'a "b", c', "two\nlines", None]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, batch=st.integers(1, 9))
def test_it_is_what_plain_python_says_however_it_is_cut(tmp_path_factory, rows, batch):
    """Whatever the rows and the batches: the oracle's rows, in its order, in both files."""
    folder = tmp_path_factory.mktemp("latest")
    rows.sort(key=lambda each: (each["response_type"], each["assessment_id"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "_BATCH", batch)
        text, values = latest_of(folder, rows)
        keys = attempts.count_keys(folder / "view.parquet")
        assert attempts.count_keys(folder / "latest.parquet") == keys == len(values)
    assert attempts.add_up(folder / "latest.parquet") == len(rows)
    _, records = read_csv(folder / "view.csv")
    assert text == oracle.latest([dict(zip(VIEW.names, each, strict=True)) for each in records])
    assert [str(each["points"]) for each in values] == [each["points"] for each in text]
