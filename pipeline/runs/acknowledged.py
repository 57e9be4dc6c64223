"""What the last successful run left published: "new" is measured from it, not from one process.

A run that is killed right after publishing, or whose report fails, does not advance it, so that the
next run still says that something is new.
"""

from pathlib import Path
from typing import NamedTuple

from pipeline.runs.news import Inventory
from pipeline.storage import files


class Published(NamedTuple):
    """A publication: the path of its manifest, a digest of its files' names and contents.

    `inventory` says what is in them; None for all years, and where an earlier version wrote it.
    """

    manifest: str
    content: str
    inventory: Inventory | None = None

    def has_content_of(self, other: "Published | None") -> bool:
        """Return True if the other is there with the same files."""
        return other is not None and self[:2] == other[:2]


def read(path: Path) -> dict[str, Published]:
    """Return what was acknowledged at `path`, by partition; nothing where no run succeeded yet."""
    return files.read_json(path, dict[str, Published]) or {}
