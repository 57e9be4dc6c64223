"""The school year and the day that a command is about."""

import argparse
import datetime as dt

from pipeline.config import settings
from pipeline.years import SchoolYear


def year_of(options: argparse.Namespace) -> SchoolYear:
    """Return the school year that is given, or the current one."""
    return SchoolYear.parse(options.year) if options.year else settings.current_year()


def day_of(options: argparse.Namespace) -> dt.date:
    """Return the day that is given, or today."""
    day: dt.date | None = options.as_of
    return day or dt.date.today()  # noqa: DTZ011  the school's own day
