"""School years: spellings, dates and suffixes."""

import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import SettingsError, YearError
from pipeline.years import SchoolYear

years = st.integers(2000, 2098).map(SchoolYear)
days = st.dates(dt.date(1999, 1, 1), dt.date(2100, 12, 31))


def refusal(text: str) -> str:
    with pytest.raises(YearError) as error:
        SchoolYear.parse(text)
    return str(error.value)


# The end of a year.


@pytest.mark.parametrize(
    ("day", "settles"),
    [
        ("09-30", dt.date(2024, 9, 30)),
        ("07-01", dt.date(2024, 7, 1)),
        ("12-31", dt.date(2024, 12, 31)),
        ("06-30", dt.date(2025, 6, 30)),
        ("01-15", dt.date(2025, 1, 15)),
    ],
)
def test_a_year_settles_on_the_first_such_day_after_its_end(day, settles):
    assert SchoolYear(2023).settles_on(day) == settles


@pytest.mark.parametrize("day", ["", "soon", "02-29", "9", "09-31", "09/30", "2024-09-30", "W40-1"])
@pytest.mark.parametrize("start", [2022, 2023, 2024])
def test_what_is_no_day_of_every_year_is_refused(day, start):
    with pytest.raises(ValueError, match=r".*"):
        SchoolYear(start).settles_on(day)


# Spellings.


@pytest.mark.parametrize("text", ["23-24", "2023-24", "2023-2024", " 23-24\n"])
def test_every_spelling_of_a_year_means_the_same(text):
    assert SchoolYear.parse(text) == SchoolYear(2023)


@given(years)
def test_any_year_is_read_in_all_three_spellings_and_written_in_the_short_one(year):
    first, second = year.start, year.start + 1
    spellings = [f"{first % 100:02}-{second % 100:02}", f"{first}-{second % 100:02}"]
    spellings.append(f"{first}-{second}")
    assert {SchoolYear.parse(spelling) for spelling in spellings} == {year}
    assert str(year) == spellings[0]


def test_a_bare_year_is_refused_with_the_two_years_it_could_mean():
    assert refusal("2024") == (
        "2024 could mean the school year 23-24 or 24-25: write one of these."
    )


@pytest.mark.parametrize("text", ["23-25", "24-23", "23-23", "2023-2025", "2023-25"])
def test_years_that_do_not_follow_each_other_are_refused_with_the_reason(text):
    assert refusal(text) == (
        f"{text!r} is not a school year: its two years must be consecutive, like 23-24."
    )


NO_YEARS = ["abc", "", " ", "23", "23-", "-24", "23/24", "23\u201324", "23 - 24", "23-24-25"]
NO_YEARS += ["1923-1924", "2123-24", "223-24", "٢٣-٢٤", "23-24.", "--year", "2023-24x"]


@pytest.mark.parametrize("text", NO_YEARS)
def test_what_is_no_year_is_refused_with_an_example_of_one(text):
    assert refusal(text) == f"{text.strip()!r} is not a school year: write it like 23-24."


@given(st.text(alphabet="0123456789-", max_size=9))
def test_any_text_is_a_year_or_a_refusal_that_names_it(text):
    try:
        year = SchoolYear.parse(text)
    except SettingsError as error:
        named = str(error)
    else:
        named = text if text.endswith(f"{(year.start + 1) % 100:02}") else ""
    assert text in named


# Dates.


def test_a_year_goes_from_1_july_to_30_june():
    year = SchoolYear.parse("23-24")
    assert (year.first_day, year.last_day) == (dt.date(2023, 7, 1), dt.date(2024, 6, 30))


@given(years)
def test_years_follow_each_other_without_a_gap(year):
    assert SchoolYear(year.start + 1).first_day - year.last_day == dt.timedelta(days=1)


@given(years, days)
def test_the_window_starts_with_the_year_and_ends_on_the_day_or_with_the_year(year, as_of):
    window = year.window(as_of)
    assert window.start == year.first_day
    assert window.end == min(as_of, year.last_day)


@given(years, st.integers(1, 5000))
def test_a_finished_year_has_one_window_on_whatever_later_day(year, days_later):
    later = year.last_day + dt.timedelta(days=days_later)
    assert year.window(later) == year.window(year.last_day)


@given(years, st.integers(-400, 800))
@example(SchoolYear(2023), -1)
@example(SchoolYear(2023), 0)
def test_the_window_is_empty_exactly_before_the_first_day_of_the_year(year, day):
    as_of = year.first_day + dt.timedelta(days=day)
    assert year.window(as_of).is_empty == (day < 0)


@given(days)
@example(dt.date(2024, 6, 30))
@example(dt.date(2024, 7, 1))
def test_the_year_of_a_day_is_the_one_that_contains_it(day):
    year = SchoolYear.of(day)
    assert year.first_day <= day <= year.last_day


# Names.


@pytest.mark.parametrize(
    ("year", "suffix"),
    [("22-23", "_historical"), ("23-24", "_historical"), ("24-25", ""), ("25-26", "")],
)
def test_only_years_before_the_one_that_is_set_are_historical(year, suffix):
    assert SchoolYear.parse(year).suffix(SchoolYear.parse("24-25")) == suffix
