"""Puts the published tables of a year into a database."""

import os
from contextlib import AbstractContextManager

from pipeline.config import settings
from pipeline.config.credentials import find_secret
from pipeline.publish.database import duck, postgres, published
from pipeline.publish.database.database import Database
from pipeline.publish.database.load import load as load_set
from pipeline.storage import files
from pipeline.years import SchoolYear


def load(year: SchoolYear) -> int:
    """Replace a year in the database by what is published of it; 0 when it is there."""
    if settings.is_group_readable():
        files.let_group_read()
    marker = settings.folders().marker(str(year))
    found = published.find(marker, year)
    opened, where = _database()
    with opened as database:
        loaded = load_set(database, found, lambda: found.is_unchanged(marker))
    if not loaded:
        print(f"{year} of run {found.marker.run} is already in {where}; nothing was changed.")
        return 0
    print(f"Loaded {year}, run {found.marker.run}, into {where}:")
    for table, before, now in loaded:
        print(f"  {table:<32}{now:>12,} rows, {before:,} before")
    return 0


def _database() -> tuple[AbstractContextManager[Database], str]:
    """The database that is configured, and how people call it."""
    url = find_secret(postgres.VARIABLE, os.environ)
    if url:
        return postgres.opened(url), f"the database of {postgres.VARIABLE}"
    path = settings.folders().database
    return duck.opened(path), str(path)
