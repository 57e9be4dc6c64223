"""Files: written so that a reader sees the old content or the new, never a part of either."""

import contextlib
import errno
import functools
import hashlib
import itertools
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import msgspec

from pipeline.errors import StorageError
from pipeline.storage import file_system

DISK_FULL = "the disk is full"
"""The reason why a file cannot be written where there is no space left."""

_BLOCK = 1 << 20
_TEMP_NAME = re.compile(r"\..+\.[0-9]+-[0-9]+\.partial", re.DOTALL)
_serial = itertools.count()
_making_folders = threading.Lock()
_modes = SimpleNamespace(file=0o600, folder=0o700)

T = TypeVar("T")


class FileStamp(NamedTuple):
    """A file as it was written: SHA-256, size in bytes, modification time in ns.

    While size and time are the same, the content is trusted; otherwise it is hashed again.
    """

    sha256: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path, known: "FileStamp | None" = None) -> "FileStamp":
        """Stamp a file as it is now; hash it only if it differs from what is `known`."""
        if known and known.is_current(path):
            return known
        return cls.with_digest(sha256(path), path)

    @classmethod
    def with_digest(cls, digest: str, path: Path) -> "FileStamp":
        """Stamp a file whose SHA-256 was taken while it was written."""
        status = path.stat()
        return cls(digest, status.st_size, status.st_mtime_ns)

    def is_current(self, path: Path) -> bool:
        """Return True if size and modification time are the same; the content is not read."""
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)

    def matches(self, path: Path) -> bool:
        """Return True if the file is there and its content is trusted, or the same."""
        try:
            return self.is_current(path) or self.has_content(path)
        except OSError:
            return False

    def has_content(self, path: Path) -> bool:
        """Return True if the file is there with the same content, which is read."""
        try:
            return sha256(path) == self.sha256
        except OSError:
            return False


def set_group_read(*, allowed: bool) -> None:
    """Make files and folders written from now on readable for their group, or not."""
    _modes.file, _modes.folder = (0o640, 0o750) if allowed else (0o600, 0o700)


def make_folder(folder: Path) -> Path:
    """Create a folder and its missing parents, readable for the owner only.

    Raises:
        StorageError: it cannot be created.
    """
    # A thread that finds the folder must not write to it before its name is durable.
    with wrap_os_errors(folder), _making_folders:
        upwards = itertools.chain((folder,), folder.parents)
        above = itertools.takewhile(lambda f: not f.exists(), upwards)
        for missing in reversed(list(above)):
            missing.mkdir(mode=_modes.folder, exist_ok=True)
            file_system.set_mode(missing, _modes.folder)  # whatever the umask
            fsync(missing.parent)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        fsync(folder.parent)  # or a power cut could bring some of it back


def temp_path(path: Path) -> Path:
    """Return a hidden name in the folder of `path`, so that a rename stays on one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}.partial")


def restrict_mode(handle: int) -> None:
    """Set the permissions of an open file to those of all our files, whatever the umask."""
    file_system.set_mode(handle, _modes.file)


def has_mode(path: Path) -> bool:
    """Return True if a file has the permissions of files written now."""
    return bool(stat.S_IMODE(path.stat().st_mode) == _modes.file)


@contextlib.contextmanager
def wrap_os_errors(path: Path) -> Iterator[None]:
    """Re-raise an OSError from writing `path` as StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {reason(error)}. "
            f"{file_system.remedy(path, error, _number(error))}Finished shards and what was "
            "published before are kept. Fix this, then run the same command again."
        ) from error


def reason(error: BaseException) -> str:
    """Return why the system refused something, in its words; else the kind of the error."""
    if isinstance(error, StorageError) and error.__cause__:
        error = error.__cause__
    number = _number(error)
    if number == errno.ENOSPC:
        return DISK_FULL
    return os.strerror(number) if number else type(error).__name__


def _number(error: BaseException) -> int | None:
    # Polars gives the number of an error in its text only.
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)


@contextlib.contextmanager
def atomic_write(path: Path, *, sync_folder: bool = True) -> Iterator[Path]:
    """Yield an empty temporary file to write; on success, rename it to `path` durably.

    On an error it is removed, and `path` stays as it was. Without `sync_folder` its name is not
    durable before the caller syncs the folder.

    Raises:
        StorageError: it cannot be written.
    """
    temporary = temp_path(path)
    make_folder(path.parent)
    with wrap_os_errors(path):
        temporary.touch(mode=0o600, exist_ok=False)
        try:
            file_system.set_mode(temporary, _modes.file)  # whatever the umask
            yield temporary
            fsync(temporary)  # by its name: a library may have put another file there
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync_folder:
            fsync(path.parent)


def write_bytes(path: Path, content: bytes, *, sync_folder: bool = True) -> None:
    """Write a whole file durably, or leave the old one, as `atomic_write` does."""
    with atomic_write(path, sync_folder=sync_folder) as temporary:
        temporary.write_bytes(content)


def nearest_folder(folder: Path) -> Path:
    """Return a folder, or the one that it would be created in.

    Raises:
        OSError: the permissions do not allow to look, or a link leads nowhere.
    """
    upwards = (folder, *folder.absolute().parents)
    nearest = next(each for each in upwards if each.is_symlink() or each.exists())
    nearest.stat()
    return nearest


def try_folder(folder: Path) -> None:
    """Write, rename and remove a file in a folder, or in the one where it would be created.

    Raises:
        OSError, StorageError: that is not possible.
    """
    probe = temp_path(
        nearest_folder(folder) / "test"
    )  # what is left of it is removed as any temporary file is
    with atomic_write(probe) as temporary:
        temporary.write_bytes(b"test")
    probe.unlink()


def link(existing: Path, path: Path, *, sync_folder: bool = True) -> bool:
    """Give a file a second name in place of `path`, as durably as `atomic_write` writes one.

    Returns:
        Whether that was possible: on this file system, and with the permissions of today.
    """
    temporary = temp_path(path)
    make_folder(path.parent)
    try:
        if not has_mode(existing):
            return False
        os.link(existing, temporary)
        temporary.replace(path)
        if sync_folder:
            fsync(path.parent)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):  # the next run removes it by its name
            temporary.unlink(missing_ok=True)  # still there if both are names of one file already
    return True


def link_or_copy(existing: Path, path: Path) -> None:
    """Link a file, or copy it where that is not possible; durably.

    Raises:
        StorageError: it cannot be written.
    """
    if not link(existing, path):
        with atomic_write(path) as temporary:
            shutil.copyfile(existing, temporary)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file durably, or leave the old one."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  whatever msgspec can encode
    """Write a value as indented JSON, durably."""
    content = msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1)
    write_text(path, content.decode() + "\n")


def read_json(path: Path, kind: type[T]) -> T | None:
    """Return what `write_json` wrote; None if it is missing or not a JSON value of `kind`."""
    try:
        return decode_json(path.read_bytes(), kind)
    except OSError:
        return None


def decode_json(content: bytes, kind: type[T]) -> T | None:
    """Return a JSON value; None if it is not one of `kind`."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_once(path: Path, parse: Callable[[bytes], T]) -> T:
    """Return what `parse` makes of a file, parsed again only after the file has changed.

    Without it, a rerun with nothing to do parses each manifest and catalogue some twenty times,
    which is half of its processor time.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    # The time of change (ctime) also tells files apart whose time of modification was set.
    version = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    parsed: T = _parse(path, parse, *version)
    return parsed


@functools.lru_cache(maxsize=8)
def _parse(path: Path, parse: Callable[[bytes], Any], *_: int) -> Any:  # noqa: ANN401
    return parse(path.read_bytes())


def fsync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        file_system.tolerate_unsynced_folder(error, handle, path)
    finally:
        os.close(handle)


def adopt(*paths: Path) -> None:
    """Make files that a library wrote survive a power cut, with the permissions of our own."""
    for path in paths:
        with path.open("rb") as file:
            restrict_mode(file.fileno())
            os.fsync(file.fileno())
    for folder in {path.parent for path in paths}:
        fsync(folder)


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    # Not hashlib.file_digest(): it clears a buffer per file that is far larger than most files.
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def remove_temp_files(folder: Path) -> int:
    """Remove the half-written files of killed runs from `folder`; return how many there were."""
    if not folder.is_dir():
        return 0
    hidden = [path for path in folder.iterdir() if _TEMP_NAME.fullmatch(path.name)]
    leftovers = [path for path in hidden if not path.is_dir()]
    with wrap_os_errors(folder):
        for file in leftovers:
            file.unlink(missing_ok=True)
    return len(leftovers)
