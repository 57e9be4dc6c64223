"""One run at a time in a data folder."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from luigi.interface import PidLockAlreadyTakenExit

from pipeline.storage import files

_ALREADY_RUNNING = 10


class Lock:
    """Holds a data folder until it is closed, and no longer than this process lives.

    The lock file tells who holds it and in which folders it writes. A run that was killed leaves
    these names behind, so that the next run can sweep there.

    Raises:
        PidLockAlreadyTakenExit: another process holds it; Luigi exits 10.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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
            raise PidLockAlreadyTakenExit(_ALREADY_RUNNING) from None
        self.unfinished = [Path(line) for line in before[1:]]
        """The folders in which a run was at work when it was killed."""

    def note(self, folders: Iterable[Path]) -> None:
        """Write down who holds the data folder and where it writes, in place of what stood there.

        Until then the notes of a run that was killed stay, so sweep before.
        """
        lines = [str(os.getpid()), *(str(folder.absolute()) for folder in folders)]
        with files.storing(self._path):
            self._file.truncate(0)
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Free the data folder; all that was begun in it is finished."""
        with contextlib.suppress(OSError):  # what cannot be written now was said before
            self._file.truncate(0)
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> "Lock":
        """Hold it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free it at the end of the block."""
        self.close()
