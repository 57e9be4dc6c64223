"""Rebuild the report of a year from what is published and the newest run records."""

import argparse
from typing import Any

from pipeline.commands.options import published_days, year_of
from pipeline.config import settings
from pipeline.errors import PipelineError, printable
from pipeline.publish.commit import Publication
from pipeline.runs.lock import Lock
from pipeline.tasks.base import IncrementalTask
from pipeline.tasks.figures import DiscloseFigures
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
    task = Report(year=year, **published_days(publication))
    figures = task.other(DiscloseFigures)
    with Lock(folders.lock):
        _note(figures, figures.disclose(), publication.run)
        _note(task, task.draw(task.records()), publication.run)
    print(printable(f"Report of {year}: {task.paths.report}"))
    return 0


def _note(task: IncrementalTask, stats: dict[str, Any], run: str) -> None:
    """Write the receipt of a task; without its snapshot, the next run does all of it again."""
    if key := task.build_key():
        task.output().write_receipt(key, FilesBuild(stats), run)
