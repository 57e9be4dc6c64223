"""SIGINT and SIGTERM during a run: the first asks it to stop, the second ends it at once."""

import logging
import os
import signal
import sys
import threading
from types import FrameType

log = logging.getLogger("pipeline")

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Sets `stop` when a signal arrives, between `handle` and `restore`.

    Args:
        stop: set by the first signal.
        is_command: a second signal ends this process; else the handlers from before decide.
    """

    def __init__(self, stop: threading.Event, *, is_command: bool) -> None:
        self._stop = stop
        self._is_command = is_command
        self._received: int | None = None
        self._before = {number: signal.getsignal(number) for number in _NUMBERS}

    def handle(self) -> None:
        """Take the signals, again if another library took them meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Put back the handlers from before."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def reraise(self) -> None:
        """Let the signal that arrived, if any, have its usual effect."""
        number, self._received = self._received, None
        if number is None:
            return
        if self._is_command:
            _die_of(number)
        self.restore()
        os.kill(os.getpid(), number)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._received = number
        if self._stop.is_set():
            self.reraise()
            return
        self._stop.set()
        log.warning("Stopping: what was fetched is kept; run the same command to continue.")


def _die_of(number: int) -> None:
    """End the process the way the signal does by default, so that the sender can tell."""
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container survives its own signals
