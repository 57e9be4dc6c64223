"""Copies the published files of a year to where other people look."""

from pipeline.config import sections, settings
from pipeline.errors import SettingsError
from pipeline.publish import copies
from pipeline.years import SchoolYear


def copy(year: SchoolYear) -> int:
    """Copy the year; 0 when the copy then is what is published.

    Raises:
        SettingsError: no place is configured.
    """
    url = sections.paths().copy_to
    if not url:
        raise SettingsError(
            "No place for copies is configured: set PIPELINE_COPY_TO or [paths] copy_to to "
            "s3://bucket/folder, gs://bucket/folder or a folder."
        )
    folder = f"demo/{year}" if settings.is_demo() else str(year)
    copied = copies.copy(settings.folders().marker(str(year)), url, folder)
    print(f"{copied.place}: {copied.sent} files sent, {copied.kept} were there already")
    return 0
