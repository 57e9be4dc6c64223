"""Ranges of dates: together they are the whole year, and no day is in two."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract import ranges
from pipeline.years import SchoolYear, Window

YEAR = SchoolYear(2023)
WHOLE = Window(YEAR.first_day, YEAR.last_day)
DAY = dt.timedelta(days=1)


def all_days(windows):
    return sorted(
        each.start + number * DAY for each in windows for number in range(ranges.days(each))
    )


def of(first, last):
    return Window(dt.date.fromisoformat(first), dt.date.fromisoformat(last))


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 7, 100, 366, 5000])
def test_the_parts_are_the_whole_and_of_about_the_same_length(parts):
    found = ranges.split(WHOLE, parts)
    assert all_days(found) == all_days([WHOLE])
    assert len(found) == max(1, min(parts, 366))
    lengths = [*map(ranges.days, found)]
    assert max(lengths) - min(lengths) <= 1


def test_a_day_is_not_cut():
    day = of("2023-07-01", "2023-07-01")
    assert ranges.split(day, 2) == [day]


def test_names_are_read_back():
    assert ranges.name(WHOLE) == "2023-07-01_2024-06-30"
    assert ranges.parse(ranges.name(WHOLE)) == WHOLE


def test_what_is_known_is_not_planned_again():
    known = [of("2024-01-01", "2024-02-10"), of("2023-07-01", "2023-07-31")]
    assert ranges.gaps(WHOLE, known) == [
        of("2023-08-01", "2023-12-31"),
        of("2024-02-11", "2024-06-30"),
    ]
    assert ranges.gaps(WHOLE, [WHOLE]) == []
    assert ranges.gaps(WHOLE, []) == [WHOLE]


def test_few_rows_are_one_range():
    assert ranges.plan(WHOLE, [], 900, 1000) == [WHOLE]
    assert ranges.plan(WHOLE, [], 0, 1000) == [WHOLE]
    assert len(ranges.plan(WHOLE, [], 9_100, 1000)) == 10


@given(st.sets(st.integers(0, 365), max_size=9), st.integers(0, 10**7), st.integers(1, 20_000))
def test_planned_and_known_ranges_are_the_whole_year(known, rows, most_rows):
    single = [Window(day, day) for day in (WHOLE.start + n * DAY for n in known)]
    planned = ranges.plan(WHOLE, single, rows, most_rows)
    assert all_days([*planned, *single]) == all_days([WHOLE])


YEAR_OF_ROWS = st.dictionaries(st.integers(-9, 375), st.integers(0, 9_000), max_size=40)


@given(YEAR_OF_ROWS, st.integers(0, 10**6), st.integers(1, 20_000))
def test_ranges_planned_by_what_is_likely_are_the_whole_year(likely, rows, most_rows):
    by_day = {WHOLE.start + number * DAY: some for number, some in likely.items()}
    assert all_days(ranges.plan(WHOLE, [], rows, most_rows, by_day)) == all_days([WHOLE])


def test_ranges_are_short_where_rows_are_likely():
    """Ten times the rows of another endpoint: a busy day is a range, and quiet months are one."""
    busy = dt.date(2023, 10, 2)
    likely = {busy + n * DAY: rows for n, rows in enumerate((5, 100, 5, 5))}
    planned = ranges.plan(WHOLE, [], 1150, 150, likely)
    assert planned == [
        of("2023-07-01", "2023-10-02"),
        of("2023-10-03", "2023-10-03"),
        of("2023-10-04", "2024-06-30"),
    ]
    known = [of("2023-07-01", "2023-10-03")]
    assert ranges.plan(WHOLE, known, 100, 100, likely) == planned[2:]
