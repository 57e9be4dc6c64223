"""Makes all tables of a run visible together, or none.

First everything is put beside its place under a hidden name; only then do renames begin, and the
marker, which names every file of the set with its digest, comes last. A reader who finds that the
marker's digests fit has one run's tables. A crash between renames leaves the marker of the old
set, so the next run publishes again.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pipeline.publish.guards import Counted
from pipeline.storage import files


class Marker(msgspec.Struct, frozen=True):
    """What is published: its files, out of which build and run they came, and what they hold.

    Names are paths relative to the marker's folder.
    """

    build: str
    run: str
    about: dict[str, Any]
    files: dict[str, files.Fingerprint]
    counted: Counted | None = None

    @classmethod
    def read(cls, path: Path) -> "Marker | None":
        """The marker at `path`; None where nothing is published."""
        return files.read_json(path, cls)

    def fits(self, folder: Path) -> bool:
        """Whether all files are there as they were published; `folder` is the marker's."""
        return all(print_.fits(folder / name) for name, print_ in self.files.items())


def publish(
    built: Mapping[Path, Path],
    marker: Path,
    *,
    build: str,
    run: str,
    about: dict[str, Any],
    counted: Counted | None = None,
    known: Mapping[Path, files.Fingerprint] | None = None,
) -> None:
    """Publish files: from where each was built, to where people read it.

    Files of the set before that are not in this one are removed. Built files whose fingerprint is
    `known` are read again only where a link was not enough and they were copied.
    """
    before = Marker.read(marker)
    with ExitStack() as stack:
        staged = {place: stack.enter_context(_staged(file, place)) for file, place in built.items()}
        for place, temporary in staged.items():
            with files.storing(place):
                temporary.replace(place)
    for folder in {place.parent for place in staged}:
        files.flush(folder)
    known = known or {}
    prints = {
        _relative(place, marker): files.Fingerprint.of(place, known.get(file))
        for file, place in built.items()
    }
    for name in (before.files.keys() if before else set()) - prints.keys():
        (marker.parent / name).unlink(missing_ok=True)
    files.write_json(marker, Marker(build, run, about, prints, counted))


@contextmanager
def _staged(file: Path, place: Path) -> Iterator[Path]:
    """A copy of `file` under a hidden name beside `place`, removed unless it was renamed."""
    files.make_folder(place.parent)
    temporary = files.temporary_beside(place)
    try:
        with files.storing(place):
            _link_or_copy(file, temporary)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link_or_copy(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:  # another file system, or one without links
        with file.open("rb") as original, copy.open("xb") as written:
            files.close_to_others(written.fileno())
            shutil.copyfileobj(original, written)
            written.flush()
            os.fsync(written.fileno())


def _relative(place: Path, marker: Path) -> str:
    return os.path.relpath(place, marker.parent)
