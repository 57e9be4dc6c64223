"""Writing files so that a reader sees the old content or the new, never a part of either."""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

_TEMPORARY = ".partial"
_serial = itertools.count()

T = TypeVar("T")


class Fingerprint(NamedTuple):
    """What a file was when it was made: its SHA-256, size in bytes, and time of change in ns.

    While size and time are as they were, the content is taken to be; else it is read again.
    """

    sha256: str
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> "Fingerprint":
        """The fingerprint of a file as it is now."""
        status = path.stat()
        return cls(sha256(path), status.st_size, status.st_mtime_ns)

    def fits(self, path: Path) -> bool:
        """Whether the file is there and unchanged."""
        try:
            status = path.stat()
            as_it_was = (status.st_size, status.st_mtime_ns) == (self.size, self.changed)
            return as_it_was or sha256(path) == self.sha256
        except OSError:
            return False


def make_folder(folder: Path) -> Path:
    """Make a folder that only its owner can open, with its parents, where there is none yet."""
    for missing in reversed([f for f in (folder, *folder.parents) if not f.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    return folder


def temporary_beside(path: Path) -> Path:
    """A hidden name in the folder of `path`, so that a rename never crosses file systems."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}{_TEMPORARY}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of `path`, durably.

    The temporary file is there from the start, empty and readable by its owner only. On an
    error it is removed, and `path` stays as it was.
    """
    temporary = temporary_beside(path)
    make_folder(path.parent)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file durably, or leave the old one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> int:
    """Remove what killed runs left half written in `folder`; how many files that were."""
    if not folder.is_dir():
        return 0
    hidden = list(folder.glob(f".*{_TEMPORARY}"))
    leftovers = [path for path in hidden if not path.is_dir()]
    for file in leftovers:
        file.unlink(missing_ok=True)
    return len(leftovers)
