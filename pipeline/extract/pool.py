"""The threads of a run: as many as may ask at once, one that proves, and a few that keep."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_AHEAD = 64
_KEEPERS = 8


class Pool:
    """A fixed number of threads that ask, so that connections are opened once and never exceed it.

    What came is kept by threads of their own, so that nobody asks later because a disk is slow. And
    one proves large pages: the interpreter lets one thread at a time make objects anyhow, and when
    many take turns at them, the objects go from one core's cache to the next. That made asking for
    full pages half as long again.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._asking = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        self._proving = ThreadPoolExecutor(1, thread_name_prefix="prove")
        self._keeping = ThreadPoolExecutor(_KEEPERS, thread_name_prefix="keep")
        self._room = threading.BoundedSemaphore(2 * _KEEPERS)

    def __enter__(self) -> "Pool":
        """Ready for work."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let every thread end; what no thread has begun to ask is dropped."""
        self._asking.shutdown(cancel_futures=True)
        self._proving.shutdown()
        self._keeping.shutdown()

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread that asks do something as soon as one is free."""
        return self._asking.submit(call, *args, **kwargs)

    def keep(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have a thread that keeps do something; wait while too much is to be kept already."""
        self._room.acquire()
        future = self._keeping.submit(call, *args, **kwargs)
        future.add_done_callback(lambda _: self._room.release())

    def alone(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What a call gives, made by the one thread that proves large pages."""
        return self._proving.submit(call, *args, **kwargs).result()

    def each(self, call: Callable[[int], T], numbers: range) -> Iterator[T]:
        """What `call` gives for each number, in order: by this thread and all that are free.

        A thread of the pool may ask for this: it waits only for what others have begun.
        """
        for start in range(0, len(numbers), _AHEAD):
            part = numbers[start : start + _AHEAD]
            futures = [(number, self.submit(call, number)) for number in part]
            try:
                here = {number: call(number) for number, future in futures if future.cancel()}
                for number, future in futures:
                    yield here[number] if number in here else future.result()
            finally:
                for _, future in futures:
                    future.cancel()
