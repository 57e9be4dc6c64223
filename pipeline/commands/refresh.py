"""Fetch a year again: remove its snapshot, then run."""

import argparse

from pipeline.commands import forget
from pipeline.commands.options import year_of
from pipeline.commands.run import run


def main(options: argparse.Namespace) -> int:
    """Remove the snapshot of the year, then run everything for it."""
    forget.main(options)
    day = ["--as-of", options.as_of.isoformat()] if options.as_of else []
    return run(["RunAll", "--year", str(year_of(options)), *day])
