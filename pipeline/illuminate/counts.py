"""What a run has asked of the server so far."""

import threading
from collections import Counter

COUNTED = ("requests", "retries", "tokens")


class Counts:
    """What a run has asked so far, counted by all threads."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Count one more of what COUNTED names."""
        with self._lock:
            self._counter[name] += 1

    def snapshot(self) -> dict[str, int]:
        """The counts of now."""
        with self._lock:
            return {name: self._counter[name] for name in COUNTED}
