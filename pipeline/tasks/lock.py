"""One run at a time in a data folder."""

import fcntl
import os
import sys
from pathlib import Path
from typing import IO

from luigi.interface import PidLockAlreadyTakenExit

from pipeline import files


def hold(path: Path) -> IO[str]:
    """Hold the lock at `path` until the result is closed, and no longer than this process lives.

    Raises:
        PidLockAlreadyTakenExit: another process holds it; Luigi exits 10.
    """
    files.make_folder(path.parent)
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        print(
            f"Another run (process {handle.read().strip()}) is at work in {path.parent}; "
            "nothing was changed. Wait until it ends.",
            file=sys.stderr,
        )
        raise PidLockAlreadyTakenExit from None
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle
