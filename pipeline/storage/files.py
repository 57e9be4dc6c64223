"""Writing files so that a reader sees the old content or the new, never a part of either."""

import contextlib
import errno
import hashlib
import itertools
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec

from pipeline.errors import StorageError

_TEMPORARY = ".partial"
_BLOCK = 1 << 20
_OURS = re.compile(r"\..+\.[0-9]+-[0-9]+\.partial", re.DOTALL)
_serial = itertools.count()
_making_folders = threading.Lock()

T = TypeVar("T")


class Fingerprint(NamedTuple):
    """What a file was when it was made: its SHA-256, size in bytes, and time of change in ns.

    While size and time are as they were, the content is taken to be; else it is read again.
    """

    sha256: str
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path, known: "Fingerprint | None" = None) -> "Fingerprint":
        """The fingerprint of a file as it is now; what is `known` of it is not read again."""
        status = path.stat()
        if known and (known.size, known.changed) == (status.st_size, status.st_mtime_ns):
            return known
        return cls(sha256(path), status.st_size, status.st_mtime_ns)

    @classmethod
    def of_content(cls, path: Path, content: bytes) -> "Fingerprint":
        """The fingerprint of a file that is known to hold `content`."""
        status = path.stat()
        return cls(hashlib.sha256(content).hexdigest(), status.st_size, status.st_mtime_ns)

    def fits(self, path: Path) -> bool:
        """Whether the file is there and unchanged."""
        try:
            status = path.stat()
            as_it_was = (status.st_size, status.st_mtime_ns) == (self.size, self.changed)
            return as_it_was or sha256(path) == self.sha256
        except OSError:
            return False


def let_group_read() -> None:
    """Make what is written from now on readable for the group of its owner, too."""
    _modes.file, _modes.folder = 0o640, 0o750


class _Modes:
    file = 0o600
    folder = 0o700


_modes = _Modes()


def make_folder(folder: Path) -> Path:
    """Make a folder, with its parents, where there is none yet; closed to others.

    Raises:
        StorageError: it cannot be made.
    """
    # A thread that finds the folder made must not write in it before its name is safe.
    with storing(folder), _making_folders:
        upwards = itertools.chain((folder,), folder.parents)
        above = itertools.takewhile(lambda f: not f.exists(), upwards)
        for missing in reversed(list(above)):
            missing.mkdir(mode=_modes.folder, exist_ok=True)
            missing.chmod(_modes.folder)  # whatever the umask
            flush(missing.parent)
    return folder


def temporary_beside(path: Path) -> Path:
    """A hidden name in the folder of `path`, so that a rename never crosses file systems."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}{_TEMPORARY}")


def close_to_others(handle: int) -> None:
    """Give an open file the rights that all our files have, whatever the umask."""
    os.fchmod(handle, _modes.file)


@contextlib.contextmanager
def closed_to_others() -> Iterator[None]:
    """Give what a library writes in a block the rights that all our files have.

    The mask is that of the whole process.
    """
    before = os.umask(0o777 & ~_modes.folder)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn an error of the operating system, met while writing `path`, into a plain sentence.

    Raises:
        StorageError: in place of that error.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {_reason(error)}. Finished shards and what was published "
            "before are kept; mend this and run again."
        ) from error


def _reason(error: OSError) -> str:
    # Polars tells the number of an error in its text only.
    told = re.search(r"os error (\d+)", str(error))
    number = int(told[1]) if told else error.errno
    if number == errno.ENOSPC:
        return "the disk is full"
    return os.strerror(number) if number else type(error).__name__


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of `path`, durably.

    The temporary file is there from the start, empty and closed to others. On an error it is
    removed, and `path` stays as it was.

    Raises:
        StorageError: it cannot be written.
    """
    with _in_place_of(path) as (temporary, file):
        file.close()
        yield temporary
        flush(temporary)  # by its name: who wrote it may have put another file there


@contextlib.contextmanager
def _in_place_of(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Give a new file, open for writing, that is renamed to `path` after it was written."""
    temporary = temporary_beside(path)
    make_folder(path.parent)
    with storing(path):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        file = os.fdopen(os.open(temporary, flags, 0o600), "wb")
        try:
            with file:
                close_to_others(file.fileno())
                yield temporary, file
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file durably, or leave the old one.

    Raises:
        StorageError: it cannot be written.
    """
    with _in_place_of(path) as (_, file):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file durably, or leave the old one."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  whatever msgspec can encode
    """Write a value as JSON that people can read, durably."""
    content = msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1)
    write_text(path, content.decode() + "\n")


def read_json(path: Path, kind: type[T]) -> T | None:
    """What `write_json` wrote, as a value of `kind`; None where it is missing or cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def flush(path: Path) -> None:
    """Make sure that a file, or the names in a folder, outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    # Not hashlib.file_digest(): it clears a buffer per file that is far larger than most files.
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sweep(folder: Path) -> int:
    """Remove what killed runs left half written in `folder`; how many files that were."""
    if not folder.is_dir():
        return 0
    hidden = [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]
    leftovers = [path for path in hidden if not path.is_dir()]
    with storing(folder):
        for file in leftovers:
            file.unlink(missing_ok=True)
    return len(leftovers)
