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
from pipeline.years import SchoolYear, Window, today

if TYPE_CHECKING:
    from pipeline.illuminate.client import Client
    from pipeline.illuminate.pages import Result

OfAll = tuple[Endpoint, Window | None]
"""The results of all assessments at an endpoint, of some dates or of all."""
OfOne = tuple[Endpoint, str, Window]
"""The results of one assessment at an endpoint, of some dates."""


def open_pool(_: RunContext) -> Pool:
    """Return the threads of a run that request."""
    return Pool(settings.threads())


def open_client(run: RunContext) -> "AbstractContextManager[Client]":
    """Return the client of a run."""
    return connection.open_client(run.stop, run.share(open_pool).map)


def open_counts(run: RunContext) -> Early[OfAll, int]:
    """Return the counts of a run that are requested early."""
    return Early(run.share(open_pool), lambda of: run.share(open_client).count_results(*of))


def open_sample(run: RunContext) -> "Early[OfOne, Result]":
    """Return the assessments of a run that are requested early, to be compared."""
    return Early(run.share(open_pool), lambda one: run.share(open_client).results(*one))


def unreached(task: YearTask) -> dict[str, OfAll]:
    """Return what tells how many results no school year reaches; nothing once that is known."""
    before = files.read_json(task.paths.counts, ResultCounts)
    if task.paths.window.is_empty or (before and before.unreached is not None):
        return {}
    # A run may be told another day, but results do not end with it.
    last_day = max(today(), task.today, task.year.last_day)
    every_year = Window(SchoolYear(2000).first_day, last_day)
    return {EVERY_DATE: (OVERALL, None), SCHOOL_YEARS: (OVERALL, every_year)}
