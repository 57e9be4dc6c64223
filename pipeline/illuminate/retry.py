"""When to retry a request, how long to wait first, and when to send no more requests."""

import datetime as dt
import email.utils
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from pipeline.errors import AuthError, OutageError, StoppedError, TransientError
from pipeline.illuminate.limits import Limits

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RETRIES = 10
_REQUESTS_A_RETRY = 10
_MOST_FAILURES_IN_A_ROW = 50


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None if it cannot be read."""
    if text is None:
        return None
    try:
        if text.isascii() and text.strip().isdigit():
            return float(text)
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment.timestamp() - time.time())


class Cooldown:
    """A time, shared by all threads, before which no request may be sent."""

    def __init__(self, stop: threading.Event, max_seconds: float) -> None:
        self._stop = stop
        self._max_seconds = max_seconds
        self._until = 0.0
        self._lock = threading.Lock()

    def extend(self, seconds: float) -> None:
        """Send no request for the next `seconds`.

        Raises:
            OutageError: that is longer than a run may wait.
        """
        if seconds > self._max_seconds:
            raise OutageError(
                f"the server asked to wait {seconds:,.0f} s, until {_local_time_in(seconds)}"
            )
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return once requests may be sent.

        Raises:
            StoppedError: the run was asked to stop.
        """
        while (left := self._until - time.monotonic()) > 0:
            self._stop.wait(left)
            if self._stop.is_set():
                break
        if self._stop.is_set():
            raise StoppedError("the run was asked to stop")


class RetryBudget:
    """The retries that a run may still make, shared by all threads.

    A run has a few retries, and a tenth of the requests that it expects to make, or that succeeded
    if these are more. So a few bad assessments are retried in full, and so is a bad beginning,
    while a server that is down gets little more than one request for each assessment, and far
    fewer when nothing succeeds.
    """

    def __init__(self) -> None:
        self._taken = self._failures = self._expected = self._succeeded = 0
        self._lock = threading.Lock()

    def expect(self, requests: int) -> None:
        """Expect so many requests more."""
        with self._lock:
            self._expected += requests

    def succeeded(self) -> None:
        """Record a good reply."""
        with self._lock:
            self._failures = 0
            self._succeeded += 1

    def failed(self, error: TransientError) -> None:
        """Record a failed attempt.

        Raises:
            OutageError: too many attempts in a row failed, over all threads.
        """
        with self._lock:
            self._failures += 1
            if self._failures >= _MOST_FAILURES_IN_A_ROW:
                raise OutageError(
                    f"{self._failures} requests in a row failed; the last error was: {error}"
                )

    def take(self) -> bool:
        """Take one retry; return False if none is left."""
        with self._lock:
            requests = max(self._expected, self._succeeded)
            if self._taken >= _FIRST_RETRIES + requests // _REQUESTS_A_RETRY:
                return False
            self._taken += 1
            return True


class Retrying:
    """Repeats an attempt until it succeeds, a limit is reached, or the run is stopped."""

    def __init__(self, limits: Limits, stop: threading.Event, on_retry: Callable[[], None]) -> None:
        self.budget = RetryBudget()
        self._cooldown = Cooldown(stop, limits.max_retry_after)
        self._tries = limits.tries
        self._final_error: AuthError | OutageError | None = None
        self._stop = stop
        self._on_retry = on_retry
        self._policy = tenacity.Retrying(
            stop=tenacity.stop_when_event_set(stop),
            wait=tenacity.wait_random_exponential(multiplier=1, max=limits.max_backoff),
            retry=self._may_retry,
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=self._note_retry,
            reraise=True,
        )

    def call(self, attempt: Callable[[], T], what: str = "a request") -> T:
        """Return what `attempt` returns, repeated after each TransientError.

        Args:
            attempt: sends the request.
            what: names it in the log.

        Raises:
            TransientError: the last attempt failed, too.
            AuthError, OutageError: this attempt, or an earlier one of any thread, ended all
                requests of this run.
        """
        try:
            result: T = self._policy.copy()(self._guarded, attempt, what)
        except (AuthError, OutageError) as error:
            self._final_error = error
            raise
        self.budget.succeeded()
        return result

    def once(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt` returns, which is not repeated.

        If the server asks to wait, all requests that follow do.

        Raises:
            TransientError: it failed.
            AuthError: its credentials were rejected; others may still be accepted.
            AuthError, OutageError: an earlier attempt of any thread ended all requests of this run,
                or the server asked to wait for longer than a run may.
        """
        try:
            return self._guarded(attempt, "")
        except TransientError as error:
            self._wait_as_asked(error)
            raise

    def _wait_as_asked(self, error: TransientError) -> None:
        """Let all requests wait as long as the server asked; if that is too long, end them."""
        try:
            if error.retry_after is not None:
                self._cooldown.extend(error.retry_after)
        except OutageError as too_long:
            self._final_error = too_long
            raise

    def _guarded(self, attempt: Callable[[], T], _what: str) -> T:
        self._cooldown.wait()
        if self._final_error is not None:
            raise self._final_error
        return attempt()

    def _may_retry(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if self._stop.is_set() or not isinstance(error, TransientError):
            return False
        self._wait_as_asked(error)
        self.budget.failed(error)
        return state.attempt_number < self._tries and self.budget.take()

    def _note_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = getattr(error, "retry_after", None)
        when = f" after {wait:,.0f} s" if wait else ""
        what, attempt = state.args[1], state.attempt_number
        log.info("%s: attempt %d failed, retrying%s: %s", what, attempt, when, error)
        self._on_retry()


def _local_time_in(seconds: float) -> str:
    try:
        moment = dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)
    except OverflowError:
        return "the far future"
    return moment.strftime("%Y-%m-%d %H:%M %Z")
