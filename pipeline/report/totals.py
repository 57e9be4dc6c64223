"""Sums of figures: the results of several groups, and the shares of them in each band."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from pipeline.report.disclosure import Share
from pipeline.report.groups import CUTS, MASTERED


@dataclass(frozen=True)
class Total:
    """The results of some groups: their number, the share mastered, and the percentage by band."""

    results: int
    mastered: Share
    bands: tuple[float, ...]


def add_up(figures: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Return the size and the percentages of all figures together, for each value of `names`.

    A figure is as weighty as its size.

    Returns:
        `names`; `size`; CUTS; `groups`, how many figures there are; and `least` and `most` of one.
    """
    size = pl.col("size")
    percents = [(pl.col(cut) * size).sum() / size.sum() for cut in CUTS]
    bounds = pl.col("least", "most").first()
    return figures.group_by(names).agg(size.sum(), *percents, bounds, groups=pl.len()).sort(names)


def totals(figures: pl.DataFrame, *names: str) -> Iterator[tuple[dict[str, Any], Total]]:
    """Yield each row of `add_up` with its total."""
    for row in add_up(figures, *names).iter_rows(named=True):
        yield row, total_of(row)


def total_of(row: dict[str, Any]) -> Total:
    """Return the total in a row of `add_up`."""
    if row["groups"] == 1:
        mastered = Share.of_figure(row[MASTERED], row["least"], row["most"])
    else:
        mastered = Share.of_several(row[MASTERED])
    percents = [100.0, *(row[cut] for cut in CUTS), 0.0]
    bands = (upper - lower for upper, lower in pairwise(percents))
    return Total(row["size"], mastered, tuple(bands))
