"""Two Dask workers on this machine, and work that a worker does not survive."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.state.cluster import Cluster, on_this_machine

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def two_workers(folder: Path) -> Iterator[Cluster]:
    """Yield two workers that end with the block."""
    with on_this_machine(2) as address:
        cluster = Cluster(address, "", folder)
        try:
            yield cluster
        finally:
            cluster.close()


def die_once(died: Path, call: Callable[[T], R], item: T) -> R:
    """Kill this process the first time anybody calls this; else call."""
    try:
        died.touch(exist_ok=False)
    except FileExistsError:
        return call(item)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
