"""Where many items are worked on: in this process, one after the other, or elsewhere."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class RunAll(Protocol):
    """Calls a function for each item, anywhere, and returns the results in the items' order."""

    def __call__(self, call: Callable[[T], R], items: Iterable[T], /) -> Iterable[R]:
        """Return the result of each item."""
        ...


def here(call: Callable[[T], R], items: Iterable[T], /) -> Iterable[R]:
    """Call a function for each item in this process, one after the other."""
    return map(call, items)
