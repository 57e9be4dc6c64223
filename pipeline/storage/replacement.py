"""Several files replaced together: afterwards readers find all of the new ones, or all of the old.

Before the first rename, an intent file beside the marker names every file, and each old file is
kept under a hidden name beside it. The marker, by which readers judge the others, is renamed last.
A failure before that is undone at once; what a killed process leaves is undone, or completed, by
`recover`.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.errors import StorageError
from pipeline.storage import files


class Intent(msgspec.Struct, frozen=True):
    """What is about to be replaced.

    `existed` says of each path, relative to the folder of the intent, whether there was a file
    before. `old_marker` and `new_marker` are the SHA-256 of the marker before and after, None where
    there was none.
    """

    existed: dict[str, bool]
    old_marker: str | None
    new_marker: str

    def backups(self, folder: Path) -> dict[Path, Path | None]:
        """Return each path, and where its old file is kept; None where there was none."""
        paths = {
            Path(os.path.normpath(folder.resolve() / n)): old for n, old in self.existed.items()
        }
        return {path: _backup(path) if existed else None for path, existed in paths.items()}


def relative_name(path: Path, folder: Path) -> str:
    """Return the way from a folder to a file, the same however the two are spelled."""
    return os.path.relpath(path.parent.resolve() / path.name, folder.resolve())


def intent_path(marker: Path) -> Path:
    """Return the path of the intent, which exists only while a replacement is unfinished."""
    return marker.with_name(f".{marker.name}.intent")


def replace_together(new: Mapping[Path, Path], removed: Collection[Path], marker: Path) -> None:
    """Rename finished files to their paths and remove others: all of it, or nothing.

    Args:
        new: the finished file of each path, in the same folder as the path; `marker` is among them.
        removed: paths that are to disappear.
        marker: the file by which readers judge all others.

    Raises:
        StorageError: a file cannot be replaced or removed. The old files are in place again; if
            that failed, too, the message names those that are not.
    """
    with _alone_in(marker.parent) as is_alone:
        if not is_alone:
            raise StorageError(
                f"Another run is publishing into {marker.parent}. Nothing was published, and what "
                "was published before is unchanged. Run the same command again when it has ended."
            )
        _replace_all(new, removed, marker)


def _replace_all(new: Mapping[Path, Path], removed: Collection[Path], marker: Path) -> None:
    paths = [path for path in (*new, *removed) if path != marker]
    intent = _begin([*paths, marker], marker, new[marker])
    try:
        _keep_old(intent, marker.parent)
        for path in paths:
            _replace(path, new.get(path))
        _sync(paths)
        _replace(marker, new[marker])
        _sync([marker])
    except BaseException as error:
        _undo(intent, marker, f"Publishing failed ({files.reason(error)})")
        raise
    _forget(intent, marker, "new")


def recover(marker: Path) -> Literal["completed", "undone"] | None:
    """Complete or undo what a killed process left unfinished; None if there is nothing.

    Raises:
        StorageError: neither is possible; the message names the files concerned.
    """
    if not intent_path(marker).exists():
        return None
    with _alone_in(marker.parent) as is_alone:
        # A run that has another data folder may be publishing here.
        intent = _read_intent(marker) if is_alone else None
        if intent is None:
            return None
        with files.wrap_os_errors(marker):
            digest = _digest(marker)
        if digest == intent.new_marker:
            _forget(intent, marker, "new")
            return "completed"
        if digest not in {None, intent.old_marker}:
            raise StorageError(
                f"{marker} is of another set than the one that a run left unfinished there, so "
                f"nothing was restored. Remove {intent_path(marker)}, then run the same command "
                "again; make run publishes all files again."
            )
        _undo(intent, marker, "A run ended while it published")
        return "undone"


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Lock a folder of published files for the block, unless somebody else has; tell which."""
    with files.wrap_os_errors(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        is_alone = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_alone = False
        except OSError:
            pass  # a file system without locks; the lock of the data folder remains
        yield is_alone
    finally:
        os.close(handle)


def _read_intent(marker: Path) -> Intent | None:
    """Return what a publication was about to change; None if it has ended meanwhile."""
    path = intent_path(marker)
    try:
        intent = files.decode_json(path.read_bytes(), Intent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read ({files.reason(error)}), so it is not known whether all files "
            "beside it are of one run. Make it readable, then run the same command again."
        ) from error
    if intent is None or marker.name not in intent.existed:
        raise StorageError(
            f"{path} is damaged, so it is not known whether all files beside it are of one run. "
            "Remove it, then run the same command again; make run publishes all of them again."
        )
    return intent


def _begin(paths: Sequence[Path], marker: Path, new_marker: Path) -> Intent:
    """Write down which files are about to be replaced, once nothing hinders it."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            raise StorageError(
                f"{path} is a folder, where a file is to be published. Nothing was published. Move "
                "it away, then run the same command again."
            )
        with files.wrap_os_errors(path):  # left by somebody who removed an intent by hand
            _backup(path).unlink(missing_ok=True)
    _sync(paths)
    folder = marker.parent
    existed = {relative_name(path, folder): os.path.lexists(path) for path in paths}
    with files.wrap_os_errors(marker):
        intent = Intent(existed, _digest(marker), files.sha256(new_marker))
    files.write_json(intent_path(marker), intent)
    return intent


def _keep_old(intent: Intent, folder: Path) -> None:
    kept = {path: backup for path, backup in intent.backups(folder).items() if backup}
    for path, backup in kept.items():
        with files.wrap_os_errors(path):
            try:
                os.link(path, backup, follow_symlinks=False)
            except OSError as error:
                if error.errno == errno.EXDEV:  # within one folder
                    raise StorageError(
                        f"{path} is a mount point, so it cannot be replaced. Nothing was published "
                        "and what was published before is unchanged. Mount its folder instead, "
                        "then run the same command again."
                    ) from None
                _copy(path, backup)  # a file system without links, or somebody else's file
    _sync(kept)


def _copy(path: Path, backup: Path) -> None:
    with files.atomic_write(backup) as temporary:
        shutil.copyfile(path, temporary)
        shutil.copystat(path, temporary)


def _replace(path: Path, new: Path | None) -> None:
    with files.wrap_os_errors(path):
        if new is None:
            path.unlink(missing_ok=True)
        else:
            new.replace(path)


def _sync(paths: Iterable[Path]) -> None:
    for folder in dict.fromkeys(path.parent for path in paths):
        with files.wrap_os_errors(folder):
            files.fsync(folder)


def _undo(intent: Intent, marker: Path, why: str) -> None:
    """Restore the old files.

    The marker is first, because `recover` goes by it; where it cannot be restored, the others stay
    as they are.

    Raises:
        StorageError: names the files that are still new.
    """
    backups = intent.backups(marker.parent)
    first = marker.parent.resolve() / marker.name
    errors: list[OSError] = []
    for path in (first, *(path for path in backups if path != first)):
        try:
            _restore(path, backups[path])
            if path == first:
                files.fsync(first.parent)
        except OSError as error:
            errors.append(error)
            if path == first:
                break
    if errors:
        new = sorted(str(path) for path, backup in backups.items() if not _is_old(path, backup))
        named = f"These are new or gone, and all others are old: {', '.join(new)}"
        state = named if new else "All are old"
        raise StorageError(
            f"{why}, and undoing it failed ({files.reason(errors[0])}). {state}. Fix this, then "
            "run the same command again: it restores the old files first."
        )
    _sync(backups)
    _forget(intent, marker, "old")


def _restore(path: Path, backup: Path | None) -> None:
    if backup is None:
        path.unlink(missing_ok=True)
    elif not os.path.lexists(backup):
        path.lstat()  # fails where both are gone, on a disk that is not mounted for example
    elif not _are_one(path, backup):
        backup.replace(path)


def _is_old(path: Path, backup: Path | None) -> bool:
    if backup is None:
        return not os.path.lexists(path)
    try:
        if not os.path.lexists(backup):
            return os.path.lexists(path)
        return _are_one(path, backup) or files.sha256(path) == files.sha256(backup)
    except OSError:
        return False


def _digest(path: Path) -> str | None:
    return files.sha256(path) if path.is_file() else None


def _are_one(path: Path, backup: Path) -> bool:
    """Return whether both are names of one file; then a rename would do nothing."""
    try:
        return os.path.samestat(path.lstat(), backup.lstat())
    except FileNotFoundError:
        return False


def _forget(intent: Intent, marker: Path, which: Literal["new", "old"]) -> None:
    """Remove what would undo a replacement; the intent last, so that the rest is never left."""
    backups = intent.backups(marker.parent)
    try:
        for backup in filter(None, backups.values()):
            backup.unlink(missing_ok=True)
        _sync(backups)
        intent_path(marker).unlink(missing_ok=True)
    except (OSError, StorageError) as error:
        raise StorageError(
            f"What was kept while publishing cannot be removed from {marker.parent} "
            f"({files.reason(error)}). All published files are the {which} ones. Fix this; the "
            "next command removes it."
        ) from error


def _backup(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")
