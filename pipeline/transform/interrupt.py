"""A long call that ends early when the run is asked to stop, or when its time is up."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from pipeline.errors import StoppedError

T = TypeVar("T")

_INTERVAL = 0.1  # seconds


def call_until(
    stop: threading.Event, time_limit: float, call: Callable[[], T], interrupt: Callable[[], None]
) -> T:
    """Return what `call` returns, or raise what it raises.

    It has a thread of its own, so that this one can take signals meanwhile.

    Args:
        stop: Set when the run is to stop.
        time_limit: Seconds that the call may take; 0: any time.
        call: Long work.
        interrupt: Makes it fail soon; repeated, as it may have no effect at first.

    Raises:
        StoppedError: The run was asked to stop before the call had succeeded.
        TimeoutError: The time was up.
    """
    end = time.monotonic() + time_limit if time_limit > 0 else math.inf
    is_late = False
    with ThreadPoolExecutor(1) as worker:
        called = worker.submit(call)
        while wait([called], timeout=_INTERVAL).not_done:
            is_late = time.monotonic() > end
            if is_late or stop.is_set():
                interrupt()
    if called.exception() is not None:
        if stop.is_set():
            raise StoppedError("The run was asked to stop.")
        if is_late:
            raise TimeoutError
    return called.result()
