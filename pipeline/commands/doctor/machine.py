"""Tries this machine: its limits, and the folders that a run writes to, by writing to them."""

import os
import platform
import shutil
import tempfile
from pathlib import Path

from pipeline.commands.doctor.note import Note
from pipeline.config import settings
from pipeline.errors import PipelineError
from pipeline.publish.commit import Publication
from pipeline.publish.guards import GUARDED, guarded_rows
from pipeline.runs import memory, process
from pipeline.runs.destinations import check_folder, check_published_folder
from pipeline.runs.lock import can_lock
from pipeline.storage import files, snapshots
from pipeline.storage.paths import Snapshot
from pipeline.tasks.guards import check_has_begun
from pipeline.tasks.publish import Publish
from pipeline.years import SchoolYear, today

_BYTES_OF_A_RESULT = 800
"""What a first night writes for each result, in all files; see docs/performance.md, Nights."""
_USUAL_RESULTS, _RESULTS_OF_DEMO = 1_000_000, 60_000


def python(_: Snapshot) -> str:
    """Return the version of Python."""
    return f"{platform.python_version()} on {platform.system()}"


def time_zone(_: Snapshot) -> str:
    """Return the time zone, by which a day and a school year end."""
    settings.check_time_zone()
    zone = os.environ.get("TZ") or "the machine's own"
    return f"{zone}; today is {today()}, in the school year {SchoolYear.of(today())}"


def school_year(paths: Snapshot) -> str:
    """Return the dates whose results a run requests."""
    check_has_begun(Publish(year=paths.year))
    return f"{paths.year}, results dated {paths.window.start} to {paths.window.end}"


def limits(_: Snapshot) -> str:
    """Return that this process may use what a run of these settings does."""
    process.set_polars_up()
    process.check_limits()
    return f"no limit on it is below what a run with {settings.threads()} threads needs"


def memory_size(_: Snapshot) -> str | Note:
    """Return how much memory a run may use."""
    needed, found = memory.NEEDED, memory.available()
    what = "a year of a million results takes {} MB, one of ten million 560 MB"
    if settings.is_demo():
        needed, what = memory.NEEDED_BY_DEMO, "the demo takes {} MB, its district's server included"
    needs = what.format(needed // memory.MEGABYTE)
    text = f"{found.size // memory.MEGABYTE:,} MB ({found.source}); {needs}"
    if found.size < needed:
        return Note(
            f"{text}. If a run is killed (exit code 137), give it more (systemd: MemoryMax, "
            "Docker: --memory)"
        )
    return text


def tables(paths: Snapshot) -> str:
    """Return where tables are published, once files were written and renamed there."""
    return _writable(check_published_folder(paths, "illuminate"))


def views(paths: Snapshot) -> str:
    """Return where views are published, once files were written and renamed there."""
    return _writable(check_published_folder(paths, "views"))


def reports(paths: Snapshot) -> str:
    """Return where reports are published, once files were written and renamed there."""
    folder = paths.report.parent
    check_folder(folder, "set PIPELINE_DATA_DIR to another folder")
    return _writable(folder)


def file_system(paths: Snapshot) -> str | Note:
    """Return that the file system of the data folder can do what a run uses.

    What is done without is a warning of a run, and so of doctor.
    """
    folder = paths.folders.data
    check_folder(folder, "set PIPELINE_DATA_DIR to another folder")
    there = files.nearest_folder(folder)
    can_lock(there)
    if not _can_link(there):
        return Note(
            f"that of {folder} cannot link files, so each snapshot takes its full size; if space "
            "gets short, lower [years] keep_snapshots"
        )
    return f"files can be synced, locked and linked in {there}"


def disk(paths: Snapshot) -> str | Note:
    """Return how much space is free where files are written, and how much a run takes."""
    folder, publication = paths.folders.data, Publication.read(paths.publication)
    results = _count_results(publication)
    used = snapshots.disk_size(paths.folders.work)
    usual = _RESULTS_OF_DEMO if settings.is_demo() else _USUAL_RESULTS
    needed = (results or usual) * _BYTES_OF_A_RESULT
    what = f"{results or usual:,} results{', as last published,' if results else ''}"
    needs = f"fetching {what} for the first time writes {snapshots.readable_size(needed)}"
    free = shutil.disk_usage(files.nearest_folder(folder)).free
    text = f"{snapshots.readable_size(free)} free for {folder}, whose work/ has {used}; {needs}"
    for kind in ("illuminate", "views"):
        place = paths.published_folder(kind)
        if _device(place) == _device(folder):
            continue  # what others write meanwhile is no other disk
        there = shutil.disk_usage(files.nearest_folder(place)).free
        if there < free:
            free, text = there, f"{snapshots.readable_size(there)} free for {place}; {needs}"
    if free < needed:
        todo = (
            "Free some space there (make clean-snapshots removes all snapshots that are not "
            "published), or choose another folder"
        )
        if publication:
            return Note(f"{text}, and later runs write less. {todo}")
        raise PipelineError(f"{text}. {todo}.")
    return text


def _device(folder: Path) -> int:
    """Return the file system of a folder, or of the one where it would be made."""
    return files.nearest_folder(folder).stat().st_dev


def _writable(folder: Path) -> str:
    return f"files can be written and renamed in {folder}"


def _count_results(publication: Publication | None) -> int:
    counts = publication.row_counts if publication else None
    return sum(sum(guarded_rows(counts, table).values()) for table in GUARDED) if counts else 0


def _can_link(folder: Path) -> bool:
    with (
        files.wrap_os_errors(folder),
        tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as scratch,
    ):
        files.write_bytes(Path(scratch) / "one", b"")
        return files.link(Path(scratch) / "one", Path(scratch) / "two")
