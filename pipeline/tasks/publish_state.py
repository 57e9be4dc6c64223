"""The task that publishes the tables of all districts together, once each has been tried."""

import logging
from collections.abc import Sequence

from pipeline.config import sections, settings
from pipeline.errors import PipelineError, SettingsError, StateError, redact_unexpected
from pipeline.schema import Table
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.parts import Partition
from pipeline.state.paths import StateFolders
from pipeline.state.publish import StateResult, is_published, publish_state
from pipeline.state.published import DistrictYear, published_tables
from pipeline.tasks import state_run
from pipeline.tasks.state import RunDistrict, StateYearsTask
from pipeline.words import counted

log = logging.getLogger("pipeline")


class PublishState(StateYearsTask):
    """Publish what every district has published, as Delta tables and a marker that is written last.

    A district that failed today has what it published before, and so has the state.
    """

    def requires(self) -> list[RunDistrict]:
        """Return the runs of all districts; none where `run` fails, and says why.

        So nothing is requested for hours that could not be published then.
        """
        try:
            open_lakehouse()
            return self.district_runs()
        except SettingsError:
            return []

    @redact_unexpected()
    def complete(self) -> bool:
        """Return True if this run has tried every district, and readers see what they have."""
        try:
            return self.tried() and is_published(
                open_lakehouse(), self._published(), state_tables()
            )
        except PipelineError:
            return False  # run() meets it again, and fails with its sentence

    @redact_unexpected()
    def run(self) -> None:
        """Replace the rows of the districts that have published something new.

        Raises:
            SettingsError: there is no place for the tables.
            StateError: nothing was published; or all but some districts, which the result names.
        """
        run, lakehouse = state_run.current(self.run_id), open_lakehouse()
        result = publish_state(
            lakehouse,
            self._published(),
            state_tables(),
            run=self.run_id,
            keep_versions=settings.read(sections.state).keep_versions,
            replace_source=settings.allowed_once("replace_source"),
            run_all=run.run_all,
            check=run.check,
        )
        run.new.update(result.published)
        log.info("%s", summary(lakehouse, result))
        run.refused.update(
            (each, f"What it has published is not in the tables of all: {reason.rstrip('.')}.")
            for each, reason in result.failed.items()
        )
        if result.failed:
            failed = counted(len(result.failed), "district and year", "districts and years")
            raise StateError(
                f"{failed} could not be published with the others; the rows of before are still "
                "there. Do what is said of each, then run the same command again."
            )

    def _published(self) -> list[DistrictYear]:
        folders: StateFolders = state_run.state_folders()
        return [
            DistrictYear(
                Partition(task.district, str(task.year)),
                folders.folders(task.district).publication(str(task.year)),
            )
            for task in self.district_runs()
        ]


def open_lakehouse() -> Lakehouse:
    """Return the place of the tables of all districts.

    Raises:
        SettingsError: it cannot be used, or a library is not installed.
    """
    return Lakehouse(lakehouse_url())


def lakehouse_url() -> str:
    """Return the folder or URL of the tables of all districts."""
    chosen = settings.read(sections.state)
    return str(chosen.lakehouse or chosen.dir)


def state_tables() -> Sequence[Table]:
    """Return the tables that are published of all districts."""
    return published_tables(with_names=settings.read(sections.state).with_names)


def summary(lakehouse: Lakehouse, result: StateResult) -> str:
    """Return what is published now, and what is new, for people."""
    rows = sum(result.marker.rows.values()) if result.marker else 0
    tables = len(result.marker.rows) if result.marker else 0
    return (
        f"{lakehouse.uri}: {counted(rows, 'row')} in {counted(tables, 'table')}; "
        f"{counted(len(result.published), 'district and year', 'districts and years')} replaced, "
        f"{len(result.unchanged):,} unchanged"
    )
