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
    """Sets `stop` when a signal arrives, between `handle` and `restore`."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._received: int | None = None
        self._before = {number: signal.getsignal(number) for number in _NUMBERS}

    def handle(self) -> None:
        """Take the signals, again if another library took them meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Give the signals back to whom they belonged."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def reraise(self, *, is_command: bool) -> None:
        """Let the signal that arrived, if any, have its usual effect.

        Args:
            is_command: end this process by it; else its own handlers decide.
        """
        if self._received is None:
            return
        if is_command:
            _die_of(self._received)
        os.kill(os.getpid(), self._received)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._stop.is_set():
            _die_of(number)
        self._received = number
        self._stop.set()
        log.warning("Stopping: finished shards are kept; run the same command to continue.")


def _die_of(number: int) -> None:
    """End the process the way the signal does by default, so that the sender can tell."""
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container survives its own signals
