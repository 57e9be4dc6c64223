"""Tries where results go beside the published folders, and leaves nothing there but a message."""

from pathlib import Path

from pipeline.commands.doctor.note import Note
from pipeline.config import sections, settings
from pipeline.runs.destinations import check_folder
from pipeline.runs.notify import find_webhook, send_test
from pipeline.storage.paths import Snapshot
from pipeline.tasks.deliver import configured_database


def database(_: Snapshot) -> str:
    """Return that the database can be written, once a table was created and rolled back.

    A DuckDB file that is not there is not created; then its folder is tried.
    """
    from pipeline.publish.database import load

    place = configured_database()
    if place.is_file and not Path(place.name).exists():
        check_folder(Path(place.name).parent, "set PIPELINE_DATA_DIR to another folder")
        return f"none is configured; make load can write the file {place.name}"
    load.try_writing(place.open_writable)
    return f"{place.name} lets us create tables; one was created and rolled back"


def copies(_: Snapshot) -> str | Note:
    """Return that files can be copied, once one was written, read and, if possible, removed."""
    from pipeline.publish.copies import TEST_FILE, check_copy_destination

    url = settings.read(sections.paths).copy_to
    if not url:
        return "no place for them is configured"
    if why := check_copy_destination(url):
        return Note(
            f"a file was written to {url} and read; it could not be deleted ({why}), so "
            f"{TEST_FILE} stays there, and so will copies of earlier tables; allow deleting, if "
            "that is not wanted"
        )
    return f"a file was written to {url}, read and removed"


def webhook(_: Snapshot) -> str:
    """Return that a message was delivered, which says that it is a test."""
    found = find_webhook()
    if found is None:
        return "none is configured"
    send_test(found)
    return "accepted a test message; it receives every run's result"
