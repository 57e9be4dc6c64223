"""Cut a school year into ranges of dates, each small enough to be read as one result."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence

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


def plan(
    window: Window,
    known: Iterable[Window],
    rows: int,
    most_rows: int,
    likely: Mapping[dt.date, int] | None = None,
) -> list[Window]:
    """Return the ranges to read, beside those that are known, so that all cover the window.

    There are `rows` to come, and a range should have `most_rows` of them. They count as spread over
    the days like the `likely` rows, those of another endpoint; evenly, if there are none.
    """
    missing = gaps(window, known)
    likely = likely or {}
    total = sum(likely.get(day, 0) for gap in missing for day in _each_day(gap))
    if rows and total:
        return [part for gap in missing for part in _cut(gap, likely, most_rows * total / rows)]
    length = sum(map(days, missing))
    return [
        part
        for gap in missing
        for part in split(gap, math.ceil(rows * days(gap) / length / most_rows))
    ]


def likely_rows(
    first: Sequence[Window], rows: int, likely: Mapping[dt.date, int]
) -> dict[str, int]:
    """Return how many rows the first ranges have, as far as that is known.

    The only one has all; one of several most likely half of what likely rows say, or more. So no
    thread is idle until first pages have come.
    """
    if len(first) == 1:
        return {name(first[0]): rows}
    share = rows / max(1, sum(likely.values())) / 2
    return {
        name(each): int(
            share * sum(n for day, n in likely.items() if each.start <= day <= each.end)
        )
        for each in first
    }


def _cut(window: Window, likely: Mapping[dt.date, int], most: float) -> list[Window]:
    """Cut a range into as few of at most so many rows as days, which stay whole, allow."""
    starts, rows = [window.start], 0
    for day in _each_day(window):
        rows += likely.get(day, 0)
        if rows > most and day > starts[-1]:
            starts.append(day)
            rows = likely.get(day, 0)
    ends = [*(day - _DAY for day in starts[1:]), window.end]
    return [Window(*pair) for pair in zip(starts, ends, strict=True)]


def _each_day(window: Window) -> list[dt.date]:
    return [window.start + number * _DAY for number in range(days(window))]
