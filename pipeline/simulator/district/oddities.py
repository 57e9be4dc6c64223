"""The peculiarities of real results, put into made-up ones."""

from collections.abc import Callable
from random import Random
from typing import TypeAlias

_Row: TypeAlias = dict[str, str | None]
# Rows beyond the first page are left alone, so that a duplicate stays inside of one page.
_FIRST_ROWS = 900


def roughen(rows: list[_Row], oddity: int, draw: Random) -> None:
    """Give one row of `rows` the peculiarity with this number (numbers go round)."""
    if rows:
        _ODDITIES[oddity % len(_ODDITIES)](rows, draw.randrange(min(len(rows), _FIRST_ROWS)))


def _sets(**values: str | None) -> Callable[[list[_Row], int], None]:
    def change(rows: list[_Row], index: int) -> None:
        rows[index] = {**rows[index], **values}

    return change


def _duplicate(rows: list[_Row], index: int) -> None:
    rows.insert(index, dict(rows[index]))


_NOTHING_SCORED: _Row = {
    "percent_correct": None,
    "performance_band_level": None,
    "performance_band_label": None,
    "mastered": None,
}
_ODDITIES: tuple[Callable[[list[_Row], int], None], ...] = (
    _duplicate,
    _sets(points="0", points_possible="0", **_NOTHING_SCORED),
    _sets(points=None, **_NOTHING_SCORED),
    _sets(percent_correct=""),
    _sets(percent_correct="NaN"),
    _sets(points="infinity"),
    _sets(performance_band_level=None),
    _sets(date_taken=None),
    _sets(date_taken="2000-01-01"),
    _sets(date_taken="infinity"),
    _sets(performance_band_label=None),
)
