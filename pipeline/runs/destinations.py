"""Whether tables can be published, found out before anything is requested."""

import os
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.runs.build import Build
from pipeline.storage import files
from pipeline.storage.paths import TableSetPaths

_SETTINGS = {"illuminate": "SAVE_PATH", "views": "VIEW_PATH"}
"""The settings of the folders that tables are published in, by kind."""


def check_destinations(build: Build) -> None:
    """Write and rename a file in every folder that a build is to publish into.

    Raises:
        StorageError: one of them does not allow it.
    """
    done = build.done()
    sets = {s.partition: s.paths for s in build.steps() if s.publishes and s.task_id not in done}
    for paths in sets.values():
        for kind in _SETTINGS:
            check_published_folder(paths, kind)


def check_published_folder(paths: TableSetPaths, kind: str) -> Path:
    """Write and rename a file where tables of a kind are published; return the folder.

    Raises:
        StorageError: it does not allow that.
    """
    folder = paths.published_folder(kind)
    check_folder(folder, f"set {_SETTINGS[kind]} to another folder")
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
        why = files.reason(error)
        user = f"uid {os.getuid()}, which runs this"
        todo = f"Make it writable for {user}, or {otherwise}"
        if why == files.DISK_FULL:
            todo = "Free some space there"
        raise StorageError(
            f"Files cannot be written and renamed in {folder}: {why}. Nothing was requested, and "
            f"what was published before is unchanged. {todo}, then run the same command again."
        ) from error
