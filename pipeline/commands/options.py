"""The school year and the snapshot that a command is about."""

import argparse
import datetime as dt

from pipeline.publish.commit import Publication
from pipeline.years import SchoolYear, today


def year_of(options: argparse.Namespace) -> SchoolYear:
    """Return the school year that is given, or the one of today."""
    return SchoolYear.parse(options.year) if options.year else SchoolYear.of(today())


def published_days(publication: Publication) -> dict[str, dt.date]:
    """Return the days of the snapshot that is published, as a task's parameters have them."""
    about = publication.metadata
    days = {"as_of": about["as_of"], "today": about.get("fetched_on")}
    return {name: dt.date.fromisoformat(day) for name, day in days.items() if day}
