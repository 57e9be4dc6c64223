"""When to ask again, how long to wait before, and when to stop asking at all."""

import datetime as dt
import email.utils
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from pipeline.errors import AuthError, OutageError, StoppedError, TransientError

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RETRIES = 10
_SHARE_OF_RETRIES = 0.1
_MOST_FAILURES_IN_A_ROW = 50


def parse_retry_after(text: str | None) -> float | None:
    """The seconds that a Retry-After header asks for; None where it says nothing usable."""
    if text is None:
        return None
    try:
        if text.isascii() and text.strip().isdigit():
            return float(text)
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment.timestamp() - time.time())


class Pause:
    """A moment before which no thread may send anything."""

    def __init__(self, stop: threading.Event, longest: float) -> None:
        self._stop = stop
        self._longest = longest
        self._until = 0.0
        self._lock = threading.Lock()

    def extend(self, seconds: float) -> None:
        """Keep every thread from asking for the next `seconds`.

        Raises:
            OutageError: that is longer than this run may wait.
        """
        if seconds > self._longest:
            raise OutageError(
                f"the server asks not to be called for {seconds:,.0f} s; "
                f"run again after {_local_time_in(seconds)}"
            )
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return once requests are allowed.

        Raises:
            StoppedError: the run was asked to stop meanwhile.
        """
        while (left := self._until - time.monotonic()) > 0:
            self._stop.wait(left)
            if self._stop.is_set():
                break
        if self._stop.is_set():
            raise StoppedError("the run was asked to stop")


class Allowance:
    """How much failing a run may do before it asks no more, shared by all threads.

    A few first retries are free, and each good reply adds a tenth of one. So a few bad
    assessments are retried in full, and a server that is down costs little more than one request
    for each thing that is wanted, and much less when nothing succeeds.
    """

    def __init__(self) -> None:
        self._retries = float(_FIRST_RETRIES)
        self._failures = 0
        self._lock = threading.Lock()

    def succeeded(self) -> None:
        """Note a good reply."""
        with self._lock:
            self._failures = 0
            self._retries += _SHARE_OF_RETRIES

    def failed(self, error: TransientError) -> None:
        """Note a failed attempt.

        Raises:
            OutageError: the last attempts, of all threads, failed without exception.
        """
        with self._lock:
            self._failures += 1
            if self._failures >= _MOST_FAILURES_IN_A_ROW:
                raise OutageError(
                    f"{self._failures} requests in a row failed, the last one because {error}"
                )

    def take(self) -> bool:
        """Take one retry, if there is one left."""
        with self._lock:
            if self._retries < 1:
                return False
            self._retries -= 1
            return True


class Retrying:
    """Runs an attempt until it succeeds, a limit is reached, or the run is stopped."""

    def __init__(
        self,
        *,
        tries: int,
        longest_wait: float,
        pause: Pause,
        stop: threading.Event,
        on_retry: Callable[[], None],
    ) -> None:
        self._allowance = Allowance()
        self._tries = tries
        self._over: AuthError | OutageError | None = None
        self._pause = pause
        self._stop = stop
        self._on_retry = on_retry
        self._policy = tenacity.Retrying(
            stop=tenacity.stop_when_event_set(stop),
            wait=tenacity.wait_random_exponential(multiplier=1, max=longest_wait),
            retry=self._may_retry,
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=self._note_retry,
            reraise=True,
        )

    def call(self, attempt: Callable[[], T]) -> T:
        """Run `attempt`; the last TransientError is raised when it never succeeds.

        Raises:
            AuthError, OutageError: this attempt, or one before it, ended all asking in this run.
        """
        try:
            result: T = self._policy.copy()(self._guarded, attempt)
        except (AuthError, OutageError) as error:
            self._over = error
            raise
        self._allowance.succeeded()
        return result

    def _guarded(self, attempt: Callable[[], T]) -> T:
        self._pause.wait()
        if self._over is not None:
            raise self._over
        return attempt()

    def _may_retry(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if self._stop.is_set() or not isinstance(error, TransientError):
            return False
        if error.retry_after is not None:
            self._pause.extend(error.retry_after)
        self._allowance.failed(error)
        return state.attempt_number < self._tries and self._allowance.take()

    def _note_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.info("attempt %d failed, trying again: %s", state.attempt_number, error)
        self._on_retry()


def _local_time_in(seconds: float) -> str:
    try:
        moment = dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)
    except OverflowError:
        return "a very long time"
    return moment.strftime("%Y-%m-%d %H:%M %Z")
