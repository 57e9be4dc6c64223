"""What runs leave that is too old to keep: snapshots, then run records. No removal fails a run."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.config import sections, settings
from pipeline.errors import StorageError
from pipeline.storage import files, snapshots
from pipeline.storage.paths import Snapshot

log = logging.getLogger(__name__)


def remove_old_snapshots(published: Snapshot) -> None:
    """Keep the published snapshot of a year and some before it, `[years] keep_snapshots` in all.

    A newer one is kept, too: the next run may resume it.
    """
    kept: int = settings.read(sections.years).keep_snapshots
    _try(snapshots.remove_leftovers, [published.work.parent])
    removed = _try(snapshots.remove, snapshots.older_than(published.work)[kept - 1 :])
    if removed:
        days = ", ".join(path.name for path in removed)
        log.info("%s: removed old snapshots: %s", published.year, days)


def remove_old_records(folder: Path, partition: str) -> None:
    """Keep the newest records of a table set in the folder of records, `[runs] keep` of them."""
    kept: int = settings.read(sections.runs).keep
    _try(_remove_record, sorted(folder.glob(f"*Z-*-{partition}.json"))[:-kept])


def _remove_record(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"The old run record {path} cannot be removed: {files.reason(error)}. Nothing else is "
            "affected; the next run tries again."
        ) from error


def _try(remove: Callable[[Path], None], paths: Iterable[Path]) -> list[Path]:
    """Return those that could be removed; say of the others why not."""
    removed = []
    for path in paths:
        try:
            remove(path)
            removed.append(path)
        except StorageError as error:
            log.warning("%s", error)
    return removed
