"""Makes the report of a year anew, from what is published and the newest run records."""

import datetime as dt
import sys

from pipeline.config import settings
from pipeline.publish.commit import Marker
from pipeline.runs.lock import Lock
from pipeline.storage import files
from pipeline.tasks.reporting import Report
from pipeline.years import SchoolYear


def report(year: SchoolYear) -> int:
    """Write the page and say where it is; 1 where nothing whole is published."""
    folders = settings.folders()
    published = folders.marker(str(year))
    marker = Marker.read(published)
    if marker is None:
        print(f"Nothing is published of {year} yet: make run YEAR={year} does it.", file=sys.stderr)
        return 1
    if not marker.fits(published.parent):
        print(
            f"The published files of {year} were changed or removed, so there is nothing to report "
            f"on; make run YEAR={year} mends them.",
            file=sys.stderr,
        )
        return 1
    if settings.is_group_readable():
        files.let_group_read()
    task = Report(year=year, as_of=dt.date.fromisoformat(marker.about["as_of"]))
    with Lock(folders.lock):
        recipe = task.recipe()
        facts = task.write(task.records())
        if recipe:  # else its snapshot was deleted, and the next run makes the page again
            task.output().sign(recipe, facts, marker.run)
    print(f"Report of {year}: {task.paths()[0]}")
    return 0
