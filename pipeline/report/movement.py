"""How the share of mastery changes: from unit to unit, and from year to year."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.report.groups import MASTERED, grade_name
from pipeline.report.totals import add_up

_UNIT = ("curriculum", "grade", "unit_labels", "unit")
_COURSE = ("school", "curriculum", "grade")


@dataclass(frozen=True)
class Change:
    """By how many percentage points a share changed, and since when."""

    points: int
    since: str

    @property
    def text(self) -> str:
        """Return the change with its sign."""
        return signed(self.points)


@dataclass(frozen=True)
class UnitChange:
    """The shares of mastery of a grade in its last two units of a curriculum."""

    curriculum: str
    grade: str
    units: tuple[str, str]
    percents: tuple[int, int]
    results: int

    @property
    def points(self) -> int:
        """Return the change in percentage points."""
        return self.percents[1] - self.percents[0]


def signed(points: int) -> str:
    """Return a number of percentage points with its sign."""
    return f"+{points}" if points > 0 else f"\N{MINUS SIGN}{-points}" if points else "±0"


def between_units(figures: pl.DataFrame) -> list[UnitChange]:
    """Return the change from the last unit but one to the last, the largest fall first.

    Only schools with results in both units count in either.
    """
    taught = figures.drop_nulls("unit_labels")
    both = (
        taught.select("curriculum", "grade", "unit_labels")
        .unique()
        .sort("unit_labels")
        .group_by("curriculum", "grade")
        .tail(2)
    )
    of_both = taught.join(both, on=("curriculum", "grade", "unit_labels"))
    units = pl.col("unit_labels").n_unique().over(_COURSE)
    totals = add_up(of_both.filter(units == 2), *_UNIT)
    found = []
    for (curriculum, grade), of in totals.group_by("curriculum", "grade", maintain_order=True):
        if of.height == 2:
            before, last = of.iter_rows(named=True)
            percents = (round(before[MASTERED]), round(last[MASTERED]))
            units_ = (before["unit"], last["unit"])
            found.append(
                UnitChange(str(curriculum), grade_name(grade), units_, percents, last["size"])
            )
    return sorted(found, key=lambda each: (each.points, each.curriculum, each.grade))


def since_last_unit(units: Sequence[UnitChange]) -> Change | None:
    """Return the mean change between units, each as weighty as its results."""
    results = sum(each.results for each in units)
    if not results:
        return None
    mean = sum(each.points * each.results for each in units) / results
    return Change(round(mean), "the unit before")


def since_last_year(figures: pl.DataFrame, earlier: Mapping[str, pl.DataFrame]) -> Change | None:
    """Return the mean change since the latest earlier year, in units that both years have.

    Each unit is as weighty as its results this year.
    """
    if not earlier:
        return None
    year = max(earlier)
    now, then = (add_up(of.drop_nulls("unit_labels"), *_UNIT) for of in (figures, earlier[year]))
    both = now.join(then, on=_UNIT, suffix="_then")
    if both.is_empty():
        return None
    size, change = pl.col("size"), pl.col(MASTERED) - pl.col(f"{MASTERED}_then")
    return Change(round(both.select((change * size).sum() / size.sum()).item()), year)
