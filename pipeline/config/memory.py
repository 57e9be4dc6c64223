"""Values that are dear to read and cannot change while a run lasts."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memory:
    """Reads values once from `begin` to `end`, and anew each time at all other times."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] | None = None

    def begin(self) -> None:
        """Remember what is read from now on."""
        self._known = {}

    def end(self) -> None:
        """Forget it, and remember nothing more."""
        self._known = None

    def get(self, read: Callable[[], T]) -> T:
        """What `read` returns now, or returned when it was first called."""
        if self._known is None:
            return read()
        if read not in self._known:
            self._known[read] = read()
        value: T = self._known[read]
        return value
