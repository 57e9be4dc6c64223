"""Publications that a killed run left unfinished, completed or undone before anything else."""

import logging
import os
from pathlib import Path

from pipeline.errors import FolderInUseError, StorageError, foreign_owner
from pipeline.runs.lock import Lock
from pipeline.storage import files
from pipeline.storage.paths import Folders
from pipeline.storage.replacement import intent_path, recover

log = logging.getLogger("pipeline")

_SAID = {
    "completed": "A run ended just after it had published into %s; its tables are complete.",
    "undone": "A run ended while it published into %s; the tables from before are restored.",
}


def clean_up(folders: Folders, *unfinished: Path) -> None:
    """Remove the temporary files of a killed run, and say that there was one: it could not.

    Args:
        folders: of which that of the data and that of the records may always have some: a power cut
            can bring back a file that was removed.
        unfinished: the folders in which it was at work.

    Raises:
        StorageError: they cannot be removed.
    """
    if unfinished:
        log.warning(
            "The run before this one was killed, perhaps because memory was short (exit code 137), "
            "or the machine lost power. What it fetched is used."
        )
    for folder in (folders.data, folders.runs, *unfinished):
        files.remove_temp_files(folder)


def recover_publications(folders: Folders) -> None:
    """Complete or undo them; the caller holds the data folder.

    Raises:
        StorageError: it is not possible; the message names the files concerned.
    """
    for manifest in folders.publications():
        if done := recover(manifest):
            log.warning(_SAID[done], manifest.parent)


def recover_unless_in_use(folders: Folders) -> None:
    """Complete or undo them, unless the run that publishes is still at work.

    Raises:
        StorageError: it is not possible; the message names the files concerned. Or this user may
            not read the data folder, in which nothing would seem to be published.
    """
    if folders.data.exists() and not os.access(folders.data, os.R_OK | os.X_OK):
        raise StorageError(
            f"{folders.data} cannot be read: Permission denied. {foreign_owner(folders.data)}"
            "Nothing was changed. Make it readable, then run the same command again."
        )
    if not any(intent_path(manifest).exists() for manifest in folders.publications()):
        return
    try:
        lock = Lock(folders.lock)
    except (FolderInUseError, StorageError):  # or somebody who may read only
        return
    try:
        recover_publications(folders)
    finally:
        lock.release()  # what else the killed run left is for the next run
