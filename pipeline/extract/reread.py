"""Take ranges of dates from another night, so that very large districts read fewer each night.

A range that was read is a target. It is read again if it has recent days, if the server counts
other results in it, or if it is damaged; and in any case within a week, because a correction may
leave the count as it is.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from pipeline.extract import ranges, shards
from pipeline.extract.by_page import PARTS, RangeReader
from pipeline.extract.manifest import NOT_REREAD, Manifest, ManifestEntry
from pipeline.storage import files
from pipeline.years import Window

NIGHTS = 7
"""The nights within which every range is read again."""


def select(
    parts: Mapping[str, ManifestEntry], window: Window, days: int, today: dt.date
) -> list[str]:
    """Return the ranges that need not be read again unless the server counts other results.

    They end before the last `days` of the window. The seventh of them that was read longest ago is
    left out, and so are those that were not read within a week, or nobody knows when.
    """

    def age(name: str) -> int:
        day = parts[name].read_on
        return (today - day).days if day else NIGHTS

    older = [name for name in parts if (window.end - ranges.parse(name).end).days >= days]
    older.sort(key=lambda name: (-age(name), name))
    return [name for name in older[math.ceil(len(older) / NIGHTS) :] if 0 <= age(name) < NIGHTS]


def take_over(
    reader: RangeReader, others: Iterable[Path], days: int, count: Callable[[Window], int]
) -> None:
    """Link the parts of the newest other night that need not be read again.

    Nothing is linked where a run that was interrupted has begun to read.

    Args:
        reader: what reads the rest.
        others: folders of parts of other nights, the newest first.
        days: how many of the most recent days are read again in any case.
        count: counts the results of a range, by one request.

    Raises:
        StoppedError: the run was asked to stop.
        StorageError: the manifest of the parts cannot be written.
    """
    if reader.stored is not None:
        return
    for other in others:
        found = Manifest.read(other / PARTS)
        if found and _are_alike(found, reader):
            known = {
                name: found.shards[name]
                for name in select(found.shards, reader.request.window, days, reader.today)
                if shards.is_intact(other, name, found.shards[name])
            }
            _link(reader, other, known, count)
            return


def _are_alike(found: Manifest, reader: RangeReader) -> bool:
    """Return True if requests differ in nothing but the last day, which is another each night."""
    window = replace(found.request.window, end=reader.request.window.end)
    return replace(found.request, window=window) == reader.request


def _link(
    reader: RangeReader,
    other: Path,
    known: Mapping[str, ManifestEntry],
    count: Callable[[Window], int],
) -> None:
    def keep(name: str, declared: int) -> ManifestEntry:
        entry = msgspec.structs.replace(known[name], server_total=declared)
        if entry == known[name] and entry.file:
            file = shards.file_name(name)
            files.link_or_copy(other / file, reader.folder / file)
        return entry

    # A range that cannot be counted is read. The reader compares each part with its digest.
    outcomes = reader.server.run(known, lambda name: count(ranges.parse(name)), keep)
    same = [each.assessment_id for each in outcomes if each.entry == known[each.assessment_id]]
    Manifest(reader.request, {name: known[name] for name in same}, {}, "").write(reader.path)


def not_reread(reader: RangeReader) -> dict[str, Any]:
    """Return for the record how many ranges were read on another day; nothing if none were."""
    entries = found.shards.values() if (found := reader.stored) else ()
    earlier = [entry.read_on for entry in entries if entry.read_on not in {None, reader.today}]
    if not earlier:
        return {}
    return {NOT_REREAD: {"ranges": len(earlier), "of": len(entries), "since": str(min(earlier))}}
