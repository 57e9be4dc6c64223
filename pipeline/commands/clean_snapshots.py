"""Remove all snapshots that nothing needs; what is published stays, with its snapshot."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import settings
from pipeline.errors import YearError
from pipeline.publish.commit import Publication
from pipeline.runs.lock import Lock
from pipeline.storage import snapshots
from pipeline.storage.paths import Folders
from pipeline.words import counted
from pipeline.years import SchoolYear, today


def main(options: argparse.Namespace) -> int:
    """Keep the snapshot that is published of each year, and the one that a run today resumes.

    Raises:
        StorageError: one cannot be removed.
    """
    folders = settings.folders()
    with Lock(folders.lock):
        chosen = [SchoolYear.parse(options.year)] if options.year else _years(folders.work)
        before = snapshots.disk_size(folders.work)
        removed = [path for year in chosen for path in _clean(folders, year)]
    for path in removed:
        print(f"Removed {path}")
    now = snapshots.disk_size(folders.work)
    what = counted(len(removed), "snapshot")
    print(f"{what} removed; {folders.work} has {now} now, and had {before}.")
    return 0


def _years(work: Path) -> Iterator[SchoolYear]:
    """Return the years that have snapshots."""
    for folder in sorted(work.iterdir()) if work.is_dir() else ():
        try:
            yield SchoolYear.parse(folder.name)
        except YearError:
            continue  # that of all years, which has none


def _clean(folders: Folders, year: SchoolYear) -> list[Path]:
    folder, kept = folders.work / str(year), _kept(folders, year)
    snapshots.remove_leftovers(folder)
    removed = [path for path in snapshots.of_year(folder) if path.name not in kept]
    for path in removed:
        snapshots.remove(path)
    return removed


def _kept(folders: Folders, year: SchoolYear) -> set[str]:
    day = today()
    resumed = settings.snapshot(year, day, day).work.name
    publication = Publication.read(folders.publication(str(year)))
    if publication is None:
        return {resumed}
    as_of, fetched_on = (publication.metadata.get(name, "") for name in ("as_of", "fetched_on"))
    return {resumed, as_of, f"{as_of}-on-{fetched_on}"}
