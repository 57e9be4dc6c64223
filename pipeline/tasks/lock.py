"""One run at a time in a data folder."""

import fcntl
import os
import sys
from pathlib import Path

from luigi.interface import PidLockAlreadyTakenExit

from pipeline import files


class Lock:
    """Holds a data folder until it is closed, and no longer than this process lives.

    The lock file tells who holds it and in which folders it writes. A run that was killed leaves
    these names behind, so that the next run can sweep there.

    Raises:
        PidLockAlreadyTakenExit: another process holds it; Luigi exits 10.
    """

    def __init__(self, path: Path) -> None:
        files.make_folder(path.parent)
        with files.storing(path):
            self._file = path.open("a+", encoding="utf-8", errors="replace")
            files.close_to_others(self._file.fileno())
        self._file.seek(0)
        before = self._file.read().splitlines()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"Another run (process {before[0] if before else '?'}) is at work in "
                f"{path.parent}; nothing was changed. Wait until it ends.",
                file=sys.stderr,
            )
            raise PidLockAlreadyTakenExit from None
        self.unfinished = [Path(line) for line in before[1:]]
        """The folders in which a run was at work when it was killed."""
        self._file.truncate(0)
        self.note(str(os.getpid()))

    def note(self, line: str) -> None:
        """Write a folder down as one that this run writes in."""
        self._file.write(f"{line}\n")
        self._file.flush()

    def close(self) -> None:
        """Free the data folder; all that was begun in it is finished."""
        self._file.truncate(0)
        self._file.close()

    def __enter__(self) -> "Lock":
        """Hold it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free it at the end of the block."""
        self.close()
