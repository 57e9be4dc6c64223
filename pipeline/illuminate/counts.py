"""Counts of the requests of a run."""

import threading
from collections import Counter

COUNTED = ("requests", "retries", "tokens")


class Counts:
    """Requests, retries and tokens of a run, over all threads, each to be told once."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Add one to a count named in COUNTED."""
        with self._lock:
            self._counter[name] += 1

    def take(self) -> dict[str, int]:
        """Return what was counted since the last time."""
        with self._lock:
            counted, self._counter = self._counter, Counter()
        return {name: counted[name] for name in COUNTED}

    def snapshot(self) -> dict[str, int]:
        """Return what will be told the next time."""
        with self._lock:
            return {name: self._counter[name] for name in COUNTED}
