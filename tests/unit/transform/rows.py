"""Rows that the tests of the tables share, as shards and as tables."""

import datetime as dt
from decimal import Decimal

import polars as pl
from hypothesis import strategies as st

from pipeline.schema import COMBINED, GROUP, VIEW, Table
from pipeline.transform import attempts, combine, values, views
from pipeline.transform.output import write_files
from pipeline.transform.scan import ShardDataset
from tests.helpers import source_of

NOTHING = ShardDataset([], [], [])
LABELLED = ("title", "test_type", "curriculum", "unit", "unit_labels")
NOT_NUMBERS = ("", "n/a", "NaN", "inf", "-inf", "1,5", "12 %", "80%", " 5", "0x1F", "1e999", "٣")
NOT_DATES = (
    "",
    "0000-03-01",
    "2024-02-30",
    "2024-3-1",
    "03/01/2024",
    "2024-03-01T08:00:00",
    "2024-03-01 13:45:00",
    "2024-03-01 00:00:00.001",
    "2024-03-01 00:00:00 ",
    "2024-03-01 ",
    "x",
)
MIDNIGHTS = (
    *(" 00:00:00", "T00:00:00", "T00:00:00.000Z", " 00:00"),
    *(" 00:00:00+00", "T00:00:00-07:00", " 00:00:00+0530"),
)
NUMBERS = ("66.50", "4", "-0.5", "1e3", "0", "00.50", "100.0000", "-0")

texts = st.one_of(
    st.none(),
    st.text(st.sampled_from("aé中 ,\"'\n\r\t=+-@;1"), max_size=5),
    st.sampled_from(["Smith, Jr.", 'the "real" one', "=1+1", "Ängström"]),
)
ids = st.sampled_from(["7", "10", "9", "114845", "A-b", "unusual id/1"])
students = st.sampled_from([None, "1", "2", "3", "03", "É"])
numbers = st.one_of(
    st.none(),
    st.sampled_from(NUMBERS + NOT_NUMBERS),
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
UNKNOWN = dict.fromkeys(["zeta", "Alpha", "beta, the", "value", "\0points", "attempts"], texts)
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


def text_of(rows: pl.LazyFrame, table: Table = COMBINED) -> pl.LazyFrame:
    """Rows as their CSV has them."""
    return values.as_text(rows, table)


def combined(*sources: ShardDataset) -> pl.LazyFrame:
    """The combined table as its CSV has it."""
    return text_of(combine.combine_results(*sources, "23-24"))


def group(source: ShardDataset) -> pl.LazyFrame:
    """The group table as its CSV has it."""
    return text_of(combine.combine_group(source, "23-24"), GROUP)


def count_unparseable(source: ShardDataset, table: Table) -> dict[str, tuple[int, int]]:
    """Per number and date column: how many values were sent as null, and how many made so."""
    rows = combine.combine_results(source, NOTHING, "23-24")
    rows = rows if table is COMBINED else combine.combine_group(source, "23-24")
    row = write_files({}, combine.count_unparseable(rows, table, source))[1]
    return {name: (counts["null"], counts["unparseable"]) for name, counts in row.items()}


def overall(folder, *rows):
    """The combined rows of some as overall shards."""
    source = source_of(folder, [{"assessment_id": "1", "title": "T", **row} for row in rows])
    return combine.combine_results(source, NOTHING, "23-24")


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
    counted = combined.with_columns(pl.lit(1, pl.Int64).alias(name) for name in attempts.ATTEMPTS)
    return views.select_all(views.label_rows(counted, *frames))
