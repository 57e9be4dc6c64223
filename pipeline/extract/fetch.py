"""Fetches shards over a pool of threads; every shard has an outcome, and none is swallowed."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from pipeline.errors import (
    AuthError,
    FetchError,
    OutageError,
    PipelineError,
    StoppedError,
    StorageError,
)
from pipeline.extract.pool import Pool
from pipeline.extract.shards import Entry

T = TypeVar("T")

_AHEAD = 4


@dataclass(frozen=True)
class Outcome:
    """What became of one shard: its manifest entry, or the reason why there is none.

    A shard that was not asked for, or not to the end, because the run ended has not failed.
    """

    assessment_id: str
    entry: Entry | None
    reason: str = ""
    was_asked: bool = True

    @property
    def failed(self) -> bool:
        """Whether it was asked for in vain."""
        return self.entry is None and self.was_asked


def fetch_shards(
    assessment_ids: Sequence[str],
    ask: Callable[[str], T],
    keep: Callable[[str, T], Entry],
    *,
    pool: Pool,
    stop: threading.Event,
    on_done: Callable[[Outcome], None],
) -> list[Outcome]:
    """`ask` for each assessment and `keep` what came, on the threads of a pool.

    Whoever asks does not wait until it is kept. `on_done` sees each outcome. A failed shard does
    not stop the others. When the server is not to be asked any more, or the run is stopped, the
    shards that are left get an outcome that says so. Only a few are under way at a time, so that
    memory does not grow with their number.
    """
    shards = _Shards(ask, keep, pool, _Halt(stop))
    outcomes: list[Outcome] = []
    waiting = iter(assessment_ids)
    try:
        while True:
            for assessment_id in itertools.islice(waiting, _AHEAD * pool.threads - shards.begun):
                shards.begin(assessment_id)
            if not shards.begun:
                return outcomes
            outcomes.append(shards.next())
            on_done(outcomes[-1])
    except BaseException:
        shards.end()
        raise


class _Shards(Generic[T]):
    """The shards that are under way, each on its way from asking to keeping to its outcome."""

    def __init__(
        self,
        ask: Callable[[str], T],
        keep: Callable[[str, T], Entry],
        pool: Pool,
        halt: "_Halt",
    ) -> None:
        self.begun = 0
        self._ask = ask
        self._keep = keep
        self._pool = pool
        self._halt = halt
        self._finished: SimpleQueue[Outcome | BaseException] = SimpleQueue()

    def begin(self, assessment_id: str) -> None:
        """Put one more under way."""
        self.begun += 1
        self._pool.submit(self._guarded, self._asked, assessment_id)

    def next(self) -> Outcome:
        """Wait for an outcome; an unforeseen error is raised here."""
        finished = self._finished.get()
        self.begun -= 1
        if isinstance(finished, BaseException):
            raise finished
        return finished

    def end(self) -> None:
        """Begin nothing more, and let what was begun end."""
        self._halt.because("the run ended")
        for _ in range(self.begun):
            self._finished.get()

    def _asked(self, assessment_id: str) -> None:
        if self._halt.reason:
            self._finished.put(Outcome(assessment_id, None, self._halt.reason, was_asked=False))
            return
        reply = self._ask(assessment_id)
        self._pool.keep(self._guarded, self._kept, assessment_id, reply)

    def _kept(self, assessment_id: str, reply: T) -> None:
        self._finished.put(Outcome(assessment_id, self._keep(assessment_id, reply)))

    def _guarded(self, step: Callable[..., None], assessment_id: str, *what: T) -> None:
        try:
            step(assessment_id, *what)
        except (AuthError, OutageError, StorageError, StoppedError) as error:
            self._halt.because(str(error))
            stopped = isinstance(error, StoppedError)
            self._finished.put(Outcome(assessment_id, None, str(error), was_asked=not stopped))
        except PipelineError as error:
            self._finished.put(Outcome(assessment_id, None, str(error)))
        except BaseException as error:  # noqa: BLE001  raised where outcomes are waited for
            # A mistake in the code: nothing else would go better.
            self._halt.because("the run ended")
            self._finished.put(error)


class _Halt:
    """Whether to ask no more, and why."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._reason = ""

    @property
    def reason(self) -> str:
        return self._reason or ("the run was asked to stop" if self._stop.is_set() else "")

    def because(self, reason: str) -> None:
        self._reason = self._reason or reason


def failure(endpoint: str, outcomes: Sequence[Outcome]) -> FetchError:
    """The error that names each failed assessment of an endpoint, by reason."""
    missing = [outcome for outcome in outcomes if outcome.entry is None]
    lines = [
        f"  {endpoint} of assessment {', '.join(ids)}: {reason}"
        for reason, ids in _by_reason([o for o in missing if o.failed]).items()
    ]
    lines += [
        f"  {len(ids):,} {endpoint} shards were not asked for: {reason}"
        for reason, ids in _by_reason([o for o in missing if not o.failed]).items()
    ]
    return FetchError(
        f"{len(missing):,} of {len(outcomes):,} {endpoint} shards could not be fetched:\n"
        + "\n".join(lines)
        + f"\n  {len(outcomes) - len(missing):,} were fetched now and are kept; nothing was "
        "published. Run again to ask for the missing ones only; an assessment that never "
        "succeeds can be left out with [illuminate] exclude_ids."
    )


def _by_reason(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.assessment_id):
        reasons.setdefault(outcome.reason, []).append(outcome.assessment_id)
    return reasons
