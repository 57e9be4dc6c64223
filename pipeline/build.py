"""The large tables: shards in, one lazy frame out, streamed to CSV and Parquet.

Each builder is a pure function of a list of shards (and labels, roster) and knows nothing of the
rest. Shards are distinct and in canonical order, so reading them in order is all the sorting and
de-duplicating there is, and memory stays flat however many there are.
"""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from pipeline.tables import COMBINED, GROUP, VIEW, Table

# What spreadsheets run as a formula. Text that already begins with apostrophes before one of
# these gets another, so that taking one away always gives the original.
_FORMULA = r"^'*[=+\-@]"
_HARDLY_ANYTHING = 1 << 16
_DATE = r"^\d{4}-\d{2}-\d{2}$"


@dataclass(frozen=True)
class Source:
    """The shards of one endpoint that have rows, in order of their assessment id.

    `columns` are all columns that occur in any of them.
    """

    paths: Sequence[Path]
    columns: Sequence[str]

    def scan(self) -> pl.LazyFrame:
        """All their rows, in order; a column that a shard lacks is null there."""
        schema = dict.fromkeys(self.columns, pl.String)
        if not self.paths:
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(
            list(self.paths), schema=schema, missing_columns="insert", glob=False
        )


def combined(overall: Source, standard: Source, year: str) -> pl.LazyFrame:
    """The combined table: all overall rows, then all standard rows; every column is text.

    Columns are COMBINED's, then unknown fields of either endpoint by name.
    """
    extra = _unknown(COMBINED, overall.columns, standard.columns)
    of_overall = {"year": year, "response_type": "overall", "standard_code": "percent"}
    of_standard = {"year": year, "response_type": "standard"}
    return pl.concat(
        [
            _table_rows(overall.scan(), COMBINED, extra, of_overall),
            _table_rows(standard.scan(), COMBINED, extra, of_standard),
        ]
    )


def group(source: Source, year: str) -> pl.LazyFrame:
    """The table of results by reporting group; every column is text.

    Columns are GROUP's, then unknown fields by name.
    """
    extra = _unknown(GROUP, source.columns)
    return _table_rows(source.scan(), GROUP, extra, {"year": year, "response_type": "group"})


def view(
    combined_rows: pl.LazyFrame,
    labels: pl.LazyFrame,
    labels_by_grade: pl.LazyFrame,
    roster: pl.LazyFrame,
) -> pl.LazyFrame:
    """The view: one row per row of `combined_rows`, in its order, without names of students.

    Args:
        combined_rows: the lazy frame of `combined`.
        labels: `assessment_id` (distinct), `title`, `test_type`, `curriculum`, `unit`,
            `unit_labels`.
        labels_by_grade: the same columns and `grade`; distinct by assessment and grade. Where a
            row's student is of that grade, it replaces the labels of the assessment.
        roster: `local_student_id` (distinct), `grade` (Int64).
    """
    labelled = ("title", "test_type", "curriculum", "unit", "unit_labels")
    level, label = pl.col("performance_band_level"), pl.col("performance_band_label")
    needed = (set(VIEW.names) & set(COMBINED.names)) - {"title"} | {"percent_correct"}
    joined = (
        combined_rows.select(sorted(needed))
        .join(roster, on="local_student_id", how="left", maintain_order="left")
        .join(labels, on="assessment_id", how="left", maintain_order="left")
        .join(
            labels_by_grade.with_columns(by_grade=True),
            on=["assessment_id", "grade"],
            how="left",
            suffix="_by_grade",
            maintain_order="left",
        )
    )
    return joined.with_columns(
        *(
            pl.when("by_grade").then(f"{name}_by_grade").otherwise(name).alias(name)
            for name in labelled
        ),
        data_source=pl.lit("illuminate"),
        score=_nearest(pl.col("percent_correct")),
        proficiency=level + " " + label,
    ).select(VIEW.names)


def odd_values(source: Source, table: Table) -> dict[str, tuple[int, int]]:
    """Per number and date column: how many values are null, and how many are made so.

    The second count is of texts that are no number, or no date; the table has null in their place.
    """
    if not source.paths:
        return {}
    columns = dict.fromkeys(table.of_kind("number"), number_or_null)
    columns |= dict.fromkeys(table.of_kind("date"), date_or_null)
    kept = {name: clean for name, clean in columns.items() if name in source.columns}
    nulls = [pl.col(name).null_count().alias(name) for name in kept]
    lost = [
        (clean(pl.col(name)).null_count() - pl.col(name).null_count()).alias(f"odd {name}")
        for name, clean in kept.items()
    ]
    counts = source.scan().select(*nulls, *lost).collect(engine="streaming").row(0, named=True)
    return {name: (counts[name], counts[f"odd {name}"]) for name in kept}


def titles(sources: Sequence[Source]) -> pl.DataFrame:
    """The title of each assessment that has rows: columns `assessment_id`, `title` (text).

    Where its rows disagree, the first in the alphabet is taken.
    """
    rows = [source.scan().select("assessment_id", "title") for source in sources if source.paths]
    if not rows:
        return pl.DataFrame(schema={"assessment_id": pl.String, "title": pl.String})
    grouped = pl.concat(rows).group_by("assessment_id").agg(pl.col("title").min())
    return grouped.sort("assessment_id").collect(engine="streaming")


def read_small(path: Path, columns: Mapping[str, PolarsDataType]) -> pl.LazyFrame:
    """A small CSV file with a header, of these columns; an empty field is null."""
    return pl.scan_csv(path, schema_overrides=columns, infer_schema=False).select(columns.keys())


def roster_match(view_parquet: Path) -> dict[str, int]:
    """How many students the view has, and how many of them the roster knows."""
    student = pl.col("local_student_id")
    counts = pl.scan_parquet(view_parquet).select(
        student.drop_nulls().n_unique().alias("students"),
        student.filter(pl.col("grade").is_not_null()).n_unique().alias("students on the roster"),
    )
    return counts.collect(engine="streaming").row(0, named=True)


def typed(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """True numbers and dates in place of their text, for the Parquet twin."""
    return frame.with_columns(
        pl.col(table.of_kind("number")).cast(pl.Float64),
        pl.col(table.of_kind("date")).str.to_date("%Y-%m-%d"),
    )


def safe_for_spreadsheets(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Text that a spreadsheet would run as a formula, with an apostrophe before it."""
    text = pl.col(table.of_kind("text"))
    return frame.with_columns(
        pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep()
    )


def write_csv(frame: pl.LazyFrame, path: Path) -> None:
    """Stream a frame into a CSV file: UTF-8, comma, LF, null as nothing.

    Raises:
        OSError: it cannot be written.
    """
    frame.sink_csv(path, maintain_order=True, quote_style="necessary", check_extension=False)


def write_parquet(frame: pl.LazyFrame, path: Path) -> None:
    """Stream a frame into a Parquet file.

    Raises:
        OSError: it cannot be written.
    """
    try:
        frame.sink_parquet(path, maintain_order=True)
    except pl.exceptions.ComputeError as error:
        # Polars calls a failed write a file out of specification, here and nowhere else.
        if "os error" not in str(error) and "transport error" not in str(error):
            raise
        full = shutil.disk_usage(path.parent).free < _HARDLY_ANYTHING
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


def _unknown(table: Table, *columns: Sequence[str]) -> list[str]:
    return sorted({name for names in columns for name in names} - set(table.names))


def _table_rows(
    rows: pl.LazyFrame, table: Table, extra: Sequence[str], fixed: Mapping[str, str]
) -> pl.LazyFrame:
    """Rows with all of the table's columns, `fixed` values filled in, odd values null."""
    present = set(rows.collect_schema().names())
    absent = {name for name in (*table.names, *extra) if name not in present}
    return rows.with_columns(
        *(number_or_null(pl.col(name)) for name in table.of_kind("number") if name in present),
        *(date_or_null(pl.col(name)) for name in table.of_kind("date") if name in present),
        *(pl.lit(None, pl.String).alias(name) for name in absent.difference(fixed)),
        **{name: pl.lit(value) for name, value in fixed.items()},
    ).select(*table.names, *extra)


def _nearest(number: pl.Expr) -> pl.Expr:
    """The nearest whole number of a number in text, halves up."""
    return (number.cast(pl.Float64) + 0.5).floor().cast(pl.Int64, strict=False)


def number_or_null(text: pl.Expr) -> pl.Expr:
    """The text where it is a finite number, digits untouched; null elsewhere."""
    return pl.when(text.cast(pl.Float64, strict=False).is_finite()).then(text)


def date_or_null(text: pl.Expr) -> pl.Expr:
    """The text where it is a date like 2024-03-01; null elsewhere."""
    is_date = text.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    return pl.when(is_date & text.str.contains(_DATE)).then(text)
