"""Fetches shards over a pool of threads; every shard has an outcome, and none is swallowed."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from pipeline.errors import (
    AuthError,
    FetchError,
    OutageError,
    PipelineError,
    StoppedError,
    StorageError,
)
from pipeline.shards import Entry

_NAMED = 20


@dataclass(frozen=True)
class Outcome:
    """What became of one shard: its manifest entry, or the reason why there is none."""

    assessment_id: str
    entry: Entry | None
    reason: str = ""


def fetch_shards(
    assessment_ids: Sequence[str],
    fetch_one: Callable[[str], Entry],
    *,
    threads: int,
    stop: threading.Event,
    on_done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run `fetch_one` for each assessment, on so many threads; `on_done` sees each outcome.

    A failed shard does not stop the others. When the server is not to be asked any more, or the
    run is stopped, the shards that are left get an outcome that says so.
    """
    halt = _Halt(stop)

    def attempt(assessment_id: str) -> Outcome:
        if halt.reason:
            return Outcome(assessment_id, None, f"not asked: {halt.reason}")
        try:
            return Outcome(assessment_id, fetch_one(assessment_id))
        except (AuthError, OutageError, StorageError, StoppedError) as error:
            halt.because(str(error))
            return Outcome(assessment_id, None, str(error))
        except PipelineError as error:
            return Outcome(assessment_id, None, str(error))
        except BaseException:
            # A full disk, or a mistake in the code: nothing else would go better.
            halt.because("the run ended")
            raise

    outcomes = []
    with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
        futures = [pool.submit(attempt, assessment_id) for assessment_id in assessment_ids]
        try:
            for future in as_completed(futures):
                outcomes.append(future.result())
                on_done(outcomes[-1])
        except BaseException:
            halt.because("the run ended")
            raise
    return outcomes


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
    """The error that names each failed assessment of an endpoint, with its reason."""
    failed = sorted((o for o in outcomes if o.entry is None), key=lambda o: o.assessment_id)
    kept = len(outcomes) - len(failed)
    lines = [f"  {endpoint} of assessment {o.assessment_id}: {o.reason}" for o in failed]
    return FetchError(
        f"{len(failed)} of {len(outcomes)} {endpoint} shards could not be fetched:\n"
        + "\n".join(lines)
        + f"\n{kept} were fetched now and are kept; nothing was published. "
        "Run again to ask for the missing ones only; an assessment that never succeeds can be "
        "left out with [illuminate] exclude_ids."
    )
