"""The claim to a data folder, for the processes that its lock does not reach: those of other hosts.

A claim is a file beside the lock file, `.lock.1`. It names a process and its host, and has a count
that this process raises every two seconds. Clocks of hosts are never compared: whoever finds the
claim of another host reads it again and again. A count that changes is a live process; one that is
the same 32 times within 16 s is of a host that was lost, and the claim is dead.

One of several processes that take a folder at once has it. Each creates the claim after the highest
that it found dead, which one of them can; then it reads all claims, and withdraws its own if any is
there that it did not find dead, with this very count. So of two claims the later one gives way.

A process that was stalled, with its host for example, finds the claim of another one beside its
own, or its own removed. It finds out before it publishes: `beat` raises the count first and looks
then, so whoever has not yet claimed the folder sees the new count, and begins to wait again.
"""

import contextlib
import datetime as dt
import errno
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import FolderInUseError
from pipeline.storage import files

log = logging.getLogger("pipeline")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_READS_PER_BEAT = 4

Claims = Mapping[Path, bytes]


class Tempo(NamedTuple):
    """Seconds between beats, and how many are missed before a claim is dead."""

    beat: float = 2.0
    missed: int = 8


USUAL = Tempo()


class Host(NamedTuple):
    """A host for people, and what is the same in all processes that one file lock reaches."""

    name: str
    reach: str

    @classmethod
    def of(cls, handle: int, *, has_locks: bool = True) -> "Host":
        """Return this host; an open file on the file system says how far its locks reach.

        Containers of one kernel share its locks, whatever their names. Another mount of the same
        volume has locks of its own.
        """
        name = boot = socket.gethostname()
        with contextlib.suppress(OSError):  # macOS has none
            boot = _BOOT_ID.read_text(encoding="ascii").strip()
        return cls(name, f"{boot} {os.fstat(handle).st_dev}" if has_locks else "")

    def has(self, claim: bytes) -> bool:
        """Return True if the file lock decides between this process and that of a claim."""
        return bool(self.reach) and _line(claim, 2) == self.reach


class Claim:
    """The claim of this process, renewed until it is removed.

    Args:
        lock: the lock file, which this process has locked, as far as that goes.
        host: the host of this process. Other claims of it are dead, as their locks were free.
        tempo: how often it is renewed, and when others are dead.
        on_lost: called by a thread once another process has taken over, with its id and host.

    Raises:
        FolderInUseError: another process holds the folder.
        StorageError: the claim cannot be written.
    """

    def __init__(
        self, lock: Path, host: Host, tempo: Tempo, on_lost: Callable[[str], None]
    ) -> None:
        self._lock, self._tempo, self._on_lost = lock, tempo, on_lost
        started = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"  # for people
        own = (os.getpid(), host.name, host.reach, secrets.token_hex(8), started)
        self._name = "".join(f"{line}\n" for line in own).encode()
        self._count = 0
        self._beating, self._ended = threading.Lock(), threading.Event()
        with files.wrap_os_errors(lock):
            self._path = self._take(host)
        threading.Thread(target=self._go_on, name="heartbeat", daemon=True).start()

    def beat(self) -> str:
        """Raise the count; return who has taken over, empty if nobody has.

        If nobody has, nobody will for as many beats as make a claim dead.

        Raises:
            OSError: that is not known; the file system does not answer as it should.
        """
        with self._beating:
            if self._ended.is_set():
                return ""
            self._count += 1
            is_there = self._write()
            claims = find(self._lock)
        is_highest = max(map(_number, claims), default=0) == _number(self._path)
        return "" if is_there and is_highest else describe(claims)

    def remove(self) -> None:
        """End the heartbeat and give up the folder, unless another process has it already."""
        self._ended.set()
        with self._beating, contextlib.suppress(OSError):
            if self._is_own():
                self._path.unlink()

    def _take(self, host: Host) -> Path:
        while True:
            found = find(self._lock)
            foreign = {path: claim for path, claim in found.items() if not host.has(claim)}
            if not self._is_silent(foreign):
                continue
            highest = max(map(_number, found), default=0)
            path = self._lock.with_name(f"{self._lock.name}.{highest + 1}")
            if self._create(path, dead=found):
                break
        if foreign:
            log.warning(
                "The process %s gave no sign of life for %.0f s, so this run took over %s.",
                *(describe(foreign), self._tempo.beat * self._tempo.missed, self._lock.parent),
            )
        return path

    def _is_silent(self, claims: Claims) -> bool:
        """Return True if nobody holds these claims any more; False if one was removed.

        Raises:
            FolderInUseError: one is held.
        """
        changed = watch(claims, self._tempo.beat, self._tempo.missed)
        if changed:
            raise in_use(self._lock.parent, describe(changed))
        return changed is None

    def _create(self, path: Path, *, dead: Claims) -> bool:
        """Create the claim, which decides; return False if another process was faster."""
        try:
            file = path.open("xb", buffering=0)
        except FileExistsError:
            return False
        try:
            with file:
                files.restrict_mode(file.fileno())
                file.write(self._content())
            others = {other: claim for other, claim in find(self._lock).items() if other != path}
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        is_alone = others == dead
        for other in dead if is_alone else [path]:
            other.unlink(missing_ok=True)
        return is_alone

    def _write(self) -> bool:
        """Write the count; return False if the claim is not there any more.

        Closing the file brings it to the server. It need not survive a power cut.
        """
        if not self._is_own():
            return False
        with contextlib.suppress(FileNotFoundError), self._path.open("r+b", buffering=0) as file:
            file.write(self._content())
            return True
        return False

    def _is_own(self) -> bool:
        return read([self._path]).get(self._path, b"").startswith(self._name)

    def _content(self) -> bytes:
        return self._name + b"%020d\n" % self._count

    def _go_on(self) -> None:
        while not self._ended.wait(self._tempo.beat):
            with contextlib.suppress(OSError):  # the server may be back before the next beat
                if other := self.beat():
                    self._on_lost(other)
                    return


def find(lock: Path) -> Claims:
    """Return the claims beside a lock file."""
    paths = [path for path in lock.parent.iterdir() if path.stem == lock.name]
    return read(path for path in paths if path.suffix[1:].isdecimal())


def watch(claims: Claims, beat: float, beats: int) -> Claims | None:
    """Read claims again and again until one changes.

    Reads are counted, and not seconds: while a server does not answer, nobody is found dead.

    Returns:
        Those that were renewed; none of them where one was removed; None if all stayed the same.
    """
    for _ in range(_READS_PER_BEAT * beats if claims else 0):
        time.sleep(beat / _READS_PER_BEAT)
        now = read(claims)
        if now != claims:
            return {path: claim for path, claim in now.items() if claim != claims[path]}
    return None


def read(paths: Iterable[Path]) -> Claims:
    """Return the content of each claim that is there."""
    found = {}
    for path in paths:
        try:
            found[path] = path.read_bytes()
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESTALE}:  # on NFS, one just removed
                raise
    return found


def describe(claims: Claims) -> str:
    """Return the id of the process of the highest claim, and its host if that is another one."""
    claim = _highest(claims)
    process, host = _line(claim, 0) or "?", _line(claim, 1)
    return f"{process} on {host}" if host not in {"", socket.gethostname()} else process


def started(claims: Claims) -> str:
    """Return when the process of the highest claim took the folder; empty if that is not known."""
    return _line(_highest(claims), 4)


def in_use(folder: Path, holder: str) -> FolderInUseError:
    """Return the error of a data folder that a process holds."""
    return FolderInUseError(
        f"Another run (process {holder}) is at work in {folder}; nothing was changed. Wait "
        "until it ends, then run the same command again."
    )


def _highest(claims: Claims) -> bytes:
    return claims[max(claims, key=_number)] if claims else b""


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _line(claim: bytes, number: int) -> str:
    """Return a line of a claim; empty where its process was killed before it was written."""
    return dict(enumerate(claim.decode(errors="replace").splitlines())).get(number, "")
