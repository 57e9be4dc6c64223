"""The views: combined rows with labels, grades and attempts, all of them or the latest."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from pipeline.schema import COMBINED, LABELS, ROSTER, VIEW
from pipeline.storage import formulas
from pipeline.storage.formulas import FORMULA
from pipeline.transform.attempts import ATTEMPTS
from pipeline.transform.values import round_half_up, value_of

_LABELS = ("title", "test_type", "curriculum", "unit", "unit_labels")
_BY_GRADE = "by grade"  # no column of a roster can be called so


def label_rows(
    combined: pl.LazyFrame,
    labels: pl.LazyFrame,
    labels_by_grade: pl.LazyFrame,
    roster: pl.LazyFrame,
) -> pl.LazyFrame:
    """Return the combined rows in their order, with labels, grades and columns of the roster.

    Columns are VIEW's, numbers and dates as pairs, then ATTEMPTS, then those of the roster.

    Args:
        combined: `combine_results` of datasets that count attempts.
        labels: `assessment_id` (distinct), `title`, `test_type`, `curriculum`, `unit`,
            `unit_labels`.
        labels_by_grade: The same columns and `grade`; distinct by assessment and grade. Where a
            row's student is of that grade, it replaces the labels of the assessment.
        roster: `local_student_id` (distinct), `grade` (Int64, null for a code that is no grade),
            and columns with names that no other table has.
    """
    level, label = pl.col("performance_band_level"), pl.col("performance_band_label")
    needed = {*VIEW.names} & {*COMBINED.names} - {"title"} | {"percent_correct"}
    known, with_grade_overrides = _merge_labels(labels, labels_by_grade, roster)
    has_overrides = pl.col("assessment_id").is_in(with_grade_overrides)
    return (
        combined.select(*sorted(needed), *ATTEMPTS)
        .join(roster, on="local_student_id", how="left", maintain_order="left")
        .with_columns(pl.when(has_overrides).then("grade").alias(_BY_GRADE))
        .join(
            known,
            on=["assessment_id", _BY_GRADE],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(
            data_source=pl.lit("illuminate"),
            score=round_half_up(value_of("percent_correct")),
            proficiency=level + " " + label,
        )
        .select(*VIEW.names, *ATTEMPTS, *roster_columns(roster))
    )


def roster_columns(roster: pl.LazyFrame) -> list[str]:
    """Return the columns of a roster that views have after their own."""
    return [name for name in roster.collect_schema().names() if name not in ROSTER.names]


def select_all(labelled: pl.LazyFrame) -> pl.LazyFrame:
    """Return all of `label_rows`, with VIEW's columns and those of the roster."""
    return labelled.drop(ATTEMPTS)


def select_latest(labelled: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest attempts among `label_rows`, with all their columns."""
    return labelled.filter(pl.col("attempts").is_not_null())


def _merge_labels(
    labels: pl.LazyFrame, labels_by_grade: pl.LazyFrame, roster: pl.LazyFrame
) -> tuple[pl.LazyFrame, list[str]]:
    """Return all labels in one frame, so that rows are joined once, and the ids with overrides.

    An assessment with overrides for some grades has a line per grade of the roster, and one where
    _BY_GRADE is null for students without a grade. All others have only that one.
    """
    columns = ("assessment_id", _BY_GRADE, *_LABELS)
    usual = labels.with_columns(pl.lit(None, pl.Int64).alias(_BY_GRADE)).select(columns)
    special = labels_by_grade.rename({"grade": _BY_GRADE}).select(columns)
    overridden = special.select("assessment_id").unique().collect()["assessment_id"]
    grades = roster.select(pl.col("grade").drop_nulls().unique().alias(_BY_GRADE))
    of_other_grades = (
        usual.drop(_BY_GRADE)
        .filter(pl.col("assessment_id").is_in(overridden.implode()))
        .join(grades, how="cross")
        .join(special, on=["assessment_id", _BY_GRADE], how="anti")
    )
    known = pl.concat([usual, special, of_other_grades.select(columns)])
    return known.collect().lazy(), overridden.to_list()


def formula_free_columns(*labels: pl.LazyFrame, roster: pl.LazyFrame | None = None) -> set[str]:
    """Return the columns of labels and of a roster in which these small frames have no formula.

    The view needs no search for formulas in them, row by row.
    """
    found = [pl.concat([frame.select(_LABELS) for frame in labels])]
    if roster is not None and (names := roster_columns(roster)):
        found.append(roster.select(names))
    searched = (frame.select(pl.all().str.contains(FORMULA).any()) for frame in found)
    formulas = pl.concat([frame.collect() for frame in searched], how="horizontal")
    return {name for name, has in formulas.row(0, named=True).items() if not has}


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


def read_labels(labels: Path, by_grade: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return the labels of assessments, and those that hold for one grade only, of their files."""
    text = dict.fromkeys(LABELS.names[:-2], pl.String())
    return (
        read_small_table(labels, text).with_columns(formulas.unescape(pl.col(*text))),
        read_small_table(by_grade, {**text, "grade": pl.Int64()}),
    )


def read_roster(path: Path) -> pl.LazyFrame:
    """Return the students of the roster, of the file that `ReadRoster` wrote."""
    names = pl.read_csv(path, n_rows=0, infer_schema=False, glob=False).columns
    return read_small_table(path, {**dict.fromkeys(names, pl.String()), "grade": pl.Int64()})


def read_small_table(path: Path, columns: Mapping[str, PolarsDataType]) -> pl.LazyFrame:
    """Read these columns of a small CSV file with a header; an empty field is null."""
    rows = pl.scan_csv(path, schema_overrides=columns, infer_schema=False, glob=False)
    return rows.select(columns.keys())
