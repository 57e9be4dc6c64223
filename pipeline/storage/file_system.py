"""What some file systems cannot do, said with what to do about it."""

import errno
import logging
import os
import stat
from pathlib import Path

from pipeline.errors import foreign_owner

log = logging.getLogger("pipeline")

_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_OTHERS = 0o077
_MOUNT_OPTIONS = "file_mode=0600,dir_mode=0700 (SMB) or fmask=177,dmask=077 (FAT)"
_said: set[tuple[str, int]] = set()


class ModeRefusedError(OSError):
    """The permissions of a file or folder of our own cannot be set."""


def forget_what_was_said() -> None:
    """Let warnings about a file system be given again: a new run begins."""
    _said.clear()


def set_mode(target: Path | int, mode: int) -> None:
    """Set the permissions of a path or open file, and say if its file system has others.

    Raises:
        ModeRefusedError: the file system does not allow it.
    """
    try:
        os.chmod(target, mode)  # noqa: PTH101  or an open file
    except OSError as error:
        if error.errno not in _CANNOT | {errno.EPERM}:
            raise
        raise ModeRefusedError(error.errno, error.strerror) from error
    status = os.stat(target)  # noqa: PTH116
    found = stat.S_IMODE(status.st_mode)
    if found & ~mode & _OTHERS and _is_new("permissions", status.st_dev):
        where = "where this run writes" if isinstance(target, int) else f"of {target.parent}"
        log.warning(
            "The file system %s ignores permissions: other users of this machine can read what is "
            "written (mode %o). If they must not, mount it with %s, or use another folder.",
            *(where, found, _MOUNT_OPTIONS),
        )


def tolerate_unsynced_folder(error: OSError, handle: int, path: Path) -> None:
    """Go on where names in folders cannot be made durable, after saying so; else raise the error.

    Raises:
        OSError: the disk failed, or it was a file.
    """
    status = os.fstat(handle)
    if error.errno not in _CANNOT or not stat.S_ISDIR(status.st_mode):
        raise error
    if _is_new("sync", status.st_dev):
        log.warning(
            "The file system of %s cannot sync folders (%s), so a power cut may undo some of what "
            "a run wrote. After one, run make verify; or use a folder on a local disk.",
            *(path, error.strerror),
        )


def say_it_has_no_locks(path: Path, error: OSError) -> None:
    """Say that a file system has no locks, which costs time but is safe."""
    if _is_new("locks", path.stat().st_dev):
        log.warning(
            "The file system of %s has no locks (%s). One run at a time is ensured without them, "
            "but after a run that was killed the next one waits for 16 s. Mount it with locks "
            "(NFS: local_lock=flock if one host uses it, else start its lock service), or use a "
            "folder on a local disk.",
            *(path, error.strerror),
        )


def remedy(path: Path, error: OSError, number: int | None) -> str:
    """Return what to do where a path cannot be written, as a sentence; empty if that is not known.

    Args:
        path: what was to be written.
        error: why it was not.
        number: the number of the error, which some libraries give in its text only.
    """
    if isinstance(error, ModeRefusedError):
        return (
            "Its file system does not let permissions be set, which keep others from reading it. "
            f"Mount it with {_MOUNT_OPTIONS}, or use a folder on another one. "
        )
    return foreign_owner(path) if number in {errno.EACCES, errno.EPERM} else ""


def _is_new(what: str, device: int) -> bool:
    """Return True the first time that a run finds this of a file system."""
    if (what, device) in _said:
        return False
    _said.add((what, device))
    return True
