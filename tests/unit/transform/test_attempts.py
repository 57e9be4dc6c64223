"""The latest attempt of each student, assessment and standard; every attempt counted once."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.illuminate import endpoints
from pipeline.schema import COMBINED, LATEST, VIEW
from pipeline.transform import attempts, combine, scan, values, views
from pipeline.transform.output import write_files
from tests.functional import oracle
from tests.helpers import Row, read_csv, source_of

MAY, JUNE = "2024-05-02", "2024-06-03"
KEY = {"response_type": "overall", "assessment_id": "7", "standard_code": "percent"}
STANDARD_ROW = {
    "response_type": "standard",
    "assessment_id": "7",
    "standard_code": "6.RP.A.1",
    "local_student_id": "1",
    "date_taken": MAY,
}

Rows = list[dict]


def row(student: str | None = "1", day: str | None = MAY, **other: str | None) -> dict:
    return {**KEY, "local_student_id": student, "date_taken": day, **other}


def counted(*rows: dict) -> list[tuple[int, int, int] | None]:
    """For each latest row the numbers of its day, of all attempts, and of those on that day."""
    names = (*attempts.KEY, "date_taken", "percent_correct", "points", "version")
    frame = pl.DataFrame(rows, dict.fromkeys(names, pl.String), orient="row")
    counts = attempts.count_attempts(frame)
    assert counts.columns == ["attempt", "attempts", "attempts_that_day"]
    return [None if None in numbers else numbers for numbers in counts.rows()]


def test_the_last_by_date_is_the_latest_wherever_it_is():
    assert counted(row(day=JUNE), row(day=MAY)) == [(2, 2, 1), None]


def test_a_row_without_a_date_is_the_earliest():
    assert counted(row(), row(day=None)) == [(2, 2, 1), None]
    assert counted(row(day="0001-01-01"), row(day=None)) == [(2, 2, 1), None]


def test_without_any_date_the_last_row_is_the_latest():
    assert counted(row(day=None), row(day=None)) == [None, (1, 2, 2)]


def test_of_equal_ones_on_one_day_the_last_row_is_the_latest():
    assert counted(row(), row(), row()) == [None, None, (1, 3, 3)]


@pytest.mark.parametrize("name", ["date_taken", "percent_correct", "points", "version"])
def test_empty_text_is_as_low_as_null(name: str):
    """A CSV does not tell the two apart."""
    empty, null = ({**row(), name: nothing} for nothing in ("", None))
    assert counted(empty, null) == counted(null, empty) == [None, (1, 2, 2)]


def test_attempts_on_one_day_share_the_number_of_their_day():
    assert counted(row(), row(), row(day=JUNE)) == [None, None, (2, 3, 1)]
    assert counted(row(), row(day=JUNE), row(day=JUNE)) == [None, None, (2, 3, 2)]


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ({"percent_correct": "90"}, {"percent_correct": "100"}),
        ({"percent_correct": "9.5"}, {"percent_correct": "1e1"}),
        ({"percent_correct": "-10"}, {"percent_correct": "-9"}),
        ({"percent_correct": None}, {"percent_correct": "0"}),
        ({"percent_correct": "99 %"}, {"percent_correct": "0"}),
        ({"percent_correct": "9", "points": "9"}, {"percent_correct": "10", "points": "1"}),
        ({"points": "9"}, {"points": "10"}),
        ({"points": None}, {"points": "-1"}),
        (
            {"percent_correct": "0", "points": "9", "version": "3"},
            {"percent_correct": "-0.00", "points": "10", "version": "2"},
        ),
        ({"version": "2"}, {"version": "10"}),
        ({"version": None}, {"version": "0"}),
        ({"version": None}, {"version": "A"}),
        ({"version": "A"}, {"version": "B"}),
        ({"version": "B"}, {"version": "1"}),
        ({"version": "01"}, {"version": "1"}),
    ],
    ids=str,
)
def test_the_best_of_a_day_is_the_latest_and_numbers_are_compared_as_numbers(
    lower: Row, higher: Row
):
    assert counted({**row(), **lower}, {**row(), **higher}) == [None, (1, 2, 2)]
    assert counted({**row(), **higher}, {**row(), **lower}) == [(1, 2, 2), None]


def test_a_better_result_of_an_earlier_day_is_not_the_latest():
    worse = row(day=JUNE, percent_correct="9", points="9", version="1")
    assert counted(worse, row(percent_correct="10", points="10", version="2")) == [(2, 2, 1), None]


def test_two_standards_that_share_a_code_are_told_apart_by_their_guids():
    one, other = ({**STANDARD_ROW, "academic_benchmark_guid": guid} for guid in "AB")
    assert counted(one, other) == [(1, 1, 1), (1, 1, 1)]
    assert counted(one, {**other, "date_taken": JUNE}, one) == [None, (1, 1, 1), (1, 2, 2)]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_row_without_a_guid_is_of_the_only_standard_with_its_code(nothing: str | None):
    known = {**STANDARD_ROW, "academic_benchmark_guid": "A"}
    unknown = {**STANDARD_ROW, "academic_benchmark_guid": nothing, "date_taken": JUNE}
    assert counted(known, unknown) == [None, (2, 2, 1)]
    of_another_student = {**known, "local_student_id": "2", "academic_benchmark_guid": "B"}
    assert counted(known, unknown, of_another_student) == [(1, 1, 1)] * 3
    elsewhere = {**of_another_student, "assessment_id": "8"}
    assert counted(known, unknown, elsewhere) == [None, (2, 2, 1), (1, 1, 1)]


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
def test_attempts_at_other_things_are_not_counted_together(other: Row):
    assert counted(row(), {**row(), **other}) == [(1, 1, 1)] * 2


@pytest.mark.parametrize("name", ["local_student_id", "standard_code"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_row_with_no_student_or_no_standard_is_an_attempt_of_its_own(
    name: str, nothing: str | None
):
    assert counted({**row(), name: nothing}, {**row(), name: nothing}) == [(1, 1, 1)] * 2


def test_without_rows_nothing_is_counted():
    assert counted() == []


def test_rows_of_an_assessment_that_are_not_adjacent_are_refused(tmp_path: Path):
    rows = [row(), row(assessment_id="8"), row()]
    pl.DataFrame(rows).write_parquet(tmp_path / "view.parquet")
    with pytest.raises(ValueError, match="are not adjacent"):
        attempts.count_latest_attempts(tmp_path / "view.parquet")


def sent(endpoint: endpoints.Endpoint, **fields: str | None) -> dict:
    """A row of a shard, of columns that the API has."""
    names = (endpoint.renames.get(name, name) for name in endpoint.fields)
    return {**dict.fromkeys(names), **fields}


CELL = st.sampled_from
VERSIONS = CELL(["2", "10", "A", None])
FIELDS = {
    "assessment_id": CELL(["1", "2", "3"]),
    "local_student_id": CELL(["1", "2", "3", None, ""]),
    "date_taken": CELL([None, MAY, JUNE, "", "unparseable"]),
    "percent_correct": CELL(["9", "10", "1e1", "unparseable", None]),
    "points": CELL(["1.500", "2", "10", "unparseable", None]),
    "performance_band_label": CELL(["plain", 'a "b", c', "two\nlines", None]),
}
# Fields that the API does not send, and that the tables have.
UNKNOWN = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("attempts", "response_type", "version", "year", "data_source"), CELL(["9", "x", "", None])
    ),
)
CODES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("standard_code", "academic_benchmark_guid"), CELL(["x", "y", "", None])
    ),
)
OVERALL = st.builds(
    lambda row, others, codes: {**row, **others, **codes},
    st.builds(sent, st.just(endpoints.OVERALL), version=VERSIONS, **FIELDS),
    UNKNOWN,
    CODES,
)
STANDARD = st.builds(
    lambda row, others: {**row, **others},
    st.builds(
        sent,
        st.just(endpoints.STANDARD),
        standard_code=CELL(["a", "b", None]),
        academic_benchmark_guid=CELL(["A", "B", None, ""]),
        **FIELDS,
    ),
    UNKNOWN,
)


def build_both(
    folder: Path, overall: Rows, standard: Rows
) -> tuple[Path, Path, Path, dict[str, int]]:
    """The combined table, both views of one pass, and what was counted meanwhile."""
    sources = source_of(folder, overall), source_of(folder, standard, "standard")
    ids = sorted({each["assessment_id"] for each in (*overall, *standard)})
    names = ("title", "test_type", "curriculum", "unit", "unit_labels")
    labels = pl.LazyFrame(
        [{"assessment_id": each, **dict.fromkeys(names, each)} for each in ids],
        schema=dict.fromkeys(("assessment_id", *names), pl.String),
    )
    none_by_grade = labels.clear().with_columns(grade=pl.lit(None, pl.Int64))
    roster = pl.LazyFrame({"local_student_id": ["1", "2"], "grade": [4, 5]})
    known = labels, none_by_grade, roster
    counted = map(attempts.AttemptDataset.of, sources, ("overall", "standard"))
    rows = views.label_rows(combine.combine_results(*counted, "23-24"), *known).cache()
    under, *made = (folder / f"{name}.csv" for name in ("combined", "view", "latest"))
    frames = {under: values.as_text(combine.combine_results(*sources, "23-24"), COMBINED)}
    for part, table, csv in zip(
        (views.select_all, views.select_latest), (VIEW, LATEST), made, strict=True
    ):
        frames[csv] = values.as_text(part(rows), table)
        frames[csv.with_suffix(".parquet")] = values.as_values(part(rows), table)
    return under, *made, write_files(frames, views.count_latest(rows))[1]


@settings(max_examples=60, deadline=None)
@given(
    overall=st.lists(OVERALL, max_size=30),
    standard=st.lists(STANDARD, max_size=30),
    batch=st.integers(1, 9),
)
def test_it_equals_the_plain_python_result_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory,
    overall: Rows,
    standard: Rows,
    batch: int,
):
    """Whatever the rows and the batches: the oracle's rows, in its order, in both files."""
    folder = tmp_path_factory.mktemp("latest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "_BATCH", batch)
        patch.setattr(scan, "_BATCH", batch)
        under, view, latest, counts = build_both(folder, overall, standard)
        keys = attempts.count_latest_attempts(view.with_suffix(".parquet"))
        parquet = latest.with_suffix(".parquet")
        assert attempts.count_latest_attempts(parquet) == keys
    wanted = oracle.latest(oracle.read_csv(under), oracle.read_csv(view))
    header, records = read_csv(latest)
    assert header == list(LATEST.names)
    assert [dict(zip(header, record, strict=True)) for record in records] == wanted
    parquet_rows = pl.read_parquet(parquet)
    assert parquet_rows.columns == header
    assert parquet_rows.select(attempts.ATTEMPTS).rows() == [
        tuple(int(each[name]) for name in attempts.ATTEMPTS) for each in wanted
    ]
    days = [dt.date.fromisoformat(day) if (day := each["date_taken"]) else None for each in wanted]
    assert parquet_rows["date_taken"].to_list() == days
    assert keys == len(wanted)
    height = pl.read_parquet(view.with_suffix(".parquet")).height
    assert attempts.sum_attempts(parquet) == height
    assert counts == {"latest": len(wanted), "attempts": height}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.builds(sent, st.just(endpoints.OVERALL), version=VERSIONS, **FIELDS)).flatmap(
        lambda rows: st.tuples(st.just(rows), st.permutations(rows))
    )
)
def test_the_order_in_which_rows_are_sent_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, orders: tuple[Rows, Rows]
):
    one, other = (
        [path.read_bytes() for path in build_both(folder, rows, [])[:3]]
        for rows in orders
        for folder in [tmp_path_factory.mktemp("order")]
    )
    assert one == other


def test_filters_and_limits_apply_after_attempts_are_counted(tmp_path: Path):
    """A filter must not make another attempt the latest, nor must a limit."""
    rows = [
        sent(endpoints.OVERALL, assessment_id="7", local_student_id=student, date_taken=day)
        for student, day in (("1", MAY), ("1", JUNE), ("2", MAY))
    ]
    scan = attempts.AttemptDataset.of(source_of(tmp_path, rows), "overall").scan()
    counted = scan.select("local_student_id", "date_taken", "attempts")
    every = counted.collect().rows()
    assert set(every) == {("1", JUNE, 2), ("1", MAY, None), ("2", MAY, 1)}
    in_may = counted.filter(pl.col("date_taken") == MAY).collect().rows()
    assert in_may == [row for row in every if row[1] == MAY]
    assert counted.head(1).collect().rows() == every[:1]
    assert scan.select(pl.len()).collect().item() == len(every) == 3
