"""What the tasks of a run share while they request: threads, a client, and counts."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pipeline.config import settings
from pipeline.extract.early import Early
from pipeline.extract.pool import Pool
from pipeline.extract.result_counts import EVERY_DATE, SCHOOL_YEARS, ResultCounts
from pipeline.illuminate.endpoints import OVERALL, Endpoint
from pipeline.runs import connection
from pipeline.runs.context import RunContext
from pipeline.storage import files
from pipeline.tasks.base import YearTask
from pipeline.years import SchoolYear, Window

if TYPE_CHECKING:
    from pipeline.illuminate.client import Client

Counted = tuple[Endpoint, Window | None]
"""What is counted: the results of all assessments at an endpoint, of some dates or of all."""


def open_pool(_: RunContext) -> Pool:
    """Return the threads of a run that request."""
    return Pool(settings.threads())


def open_client(run: RunContext) -> "AbstractContextManager[Client]":
    """Return the client of a run."""
    return connection.open_client(run.stop, run.share(open_pool).map)


def open_counts(run: RunContext) -> Early[Counted, int]:
    """Return the counts of a run that are requested early."""
    client = run.share(open_client)
    return Early(run.share(open_pool), lambda counted: client.count_results(*counted))


def unreached(task: YearTask) -> dict[str, Counted]:
    """Return what tells how many results no school year reaches; nothing once that is known."""
    before = files.read_json(task.paths.counts, ResultCounts)
    if task.paths.window.is_empty or (before and before.unreached is not None):
        return {}
    every_year = Window(SchoolYear(2000).first_day, max(task.today, task.year.last_day))
    return {EVERY_DATE: (OVERALL, None), SCHOOL_YEARS: (OVERALL, every_year)}
