"""One run at a time in a data folder.

Two things hold it. The kernel's lock of the lock file decides at once among the processes that it
reaches, which are those of one host at least, and ends with its process. A claim beside it holds
off those of other hosts that share the volume; see `pipeline.runs.heartbeat`. So nobody waits,
except where a host was lost during a run and another one takes over.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

from pipeline.errors import StoppedError, StorageError
from pipeline.runs import heartbeat
from pipeline.runs.heartbeat import USUAL, Claim, Host, Tempo
from pipeline.storage import file_system, files

log = logging.getLogger("pipeline")

_TRIES, _PAUSE = 10, 0.01


class Lock:
    """Hold a data folder until it is closed, and no longer than this process lives.

    The lock file names the process that holds it and the folders in which it writes. A run that was
    killed leaves these names behind, so that the next run can remove its temporary files.

    Args:
        path: the lock file.
        stop: set once a process of another host has taken over, because this one was stalled.
        host: the host of this process; found out by default.
        tempo: how often the claim is renewed, and when those of others are dead.

    Raises:
        FolderInUseError: another process holds it.
        StorageError: the lock file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        stop: threading.Event | None = None,
        host: Host | None = None,
        tempo: Tempo = USUAL,
    ) -> None:
        self._path = path
        self._stop = stop or threading.Event()
        self.loss = ""
        """Why this process does not hold the folder any more; empty while it does."""
        files.make_folder(path.parent)
        with contextlib.ExitStack() as opened:
            with files.wrap_os_errors(path):
                self._file = path.open("a+", encoding="utf-8", errors="replace")
                opened.callback(self._file.close)
                files.restrict_mode(self._file.fileno())
                has_locks = _lock(self._file, path)
                host = host or Host.of(self._file.fileno(), has_locks=has_locks)
            self._claim = Claim(path, host, tempo, self._lose)
            opened.pop_all()
        self._file.seek(0)
        self.unfinished = _noted(self._file.read())
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

    def check(self) -> None:
        """Make sure that this process still holds the data folder, before it changes what counts.

        Raises:
            StoppedError: it does not, and has to stop.
            StorageError: that is not known.
        """
        if not self.loss:
            with files.wrap_os_errors(self._path):
                if other := self._claim.beat():
                    self._lose(other)
        if self.loss:
            raise StoppedError(self.loss)

    def close(self) -> None:
        """Release the data folder, in which nothing is unfinished."""
        if not self.loss:  # else these are the notes of another run
            with contextlib.suppress(OSError):  # a write that fails now was reported before
                self._file.truncate(0)
        self.release()

    def release(self) -> None:
        """Release the data folder; what was unfinished in it stays noted."""
        self._claim.remove()
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> "Lock":
        """Return the lock, which is held."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.close()

    def _lose(self, other: str) -> None:
        if self.loss:
            return
        self.loss = (
            f"This run was stalled for so long that another one (process {other}) took over "
            f"{self._path.parent}, so it stopped. It published nothing since, and what was fetched "
            "is kept. Run the same command again when that run has ended."
        )
        log.error(self.loss)
        self._stop.set()


class Holder(NamedTuple):
    """Who holds a data folder, since when, and the folders in which it writes."""

    process: str
    since: str
    folders: list[Path]


def find_holder(path: Path) -> Holder | None:
    """Return who holds the data folder of this lock file; None if nobody does.

    Raises:
        StorageError: this user may not read the lock file.
    """
    if not is_held(path):
        return None
    claims = heartbeat.find(path)
    since = heartbeat.started(claims) or "an unknown time"
    return Holder(heartbeat.describe(claims), since, _noted(path.read_text("utf-8", "replace")))


def is_held(path: Path, tempo: Tempo = USUAL) -> bool:
    """Return True if a process holds the data folder of this lock file; changes nothing.

    That takes time where there is a claim of another host: until its next heartbeat.

    Raises:
        StorageError: this user may not read the lock file.
    """
    try:
        with path.open("rb") as file:
            has_locks = True
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:
                has_locks = False
            host = Host.of(file.fileno(), has_locks=has_locks)
        claims = heartbeat.find(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        raise StorageError(
            f"this user may not read {path}. Ask as the user of the runs, or set [paths] "
            "group_readable, with which the owner's group may read it."
        ) from None
    foreign = {each: claim for each, claim in claims.items() if not host.has(claim)}
    return bool(heartbeat.watch(foreign, tempo.beat, tempo.missed // 2))


def _noted(text: str) -> list[Path]:
    """Return the folders that a lock file names, below the process."""
    return [Path(line) for line in text.splitlines()[1:]]


def can_lock(folder: Path) -> bool:
    """Return True if the file system of a folder has locks; warn if it has none."""
    with files.wrap_os_errors(folder), tempfile.TemporaryFile("w+", dir=folder) as file:
        return _lock(file, folder / "lock")


def _lock(file: IO[str], path: Path) -> bool:
    """Lock a file; return False if its file system has no locks.

    Raises:
        FolderInUseError: another process has locked it.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)  # perhaps a command only looks whether it is locked
        except OSError as error:
            file_system.say_it_has_no_locks(path.parent, error)
            return False
        else:
            return True
    raise heartbeat.in_use(path.parent, heartbeat.describe(heartbeat.find(path)))
