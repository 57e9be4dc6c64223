"""One run at a time in a data folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import FolderInUseError
from pipeline.storage import files


class Lock:
    """Hold a data folder until it is closed, and no longer than this process lives.

    The lock file names the process that holds it and the folders in which it writes. A run that was
    killed leaves these names behind, so that the next run can remove its temporary files.

    Raises:
        FolderInUseError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files.make_folder(path.parent)
        with files.wrap_os_errors(path):
            self._file = path.open("a+", encoding="utf-8", errors="replace")
            files.restrict_mode(self._file.fileno())
        self._file.seek(0)
        before = self._file.read().splitlines()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise FolderInUseError(
                f"Another run (process {before[0] if before else '?'}) is at work in "
                f"{path.parent}; nothing was changed. Wait until it ends, then run the same "
                "command again."
            ) from None
        self.unfinished = [Path(line) for line in before[1:]]
        """The folders in which a run was at work when it was killed."""

    def note(self, folders: Iterable[Path]) -> None:
        """Write down who holds the data folder and where it writes.

        This replaces the notes of a run that was killed: remove its temporary files before.
        """
        lines = [str(os.getpid()), *(str(folder.absolute()) for folder in folders)]
        with files.wrap_os_errors(self._path):
            self._file.truncate(0)
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Release the data folder, in which nothing is unfinished."""
        with contextlib.suppress(OSError):  # a write that fails now was reported before
            self._file.truncate(0)
        self.release()

    def release(self) -> None:
        """Release the data folder; what was unfinished in it stays noted."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> "Lock":
        """Return the lock, which is held."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.close()


def is_held(path: Path) -> bool:
    """Return True if a process holds the data folder of this lock file; changes nothing."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
