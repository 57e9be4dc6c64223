"""Rebuild the report of a year from what is published and the newest run records."""

import argparse

from pipeline.commands.options import published_days, year_of
from pipeline.config import sections, settings
from pipeline.errors import PipelineError, printable
from pipeline.publish.commit import Publication
from pipeline.runs.lock import Lock
from pipeline.storage import files
from pipeline.tasks.report import Report
from pipeline.tasks.targets import FilesBuild


def main(options: argparse.Namespace) -> int:
    """Write the page and say where it is.

    Raises:
        PipelineError: nothing whole is published.
    """
    year, folders = year_of(options), settings.folders()
    path = folders.publication(str(year))
    publication = Publication.read(path)
    if publication is None:
        raise PipelineError(
            f"Nothing of {year} is published in {path.parent}, or published.json cannot be read. "
            f"Run `make run YEAR={year}`."
        )
    if not publication.matches(path.parent):
        raise PipelineError(
            f"The published files of {year} were changed or removed, so there is nothing to report "
            f"on. Run `make run YEAR={year}` to restore them."
        )
    files.set_group_read(allowed=settings.read(sections.paths).group_readable)
    task = Report(year=year, **published_days(publication))
    with Lock(folders.lock):
        key, stats = task.build_key(), task.draw(task.records())
        if key:  # else its snapshot was removed, and the next run draws the page again
            task.output().write_receipt(key, FilesBuild(stats), publication.run)
    print(printable(f"Report of {year}: {task.paths.report}"))
    return 0
