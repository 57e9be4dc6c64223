"""Removes the snapshot of a year; what is published stays until the next run replaces it."""

import datetime as dt
import shutil

from pipeline.config import settings
from pipeline.runs.lock import Lock
from pipeline.years import SchoolYear


def forget(year: SchoolYear, as_of: dt.date) -> int:
    """Remove everything fetched and built for a year as of a day."""
    snapshot = settings.snapshot(year, as_of)
    with Lock(snapshot.folders.lock):
        if not snapshot.work.exists():
            print(f"There is no snapshot of {year} as of {snapshot.window.end} to forget.")
            return 0
        # A half removed snapshot must never be taken for one to resume.
        forgotten = snapshot.work.with_name(f".{snapshot.work.name}.forgotten")
        shutil.rmtree(forgotten, ignore_errors=True)
        snapshot.work.rename(forgotten)
        shutil.rmtree(forgotten)
    print(f"Forgot the snapshot of {year} as of {snapshot.window.end}; published files stay.")
    return 0
