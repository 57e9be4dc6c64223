"""Fetch shards over a pool of threads; every shard has an outcome, and no error is swallowed."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, ParamSpec, TypeVar

from pipeline.errors import (
    AuthError,
    FetchError,
    OutageError,
    PaginationError,
    PipelineError,
    StoppedError,
    StorageError,
    TransientError,
)
from pipeline.extract.manifest import ManifestEntry
from pipeline.extract.pool import Pool
from pipeline.words import counted

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MAY_PASS = (TransientError, PaginationError)
"""The errors after which the same request may succeed a while later."""

_AHEAD = 4


@dataclass(frozen=True)
class Retries:
    """How what failed is requested once more: the name it has in the log, and how it is counted.

    `take` takes a retry of those that the run may make, and returns False if none is left.
    """

    what: str
    count: Callable[[], None]
    take: Callable[[], bool]


def once_more(retries: Retries, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a call returns; after an error that may pass it is logged and made once more."""
    try:
        return call(*args, **kwargs)
    except MAY_PASS as error:
        log.info("%s: failed, and is requested once more: %s", retries.what, error)
        retries.count()
        return call(*args, **kwargs)


@dataclass(frozen=True)
class Outcome:
    """The result for one shard: its manifest entry, or the reason why there is none.

    A shard that was not fetched, or not to the end, because the run stopped has not failed.
    `may_pass` says whether the same request may succeed later; `error` is one of this machine.
    """

    assessment_id: str
    entry: ManifestEntry | None
    reason: str = ""
    attempted: bool = True
    may_pass: bool = field(default=False, compare=False)
    error: StorageError | None = field(default=None, compare=False)

    @property
    def failed(self) -> bool:
        """Return whether fetching was attempted and gave no shard."""
        return self.entry is None and self.attempted


def fetch_shards(
    assessment_ids: Sequence[str],
    fetch: Callable[[str], T],
    write: Callable[[str, T], ManifestEntry],
    *,
    pool: Pool,
    stop: threading.Event,
    retries: Retries,
    on_done: Callable[[Outcome], None],
    at_once: int | None = None,
) -> list[Outcome]:
    """Call `fetch` for each assessment and `write` with what came, on the threads of a pool.

    A failed shard does not stop the others; one whose failure may pass is fetched once more at the
    end, where each that fails again takes a retry, and the first without one ends the fetching: an
    outage costs little. After an error that would fail every shard (credentials, outage, disk,
    stop) the rest are not attempted, and their outcomes give the reason. Only a few are in progress
    at a time, `at_once` or some for each thread, so that memory does not grow with their number.
    `on_done` gets each outcome.
    """
    shards = _Shards(fetch, write, pool, stop, at_once or _AHEAD * pool.threads)
    outcomes: list[Outcome] = []
    failed: dict[str, Outcome] = {}

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        on_done(outcome)

    try:
        for outcome in shards.run(assessment_ids):
            if outcome.may_pass:
                failed[outcome.assessment_id] = outcome
            else:
                note(outcome)
        if failed and not shards.reason_to_end:
            them = "it" if len(failed) == 1 else "each of them"
            number = f"{len(failed):,} of {len(assessment_ids):,}"
            log.info("%s: %s failed; requesting %s once more", retries.what, number, them)
        for outcome in shards.run_again(failed, retries):
            note(outcome)
    except BaseException:
        shards.end()
        raise
    return outcomes


@dataclass
class _Shards(Generic[T]):
    """The shards in progress: each is fetched, then written, then has an outcome."""

    _fetch: Callable[[str], T]
    _write: Callable[[str, T], ManifestEntry]
    _pool: Pool
    _stop: threading.Event
    _at_once: int
    _begun: int = 0
    _abort_reason: str = ""
    _finished: SimpleQueue[Outcome | BaseException] = field(default_factory=SimpleQueue)

    def run(self, assessment_ids: Iterable[str]) -> Iterator[Outcome]:
        """Yield an outcome of each assessment; an unexpected error is raised here."""
        waiting = iter(assessment_ids)
        while True:
            room = self._at_once - self._begun
            for assessment_id in itertools.islice(waiting, room):
                self._begun += 1
                self._pool.submit(self._guarded, self._fetch_one, assessment_id)
            if not self._begun:
                return
            finished = self._finished.get()
            self._begun -= 1
            if isinstance(finished, BaseException):
                raise finished
            yield finished

    def run_again(self, failed: Mapping[str, Outcome], retries: Retries) -> Iterator[Outcome]:
        """Yield another outcome of each assessment that failed, or the same if it is not begun."""
        # One alone shows whether the server is back.
        for again in ([*failed][:1], [*failed][1:]):
            for outcome in self.run(again):
                if outcome.attempted:
                    retries.count()
                if outcome.failed and not retries.take():
                    self.abort(outcome.reason)
                yield outcome if outcome.attempted else failed[outcome.assessment_id]

    def end(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self.abort("the run ended")
        for _ in range(self._begun):
            self._finished.get()

    def abort(self, reason: str) -> None:
        """Attempt none of the shards that have not begun."""
        self._abort_reason = self._abort_reason or reason

    @property
    def reason_to_end(self) -> str:
        """Why no shard is begun any more; empty while they are."""
        return self._abort_reason or ("the run was asked to stop" if self._stop.is_set() else "")

    def _fetch_one(self, assessment_id: str) -> None:
        if reason := self.reason_to_end:
            self._finished.put(Outcome(assessment_id, None, reason, attempted=False))
            return
        fetched = self._fetch(assessment_id)
        self._pool.submit_write(self._guarded, self._write_one, assessment_id, fetched)

    def _write_one(self, assessment_id: str, fetched: T) -> None:
        self._finished.put(Outcome(assessment_id, self._write(assessment_id, fetched)))

    def _guarded(self, step: Callable[..., None], assessment_id: str, *fetched: T) -> None:
        try:
            step(assessment_id, *fetched)
        except (AuthError, OutageError, StorageError, StoppedError) as error:
            self.abort(str(error))
            own = error if isinstance(error, StorageError) else None
            attempted = not isinstance(error, StoppedError)
            self._finished.put(Outcome(assessment_id, None, str(error), attempted, error=own))
        except PipelineError as error:
            may_pass = isinstance(error, MAY_PASS)
            self._finished.put(Outcome(assessment_id, None, str(error), may_pass=may_pass))
        except BaseException as error:  # noqa: BLE001  raised where outcomes are waited for
            self.abort("the run ended")  # a bug: the other shards would fail as well
            self._finished.put(error)


def failure(endpoint: str, outcomes: Sequence[Outcome]) -> FetchError:
    """Return an error that names each failed assessment of an endpoint, by reason."""
    missing = [outcome for outcome in outcomes if outcome.entry is None]
    lines = [
        f"  {endpoint} of assessment {', '.join(ids)}: {reason}"
        for reason, ids in _by_reason([o for o in missing if o.failed]).items()
    ]
    lines += [
        f"  {counted(len(ids), f'{endpoint} shard was', f'{endpoint} shards were')} not requested: "
        f"{reason}"
        for reason, ids in _by_reason([o for o in missing if not o.failed]).items()
    ]
    kept = len(outcomes) - len(missing)
    return FetchError(
        f"{len(missing):,} of {counted(len(outcomes), f'{endpoint} shard')} could not be fetched:",
        *lines,
        f"  {counted(kept, 'was fetched and is', 'were fetched and are')} kept; nothing was "
        "published. Run the same command again to fetch only the missing ones; an assessment that "
        "never succeeds can be left out with [illuminate] exclude_ids.",
    )


def _by_reason(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.assessment_id):
        reasons.setdefault(outcome.reason, []).append(outcome.assessment_id)
    return reasons


def stopped(endpoint: str, outcomes: Sequence[Outcome]) -> FetchError:
    """Return an error that says how far an endpoint was when the run was asked to stop."""
    fetched = sum(outcome.entry is not None for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    return FetchError(
        f"{endpoint} stopped; {fetched:,} of {len(outcomes):,} fetched and kept"
        f"{f', {failed:,} failed' if failed else ''}."
    )
