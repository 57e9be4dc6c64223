"""The rows of a published view, counted: the only place of the report that sees students.

A student counts once in each group, with the latest result there. Students who are not on the
roster have no grade and stand in no group, and neither do results without a curriculum. Where
nobody has a grade, because there is no roster, all students are of one grade: ALL_GRADES.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

BANDS = (
    "Level 1",
    "Level 2",
    "Level 3 and up, bar not met",
    "Up to level 3, bar met",
    "Level 4",
    "Level 5 and up",
)
"""Performance bands in order. Band sets differ between assessments, so the bar divides them."""

BANDS_BELOW = 3
"""How many of them lie below the bar."""

QUANTILES = (
    Fraction(1, 10),
    Fraction(1, 4),
    Fraction(1, 2),
    Fraction(3, 4),
    Fraction(9, 10),
)

ALL_GRADES = 99
"""What stands for the grade where there is no roster."""

Group = tuple[int, str]
"""Students of a grade with results in a curriculum."""

_GROUP = ("grade", "curriculum")
_STUDENT = "local_student_id"
# About how many rows are sorted at once.
_AT_ONCE = 500_000


@dataclass(frozen=True)
class Standing:
    """How many of a group's students met the bar, and how many there are."""

    met: int
    students: int


@dataclass(frozen=True)
class Scores:
    """The latest scores of a grade's students: of how many, and their quantiles."""

    students: int
    at: tuple[float, ...]


def bands(view: Path) -> dict[Group, list[int]]:
    """The students of each group by the band of their latest overall result."""
    import polars as pl

    met, level = pl.col("mastered") == "t", pl.col("level")
    below = pl.when(level <= BANDS_BELOW).then(level).otherwise(BANDS_BELOW) - 1
    above = pl.when(level <= BANDS_BELOW).then(BANDS_BELOW).when(level == 4).then(4).otherwise(5)
    counted = (
        _latest(_results(view, "overall"), _GROUP, ["mastered", "performance_band_level"])
        .with_columns(level=pl.col("performance_band_level").cast(pl.Int64, strict=False))
        .filter(level >= 1, pl.col("mastered").is_in(["t", "f"]))
        .group_by(*_GROUP, band=pl.when(met).then(above).otherwise(below))
        .len()
        .collect(engine="streaming")
    )
    found: dict[Group, list[int]] = defaultdict(lambda: [0] * len(BANDS))
    for grade, curriculum, band, students in counted.iter_rows():
        found[grade, curriculum][band] = students
    return dict(sorted(found.items()))


def standards(view: Path, groups: Collection[Group]) -> dict[tuple[int, str], Standing]:
    """Who mastered each standard, by grade, among the results of these groups.

    Some students are counted after others, so that memory does not grow with the rows.
    """
    import polars as pl

    rows = _results(view, "standard")
    parts = 1 + rows.select(pl.len()).collect().item() // _AT_ONCE
    met: Counter[tuple[int, str]] = Counter()
    students: Counter[tuple[int, str]] = Counter()
    for part in range(parts):
        counted = (
            _latest(
                rows.filter(pl.col(_STUDENT).hash() % parts == part),
                ("grade", "standard_code"),
                ["mastered"],
                groups,
            )
            .filter(pl.col("mastered").is_in(["t", "f"]))
            .group_by("grade", "standard_code")
            .agg((pl.col("mastered") == "t").sum(), pl.len())
            .collect(engine="streaming")
        )
        for grade, code, so_many, of_all in counted.iter_rows():
            met[grade, code] += so_many
            students[grade, code] += of_all
    return {key: Standing(met[key], count) for key, count in students.items()}


def scores(view: Path, groups: Collection[Group]) -> dict[int, Scores]:
    """The quantiles of the students' latest overall scores in these groups, by grade.

    Each student counts once, so that as many students as scores lie beyond a quantile.
    """
    import polars as pl

    score = pl.col("score")
    counted = (
        _latest(_results(view, "overall").drop_nulls("score"), ("grade",), ["score"], groups)
        .group_by("grade")
        .agg(pl.len(), *(score.quantile(float(q)).alias(f"{q}") for q in QUANTILES))
        .collect()
    )
    return {
        grade: Scores(students, tuple(at))
        for grade, students, *at in counted.sort("grade").iter_rows()
    }


def tested(view: Path, groups: Collection[Group]) -> dict[int, int]:
    """How many students of each grade have any result in these groups."""
    import polars as pl

    rows = _rows(view).join(_frame(groups), on=_GROUP, how="semi")
    students = rows.select("grade", _STUDENT).drop_nulls().unique()
    return dict(students.group_by("grade").agg(pl.len()).collect(engine="streaming").iter_rows())


def rostered(roster: Path) -> dict[int, int]:
    """How many students of each grade are on the roster."""
    import polars as pl

    columns = {_STUDENT: pl.String, "grade": pl.Int64}
    students = pl.scan_csv(roster, schema=columns, glob=False)
    return dict(students.group_by("grade").len().collect().iter_rows())


def unmapped(view: Path, groups: Collection[Group]) -> dict[str, int]:
    """How many students have results under each title without a curriculum or a unit.

    Results of a curriculum count in these groups only, and never together with those of none.
    """
    import polars as pl

    without_curriculum = _rows(view).filter(pl.col("curriculum").is_null())
    without_unit = _rows(view).filter(pl.col("unit").is_null())
    rows = [without_curriculum, without_unit.join(_frame(groups), on=_GROUP, how="semi")]
    students = (
        pl.concat(rows)
        .select(pl.col("title").fill_null("(no title)"), "curriculum", _STUDENT)
        .drop_nulls(_STUDENT)
        .unique()
        .group_by("title", "curriculum")
        .agg(pl.len())
    )
    most = students.group_by("title").agg(pl.col("len").max())
    return dict(most.collect(engine="streaming").iter_rows())


def _rows(view: Path) -> "pl.LazyFrame":
    """All results; all students are of one grade where none has any."""
    import polars as pl

    rows = pl.scan_parquet(view, glob=False)
    if rows.select(pl.col("grade").is_null().all()).collect().item():
        return rows.with_columns(grade=pl.lit(ALL_GRADES, pl.Int64))
    return rows


def _results(view: Path, kind: str) -> "pl.LazyFrame":
    import polars as pl

    return _rows(view).filter(pl.col("response_type") == kind)


def _latest(
    rows: "pl.LazyFrame",
    group: tuple[str, ...],
    columns: list[str],
    groups: Collection[Group] | None = None,
) -> "pl.LazyFrame":
    """The latest result of each student in each group, of these groups' results if they are given.

    Of two on the same day it is the one of the assessment with the later id.
    """
    import polars as pl

    if groups is not None:
        rows = rows.join(_frame(groups), on=_GROUP, how="semi")
    return (
        rows.drop_nulls([*group, _STUDENT])
        .sort("date_taken", "assessment_id", *columns)
        .group_by(*group, _STUDENT)
        .agg(pl.col(columns).last())
    )


def _frame(groups: Collection[Group]) -> "pl.LazyFrame":
    import polars as pl

    return pl.LazyFrame(
        list(groups), schema={"grade": pl.Int64, "curriculum": pl.String}, orient="row"
    )
