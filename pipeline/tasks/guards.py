"""What is published now: whose it is, and whether a run would publish less of it."""

import shlex
from collections.abc import Mapping

from pipeline.config import sections, settings
from pipeline.errors import CheckError, SettingsError
from pipeline.illuminate.address import Address
from pipeline.publish.commit import Publication
from pipeline.publish.guards import (
    GuardResult,
    RowCounts,
    check_no_shrink,
    guarded_rows,
    parse_allowed_shrink,
)
from pipeline.runs import context
from pipeline.schema import TABLES
from pipeline.storage.paths import TableSetPaths
from pipeline.tasks.base import YearTask

UNKNOWN = "unknown"
"""The source of tables whose manifest is missing or cannot be read."""


def published_counts(task: YearTask) -> RowCounts | None:
    """Return what is published of the same source; None where nothing is."""
    publication = Publication.read(task.paths.publication)
    if publication is None or _source(publication) != settings.source_name():
        return None
    return publication.row_counts


def check_source(paths: TableSetPaths) -> None:
    """Check that what is published is of the same district, or may be replaced this once.

    Raises:
        CheckError: it is another district's, or nobody can tell whose it is.
    """
    publication = Publication.read(paths.publication)
    folder, source = paths.publication.parent, settings.source_name()
    if publication is not None:
        found = _source(publication)
        what = f"The tables in {folder} are of {found}"
    else:
        found = UNKNOWN
        what = f"It is not known whose tables are in {folder}: {paths.publication.name} is missing"
        what += " or cannot be read"
    nothing = publication is None and not _has_tables(paths)
    if nothing or found in {source, context.current().replaced_source}:
        return
    raise CheckError(
        f"{what}; this run's are of {source}. Nothing was published, and what was published before "
        "is unchanged. If this run may replace it, allow it once with --publish-replace-source "
        f"{shlex.quote(found)}; if not, give each district folders of its own."
    )


def _source(publication: Publication) -> str:
    """Return whose tables they are, in the spelling of today."""
    written = str(publication.metadata.get("source", UNKNOWN))
    try:
        return Address.parse(written).source
    except SettingsError:
        return written


def _has_tables(paths: TableSetPaths) -> bool:
    published = (path for table in TABLES for path in paths.published_paths(table))
    return paths.publication.is_file() or any(path.exists() for path in published)


def compare_with_published(task: YearTask, table: str, now: Mapping[str, int]) -> GuardResult:
    """Check that a table keeps the published rows, but for what the settings allow.

    Args:
        task: a task of the year.
        table: the table's name in `publish.guards`.
        now: the rows of each assessment that are to be published.
    """
    before = published_counts(task)
    return check_no_shrink(
        table,
        guarded_rows(before, table) if before else {},
        now,
        excluded_ids=settings.read(sections.illuminate).exclude_ids,
        tolerance=settings.read(sections.checks).shrink_tolerance,
        allowed=parse_allowed_shrink(context.current().allowed_shrink).get(table, 0),
    )
