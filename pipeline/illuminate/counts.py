"""Counts of the requests of a run."""

import threading
from collections import Counter

COUNTED = ("requests", "retries", "tokens")


class Counts:
    """Requests, retries and tokens of a run so far, over all threads."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Add one to a count named in COUNTED."""
        with self._lock:
            self._counter[name] += 1

    def since(self, before: dict[str, int]) -> dict[str, int]:
        """Return what was counted since a snapshot."""
        return {name: count - before[name] for name, count in self.snapshot().items()}

    def snapshot(self) -> dict[str, int]:
        """Return the current counts."""
        with self._lock:
            return {name: self._counter[name] for name in COUNTED}
