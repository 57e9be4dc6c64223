"""The catalogue of a district's assessments, kept as `metadata.json`."""

import datetime as dt
import operator
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline.ids import trim
from pipeline.storage import files
from pipeline.storage.receipts import digest_of
from pipeline.years import Window

SCHEMA = 3


class Catalogue(msgspec.Struct, frozen=True):
    """The catalogue as the API sent it, and what was requested.

    `assessments` has one row per assessment, ordered by id; every value is text or null.
    `server_total` = `len(assessments)` + `duplicates`.
    """

    source: str
    window: Window
    fetched_at: dt.datetime
    server_total: int
    duplicates: int
    pages: int
    assessments: list[dict[str, str | None]]
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path, source: str, window: Window) -> "Catalogue | None":
        """Return the catalogue at `path`; None if it is missing or of another request."""
        try:
            catalogue = files.parse_once(path, cls.parse)
        except OSError:
            return None
        if catalogue is None:
            return None
        request = (catalogue.schema, catalogue.source, catalogue.window)
        return catalogue if request == (SCHEMA, source, window) else None

    @property
    def digest(self) -> str:
        """A digest of what it lists; not of when it was fetched, nor of the dates of results."""
        return digest_of({"source": self.source, "assessments": self.assessments})

    @classmethod
    def parse(cls, content: bytes) -> "Catalogue | None":
        """Return the catalogue that a file holds; None if it is damaged."""
        return files.decode_json(content, cls)

    def select_ids(self, include: Iterable[str], exclude: Iterable[str]) -> list[str]:
        """Return the ids of the catalogue and those to include, without those to exclude.

        An id is that of the catalogue if only the white space around them differs.
        """
        known = (row["assessment_id"] or "" for row in self.assessments)
        found = {trim(each): each for each in (*include, *known)}
        return sorted(found[each] for each in found.keys() - set(map(trim, exclude)))

    def unlisted(self, ids: Iterable[str]) -> list[str]:
        """Return those of some ids that it does not have."""
        return sorted({*map(trim, ids)} - {row["assessment_id"] for row in self.rows()})

    def titles(self) -> dict[str, str | None]:
        """Return the title of each assessment, by its trimmed id."""
        return {row["assessment_id"] or "": row.get("title") for row in self.rows()}

    def rows(self) -> list[dict[str, str | None]]:
        """Return the assessments as tables have them: with trimmed ids, and ordered by them."""
        rows = [
            row | {"assessment_id": trim(row["assessment_id"] or "")} for row in self.assessments
        ]
        return sorted(rows, key=operator.itemgetter("assessment_id"))
