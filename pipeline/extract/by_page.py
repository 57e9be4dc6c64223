"""Fetch the results of all assessments of an endpoint together, range by range of dates.

Whether a server can do this is not known before it was tried, so everything is compared: the rows
of each range with what the server declares, all ranges with the whole year, and some assessments
with what the server delivers for each of them. What does not agree is a ByPageError.
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pipeline.errors import (
    ByPageError,
    IlluminateError,
    StoppedError,
    StorageError,
    TooManyPagesError,
)
from pipeline.extract import ranges, shards
from pipeline.extract.fetch import Outcome, Retries, fetch_shards, once_more
from pipeline.extract.manifest import Manifest, ManifestEntry, ManifestLog, ShardRequest
from pipeline.extract.pool import Pool
from pipeline.ids import trim
from pipeline.storage import files
from pipeline.words import counted
from pipeline.years import Window

if TYPE_CHECKING:
    import polars as pl

    from pipeline.extract.parts import Parts
    from pipeline.illuminate.pages import Result

T = TypeVar("T")

Write = Callable[[str, "Result"], ManifestEntry]
"""Writes the shard of an assessment."""

PARTS = "parts.jsonl"
"""The manifest of the parts in a folder."""
MOST_PAGES = 25
"""The pages of a range; one with more is cut, unless it is a single day."""
_PLANNED_PAGES = 20
_AT_ONCE = 4
_READINGS = 2
_EMPTY = ManifestEntry(0, 0, 0, 0, (), None)


@dataclass(frozen=True)
class Server:
    """How results are requested, and the threads that do so.

    `count` returns how many results the window has, `fetch` returns those of a range unless they
    have more pages than allowed, and `fetch_one` those of an assessment. Both get the likely
    number of results, or 0 if it is not known.
    """

    count: Callable[[], int]
    fetch: "Callable[[Window, int | None, int], Result]"
    fetch_one: "Callable[[str, int], Result]"
    page_limit: int
    pool: Pool
    stop: threading.Event
    retries: Retries

    def run(
        self,
        names: Iterable[str],
        fetch: Callable[[str], T],
        write: Callable[[str, T], ManifestEntry],
        on_done: Callable[[Outcome], None] = lambda _: None,
        at_once: int | None = None,
    ) -> list[Outcome]:
        """Fetch and write on all threads; return all outcomes.

        Raises:
            StoppedError: the run was asked to stop.
            StorageError: something cannot be written, which is no fault of the server.
        """
        outcomes = fetch_shards(
            list(names),
            fetch,
            write,
            pool=self.pool,
            stop=self.stop,
            retries=self.retries,
            on_done=on_done,
            at_once=at_once,
        )
        if self.stop.is_set():
            raise StoppedError("the run was asked to stop")
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        return outcomes


@dataclass
class RangeReader:
    """Reads all results of a window into parts in a folder; intact ones that are there are kept.

    `show` is entered with the number of results to come, and gives what is called with the number
    in each range. Unless they `may_be_none`, a server that counts none cannot do this. Parts are
    noted as read on the day that is `today`. `likely` returns rows by day to which those to come
    are more or less in proportion.
    """

    server: Server
    request: ShardRequest
    folder: Path
    show: Callable[[int], AbstractContextManager[Callable[[int], object]]]
    today: dt.date
    may_be_none: bool = False
    likely: Callable[[], Mapping[dt.date, int]] = dict
    has_kept: bool = field(default=False, init=False)
    _likely_rows: dict[str, int] = field(default_factory=dict, init=False)
    _too_long: dict[str, int] = field(default_factory=dict, init=False)
    _log: ManifestLog = field(init=False)
    _on_read: Callable[[int], object] = field(init=False)

    def read(self) -> list[Path]:
        """Return the files of the parts that have rows; together they are the whole window.

        Raises:
            ByPageError: the server gives no such results, or they contradict each other.
            StoppedError: the run was asked to stop; the parts so far are kept.
        """
        from pipeline.extract.parts import repeats

        for _ in range(_READINGS):
            known, declared = self._intact(), self._count()
            self.has_kept = bool(known)
            self._read_missing(known, declared)
            found = self._intact()
            paths = self._files(found)
            rows = _rows(found) - sum(repeats(paths).values())
            # Results may have been entered after they were counted and before they were read.
            if rows == declared or rows == (now := self._count()):
                return paths
            self.discard()
            if not known and now == declared:
                break
        raise ByPageError(
            f"it declares {counted(declared, 'result')} in all, and {rows:,} by dates"
        )

    def discard(self) -> None:
        """Remove all parts."""
        files.remove_folder(self.folder)

    @property
    def path(self) -> Path:
        """The manifest of the parts."""
        return self.folder / PARTS

    @property
    def stored(self) -> Manifest | None:
        """The parts of this request, damaged or not; None while there are none."""
        found = Manifest.read(self.path)
        return found if found and found.request == self.request else None

    def _intact(self) -> dict[str, ManifestEntry]:
        if (found := self.stored) is None:
            return {}
        damaged = shards.find_damaged(self.folder, found.shards)
        return {name: entry for name, entry in found.shards.items() if name not in damaged}

    def _count(self) -> int:
        try:
            retries = self.server.retries
            retries = replace(retries, what=f"{retries.what} count")
            declared = once_more(retries, self.server.count)
        except IlluminateError as error:
            raise ByPageError(str(error)) from None
        if not declared and not self.may_be_none:
            raise ByPageError("it counts no results")
        return declared

    def _read_missing(self, known: Mapping[str, ManifestEntry], declared: int) -> None:
        Manifest(self.request, dict(known), {}, "").write(self.path)
        rows = max(0, declared - _rows(known))
        window, most_rows = self.request.window, _PLANNED_PAGES * self.server.page_limit
        done = map(ranges.parse, known)
        likely = self.likely() if rows > most_rows else {}
        planned = ranges.plan(window, done, rows, most_rows, likely)
        self._likely_rows = ranges.likely_rows(planned[:_AT_ONCE], rows, likely)
        with ManifestLog(self.path, self.folder) as self._log, self.show(rows) as self._on_read:
            # The first show whether the server can do this.
            first, rest = planned[:_AT_ONCE], planned[_AT_ONCE:]
            for some in (first, rest):
                for each, reason in self._read(some).items():
                    self._read_halves(each, reason)
                if some is first and rest and not known:
                    self._compare_undated()

    def _compare_undated(self) -> None:
        """Compare results without a readable date, which a server may send for any range, early."""
        from pipeline.extract.parts import Parts, undated_rows

        parts = Parts(self._files(self._intact()), ())
        compare(self.server, parts, sorted(parts.undated)[:1], undated_rows)

    def _files(self, found: Mapping[str, ManifestEntry]) -> list[Path]:
        return sorted(shards.stamps(self.folder, found))

    def _read_halves(self, window: Window, reason: str) -> None:
        """Read a range that could not be read, in halves, down to single days."""
        if ranges.days(window) == 1:
            raise ByPageError(f"results of {window.start} could not be read: {reason}")
        for half in ranges.split(window, 2):
            for failed, why in self._read([half]).items():
                self._read_halves(failed, why)

    def _read(self, windows: Sequence[Window]) -> dict[Window, str]:
        """Read ranges, and cut those that are too long; return those that failed, and why."""
        failed: dict[Window, str] = {}
        while windows:
            self._too_long.clear()
            names = map(ranges.name, windows)
            outcomes = self.server.run(names, self._fetch, self._write, self._note, _AT_ONCE)
            for outcome in outcomes:
                if outcome.entry is None and outcome.assessment_id not in self._too_long:
                    if not outcome.may_pass:
                        raise ByPageError(outcome.reason)
                    failed[ranges.parse(outcome.assessment_id)] = outcome.reason
            windows = [
                part
                for name, pages in sorted(self._too_long.items())
                for part in ranges.split(ranges.parse(name), -(-pages // _PLANNED_PAGES))
            ]
        return failed

    def _fetch(self, name: str) -> "Result":
        window, likely_rows = ranges.parse(name), self._likely_rows.get(name, 0)
        most_pages = MOST_PAGES if ranges.days(window) > 1 else None
        try:
            return self.server.fetch(window, most_pages, likely_rows)
        except TooManyPagesError as error:
            self._too_long[name] = error.pages
            raise

    def _write(self, name: str, result: "Result") -> ManifestEntry:
        written = shards.write(self.folder, self.request.endpoint, name, result)
        entry = msgspec.structs.replace(written, read_on=self.today)
        self._log.add(name, entry)
        return entry

    def _note(self, outcome: Outcome) -> None:
        if outcome.entry is not None:
            self._on_read(outcome.entry.rows)


def _rows(entries: Mapping[str, ManifestEntry]) -> int:
    return sum(entry.rows for entry in entries.values())


def compare(
    server: Server,
    parts: "Parts",
    assessment_ids: Sequence[str],
    select: "Callable[[pl.DataFrame], pl.DataFrame]" = lambda rows: rows,
    early: "Callable[[str], Result | None]" = lambda _: None,
) -> None:
    """Compare some assessments, or selected rows of them, with what the server delivers for each.

    What differs from what came `early` is requested again: results may have been entered since.

    Raises:
        ByPageError: the rows of one differ, or could not be fetched.
        StoppedError: the run was asked to stop.
    """
    found = {
        each: select(result.rows)
        for batch in parts.read(map(trim, assessment_ids))
        for each, result in batch.items()
    }

    def difference(assessment_id: str, result: "Result") -> str:
        return _difference(found.get(trim(assessment_id)), select(result.rows))

    def agrees(assessment_id: str) -> bool:
        result = early(assessment_id)
        return result is not None and not difference(assessment_id, result)

    def check(assessment_id: str, result: "Result") -> ManifestEntry:
        if reason := difference(assessment_id, result):
            raise ByPageError(f"assessment {assessment_id} has {reason}")
        return _EMPTY

    def fetch(assessment_id: str) -> "Result":
        return server.fetch_one(assessment_id, 0)

    others = [each for each in assessment_ids if not agrees(each)]
    for outcome in server.run(others, fetch, check):
        if outcome.entry is None:
            raise ByPageError(outcome.reason)


def _difference(by_page: "pl.DataFrame | None", by_assessment: "pl.DataFrame") -> str:
    """Return in what the rows of an assessment differ; nothing if they are the same."""
    from pipeline.extract.parts import same_rows

    here, there = 0 if by_page is None else by_page.height, by_assessment.height
    if here != there:
        return f"{counted(there, 'row')} by assessment and {here:,} by page"
    if by_page is None or same_rows(by_page, by_assessment):
        return ""
    return f"{counted(there, 'row')} by assessment and other rows by page"


def write_shards(
    server: Server, parts: "Parts", assessment_ids: Iterable[str], write: Write
) -> dict[str, ManifestEntry]:
    """Write the shards of all assessments, and return their entries; most have no rows.

    Args:
        server: whose threads write.
        parts: all rows.
        assessment_ids: all that are wanted.
        write: writes one shard.

    Raises:
        StoppedError: the run was asked to stop.
        StorageError: one cannot be written.
    """
    spelled = {trim(each): each for each in assessment_ids}
    entries = dict.fromkeys(spelled.values(), _EMPTY)
    for batch in parts.read(spelled):
        named = {spelled[each]: result for each, result in batch.items()}
        entries |= _write_batch(server, named, write)
    return entries


def _write_batch(
    server: Server, batch: "Mapping[str, Result]", write: Write
) -> Iterator[tuple[str, ManifestEntry]]:
    for outcome in server.run(batch, batch.__getitem__, write):
        if outcome.entry is None:
            raise StorageError(outcome.reason)
        yield outcome.assessment_id, outcome.entry
