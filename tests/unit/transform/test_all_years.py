"""All years in one table: columns by name, rows in order, texts and values as they were."""

import datetime as dt

import polars as pl
import pytest

from pipeline.publish.checks import check_year_row_counts
from pipeline.schema import GROUP, VIEW
from pipeline.transform import all_years
from tests.helpers import write_csv, write_parquet


@pytest.fixture
def of_year(tmp_path):
    """A part with the group table's columns and others, all null but for these."""

    def make(name, **filled):
        columns = dict.fromkeys((*GROUP.names, *filled), pl.lit(None, pl.String))
        given = {column: pl.lit(text) for column, text in filled.items()}
        frame = pl.LazyFrame({"n": [0]}).select(**columns).with_columns(**given)
        csv, parquet = tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet"
        write_csv(frame, csv)
        write_parquet(frame, parquet)
        return all_years.scan_files(csv, parquet)

    return make


def test_columns_of_some_years_follow_by_name_and_are_null_in_the_others(of_year):
    parts = [of_year("a", year="22-23", zeta="z"), of_year("b", year="23-24", alpha="007")]
    for frame in all_years.concat_years(parts, GROUP):
        rows = frame.collect()
        assert rows.columns == [*GROUP.names, "alpha", "zeta"]
        assert rows.select("year", "alpha", "zeta").rows() == [
            ("22-23", None, "z"),
            ("23-24", "007", None),
        ]


def test_an_empty_text_is_not_made_null(of_year):
    text, _ = all_years.concat_years([of_year("a", year="22-23", title="")], GROUP)
    assert text.collect()["title"].to_list() == [""]


@pytest.fixture
def prior(tmp_path):
    """A clean copy of a prior view with these texts in one row."""

    def make(**filled):
        path = tmp_path / "copy.csv"
        frame = pl.LazyFrame({name: [filled.get(name)] for name in VIEW.names}, strict=False)
        write_csv(frame.cast(pl.String), path)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "sent", "text", "value"),
    [
        ("points", "8.10", "8.10", 8.1),
        ("points", "x", None, None),
        ("points", "NaN", None, None),
        ("grade", "5.0", "5", 5),
        ("grade", "05", "5", 5),
        ("grade", "5.5", None, None),
        ("grade", "K", "0", 0),
        ("grade", " pk ", "-1", -1),
        ("grade", "99", None, None),
        ("score", "66.5", None, None),
        ("score", "66.0", "66", 66),
        ("date_taken", "2020-01-15", "2020-01-15", dt.date(2020, 1, 15)),
        ("date_taken", "2020-01-15 00:00:00", "2020-01-15", dt.date(2020, 1, 15)),
        ("date_taken", "2020-01-15 13:45:00", None, None),
        ("date_taken", "2020-02-30", None, None),
        ("title", "=1", "'=1", "=1"),
        ("title", "'=1", "'=1", "=1"),
        ("title", "''-1", "''-1", "'-1"),
        ("title", "it's", "it's", "it's"),
    ],
)
def test_a_prior_value_is_kept_in_its_digits_or_made_null_and_counted(
    prior, name, sent, text, value
):
    path = prior(year="19-20", **{name: sent})
    part = all_years.scan_prior(path, VIEW)
    assert part.csv.collect()[name].to_list() == [text]
    assert part.parquet.collect()[name].to_list() == [value]
    counted = all_years.count_unparseable(path, VIEW)
    assert sum(counts["unparseable"] for counts in counted.values()) == (text is None)


@pytest.mark.parametrize("name", ["data_source", "response_type", "title"])
def test_a_formula_in_any_text_of_a_prior_view_is_escaped_once(prior, name):
    for sent in ("=1+1", "'=1+1"):
        part = all_years.scan_prior(prior(**{"year": "19-20", name: sent}), VIEW)
        assert part.csv.collect()[name].to_list() == ["'=1+1"]
        assert part.parquet.collect()[name].to_list() == ["=1+1"]


def test_rows_with_the_key_of_a_row_before_are_counted(tmp_path):
    filled = {
        "year": ["19-20", "18-19", "19-20", "19-20", "19-20"],
        "local_student_id": ["1", "1", "1", "2", "1"],
        "title": ["T", "T", "another", "T", "T"],
    }
    cells = {name: filled.get(name, [None] * 5) for name in GROUP.names}
    frame = pl.LazyFrame(cells).cast(pl.String)
    write_csv(frame, tmp_path / "copy.csv")
    assert all_years.count_repeated_keys(tmp_path / "copy.csv", GROUP) == 2
    write_csv(frame.head(0), tmp_path / "none.csv")
    assert all_years.count_repeated_keys(tmp_path / "none.csv", GROUP) == 0


def test_the_types_of_a_prior_file_are_those_of_the_table(prior):
    kinds = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
    schema = all_years.scan_prior(prior(year="19-20"), VIEW).parquet.collect_schema()
    assert dict(schema) == {column.name: kinds[column.kind] for column in VIEW.columns}


@pytest.mark.parametrize(
    ("there", "ok"),
    [
        ({"22-23": 2, "23-24": 3}, True),
        ({"22-23": 3, "23-24": 2}, False),
        ({"22-23": 2}, False),
        ({"22-23": 2, "23-24": 3, "24-25": 1}, False),
    ],
)
def test_a_row_of_another_year_makes_up_for_none(there, ok):
    expected = {"22-23": 2, "23-24": 3, "21-22": 0}
    check = check_year_row_counts(
        "combined", expected, {"CSV": {"22-23": 2, "23-24": 3}, "Parquet": there}
    )
    assert check.ok is ok
    assert ("Parquet" in check.note) is not ok


def test_rows_without_a_date_are_counted_where_several_years_have_them(tmp_path):
    rows = [
        ("22-23", "1", "900001", None),
        ("23-24", "1", "900001", None),
        ("23-24", "1", "900002", None),  # another student, in one year only
        ("22-23", "1", "900003", dt.date(2023, 5, 5)),
        ("23-24", "1", "900003", dt.date(2023, 5, 5)),  # the same, and dated
        ("23-24", "2", "900004", None),
        ("23-24", "2", "900004", None),  # twice in one year
    ]
    names = ["year", "assessment_id", "local_student_id", "date_taken"]
    others = {name: pl.lit(None, pl.String) for name in GROUP.names if name not in names}
    path = tmp_path / "rows.parquet"
    pl.DataFrame(rows, names, orient="row").with_columns(**others).write_parquet(path)
    assert all_years.count_undated(path, GROUP) == 2
