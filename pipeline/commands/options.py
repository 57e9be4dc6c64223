"""The school year that a command is about."""

import argparse

from pipeline.years import SchoolYear, today


def year_of(options: argparse.Namespace) -> SchoolYear:
    """Return the school year that is given, or the one of today."""
    return SchoolYear.parse(options.year) if options.year else SchoolYear.of(today())
