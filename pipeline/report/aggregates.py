"""Counts of a published view: the only module of the report that reads rows of students.

A student counts once in each group, with the latest result there. Students who are not on the
roster have no grade and belong to no group; nor do results without a curriculum. If no result has
a grade, because there is no roster, all students share one: ALL_GRADES.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

BANDS = (
    "Level 1",
    "Level 2",
    "Level 3 and up, not mastered",
    "Up to level 3, mastered",
    "Level 4",
    "Level 5 and up",
)
"""Performance bands in order. Band sets differ between assessments, so mastery divides them."""

BANDS_BELOW = 3
"""How many of them are below mastery."""

QUANTILES = (Fraction(1, 10), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(9, 10))

ALL_GRADES = 99
"""The grade of all students where there is no roster."""

Group = tuple[int, str]
"""Students of a grade with results in a curriculum."""

_GROUP = ("grade", "curriculum")
_STUDENT = "local_student_id"
# About how many rows are sorted at a time.
_BATCH_ROWS = 500_000


class MasteryCount(NamedTuple):
    """How many students of a group mastered something, and how many there are."""

    mastered: int
    students: int


class Scores(NamedTuple):
    """The number of students in a grade, and the QUANTILES of their latest scores."""

    students: int
    quantiles: tuple[float, ...]


def bands(view: Path) -> dict[Group, list[int]]:
    """Return the number of students in each of BANDS by their latest overall result."""
    mastered, level = pl.col("mastered") == "t", pl.col("performance_band_level")
    below, above = level.clip(1, BANDS_BELOW) - 1, level.clip(BANDS_BELOW, len(BANDS) - 1)
    counted = (
        _latest(
            _results(view, "overall").with_columns(level.cast(pl.Int64, strict=False)),
            _GROUP,
            ["mastered", "performance_band_level"],
        )
        .filter(level >= 1, pl.col("mastered").is_in(["t", "f"]))
        .group_by(*_GROUP, band=pl.when(mastered).then(above).otherwise(below))
        .len()
        .collect(engine="streaming")
    )
    found: dict[Group, list[int]] = defaultdict(lambda: [0] * len(BANDS))
    for grade, curriculum, band, students in counted.iter_rows():
        found[grade, curriculum][band] = students
    return dict(sorted(found.items()))


def standards(
    view: Path, groups: Collection[Group], spellings: pl.LazyFrame
) -> dict[tuple[int, str], MasteryCount]:
    """Return mastery by grade and normalised code, from the results of these groups.

    Students are counted in batches, so that memory does not grow with the number of rows.

    Args:
        view: the published view.
        groups: whose results count.
        spellings: `standard_code`, `academic_benchmark_guid` and the `normalised_code` of both.
    """
    sent, spelling = _results(view, "standard"), ["standard_code", "academic_benchmark_guid"]
    known = {name: pl.when(pl.col(name) != "").then(name) for name in spelling}
    rows = sent.with_columns(**known).join(spellings, on=spelling, how="left", nulls_equal=True)
    batches = 1 + sent.select(pl.len()).collect().item() // _BATCH_ROWS
    standard = ("grade", "normalised_code")
    counted = [
        _latest(
            _of_groups(rows.filter(pl.col(_STUDENT).hash() % batches == batch), groups),
            standard,
            ["mastered"],
        )
        .filter(pl.col("mastered").is_in(["t", "f"]))
        .group_by(standard)
        .agg((pl.col("mastered") == "t").sum(), students=pl.len())
        .collect(engine="streaming")
        for batch in range(batches)
    ]
    total = pl.concat(counted).group_by(standard).sum()
    return {(grade, code): MasteryCount(*count) for grade, code, *count in total.iter_rows()}


def shortest_spellings(spellings: pl.LazyFrame) -> dict[str, str]:
    """Return the shortest code that each standard has, by its normalised code."""
    code = pl.col("standard_code").drop_nulls()
    shortest = code.sort_by(code.str.len_chars(), code).first()
    found = spellings.drop_nulls("normalised_code").group_by("normalised_code").agg(shortest)
    return {name: spelled or name for name, spelled in found.collect().iter_rows()}


def scores(view: Path, groups: Collection[Group]) -> dict[int, Scores]:
    """Return the quantiles of the students' latest overall scores in these groups, by grade.

    Each student counts once, so as many students as scores lie beyond a quantile.
    """
    score = pl.col("score")
    rows = _of_groups(_results(view, "overall").drop_nulls("score"), groups)
    counted = (
        _latest(rows, ("grade",), ["score"])
        .group_by("grade")
        .agg(pl.len(), *(score.quantile(float(q)).alias(f"{q}") for q in QUANTILES))
        .collect()
    )
    return {
        grade: Scores(students, tuple(quantiles))
        for grade, students, *quantiles in counted.sort("grade").iter_rows()
    }


def tested(view: Path, groups: Collection[Group]) -> dict[int, int]:
    """Return the number of students by grade with any result in these groups."""
    students = _of_groups(_rows(view), groups).select("grade", _STUDENT).drop_nulls().unique()
    return dict(students.group_by("grade").agg(pl.len()).collect(engine="streaming").iter_rows())


def rostered(roster: Path) -> dict[int, int]:
    """Return the number of students by grade on the roster, but for those without a grade."""
    types = {"grade": pl.Int64}
    students = pl.scan_csv(roster, schema_overrides=types, infer_schema=False, glob=False)
    return dict(
        students.select("grade").drop_nulls("grade").group_by("grade").len().collect().iter_rows()
    )


def unmapped(view: Path, groups: Collection[Group]) -> dict[str, int]:
    """Return the number of students by title, of titles without a curriculum or a unit.

    Results with a curriculum count in these groups only, and never together with those without.
    """
    without_curriculum = _rows(view).filter(pl.col("curriculum").is_null())
    without_unit = _of_groups(_rows(view).filter(pl.col("unit").is_null()), groups)
    return dict(_most_students(["title"], without_curriculum, without_unit))


def unlisted(labels: Path) -> list[str]:
    """Return the assessments with results that the catalogue does not list."""
    columns = ["assessment_id", "in_catalogue"]
    rows = pl.read_csv(labels, columns=columns, infer_schema=False, glob=False)
    return rows.filter(pl.col("in_catalogue") == "f")["assessment_id"].to_list()


def titles(
    view: Path, assessment_ids: Collection[str], groups: Collection[Group]
) -> dict[tuple[str, str], int]:
    """Return the number of students by assessment and title, of some assessments.

    They are counted as those of titles without a curriculum or a unit are.
    """
    rows = _rows(view).filter(pl.col("assessment_id").is_in(assessment_ids))
    parts = (rows.filter(pl.col("curriculum").is_null()), _of_groups(rows, groups))
    return {
        (each, title): of for each, title, of in _most_students(["assessment_id", "title"], *parts)
    }


def _most_students(names: list[str], *parts: pl.LazyFrame) -> Iterator[tuple[Any, ...]]:
    students = (
        pl.concat(parts)
        .select(*names, "curriculum", _STUDENT)
        .with_columns(pl.col("title").fill_null("(no title)"))
        .drop_nulls(_STUDENT)
        .unique()
        .group_by(*names, "curriculum")
        .agg(pl.len())
    )
    most = students.group_by(names).agg(pl.col("len").max())
    return most.collect(engine="streaming").iter_rows()


def _rows(view: Path) -> pl.LazyFrame:
    rows = pl.scan_parquet(view, glob=False)
    if rows.select(pl.col("grade").is_null().all()).collect().item():
        return rows.with_columns(grade=pl.lit(ALL_GRADES, pl.Int64))
    return rows


def _results(view: Path, kind: str) -> pl.LazyFrame:
    return _rows(view).filter(pl.col("response_type") == kind)


def _of_groups(rows: pl.LazyFrame, groups: Collection[Group]) -> pl.LazyFrame:
    schema = {"grade": pl.Int64, "curriculum": pl.String}
    return rows.join(pl.LazyFrame(list(groups), schema, orient="row"), on=_GROUP, how="semi")


def _latest(rows: pl.LazyFrame, group: tuple[str, ...], columns: list[str]) -> pl.LazyFrame:
    """Return `columns` of the latest result of each student in each group.

    Of several on one day, it is the best of the assessment with the highest id, as a number.
    """
    number = pl.col("assessment_id").cast(pl.Int64, strict=False)
    best = dict.fromkeys(("score", "points", *columns))
    return (
        rows.drop_nulls([*group, _STUDENT])
        .sort("date_taken", number, "assessment_id", *best)
        .group_by(*group, _STUDENT)
        .agg(pl.col(columns).last())
    )
