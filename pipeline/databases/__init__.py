"""Puts published tables into a database, each year in one transaction."""

from pipeline.databases.duck import DuckDB
from pipeline.databases.loading import Loaded, load
from pipeline.databases.postgres import Postgres
from pipeline.databases.relations import PublishedYear, Relation

__all__ = ["DuckDB", "Loaded", "Postgres", "PublishedYear", "Relation", "load"]
