"""Fetch a year again: remove its snapshot, then run."""

import argparse

from pipeline.commands import forget
from pipeline.commands.options import year_of
from pipeline.commands.run import NOTHING_NEW, run


def main(options: argparse.Namespace) -> int:
    """Remove the snapshot of the year, then run everything for it; 0 if it ends well."""
    forget.main(options)
    day = ["--as-of", options.as_of.isoformat()] if options.as_of else []
    code = run(["RunAll", "--year", str(year_of(options)), *day])
    return 0 if code == NOTHING_NEW else code
