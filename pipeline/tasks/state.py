"""The tasks of a state run: every district by itself, one after the other or on a cluster.

RunDistrict of each district and year ─► PublishState ─► RunState

A state run tries every district, because only a district's own run knows what of it is missing or
stale; where nothing is, that takes seconds and requests nothing. So a task is complete once the
state run that it belongs to, which has an id, has tried it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.config import sections, settings
from pipeline.errors import InputFileError, StateError, StoppedError, redact_unexpected
from pipeline.runs.build import failure_text
from pipeline.state.district_run import DistrictJob
from pipeline.state.districts import District, read_districts
from pipeline.state.outcomes import Outcome
from pipeline.tasks import state_run
from pipeline.tasks.parameters import SchoolYearParameter, SchoolYearsParameter
from pipeline.years import SchoolYear, today

if TYPE_CHECKING:
    from pipeline.tasks.publish_state import PublishState

log = logging.getLogger("pipeline")


class StateTask(luigi.Task):
    """A task of a state run."""

    districts = luigi.Parameter(
        default="",
        significant=False,
        description="the file that lists the districts; default [state] districts",
    )
    run_id = luigi.Parameter(default="", description="the id of the state run; default a new one")

    @classmethod
    def get_param_values(
        cls, params: Sequence[tuple[str, luigi.Parameter[Any]]], args: object, kwargs: object
    ) -> list[tuple[str, Any]]:
        """Return the values of all parameters; those that are not given have their defaults."""
        values = dict(super().get_param_values(params, args, kwargs))
        values["districts"] = values["districts"] or settings.read(sections.state).districts
        values["run_id"] = values["run_id"] or state_run.new_id()
        if "year" in values:
            values["year"] = values["year"] or SchoolYear.of(today())
        return list(values.items())

    def on_failure(self, exception: BaseException) -> str:
        """Return the reason of a failure for the scheduler's page, without any data."""
        if run := state_run.under_way():
            run.fail(exception)
        return failure_text(exception)

    def listed(self) -> list[District]:
        """Return the districts of the file.

        Raises:
            InputFileError: it cannot be read, or a line is invalid.
        """
        has_workers = bool(settings.read(sections.state).scheduler)
        return read_districts(Path(self.districts), secrets_are_here=not has_workers)


class RunDistrict(StateTask):
    """Fetch and publish a school year of one district, in its own process and folder.

    It is done once it was tried: a district that failed is named at the end, and keeps no other
    from being published.
    """

    district = luigi.Parameter(description="the district's name in districts.csv")
    followers = luigi.IntParameter(
        default=0, significant=False, description="how many districts are run after it"
    )
    year = SchoolYearParameter("school year, like 23-24; default today's")
    of_years = luigi.Parameter(
        default="",
        significant=False,
        description="the school years of the state run that it is a part of; default it is none's",
    )

    @property
    def priority(self) -> int:  # type: ignore[override]  # Luigi takes a property, too
        """Let Luigi keep the order of the file; it has no priorities below zero."""
        return int(self.followers)

    def complete(self) -> bool:
        """Return True if this state run has tried it; by itself, once that has succeeded."""
        outcome = self.outcome()
        if outcome is None or outcome.run != self.run_id or outcome.outcome == "stopped":
            return False
        return bool(self.of_years) or outcome.is_published

    def outcome(self) -> Outcome | None:
        """Return how the last run of the district and year ended; None if there was none."""
        run = state_run.under_way()
        if run and run.id == self.run_id and (self.district, str(self.year)) in run.ended:
            return run.ended[self.district, str(self.year)]
        return Outcome.read(state_run.state_folders().outcome(self.district, str(self.year)))

    @redact_unexpected()
    def run(self) -> None:
        run = state_run.current(self.run_id, is_whole=bool(self.of_years))
        outcome = run.run_district(self.job(self._found()), self._together)
        log.info("%s in %.0f s", outcome.line(), outcome.seconds)
        if outcome.outcome == "stopped":
            raise StoppedError(outcome.line())
        if not self.of_years and not outcome.is_published:
            raise StateError(outcome.line())

    def job(self, district: District) -> DistrictJob:
        """Return what is to be run, given the line of the district."""
        return DistrictJob(
            district,
            str(self.year),
            state_run.state_folders(),
            self.run_id,
            settings.read(sections.state).longest_wait,
        )

    def _together(self) -> list[DistrictJob]:
        """Return all that the state run is still to run; it is a part of one."""
        years, listed = map(SchoolYear.parse, self.of_years.split(",")), self.listed()
        tasks = [
            (self.clone(district=each.district, year=year), each)
            for year in years
            for each in listed
        ]
        return [task.job(each) for task, each in tasks if not task.complete()]

    def _found(self) -> District:
        for each in self.listed():
            if each.district == self.district:
                return each
        raise InputFileError.at(self.districts, f"it has no district {self.district}")


class StateYearsTask(StateTask):
    """A task of school years of all districts."""

    years = SchoolYearsParameter("school years, like 22-23,23-24")

    def tried(self) -> bool:
        """Return True if this state run has tried every district."""
        try:
            return all(task.complete() for task in self.district_runs())
        except InputFileError:
            return False

    def district_runs(self) -> list[RunDistrict]:
        """Return the run of each district and year, in the order of the file.

        Raises:
            InputFileError: it cannot be read, or a line is invalid.
            SettingsError: Luigi would run several at once.
        """
        state_run.refuse_forks()
        pairs = [(year, each.district) for year in self.years for each in self.listed()]
        of_years = ",".join(map(str, self.years))
        return [
            self.clone(
                RunDistrict,
                district=district,
                year=year,
                followers=len(pairs) - number,
                of_years=of_years,
            )
            for number, (year, district) in enumerate(pairs, start=1)
        ]


class RunState(StateYearsTask):
    """Everything of a state run; it fails at the end if a district did."""

    def requires(self) -> "PublishState":
        """Return the task that publishes all districts together, after running each."""
        from pipeline.tasks.publish_state import PublishState

        publish: PublishState = self.clone(PublishState)
        return publish

    def complete(self) -> bool:
        """Return True if this state run has published every district."""
        return self.requires().complete() and not self._failed(self.district_runs())

    @redact_unexpected()
    def run(self) -> None:
        """Look at how the districts ended, which the result of the run tells.

        Raises:
            StateError: one failed.
        """
        tasks = self.district_runs()
        if failed := self._failed(tasks):
            raise StateError(
                f"{len(failed)} of {len(tasks)} runs of districts failed: {', '.join(failed)}."
            )

    def on_failure(self, exception: BaseException) -> str:
        """Return the reason; the result of the run names the districts already."""
        if isinstance(exception, StateError):
            return failure_text(exception)
        return super().on_failure(exception)

    def _failed(self, tasks: Sequence[RunDistrict]) -> list[str]:
        found = [outcome for task in tasks if (outcome := task.outcome())]
        return [f"{each.district} {each.year}" for each in found if not each.is_published]
