"""Requests that are made before what they tell is needed, on threads that would be idle."""

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from pipeline.extract.pool import Pool

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Early(Generic[K, T]):
    """Calls by key on the threads of a pool, begun before they are needed.

    Nothing depends on them: whoever needs one that failed or was not made makes it then, and meets
    its error. When the block ends, no call is still running.
    """

    def __init__(self, pool: Pool, call: Callable[[K], T]) -> None:
        self._pool, self._call = pool, call
        self._begun: dict[K, Future[T]] = {}

    def __enter__(self) -> "Early[K, T]":
        return self

    def __exit__(self, *_: object) -> None:
        """Begin nothing more, and wait for what has begun."""
        self.end()

    def __contains__(self, key: K) -> bool:
        return key in self._begun

    def begin(self, keys: Iterable[K]) -> None:
        """Make a call for each key as soon as a thread is free, unless it is made already."""
        for key in keys:
            if key not in self._begun:
                self._begun[key] = self._pool.submit(self._call, key)

    def end(self) -> None:
        """Begin nothing more, and wait for what has begun; what came can still be taken."""
        wait([call for call in self._begun.values() if not call.cancel()])

    def get(self, key: K) -> T:
        """Return what came for a key, once; if nothing did, make the call, and raise its error."""
        known = self.take(key)
        return self._call(key) if known is None else known

    def take(self, key: K) -> T | None:
        """Return what came for a key, once, or comes; None if it is still to be requested.

        A thread of the pool may use it, because the pool begins calls in the order of requests.
        """
        begun = self._begun.pop(key, None)
        if begun is None or begun.cancelled() or begun.exception():
            return None
        return begun.result()
