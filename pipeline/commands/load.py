"""Puts the published tables of a year into the database."""

import datetime as dt
import os

from pipeline import config
from pipeline.credentials import find_secret
from pipeline.databases import DuckDB, Postgres, PublishedYear
from pipeline.databases import load as load_into
from pipeline.tables import TABLES
from pipeline.years import SchoolYear


def load(year: SchoolYear) -> int:
    """Replace the year in the database; 0 when it then holds what is published."""
    today = dt.date.today()  # noqa: DTZ011  the school's own day
    snapshot = config.snapshot(year, today)
    url = find_secret("PIPELINE_DATABASE_URL", os.environ)
    database = Postgres(url) if url else DuckDB(snapshot.folders.database)
    published = PublishedYear.find(
        str(year), snapshot.marker, {table: snapshot.published(table) for table in TABLES}
    )
    loaded = load_into(database, published)
    said = "Loaded" if loaded.is_new else "Already loaded, nothing was changed:"
    print(f"{said} {year} into {database.label}")
    for name, rows in loaded.rows.items():
        print(f"  {name:<32}{rows:>12,} rows")
    return 0
