"""Whether tables can be published, found out before anything is requested."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.runs.build import Build
from pipeline.storage import file_system, files
from pipeline.storage.paths import TableSetPaths

_SETTINGS = {"illuminate": "SAVE_PATH", "views": "VIEW_PATH"}
"""The settings of the folders that tables are published in, by kind."""
_BROKEN = {errno.EIO, errno.ENXIO, errno.ESTALE}


def check_destinations(build: Build, note: Callable[[Iterable[Path]], None]) -> None:
    """Write and rename a file in every folder that a build is to publish into.

    Args:
        build: what is to be built.
        note: writes down the folders in which a killed run may leave such a file.

    Raises:
        StorageError: one of them does not allow it.
    """
    done = build.done()
    sets = {s.partition: s.paths for s in build.steps() if s.publishes and s.task_id not in done}
    places = [(paths, kind) for paths in sets.values() for kind in _SETTINGS]
    with contextlib.suppress(OSError):  # which the check below meets again
        note([files.nearest_folder(paths.published_folder(kind)) for paths, kind in places])
    for paths, kind in places:
        check_published_folder(paths, kind)


def check_published_folder(paths: TableSetPaths, kind: str) -> Path:
    """Write and rename a file where tables of a kind are published; return the folder.

    Raises:
        StorageError: it does not allow that.
    """
    folder, default = paths.published_folder(kind), paths.folders.data / kind / paths.partition
    setting = f"PIPELINE_DATA_DIR or {_SETTINGS[kind]}" if folder == default else _SETTINGS[kind]
    check_folder(folder, f"set {setting} to another folder")
    return folder


def check_folder(folder: Path, otherwise: str) -> None:
    """Write and rename a file in a folder, or where it would be made; leave nothing behind.

    Args:
        folder: what a run writes into.
        otherwise: what to do if it cannot be made writable.

    Raises:
        StorageError: it is not possible.
    """
    try:
        files.try_folder(folder)
    except (StorageError, OSError) as error:
        raise StorageError(
            f"Files cannot be written and renamed in {folder}: {files.reason(error)}. Nothing was "
            "requested, and what was published before is kept. "
            f"{_todo(folder, error, otherwise)}, then run the same command again."
        ) from error


def _todo(folder: Path, error: StorageError | OSError, otherwise: str) -> str:
    if files.reason(error) == files.DISK_FULL:
        return "Free some space there"
    cause = error if isinstance(error, OSError) else error.__cause__
    todo = f"Make it writable for user {os.geteuid()}, as which this runs"
    if isinstance(cause, OSError):
        if cause.errno in _BROKEN:
            todo = "Have that disk checked"
        elif cause.errno == errno.ENOTDIR:
            todo = f"Move the file {files.nearest_folder(folder)} out of the way"
        elif cause.errno == errno.ENOENT:
            todo = f"Create {os.path.realpath(folder)}, or mount the disk that it is on"
        else:
            todo = file_system.remedy(folder, cause, cause.errno).rstrip(". ") or todo
    return f"{todo}, or {otherwise}"
