"""Fetches shards over a pool of threads; every shard has an outcome, and none is swallowed."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed, wait
from dataclasses import dataclass

from pipeline.errors import (
    AuthError,
    FetchError,
    OutageError,
    PipelineError,
    StoppedError,
    StorageError,
)
from pipeline.pool import Pool
from pipeline.shards import Entry


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
    fetch_one: Callable[[str], Entry],
    *,
    pool: Pool,
    stop: threading.Event,
    on_done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run `fetch_one` for each assessment, on the threads of a pool; `on_done` sees each outcome.

    A failed shard does not stop the others. When the server is not to be asked any more, or the
    run is stopped, the shards that are left get an outcome that says so.
    """
    halt = _Halt(stop)
    outcomes = []
    futures = [
        pool.submit(_attempt, assessment_id, fetch_one, halt) for assessment_id in assessment_ids
    ]
    try:
        for future in as_completed(futures):
            outcomes.append(future.result())
            on_done(outcomes[-1])
    except BaseException:
        halt.because("the run ended")
        wait(futures)
        raise
    return outcomes


def _attempt(assessment_id: str, fetch_one: Callable[[str], Entry], halt: "_Halt") -> Outcome:
    if halt.reason:
        return Outcome(assessment_id, None, halt.reason, was_asked=False)
    try:
        return Outcome(assessment_id, fetch_one(assessment_id))
    except (AuthError, OutageError, StorageError, StoppedError) as error:
        halt.because(str(error))
        stopped = isinstance(error, StoppedError)
        return Outcome(assessment_id, None, str(error), was_asked=not stopped)
    except PipelineError as error:
        return Outcome(assessment_id, None, str(error))
    except BaseException:
        # A mistake in the code: nothing else would go better.
        halt.because("the run ended")
        raise


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
