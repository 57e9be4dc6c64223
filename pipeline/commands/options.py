"""The school year that a command is about."""

import argparse

from pipeline.config import settings
from pipeline.years import SchoolYear


def year_of(options: argparse.Namespace) -> SchoolYear:
    """Return the school year that is given, or the current one."""
    return SchoolYear.parse(options.year) if options.year else settings.current_year()
