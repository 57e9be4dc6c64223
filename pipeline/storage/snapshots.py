"""The snapshots of a school year on disk: which there are, which are old, and how one is removed.

A snapshot is first renamed to a hidden name, so that a half removed one is never resumed.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.storage import files

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:-on-(\d{4}-\d\d-\d\d))?")
_REMOVED = ".removed"


def of_year(folder: Path) -> list[Path]:
    """Return the snapshots in the folder of a school year, the newest first."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(filter(_days, there), key=_days, reverse=True)


def older_than(snapshot: Path) -> list[Path]:
    """Return the snapshots of the same year that are older than one of them, the newest first."""
    return [each for each in of_year(snapshot.parent) if _days(each) < _days(snapshot)]


def remove(snapshot: Path) -> None:
    """Remove a snapshot; nothing that others share with it is lost.

    Raises:
        StorageError: it cannot be removed; what is left of it is hidden, or all of it is there.
    """
    hidden = snapshot.with_name(f".{snapshot.name}{_REMOVED}")
    _remove(hidden)
    with _plain_errors(snapshot):
        snapshot.rename(hidden)
        files.fsync(snapshot.parent)  # or a power cut could leave half of it under its own name
    _remove(hidden)


def remove_leftovers(folder: Path) -> None:
    """Remove what is left of snapshots of a year whose removal was interrupted, or failed.

    Raises:
        StorageError: it cannot be removed.
    """
    for hidden in sorted(folder.glob(f".*{_REMOVED}")):
        _remove(hidden)


def disk_size(folder: Path) -> str:
    """Return the size of all files below a folder for people; a file with two names counts once."""
    sizes = {}
    for place, _, names in os.walk(folder):  # which passes over what a run removes meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = Path(place, name).lstat()
                sizes[status.st_dev, status.st_ino] = status.st_size
    return readable_size(sum(sizes.values()))


def readable_size(size: float) -> str:
    """Return a number of bytes for people."""
    return f"{size / (1 << 30):,.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):,.1f} MiB"


def _days(snapshot: Path) -> tuple[str, ...]:
    """Return the last day of results, then the day of fetching; a settled year is the last."""
    found = _NAME.fullmatch(snapshot.name)
    return found.groups(default="settled") if found else ()


def _remove(hidden: Path) -> None:
    with _plain_errors(hidden):
        if hidden.exists():
            shutil.rmtree(hidden)


@contextlib.contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The old snapshot {path} cannot be removed: {files.reason(error)}. Nothing else is "
            "affected; the next run tries again."
        ) from error
