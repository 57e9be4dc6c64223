"""Makes all tables of a run visible together, or none.

First everything is put beside its place under a hidden name; only then do renames begin, and the
marker, which names every file of the set with its digest, comes last. A reader who finds that the
marker's digests fit has one run's tables. A crash between renames leaves the marker of the old
set, so the next run publishes again.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from pipeline import files


class Marker(msgspec.Struct, frozen=True):
    """What is published: per file its fingerprint, and out of which build and run it came.

    Names are paths relative to the marker's folder.
    """

    build: str
    run: str
    about: dict[str, Any]
    files: dict[str, files.Fingerprint]

    @classmethod
    def read(cls, path: Path) -> "Marker | None":
        """The marker at `path`; None where nothing is published."""
        return files.read_json(path, cls)

    def fits(self, folder: Path) -> bool:
        """Whether all files are there as they were published; `folder` is the marker's."""
        return all(print_.fits(folder / name) for name, print_ in self.files.items())


def publish(
    built: Mapping[Path, Path], marker: Path, *, build: str, run: str, about: dict[str, Any]
) -> None:
    """Publish files: from where each was built, to where people read it.

    Files of the set before that are not in this one are removed.
    """
    before = Marker.read(marker)
    with ExitStack() as stack:
        staged = {place: stack.enter_context(_staged(file, place)) for file, place in built.items()}
        for place, temporary in staged.items():
            temporary.replace(place)
    for folder in {place.parent for place in staged}:
        files.flush(folder)
    prints = {_relative(place, marker): files.Fingerprint.of(place) for place in staged}
    for name in (before.files.keys() if before else set()) - prints.keys():
        (marker.parent / name).unlink(missing_ok=True)
    files.write_json(marker, Marker(build, run, about, prints))


class _staged:  # noqa: N801  a context manager
    """A copy of `file` under a hidden name beside `place`, removed unless it was renamed."""

    def __init__(self, file: Path, place: Path) -> None:
        self._file, self._place = file, place

    def __enter__(self) -> Path:
        files.make_folder(self._place.parent)
        self._temporary = files.temporary_beside(self._place)
        try:
            os.link(self._file, self._temporary)
        except OSError:  # another file system, or one without links
            shutil.copyfile(self._file, self._temporary)
            self._temporary.chmod(0o600)
            files.flush(self._temporary)
        return self._temporary

    def __exit__(self, *_: object) -> None:
        self._temporary.unlink(missing_ok=True)


def _relative(place: Path, marker: Path) -> str:
    return os.path.relpath(place, marker.parent)
