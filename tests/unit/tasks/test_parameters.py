"""School years are read the same from the command line and from Python."""

import pytest

from pipeline import RunYears
from pipeline.errors import YearError


@pytest.mark.parametrize(
    "years", ["23-24,22-23", "22-23 23-24", ("23-24", "22-23"), ["22-23", "23-24", "22-23"]]
)
def test_school_years_may_be_text(years):
    assert [str(year) for year in RunYears(years=years).years] == ["22-23", "23-24"]


@pytest.mark.parametrize("years", ["", (), "x", ["23-25"]])
def test_what_is_no_school_year_is_refused(years):
    with pytest.raises(YearError):
        RunYears(years=years)
