"""The school year and the snapshot that a command is about."""

import argparse
import datetime as dt

from pipeline.config import settings
from pipeline.errors import CheckError
from pipeline.publish.commit import Publication
from pipeline.storage.paths import ALL_YEARS
from pipeline.tasks.guards import published_years
from pipeline.tasks.publish import Publish
from pipeline.tasks.years import PublishYears
from pipeline.years import SchoolYear, today


def year_of(options: argparse.Namespace) -> SchoolYear:
    """Return the school year that is given, or the one of today."""
    return SchoolYear.parse(options.year) if options.year else SchoolYear.of(today())


def partition_of(options: argparse.Namespace) -> str:
    """Return the school year that is given, or the one of today, or `all`."""
    return ALL_YEARS if options.year == ALL_YEARS else str(year_of(options))


def publishing(options: argparse.Namespace) -> Publish | PublishYears:
    """Return the task that publishes what a command is about, a school year or all years.

    Raises:
        CheckError: it is about all years, and these are not published.
    """
    if partition_of(options) != ALL_YEARS:
        return Publish(year=year_of(options), as_of=options.as_of)
    folders = settings.folders()
    if years := published_years(folders):
        return PublishYears(years=years, as_of=options.as_of)
    raise CheckError(
        f"No tables of all years are published in {folders.publication(ALL_YEARS).parent}, or "
        'published.json there cannot be read. Run make years YEARS="22-23 23-24" with your years, '
        "then run the same command again."
    )


def published_days(publication: Publication) -> dict[str, dt.date]:
    """Return the days of the snapshot that is published, as a task's parameters have them."""
    about = publication.metadata
    days = {"as_of": about["as_of"], "today": about.get("fetched_on")}
    return {name: dt.date.fromisoformat(day) for name, day in days.items() if day}
