"""Where a client does its work: on the thread that calls it, or on those that it is lent."""

from collections.abc import Callable, Iterable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Protocol):
    """Threads that a client may use besides the one that calls it."""

    def each(self, call: Callable[[int], T], numbers: range, /) -> Iterable[T]:
        """What `call` gives for each number, in order, maybe by many at once."""

    def alone(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` gives, maybe made by a thread that makes one after the other."""


class Here:
    """No threads but the one that calls."""

    def each(self, call: Callable[[int], T], numbers: range, /) -> Iterable[T]:
        """One after the other."""
        return map(call, numbers)

    def alone(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """At once."""
        return call(*args, **kwargs)
