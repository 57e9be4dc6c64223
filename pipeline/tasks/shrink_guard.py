"""What is published now, and whether a run would publish less of it."""

from collections.abc import Mapping

from pipeline.config import sections, settings
from pipeline.publish.checks import CheckResult
from pipeline.publish.commit import Publication
from pipeline.publish.guards import RowCounts, check_no_shrink, parse_allowed_shrink
from pipeline.runs import context
from pipeline.tasks.base import YearTask


def published_counts(task: YearTask) -> RowCounts | None:
    """Return what is published of the same source; None where nothing is."""
    publication = Publication.read(task.paths.publication)
    if publication is None or publication.metadata.get("source") != settings.source_name():
        return None
    return publication.row_counts


def compare_with_published(task: YearTask, table: str, now: Mapping[str, int]) -> CheckResult:
    """Check that a table keeps the published rows, but for what the settings allow.

    Args:
        task: a task of the year.
        table: the table's name in `publish.guards`.
        now: the rows of each assessment that are to be published.
    """
    before = published_counts(task)
    return check_no_shrink(
        table,
        before.rows.get(table, {}) if before else {},
        now,
        excluded_ids=settings.read(sections.illuminate).exclude_ids,
        tolerance=settings.read(sections.checks).shrink_tolerance,
        allowed=parse_allowed_shrink(context.current().allowed_shrink).get(table, 0),
    )
