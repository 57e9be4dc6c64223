"""School years are read the same from the command line and from Python."""

import datetime as dt

import pytest
from luigi.cmdline_parser import CmdlineParser

from pipeline import RunAll, RunYears
from pipeline.errors import YearError
from pipeline.tasks import parameters
from pipeline.years import SchoolYear


@pytest.mark.parametrize(
    "years", ["23-24,22-23", "22-23 23-24", ("23-24", "22-23"), ["22-23", "23-24", "22-23"]]
)
def test_school_years_may_be_text(years):
    assert [str(year) for year in RunYears(years=years).years] == ["22-23", "23-24"]


@pytest.mark.parametrize("years", ["", (), "x", ["23-25"]])
def test_what_is_no_school_year_is_refused(years):
    with pytest.raises(YearError):
        RunYears(years=years)


@pytest.mark.parametrize(
    ("today", "year"),
    [("2025-03-01", "24-25"), ("2026-06-30", "25-26"), ("2026-07-01", "26-27")],
)
@pytest.mark.parametrize("given", [[], ["--year", ""]], ids=["none", "an empty one"])
def test_without_a_year_it_is_the_one_of_today(today, year, given, monkeypatch):
    """So that a schedule moves on by itself on 1 July."""
    monkeypatch.setattr(parameters, "today", lambda: dt.date.fromisoformat(today))
    with CmdlineParser.global_instance(["RunAll", *given]) as command:
        task = command.get_task_obj()
    assert (str(task.year), task.as_of.isoformat(), task.today.isoformat()) == (year, today, today)


def test_the_year_the_day_and_today_are_of_one_moment(monkeypatch):
    """Midnight passes at each reading of the clock."""
    days = (dt.date(2026, 6, 30) + dt.timedelta(days=count) for count in range(100))
    monkeypatch.setattr(parameters, "today", lambda: next(days))
    task = RunAll()
    assert task.as_of == task.today
    assert task.year == SchoolYear.of(task.today)


def test_another_day_of_the_run_has_its_own_year():
    task = RunAll(today=dt.date(2025, 3, 1))
    assert (str(task.year), task.as_of) == ("24-25", dt.date(2025, 3, 1))
