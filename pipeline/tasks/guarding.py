"""What is published now, and whether a run would lose rows of it."""

from collections.abc import Mapping

from pipeline.config import sections, settings
from pipeline.publish.check_result import Check
from pipeline.publish.commit import Marker
from pipeline.publish.guards import Counted, not_shrunk, parse_allowance
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.run import Run


def published_before(task: PipelineTask) -> Counted | None:
    """What is published of the same source; None where nothing is."""
    marker = Marker.read(task.snapshot.marker)
    if marker is None or marker.about.get("source") != settings.source_name():
        return None
    return marker.counted


def nothing_lost(task: PipelineTask, table: str, now: Mapping[str, int]) -> Check:
    """Whether a table keeps the rows that are published, but for what the settings let pass.

    Args:
        task: a step of the year.
        table: the table's name in guards.py.
        now: the rows of each assessment that are to be published.
    """
    before = published_before(task)
    return not_shrunk(
        table,
        before.rows.get(table, {}) if before else {},
        now,
        left_out=settings.ids_to_exclude(),
        tolerance=sections.checks().shrink_tolerance,
        allowed=parse_allowance(Run.begin().let_pass).get(table, 0),
    )
