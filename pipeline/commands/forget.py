"""Remove the snapshot of a year; what is published stays until the next run replaces it.

It also removes the ranges of dates that other snapshots of the year keep, so that the next run
reads everything.
"""

import argparse

from pipeline.commands.options import year_of
from pipeline.config import settings
from pipeline.runs.lock import Lock
from pipeline.schema import ENDPOINTS
from pipeline.storage import files, snapshots
from pipeline.years import today


def main(options: argparse.Namespace) -> int:
    """Remove everything fetched and built for the year as of the day, and say so.

    Raises:
        StorageError: it cannot be removed.
    """
    year, day = year_of(options), today()
    snapshot = settings.snapshot(year, options.as_of or day, day)
    with Lock(snapshot.folders.lock):
        for other in snapshots.of_year(snapshot.work.parent):
            for endpoint in ENDPOINTS:
                files.remove_folder(snapshot.counterpart(snapshot.ranges(endpoint), other))
        if not snapshot.work.exists():
            print(f"There is no snapshot of {year} as of {snapshot.window.end} to remove.")
            return 0
        snapshots.remove(snapshot.work)
    print(f"Removed the snapshot of {year} as of {snapshot.window.end}; published files stay.")
    return 0
