"""True counts of published tables: the only module of the report that reads rows of students.

Students who are not on the roster have no grade and belong to no group. If no result has a grade,
because there is no roster, all students share one: ALL_GRADES.
"""

from pathlib import Path

import polars as pl

from pipeline.report.groups import ALL_GRADES, BANDS, BANDS_BELOW, CUTS, KEY, LABELS, NO_SCHOOL

_STUDENT = "local_student_id"
_ASSESSMENT = ("school", "grade", "assessment_id")
_STANDARD = ("standard_code", "academic_benchmark_guid")
# About how many rows are sorted at a time.
_BATCH_ROWS = 500_000


def count(latest: Path, groups: Path, spellings: pl.LazyFrame) -> pl.DataFrame:
    """Return the number of students in each group, and in each band of it and those above.

    Each student counts once in a group, with the latest result; of several on one day, the best.
    Results without a readable band count nowhere.

    Args:
        latest: the published view of latest results, a Parquet file.
        groups: the published results by reporting group, a Parquet file.
        spellings: `standard_code`, `academic_benchmark_guid` and the `normalised_code` of both.

    Returns:
        KEY; LABELS, and how many students are `titled` so; `students` and CUTS; `day`, the median
        day of its results; and whether its part `is_only`, the one standard or reporting group of
        its assessment.
    """
    rows = _rows(latest)
    parts = [_overall_and_standards(rows, spellings), _reporting_groups(rows, groups)]
    counted = pl.concat([_count(part) for part in parts])
    several = counted.group_by("kind", "assessment_id").agg(parts=pl.col("part").n_unique())
    is_only = (pl.col("parts") == 1) & (pl.col("part") != "")
    return (
        counted.join(several, on=("kind", "assessment_id"))
        .join(_labels(rows), on=("grade", "assessment_id"))
        .select(*KEY, *LABELS, "titled", "students", *CUTS, "day", is_only=is_only)
        .sort(KEY)
    )


def wording(spelled: pl.LazyFrame) -> pl.DataFrame:
    """Return the `name`, the shortest spelling, and the `wording` of each `normalised_code`."""
    code = pl.col("standard_code").drop_nulls()
    return (
        spelled.drop_nulls("normalised_code")
        .group_by("normalised_code")
        .agg(
            name=code.sort_by(code.str.len_chars(), code).first(),
            wording=pl.col("standard_description").min(),
        )
        .sort("normalised_code")
        .collect()
    )


def rostered(roster: Path) -> pl.DataFrame:
    """Return the number of `students` by `school` and `grade` on the roster, a CSV file.

    Those without a grade are left out.
    """
    rows = pl.scan_csv(roster, infer_schema=False, glob=False)
    students = _with_school(rows).with_columns(pl.col("grade").cast(pl.Int64, strict=False))
    counted = students.drop_nulls("grade").group_by("school", "grade")
    return counted.agg(students=pl.len().cast(pl.Int64)).sort("school", "grade").collect()


def unlisted(labels: Path) -> list[str]:
    """Return the assessments with results that the catalogue does not list."""
    columns = ["assessment_id", "in_catalogue"]
    rows = pl.read_csv(labels, columns=columns, infer_schema=False, glob=False)
    return rows.filter(pl.col("in_catalogue") == "f")["assessment_id"].to_list()


def _rows(latest: Path) -> pl.LazyFrame:
    rows = _with_school(pl.scan_parquet(latest, glob=False))
    if rows.select(pl.col("grade").is_null().all()).collect().item():
        return rows.with_columns(grade=pl.lit(ALL_GRADES, pl.Int64))
    return rows


def _with_school(rows: pl.LazyFrame) -> pl.LazyFrame:
    has_school = "school" in rows.collect_schema()
    school = pl.col("school").fill_null(NO_SCHOOL) if has_school else pl.lit(NO_SCHOOL)
    return rows.with_columns(school=school)


def _labels(rows: pl.LazyFrame) -> pl.DataFrame:
    """Return LABELS by grade and assessment, with the title that most students have."""
    group = ("grade", "assessment_id")
    of_title = (
        rows.filter(pl.col("response_type") == "overall")
        .group_by(*group, "title")
        .agg(pl.col(LABELS[:3]).min(), titled=pl.col(_STUDENT).n_unique().cast(pl.Int64))
        .sort("titled", "title", descending=(True, False))
    )
    return of_title.unique(group, keep="first", maintain_order=True).collect()


def _overall_and_standards(rows: pl.LazyFrame, spellings: pl.LazyFrame) -> pl.LazyFrame:
    is_overall = pl.col("response_type") == "overall"
    part = pl.when(is_overall).then(pl.lit("")).otherwise("normalised_code")
    spelled = {name: pl.when(pl.col(name) != "").then(name) for name in _STANDARD}
    return (
        rows.with_columns(**spelled)
        .join(spellings, on=_STANDARD, how="left", nulls_equal=True)
        .with_columns(kind="response_type", part=part)
    )


def _reporting_groups(rows: pl.LazyFrame, groups: Path) -> pl.LazyFrame:
    """Return results by reporting group, with the grades and schools that the view has."""
    students = rows.select(_STUDENT, "grade", "school").drop_nulls().unique()
    return (
        pl.scan_parquet(groups, glob=False)
        .join(students, on=_STUDENT)
        .with_columns(kind="response_type", part="reporting_group", score="percent_correct")
    )


def _count(rows: pl.LazyFrame) -> pl.DataFrame:
    """Count students in batches, so that memory does not grow with the number of rows."""
    level, is_mastered = pl.col("performance_band_level"), pl.col("mastered") == "t"
    below, above = level.clip(1, BANDS_BELOW) - 1, level.clip(BANDS_BELOW, len(BANDS) - 1)
    batches = 1 + rows.select(pl.len()).collect(engine="streaming").item() // _BATCH_ROWS
    counted = [
        rows.filter(pl.col(_STUDENT).hash() % batches == batch)
        .with_columns(level.cast(pl.Int64, strict=False))
        .drop_nulls([*KEY, _STUDENT])
        .filter(level >= 1, pl.col("mastered").is_in(["t", "f"]))
        .sort("date_taken", "score", "points", "performance_band_level", "mastered")
        .group_by(*KEY, _STUDENT)
        .agg(pl.col("date_taken", "performance_band_level", "mastered").last())
        .with_columns(band=pl.when(is_mastered).then(above).otherwise(below))
        .group_by(*KEY, "band", "date_taken")
        .agg(students=pl.len().cast(pl.Int64))
        .collect(engine="streaming")
        for batch in range(batches)
    ]
    band, students = pl.col("band"), pl.col("students")
    from_each = (students.filter(band >= n).sum().alias(cut) for n, cut in enumerate(CUTS, 1))
    day = pl.col("date_taken").repeat_by("students").explode().median().cast(pl.Date)
    return pl.concat(counted).group_by(KEY).agg(students.sum(), *from_each, day=day)
