"""The threads of a run: a fixed number for requests, and a few that write shards."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_AHEAD = 64
_WRITERS = 8


class Pool:
    """Executors for requests and for shard writes.

    There are as many connections as request threads, so no more of these are ever started. Writes
    have threads of their own, so that a slow disk, where a sync takes as long as a request, delays
    none; on a quick disk that makes no difference.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._requests = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        self._writes = ThreadPoolExecutor(_WRITERS, thread_name_prefix="write")
        self._room = threading.BoundedSemaphore(2 * _WRITERS)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for every thread; requests that have not begun are dropped."""
        self._requests.shutdown(cancel_futures=True)
        self._writes.shutdown()

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on a request thread as soon as one is free."""
        return self._requests.submit(call, *args, **kwargs)

    def submit_write(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a call on a writer thread; wait while too many are queued already."""
        self._room.acquire()
        future = self._writes.submit(call, *args, **kwargs)
        future.add_done_callback(lambda _: self._room.release())

    def map(self, call: Callable[[int], T], numbers: range) -> Iterator[T]:
        """Yield `call(number)` for each number, in order, on this thread and all that are free.

        A thread of the pool may use it: it waits only for calls that others have begun. When it
        ends, early or by an error, none of its calls is still running.
        """
        for start in range(0, len(numbers), _AHEAD):
            part = numbers[start : start + _AHEAD]
            futures = [(number, self.submit(call, number)) for number in part]
            try:
                here = {number: call(number) for number, future in futures if future.cancel()}
                for number, future in futures:
                    yield here[number] if number in here else future.result()
            finally:
                wait([future for _, future in futures if not future.cancel()])
