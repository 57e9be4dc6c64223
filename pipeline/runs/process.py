"""What a run needs of its process: files, threads, address space, and a polars that can start."""

import mmap
import os
import resource
import threading

from pipeline.config import sections, settings
from pipeline.errors import StorageError
from pipeline.runs import memory

_OWN_FILES = 64
_OWN_THREADS, _THREADS_PER_CORE = 32, 6
_ADDRESS_SPACE = {
    # Libraries reserve far more than they use, and end the process where they cannot.
    "v": (resource.RLIMIT_AS, 3 << 30, ", of which it uses a tenth"),
    "d": (resource.RLIMIT_DATA, 1 << 30, ""),
}
"""The limits of address space by the options of `ulimit`, what a run needs, and why so much."""
_STACK = 1 << 18
"""Enough for a thread that waits: each reserves all of its stack, by default 8 MB."""
_FOR_POLARS = {
    # How its allocator, jemalloc, keeps freed memory. Without it, the tables of a district of
    # 4 million rows take 13 % more memory.
    "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0",
    # How much of a CSV file it reads at once, in bytes, and how many row groups of a Parquet file
    # it reads ahead. Without them, the tables of four years of 3 million rows each are concatenated
    # in 1,050 MB, with them in 230, for the same processor time. No argument of `scan_csv` or
    # `scan_parquet` has this effect.
    "POLARS_CSV_CHUNK_SIZE": "1000000",
    "POLARS_ROW_GROUP_PREFETCH_SIZE": "1",
}


def prepare() -> None:
    """Set polars up, before it is imported, and see what this process may use.

    Raises:
        StorageError: that is less than a run needs.
    """
    set_polars_up()
    memory.warn_if_short(is_demo=settings.is_demo())
    check_limits()


def set_polars_up() -> None:
    """Set polars up, before it is imported."""
    if count := settings.read(sections.build).threads:
        os.environ["POLARS_MAX_THREADS"] = str(count)
    for name, value in _FOR_POLARS.items():
        os.environ.setdefault(name, value)
    let_polars_start()


def check_limits() -> None:
    """See how many files and threads, and how much address space, this process may use.

    Raises:
        StorageError: that is less than a run needs.
    """
    cores = settings.read(sections.build).threads or os.cpu_count() or 1
    _check_files(_OWN_FILES + 4 * settings.threads())
    _check_address_space()
    _check_threads(_OWN_THREADS + settings.threads() + _THREADS_PER_CORE * cores)


def let_polars_start() -> None:
    """Let polars start where no memory is executable, as with systemd's MemoryDenyWriteExecute.

    Otherwise it looks for the features of the processor with machine code that it writes itself.
    """
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        os.environ["POLARS_SKIP_CPU_CHECK"] = "1"


def _check_files(needed: int) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise StorageError(
            f"This process may open {limit} files and needs {needed}. Raise the limit "
            "(ulimit -n), then run the same command again. Nothing was changed."
        )


def _check_address_space() -> None:
    for option, (number, needed, how_much) in _ADDRESS_SPACE.items():
        limit, _ = resource.getrlimit(number)
        if limit != resource.RLIM_INFINITY and limit < needed:
            raise StorageError(
                f"This process may have {limit // memory.MEGABYTE:,} MB of address space "
                f"(ulimit -{option}) and needs {needed // memory.MEGABYTE:,}{how_much}. "
                f"Remove the limit (ulimit -{option} unlimited); to limit memory, use "
                "systemd's MemoryMax or docker --memory. Then run the same command again. Nothing "
                "was changed."
            )


def _check_threads(needed: int) -> None:
    """Start as many threads as a run does: no limit says which others count towards it."""
    ended, started = threading.Event(), []
    usual = threading.stack_size(_STACK)
    try:
        for _ in range(needed):
            thread = threading.Thread(target=ended.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        raise StorageError(
            f"This process needs {needed} threads, and the system let it start {len(started)}. "
            "Raise the limit (ulimit -u, systemd's TasksMax, docker --pids-limit), or lower "
            "[illuminate] threads and [build] threads. Then run the same command again. Nothing "
            "was changed."
        ) from None
    finally:
        threading.stack_size(usual)
        ended.set()
        for thread in started:
            thread.join()
