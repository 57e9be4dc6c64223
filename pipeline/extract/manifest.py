"""The manifest of an endpoint's shards: their request, and the digest and counts of each.

A shard counts only while the manifest has an entry for it. The file holds lines of JSON, each
behind its checksum: first the request and the last fetch, then an entry per shard, of which the
last one counts. While shards are fetched, lines are appended and synced. A line that a crash cut
short or that was damaged is ignored, so its shard is fetched again.
"""

import contextlib
import datetime as dt
import os
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.storage import files
from pipeline.storage.receipts import digest_of
from pipeline.years import Window

SCHEMA = 3

NOT_REREAD = "not reread"
"""The name of the fact that some ranges of dates were read on another day."""

_UNLISTED, _NOT_BY_PAGE = "unlisted", "not by page"
_LASTING = (_UNLISTED, _NOT_BY_PAGE, NOT_REREAD)

T = TypeVar("T")


@dataclass(frozen=True)
class ShardRequest:
    """What the shards of an endpoint were requested with: the source by name, and the dates.

    `renames` are the API's names of fields that have another name in the shard.
    """

    source: str
    endpoint: str
    window: Window
    renames: tuple[str, ...] = ()
    schema: int = SCHEMA


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One shard; `server_total` = `rows` + `duplicates`. A shard without rows has no file.

    `read_on` is the day on which a range of dates was read, which may be kept for some nights.
    """

    server_total: int
    rows: int
    duplicates: int
    pages: int
    columns: tuple[str, ...]
    file: files.FileStamp | None
    read_on: dt.date | None = None


class _Header(msgspec.Struct):
    request: ShardRequest
    stats: dict[str, Any]
    run: str


class _Line(msgspec.Struct):
    shard: str
    entry: ManifestEntry | None


class Manifest(msgspec.Struct, frozen=True):
    """The shards of one request, ordered by assessment id, and the last fetch that ended.

    `stats` and `run` are the counts and the id of that fetch; empty while there is none.
    """

    request: ShardRequest
    shards: dict[str, ManifestEntry]
    stats: dict[str, Any]
    run: str

    @property
    def digest(self) -> str:
        """A digest of the contents of all the shards."""
        stamps = {shard: entry.file for shard, entry in self.shards.items()}
        return digest_of({shard: stamp and stamp.sha256 for shard, stamp in stamps.items()})

    @property
    def rows_digest(self) -> str:
        """A digest of the contents of the shards with rows, which are all that tables follow from.

        Which of the others are fetched, as a check, varies by the day.
        """
        return digest_of({i: entry.file.sha256 for i, entry in self.shards.items() if entry.file})

    @property
    def is_by_page(self) -> bool:
        """Whether the shards hold all results of the endpoint, of whatever assessment."""
        return _UNLISTED in self.stats and _NOT_BY_PAGE not in self.stats

    @property
    def unlisted(self) -> list[str]:
        """The assessments that are known to have results and are not in the catalogue."""
        return self.stats.get(_UNLISTED) or []

    @property
    def lasting_stats(self) -> dict[str, Any]:
        """The stats that hold for all shards, and not only for the last fetch."""
        return {name: self.stats[name] for name in _LASTING if name in self.stats}

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """Return the manifest at `path`; None if it is missing or its header is damaged."""
        try:
            return files.parse_once(path, cls.parse)
        except OSError:
            return None

    @classmethod
    def parse(cls, content: bytes) -> "Manifest | None":
        """Return the manifest that a file holds; None if its header is damaged."""
        first, *rest = content.split(b"\n")
        header = _decode(first, _header_decoder)
        if header is None:
            return None
        lines = (_decode(line, _line_decoder) for line in rest)
        found = {line.shard: line.entry for line in lines if line is not None}
        shards = {shard: entry for shard, entry in sorted(found.items()) if entry is not None}
        return cls(header.request, shards, header.stats, header.run)

    def write(self, path: Path) -> None:
        """Write the manifest durably, in place of an older one.

        Raises:
            StorageError: it cannot be written.
        """
        header = _encode(_Header(self.request, self.stats, self.run))
        entries = (_encode(_Line(shard, entry)) for shard, entry in sorted(self.shards.items()))
        files.write_bytes(path, b"\n".join([header, *entries, b""]))


class ManifestLog:
    """Appends entries to a manifest from any thread; each is durable when `add` returns.

    Threads that add at the same time share one sync.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = files.make_folder(folder)
        with files.wrap_os_errors(path):
            self._file = path.open("ab")
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._written = self._synced = 0

    def __enter__(self) -> "ManifestLog":
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; a write that failed was reported by `add`."""
        with contextlib.suppress(OSError):
            self._file.close()

    def add(self, shard: str, entry: ManifestEntry | None) -> None:
        """Append the entry of a shard, or None to forget it, and sync it and the shard's name.

        Raises:
            StorageError: it cannot be written.
        """
        with files.wrap_os_errors(self._path):
            with self._writing:
                # Line feeds on both sides, so that a line cut short spoils neither neighbour.
                self._file.write(b"\n%b\n" % _encode(_Line(shard, entry)))
                self._file.flush()
                self._written += 1
                mine = self._written
            self._sync(mine)

    def _sync(self, mine: int) -> None:
        with self._syncing:
            if self._synced < mine:
                reached = self._written
                os.fsync(self._file.fileno())
                files.fsync(self._folder)
                self._synced = reached


def forget(path: Path, shards: Iterable[str], folder: Path) -> None:
    """Remove entries from a manifest, so that the next run fetches these shards again.

    Raises:
        StorageError: it cannot be written.
    """
    with ManifestLog(path, folder) as log:
        for shard in shards:
            log.add(shard, None)


_header_decoder = msgspec.json.Decoder(_Header)
_line_decoder = msgspec.json.Decoder(_Line)


def _encode(value: msgspec.Struct) -> bytes:
    text = msgspec.json.encode(value)
    return b"%08x %b" % (zlib.crc32(text), text)


def _decode(line: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return the value of a line; None if it is not what was written."""
    checksum, text = line[:9], line[9:]
    if checksum != b"%08x " % zlib.crc32(text):
        return None
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
