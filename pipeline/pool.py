"""The threads of a run: as many as may ask at the same time, kept from step to step."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_AHEAD = 64


class Pool:
    """A fixed number of threads, so that connections are opened once and never exceed it."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="fetch")

    def __enter__(self) -> "Pool":
        """Ready for work."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let every thread end; what no thread has begun is dropped."""
        self._executor.shutdown(cancel_futures=True)

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread do something as soon as one is free."""
        return self._executor.submit(call, *args, **kwargs)

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
