"""Reads a file while another thread writes it, so that its digest costs no time of its own.

What is built is far larger than what it is built of, and a processor is often idle while it is
written. A second reading of the whole file afterwards would be the dearest check of all. And while
it is written, the disk begins with what was read, so that the flush at the end waits for less.
"""

import errno
import hashlib
import os
import sys
import threading
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.storage.files import Fingerprint

_BLOCK = 1 << 17  # small enough for the cache of a core
_PAUSE = 0.005
_PART = 1 << 27  # what the disk is given at once
_ALL_BUT_QUOTES_AND_LINES = bytes(set(range(256)) - set(b'"\n'))


class Found(NamedTuple):
    """What the bytes of a file are: their fingerprint, and their lines by the rules of CSV."""

    file: Fingerprint
    lines: int


class Lines:
    """Counts the lines of a CSV file block by block; a line may hold line feeds in quotes."""

    def __init__(self) -> None:
        self.count = 0
        self._quoted = False

    def update(self, block: bytes) -> None:
        """Go on with the next bytes of the file."""
        if not self._quoted and b'"' not in block:
            self.count += block.count(b"\n")
            return
        marks = block.translate(None, _ALL_BUT_QUOTES_AND_LINES)
        # Two quotes in a row leave the state as it was, whatever they meant.
        between = marks.replace(b'""', b"").split(b'"')
        self.count += sum(part.count(b"\n") for part in between[self._quoted :: 2])
        self._quoted ^= len(between) % 2 == 0


class Follower:
    """Follows a file that is there, maybe empty, and grows at its end until the block ends.

    `found` is set at the end of the block, unless that ended with an error. Whoever writes must
    have closed the file by then.
    """

    found: Found

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"follow {path.name}")
        self._error: OSError | None = None

    def __enter__(self) -> "Follower":
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Read to the end.

        Raises:
            OSError: it cannot be read.
        """
        self._written.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def _follow(self) -> None:
        try:
            self.found = _read(self._path, self._written)
        except OSError as error:
            self._error = error


def read(path: Path) -> Found:
    """What the bytes of a file are that nobody writes.

    Raises:
        OSError: it cannot be read.
    """
    written = threading.Event()
    written.set()
    return _read(path, written)


def _read(path: Path, written: threading.Event) -> Found:
    with path.open("rb", buffering=0) as file:
        found = _read_to_its_end(file, written)
        _check_whole(file, path, found.file.size)
    return found


def _read_to_its_end(file: BinaryIO, written: threading.Event) -> Found:
    digest, lines, size, given = hashlib.sha256(), Lines(), 0, 0
    while True:
        is_whole = written.is_set()  # asked before reading: what is read then is all
        block = file.read(_BLOCK)
        if not block:
            if is_whole:
                break
            written.wait(_PAUSE)
        digest.update(block)
        lines.update(block)
        size += len(block)
        if not is_whole and size - given >= _PART:
            _give_to_disk(file, given, size)
            given = size
    changed = os.fstat(file.fileno()).st_mtime_ns
    return Found(Fingerprint(digest.hexdigest(), size, changed), lines.count)


def _give_to_disk(file: BinaryIO, start: int, end: int) -> None:
    """Have the disk begin to store a part of a file; nobody waits for it."""
    if sys.platform == "linux":
        # What is said to be needed no more is written out first; nothing is lost or waited for.
        os.posix_fadvise(file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _check_whole(file: BinaryIO, path: Path, size: int) -> None:
    """See that what was read is what is there: all of it, and under its name.

    Raises:
        OSError: it is not.
    """
    status = os.fstat(file.fileno())
    if size != status.st_size or not os.path.samestat(status, path.stat()):
        raise OSError(errno.EIO, "not written from its start to its end", str(path))
