"""Every result that could be behind a page: no number and no student's level is in all of them.

Of a group a page prints what `Rule.figure` returns: a rounded size, and for each of five cuts
between the six bands the rounded share of students beyond it. The attacker knows that, the rules,
and every student who was tested, so the size as well.
"""

import functools
import itertools

import numpy as np
import polars as pl
import pytest

from pipeline.report.disclosure import Rule
from pipeline.report.groups import BANDS, CUTS
from pipeline.schema import SMALLEST_GROUP

LARGEST = 40
SIZES = range(SMALLEST_GROUP, LARGEST + 1)
SHARES = (*CUTS, "least", "most")

Ranges = list[tuple[int, int]]
"""The least and the most students beyond a cut for which a page prints the same."""


def figures(smallest: int) -> pl.DataFrame:
    """Return what is printed for each number of `students`, and of them `beyond` a cut."""
    rows = pl.DataFrame({"students": SIZES}).with_columns(
        beyond=pl.int_ranges(pl.col("students") + 1)
    )
    every = rows.explode("beyond").with_columns(pl.col("beyond").alias(cut) for cut in CUTS)
    return every.with_columns(Rule(smallest).figure())


@functools.cache
def ranges_of(students: int) -> Ranges:
    """Return the numbers of students beyond a cut that look alike, in order."""
    of_size = figures(SMALLEST_GROUP).filter(students=students)
    alike = of_size.group_by(SHARES).agg(pl.col("beyond").min(), most_beyond=pl.col("beyond").max())
    return sorted(alike.select("beyond", "most_beyond").iter_rows())


@functools.cache
def all_results() -> tuple[np.ndarray, pl.DataFrame]:
    """Return every result of up to LARGEST students, ordered by the students beyond the first cut.

    Returns:
        The students beyond each cut, and those in each band but the lowest.
    """
    beyond = np.arange(LARGEST + 1, dtype=np.int8)[:, None]
    for _ in CUTS[1:]:
        ways = LARGEST + 1 - beyond[:, 0].astype(int)
        before = np.repeat(np.arange(len(beyond)), ways)
        more = np.arange(ways.sum()) - np.repeat(np.cumsum(ways) - ways, ways)
        lower_cut = (beyond[before, 0] + more).astype(np.int8)
        beyond = np.hstack([lower_cut[:, None], beyond[before]])
    beyond = beyond[np.argsort(beyond[:, 0], kind="stable")]
    bands = -np.diff(beyond, axis=1, append=np.int8(0))
    return beyond, pl.DataFrame(bands, schema=BANDS[1:])


def test_the_threshold_changes_no_share():
    """So what holds for one of them holds for each."""
    shares = figures(SMALLEST_GROUP).select(SHARES)
    assert all(figures(smallest).select(SHARES).equals(shares) for smallest in SIZES)


@pytest.mark.parametrize("students", SIZES)
def test_each_band_has_three_possible_numbers_of_students_whatever_is_printed(students):
    beyond, bands = all_results()
    some = beyond[: np.searchsorted(beyond[:, 0], students, side="right")]
    rows = bands[: len(some)].with_columns(pl.Series(BANDS[0], students - some[:, 0]))
    which = np.searchsorted([most for _, most in ranges_of(students)], np.arange(students + 1))
    printed = pl.Series("printed", which[some] @ (16 ** np.arange(len(CUTS))))
    spread = rows.group_by(printed).agg(pl.col(BANDS).max() - pl.col(BANDS).min())
    assert spread.drop("printed").min().transpose().min().item() >= 2


def prints(first: Ranges, second: Ranges, arrived: int) -> np.ndarray:
    """Return every print of two nights on which a group has `arrived` more students than before.

    Returns:
        For each print and cut, the least and the most students beyond it on the first night, then
        on the second.
    """
    both = [
        (before, after)
        for before, after in itertools.product(first, second)
        if after[0] - before[1] <= arrived and after[1] >= before[0]
    ]
    ranges = np.array(both, np.int16)
    least = ranges[:, :, 0]
    # No more students are beyond a higher cut, on either night.
    may_follow = (least[:, None] >= least[None]).all(axis=2)
    found = np.arange(len(both))[:, None]
    for _ in CUTS[1:]:
        before, following = np.nonzero(may_follow[found[:, -1]])
        found = np.hstack([found[before], following[:, None]])
    return ranges[found]


def bounds(ranges: np.ndarray, arrived: int) -> np.ndarray:
    """Return what is known of those who arrived from each print that is possible.

    With V the students beyond each cut on the first night, D those of them that arrived, and
    E = -D, all that is known are bounds of differences between two of these. So the largest
    difference that is possible is the length of a shortest path, and integers attain it.

    Returns:
        For each print, the largest possible x - y at [y, x]; x and y are V at each cut, then E at
        each cut, then zero.
    """
    cuts, zero = len(CUTS), 2 * len(CUTS)
    bound = np.full((len(ranges), zero + 1, zero + 1), 1000, np.int16)
    bound[:, range(zero + 1), range(zero + 1)] = 0
    for v, e in zip(range(cuts), range(cuts, zero), strict=True):
        (least, most), (least_then, most_then) = ranges[:, v, 0].T, ranges[:, v, 1].T
        bound[:, zero, v], bound[:, v, zero] = most, -least
        bound[:, zero, e], bound[:, e, zero] = 0, arrived
        bound[:, e, v], bound[:, v, e] = most_then, -least_then
        if v:  # no more students are beyond a higher cut
            bound[:, v - 1, v], bound[:, e, e - 1] = 0, 0
    for middle in range(zero + 1):
        np.minimum(bound, bound[:, :, middle, None] + bound[:, None, middle, :], out=bound)
    return bound[(bound[:, range(zero + 1), range(zero + 1)] >= 0).all(axis=1)]


@pytest.mark.parametrize("students", SIZES)
def test_who_arrives_or_leaves_may_be_on_either_side_of_any_cut(students):
    """Even if it is only one student, everybody else stays, and all who arrive are alike.

    Of those who arrive, one at least may be beyond each cut, and one at least not, so each level of
    a student is possible with another. Who leaves is who arrives if time is reversed.
    """
    cuts, zero = len(CUTS), 2 * len(CUTS)
    for arrived in range(1, LARGEST - students + 1):
        two_nights = prints(ranges_of(students), ranges_of(students + arrived), arrived)
        bound = bounds(two_nights, arrived)
        assert len(bound)
        most, least = bound[:, cuts:zero, zero], -bound[:, zero, cuts:zero]
        assert most.min() >= 1
        assert least.max() <= arrived - 1
