"""The views: combined rows with labels, grades and attempts, all of them or the latest."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from pipeline.schema import COMBINED, LATEST, VIEW
from pipeline.storage.formulas import FORMULA
from pipeline.transform.attempts import ATTEMPTS
from pipeline.transform.values import round_half_up, value_of

_LABELS = ("title", "test_type", "curriculum", "unit", "unit_labels")


def label_rows(
    combined: pl.LazyFrame,
    labels: pl.LazyFrame,
    labels_by_grade: pl.LazyFrame,
    roster: pl.LazyFrame,
) -> pl.LazyFrame:
    """Return the combined rows in their order, with labels and grades.

    Columns are VIEW's, numbers and dates as pairs, then ATTEMPTS.

    Args:
        combined: `combine_results` of datasets that count attempts.
        labels: `assessment_id` (distinct), `title`, `test_type`, `curriculum`, `unit`,
            `unit_labels`.
        labels_by_grade: The same columns and `grade`; distinct by assessment and grade. Where a
            row's student is of that grade, it replaces the labels of the assessment.
        roster: `local_student_id` (distinct), `grade` (Int64, null for a code that is no grade).
    """
    level, label = pl.col("performance_band_level"), pl.col("performance_band_label")
    needed = {*VIEW.names} & {*COMBINED.names} - {"title"} | {"percent_correct"}
    known, with_grade_overrides = _merge_labels(labels, labels_by_grade, roster)
    has_overrides = pl.col("assessment_id").is_in(with_grade_overrides)
    return (
        combined.select(*sorted(needed), *ATTEMPTS)
        .join(roster, on="local_student_id", how="left", maintain_order="left")
        .with_columns(by_grade=pl.when(has_overrides).then("grade"))
        .join(
            known,
            on=["assessment_id", "by_grade"],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(
            data_source=pl.lit("illuminate"),
            score=round_half_up(value_of("percent_correct")),
            proficiency=level + " " + label,
        )
        .select(*VIEW.names, *ATTEMPTS)
    )


def select_all(labelled: pl.LazyFrame) -> pl.LazyFrame:
    """Return all of `label_rows`, with VIEW's columns."""
    return labelled.select(VIEW.names)


def select_latest(labelled: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest attempts among `label_rows`, with LATEST's columns."""
    return labelled.filter(pl.col("attempts").is_not_null()).select(LATEST.names)


def _merge_labels(
    labels: pl.LazyFrame, labels_by_grade: pl.LazyFrame, roster: pl.LazyFrame
) -> tuple[pl.LazyFrame, list[str]]:
    """Return all labels in one frame, so that rows are joined once, and the ids with overrides.

    An assessment with overrides for some grades has a line per grade of the roster, and one where
    `by_grade` is null for students without a grade. All others have only that one.
    """
    columns = ("assessment_id", "by_grade", *_LABELS)
    usual = labels.with_columns(by_grade=pl.lit(None, pl.Int64)).select(columns)
    special = labels_by_grade.rename({"grade": "by_grade"}).select(columns)
    overridden = special.select("assessment_id").unique().collect()["assessment_id"]
    grades = roster.select(by_grade=pl.col("grade").drop_nulls().unique())
    of_other_grades = (
        usual.drop("by_grade")
        .filter(pl.col("assessment_id").is_in(overridden.implode()))
        .join(grades, how="cross")
        .join(special, on=["assessment_id", "by_grade"], how="anti")
    )
    known = pl.concat([usual, special, of_other_grades.select(columns)])
    return known.collect().lazy(), overridden.to_list()


def formula_free_columns(*labels: pl.LazyFrame) -> set[str]:
    """Return the columns of labels in which none of these small frames has a formula.

    The view needs no search for formulas in them, row by row.
    """
    found = pl.concat([frame.select(_LABELS) for frame in labels])
    formulas = found.select(pl.all().str.contains(FORMULA).any()).collect().row(0, named=True)
    return {name for name, has_formula in formulas.items() if not has_formula}


def count_roster_match(labelled: pl.LazyFrame, roster: pl.LazyFrame) -> pl.LazyFrame:
    """Count the students of the view, those of them on the roster, and near misses: one row.

    A near miss is a student whose id differs from one on the roster only by leading zeros or `.0`.
    """
    student, is_on_it, is_near = map(pl.col, ("local_student_id", "is_on_it", "is_near"))
    bare = student.str.replace(r"\.0+$", "").str.strip_chars_start("0")
    near = roster.select(bare=bare, is_near=True).unique()
    return (
        labelled.select(student)
        .drop_nulls()
        .unique()
        .join(roster.select(student, is_on_it=True), on="local_student_id", how="left")
        .join(near, left_on=bare, right_on="bare", how="left")
        .select(
            pl.len().alias("students"),
            is_on_it.count().alias("students on the roster"),
            (is_near & is_on_it.is_null()).sum().alias("students nearly on the roster"),
        )
    )


def count_latest(labelled: pl.LazyFrame) -> pl.LazyFrame:
    """Count the latest attempts among `label_rows`, and all attempts: one row."""
    count = pl.col("attempts")
    return labelled.select(count.count().alias("latest"), count.sum().alias("attempts"))


def list_unmatched(labelled: pl.LazyFrame, labels_by_grade: pl.LazyFrame) -> pl.LazyFrame:
    """List the overrides for one grade that match none of the `label_rows`: one row, one list."""
    key = ["assessment_id", "grade"]
    wanted = labels_by_grade.select(key)
    ids = wanted.select("assessment_id").unique().collect()["assessment_id"]
    matched = labelled.select(key).filter(pl.col("assessment_id").is_in(ids.implode())).unique()
    unmatched = wanted.join(matched, on=key, how="anti", maintain_order="left")
    return unmatched.select(pl.struct(key).implode().alias("unmatched overrides"))


def read_small_table(path: Path, columns: Mapping[str, PolarsDataType]) -> pl.LazyFrame:
    """Read these columns of a small CSV file with a header; an empty field is null."""
    rows = pl.scan_csv(path, schema_overrides=columns, infer_schema=False, glob=False)
    return rows.select(columns.keys())
