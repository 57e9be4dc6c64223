"""What the last successful run left published: "new" is measured from it, not from one process.

A run that is killed right after publishing, or whose report fails, does not advance it, so that the
next run still says that something is new.
"""

from pathlib import Path
from typing import NamedTuple

from pipeline.storage import files


class Published(NamedTuple):
    """A publication: the path of its manifest, and a digest of its files' names and contents."""

    manifest: str
    content: str


def read(path: Path) -> dict[str, Published]:
    """Return what was acknowledged at `path`, by partition; nothing where no run succeeded yet."""
    return files.read_json(path, dict[str, Published]) or {}
