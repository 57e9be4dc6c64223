"""Cut a school year into ranges of dates, each small enough to be read as one result."""

import datetime as dt
import math
from collections.abc import Iterable

from pipeline.years import Window

_DAY = dt.timedelta(days=1)
_SEPARATOR = "_"


def name(window: Window) -> str:
    """Return the name of a range: its first and last day."""
    return f"{window.start}{_SEPARATOR}{window.end}"


def parse(text: str) -> Window:
    """Return the range of a name."""
    return Window(*map(dt.date.fromisoformat, text.split(_SEPARATOR)))


def days(window: Window) -> int:
    """Return how many days a range has."""
    return (window.end - window.start).days + 1


def split(window: Window, parts: int) -> list[Window]:
    """Cut a range into so many of about the same length, but no shorter than a day."""
    length = days(window)
    parts = max(1, min(parts, length))
    first = [window.start + number * length // parts * _DAY for number in range(parts)]
    last = [*(day - _DAY for day in first[1:]), window.end]
    return [Window(*pair) for pair in zip(first, last, strict=True)]


def gaps(window: Window, known: Iterable[Window]) -> list[Window]:
    """Return what some ranges, of which no two overlap, leave of a larger one."""
    found, start = [], window.start
    for each in sorted(known, key=lambda each: each.start):
        if start < each.start:
            found.append(Window(start, each.start - _DAY))
        start = each.end + _DAY
    return [*found, Window(start, window.end)] if start <= window.end else found


def plan(window: Window, known: Iterable[Window], rows: int, most_rows: int) -> list[Window]:
    """Return the ranges to read, beside those that are known, so that all cover the window.

    There are `rows` to come. Where in the year is not known, so they count as evenly spread, and a
    range should have `most_rows` of them.
    """
    missing = gaps(window, known)
    length = sum(map(days, missing))
    return [
        part
        for gap in missing
        for part in split(gap, math.ceil(rows * days(gap) / length / most_rows))
    ]
