"""The large tables: shards in, one lazy frame out, streamed to CSV and Parquet in one pass.

Each builder is a pure function of a list of shards (and labels, roster) and knows nothing of the
rest. Shards are distinct and in canonical order, so reading them in order is all the sorting and
de-duplicating there is, and memory stays flat however many there are.

A table's rows hold each number and each date twice until they reach their files: the text as it
was sent, and its value, which is null where the text is odd. So each is parsed once, however many
files and counts need it, and polars sees that all of them are made of the same rows.
"""

import errno
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars._typing import PolarsDataType

from pipeline.schema import COMBINED, GROUP, LATEST, VIEW, Table
from pipeline.transform.scan import Source

# What spreadsheets run as a formula. Text that already begins with apostrophes before one of
# these gets another, so that taking one away always gives the original.
_FORMULA = r"^'*[=+\-@]"
_MADE_SAFE = r"^'+[=+\-@]"
_HARDLY_ANYTHING = 1 << 16
_DATE = r"^\d{4}-\d{2}-\d{2}$"
# Text of our own that no spreadsheet would run.
_HARMLESS = {"data_source", "year", "response_type"}
_LABELLED = ("title", "test_type", "curriculum", "unit", "unit_labels")
# Before the name of a column: its value. The name has a character that no field of an API has.
_VALUE = "\0"
ATTEMPTS = "\0\0attempts"
"""A column of sources that count attempts (`attempts`): null where a row is not the latest."""
FILLED_IN = {
    "overall": {"response_type": "overall", "standard_code": "percent"},
    "standard": {"response_type": "standard"},
    "group": {"response_type": "group"},
}
"""By endpoint: columns that hold one text in all rows, whatever the API sends there."""


class Twins(NamedTuple):
    """The rows of a table on their way to its files: as its CSV and as its Parquet has them."""

    text: pl.LazyFrame
    values: pl.LazyFrame


def combined(overall: Source, standard: Source, year: str) -> pl.LazyFrame:
    """The rows of the combined table: all overall rows, then all standard rows.

    Columns are COMBINED's, then others of either source by name, then values.
    """
    extra = _unknown(COMBINED, overall, standard)
    return pl.concat(
        [
            _table_rows(source, COMBINED, extra, {"year": year, **FILLED_IN[endpoint]})
            for endpoint, source in (("overall", overall), ("standard", standard))
        ]
    )


def group(source: Source, year: str) -> pl.LazyFrame:
    """The rows of the table of results by reporting group.

    Columns are GROUP's, then unknown fields by name, then values.
    """
    extra = _unknown(GROUP, source)
    return _table_rows(source, GROUP, extra, {"year": year, **FILLED_IN["group"]})


def labelled(
    combined_rows: pl.LazyFrame,
    labels: pl.LazyFrame,
    labels_by_grade: pl.LazyFrame,
    roster: pl.LazyFrame,
) -> pl.LazyFrame:
    """What the views are made of: the combined rows in their order, with labels and grades.

    Columns are VIEW's, then values, then ATTEMPTS.

    Args:
        combined_rows: the lazy frame of `combined`, made of sources with ATTEMPTS.
        labels: `assessment_id` (distinct), `title`, `test_type`, `curriculum`, `unit`,
            `unit_labels`.
        labels_by_grade: the same columns and `grade`; distinct by assessment and grade. Where a
            row's student is of that grade, it replaces the labels of the assessment.
        roster: `local_student_id` (distinct), `grade` (Int64).
    """
    level, label = pl.col("performance_band_level"), pl.col("performance_band_label")
    values = [_VALUE + name for name in _parsed(VIEW)]
    needed = {*VIEW.names} & {*COMBINED.names} - {"title"} | {*values, _VALUE + "percent_correct"}
    known, torn = _by_grade(labels, labels_by_grade, roster)
    return (
        combined_rows.select(*sorted(needed), ATTEMPTS)
        .join(roster, on="local_student_id", how="left", maintain_order="left")
        .with_columns(by_grade=pl.when(pl.col("assessment_id").is_in(torn)).then("grade"))
        .join(
            known,
            on=["assessment_id", "by_grade"],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(
            data_source=pl.lit("illuminate"),
            score=_nearest(pl.col(_VALUE + "percent_correct")),
            proficiency=level + " " + label,
        )
        .select(*VIEW.names, *values, ATTEMPTS)
    )


def view(labelled_rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of the view: all rows of `labelled`; columns are VIEW's, then values."""
    return labelled_rows.drop(ATTEMPTS)


def latest(labelled_rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of the latest attempts among those of `labelled`; columns are LATEST's, then values.

    The latest of so many attempts is the one with that number.
    """
    count = pl.col(ATTEMPTS)
    values = (_VALUE + name for name in _parsed(LATEST))
    rows = labelled_rows.filter(count.is_not_null()).with_columns(attempt=count, attempts=count)
    return rows.select(*LATEST.names, *values)


def _by_grade(
    labels: pl.LazyFrame, labels_by_grade: pl.LazyFrame, roster: pl.LazyFrame
) -> tuple[pl.LazyFrame, list[str]]:
    """All labels in one frame, so that rows are joined once; and the assessments with several.

    These have a line per grade of the roster, and one where `by_grade` is null for students
    without a grade. All others have the line where it is null.
    """
    columns = ("assessment_id", "by_grade", *_LABELLED)
    usual = labels.with_columns(by_grade=pl.lit(None, pl.Int64)).select(columns)
    special = labels_by_grade.rename({"grade": "by_grade"}).select(columns)
    torn = special.select("assessment_id").unique().collect()["assessment_id"]
    grades = roster.select(by_grade=pl.col("grade").drop_nulls().unique())
    of_each_grade = (
        usual.drop("by_grade")
        .filter(pl.col("assessment_id").is_in(torn.implode()))
        .join(grades, how="cross")
        .join(special, on=["assessment_id", "by_grade"], how="anti")
    )
    known = pl.concat([usual, special, of_each_grade.select(columns)])
    return known.collect().lazy(), torn.to_list()


def odd_values(rows: pl.LazyFrame, table: Table, *sources: Source) -> pl.LazyFrame:
    """Per number and date column: how many values are null, and how many are made so.

    One row, for each column `name` that a source has: `name` counts what was sent as null,
    `odd name` texts that are no number, or no date; the table has null in their place.
    """
    columns = {column for source in sources for column in source.columns}
    present = [name for name in _parsed(table) if name in columns]
    lost = [
        (pl.col(_VALUE + name).null_count() - pl.col(name).null_count()).alias(f"odd {name}")
        for name in present
    ]
    return rows.select(pl.col(present).null_count(), *lost)


def titles(tables: Sequence[Path]) -> pl.DataFrame:
    """The title of each assessment that has rows: columns `assessment_id`, `title` (text).

    Where its rows disagree, the first in the alphabet is taken.

    Args:
        tables: Parquet files with both columns; together they have all rows.
    """
    rows = [pl.scan_parquet(path, glob=False).select("assessment_id", "title") for path in tables]
    grouped = pl.concat(rows).group_by("assessment_id").agg(pl.col("title").min())
    return grouped.sort("assessment_id").collect(engine="streaming")


def read_small(path: Path, columns: Mapping[str, PolarsDataType]) -> pl.LazyFrame:
    """A small CSV file with a header, of these columns; an empty field is null."""
    rows = pl.scan_csv(path, schema_overrides=columns, infer_schema=False, glob=False)
    return rows.select(columns.keys())


def roster_match(view_rows: pl.LazyFrame) -> pl.LazyFrame:
    """How many students the view has, and how many of them the roster knows: one row."""
    students = view_rows.select("local_student_id", "grade").drop_nulls("local_student_id").unique()
    return students.select(
        pl.len().alias("students"), pl.col("grade").count().alias("students on the roster")
    )


def count_latest(labelled_rows: pl.LazyFrame) -> pl.LazyFrame:
    """How many of the rows of `labelled` are the latest, and of how many attempts: one row."""
    count = pl.col(ATTEMPTS)
    return labelled_rows.select(count.count().alias("latest"), count.sum().alias("attempts"))


def as_text(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Numbers and dates in the digits that were sent, and null where they are odd: for the CSV."""
    return rows.with_columns(
        pl.when(pl.col(_VALUE + name).is_not_null()).then(name).alias(name)
        for name in _parsed(table)
    ).drop(_VALUE + name for name in _parsed(table))


def as_values(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """True numbers and dates in place of their text: for the Parquet twin."""
    return rows.with_columns(pl.col(_VALUE + name).alias(name) for name in _parsed(table)).drop(
        _VALUE + name for name in _parsed(table)
    )


def safe_for_spreadsheets(
    frame: pl.LazyFrame, table: Table, harmless: Collection[str] = ()
) -> pl.LazyFrame:
    """Text that a spreadsheet would run as a formula, with an apostrophe before it.

    Columns that are known to be `harmless` are not looked at.
    """
    text = pl.col([name for name in table.of_kind("text") if name not in harmless])
    return frame.with_columns(
        pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep()
    )


def as_before_made_safe(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Text of which some or all was made safe for spreadsheets before, as it was."""
    text = pl.col(table.of_kind("text"))
    return frame.with_columns(
        pl.when(text.str.contains(_MADE_SAFE)).then(text.str.slice(1)).otherwise(text).name.keep()
    )


def harmless(*labels: pl.LazyFrame) -> set[str]:
    """The columns of the view that need not be made safe, row by row.

    They are those that the pipeline fills in itself, and those of which none of these small
    frames of labels has text to be made safe.
    """
    found = pl.concat([frame.select(_LABELLED) for frame in labels])
    at_risk = found.select(pl.all().str.contains(_FORMULA).any()).collect().row(0, named=True)
    return _HARMLESS | {name for name, is_there in at_risk.items() if not is_there}


def number(text: pl.Expr) -> pl.Expr:
    """The number that a text is, where it is a finite one; null elsewhere."""
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def date(text: pl.Expr) -> pl.Expr:
    """The date that a text like 2024-03-01 is; null elsewhere."""
    return pl.when(text.str.contains(_DATE)).then(text.str.to_date("%Y-%m-%d", strict=False))


def whole(text: pl.Expr) -> pl.Expr:
    """The whole number that a text like 5 or 5.0 is; null elsewhere."""
    parsed = number(text)
    return pl.when(parsed == parsed.round()).then(parsed).cast(pl.Int64, strict=False)


def csv_sink(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """A frame on its way into a CSV file: UTF-8, comma, LF, null as nothing; for `stream`."""
    return frame.sink_csv(
        path, lazy=True, maintain_order=True, quote_style="necessary", check_extension=False
    )


def parquet_sink(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """A frame on its way into a Parquet file, for `stream`."""
    return frame.sink_parquet(path, lazy=True, maintain_order=True)


def stream(
    sinks: Sequence[pl.LazyFrame], folder: Path, counts: pl.LazyFrame | None = None
) -> dict[str, int]:
    """Fill all sinks in one pass, and return the only row of `counts`.

    Args:
        sinks: of `csv_sink` and `parquet_sink`, into files of `folder`.
        folder: where the files are.
        counts: what is counted of the same rows.

    Raises:
        OSError: a file cannot be written.
    """
    plans = [*sinks, *([] if counts is None else [counts])]
    try:
        *_, last = pl.collect_all(plans, engine="streaming")
    except pl.exceptions.ComputeError as error:
        # Polars calls a failed write of Parquet a file out of specification.
        if "os error" not in str(error) and "transport error" not in str(error):
            raise
        full = shutil.disk_usage(folder).free < _HARDLY_ANYTHING
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number), str(folder)) from error
    return last.row(0, named=True) if counts is not None and last.height else {}


def _unknown(table: Table, *sources: Source) -> list[str]:
    return sorted({name for source in sources for name in source.schema} - set(table.names))


def _parsed(table: Table) -> tuple[str, ...]:
    """The columns that have values."""
    return table.of_kind("number") + table.of_kind("date")


def _table_rows(
    source: Source, table: Table, extra: Sequence[str], fixed: Mapping[str, str]
) -> pl.LazyFrame:
    """Rows with all of the table's columns, `fixed` texts filled in, and values at the end."""
    names = (*table.names, *extra)
    absent = [name for name in names if name not in source.schema and name not in fixed]
    return (
        source.scan()
        .with_columns(
            *(pl.lit(None, pl.String).alias(name) for name in absent),
            **{name: pl.lit(text) for name, text in fixed.items()},
        )
        .with_columns(
            *(number(pl.col(name)).alias(_VALUE + name) for name in table.of_kind("number")),
            *(date(pl.col(name)).alias(_VALUE + name) for name in table.of_kind("date")),
        )
        .select(*names, *(_VALUE + name for name in _parsed(table)))
    )


def _nearest(number: pl.Expr) -> pl.Expr:
    """The nearest whole number, halves up."""
    return (number + 0.5).floor().cast(pl.Int64, strict=False)
