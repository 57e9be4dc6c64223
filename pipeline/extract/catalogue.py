"""The catalogue of a district's assessments, kept as `metadata.json`."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline.storage import files
from pipeline.years import Window

SCHEMA = 1


class Catalogue(msgspec.Struct, frozen=True):
    """The catalogue as it was delivered, and what it was asked of.

    `assessments` holds one row per assessment, ordered by id; every value is text or null.
    `declared` = `len(assessments)` + `duplicates`.
    """

    source: str
    window: Window
    fetched_at: dt.datetime
    declared: int
    duplicates: int
    pages: int
    assessments: list[dict[str, str | None]]
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path, source: str, window: Window) -> "Catalogue | None":
        """The catalogue at `path`; None where there is none of this source and window."""
        catalogue = files.read_json(path, cls)
        if catalogue is None:
            return None
        asked = (catalogue.schema, catalogue.source, catalogue.window)
        return catalogue if asked == (SCHEMA, source, window) else None

    def ids(self, include: Iterable[str], exclude: Iterable[str]) -> list[str]:
        """The assessments to fetch: the catalogue's and those to include, less those to exclude."""
        known = {row["assessment_id"] or "" for row in self.assessments}
        return sorted((known | set(include)) - set(exclude))
