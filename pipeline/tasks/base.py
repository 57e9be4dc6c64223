"""What all tasks share: the district, the days, and being complete only while up to date.

A task says what it requires, what it outputs, and how it is built, in `run`. Its files are complete
while their receipt matches what would be built now: the same version, parameters, and contents of
what it requires. Locks, signals, records and checksums are in `pipeline.runs` and
`pipeline.storage`; tasks do not mention them.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import luigi

from pipeline.config import settings
from pipeline.errors import PipelineError, redact_unexpected
from pipeline.runs import context, events  # noqa: F401  by which a run follows its tasks
from pipeline.runs.build import Step
from pipeline.schema import Table
from pipeline.storage import files, snapshots
from pipeline.storage.paths import ALL_YEARS, AllYears, Snapshot
from pipeline.storage.receipts import BuildKey, Receipt
from pipeline.tasks.parameters import (
    DayParameter,
    DistrictParameter,
    SchoolYearParameter,
    SchoolYearsParameter,
    fill_in_days,
)
from pipeline.tasks.targets import FilesTarget

Task = TypeVar("Task", bound="PipelineTask")


class PipelineTask(Step):
    """A task of one district and day."""

    district = DistrictParameter()
    as_of = DayParameter("last day of results, like 2024-06-30; default today")
    today = DayParameter("the day of the run; only for tests of other days", significant=False)

    @classmethod
    @functools.cache
    def get_params(cls) -> list[tuple[str, luigi.Parameter[Any]]]:
        """Return the names and parameters of a class of tasks.

        Luigi asks thousands of times, and looks through all attributes of the class each time: a
        twelfth of the processor time of a small run.
        """
        params: list[tuple[str, luigi.Parameter[Any]]] = super().get_params()
        return params

    @classmethod
    def get_param_values(
        cls, params: Sequence[tuple[str, luigi.Parameter[Any]]], args: object, kwargs: object
    ) -> list[tuple[str, Any]]:
        """Return the values of all parameters; day and year are those of today if not given."""
        return fill_in_days(super().get_param_values(params, args, kwargs))

    def other(self, task: type[Task], **parameters: Any) -> Task:  # noqa: ANN401
        """Return another task for the same district, day and year unless others are given."""
        other: Task = self.clone(task, **parameters)
        return other

    def process_resources(self) -> Any:  # noqa: ANN401  as Luigi's
        """Return what Luigi's does; it asks where it schedules a step, and so a run is known.

        Luigi has no event for a requested task that requires nothing.
        """
        context.current()
        return super().process_resources()

    @redact_unexpected()
    def complete(self) -> bool:
        """Return True if all outputs are current; reads, and changes nothing."""
        run = context.under_way()
        known = run.fresh if run else set()
        answers = dict.fromkeys(known, True)
        with settings.frozen():
            try:
                return self.is_fresh(answers)
            except PipelineError:
                return False  # run() meets it again, and fails with its sentence
            finally:
                # Luigi schedules a build once, so what was current then must stay so until it ends.
                known.update(task for task, is_fresh in answers.items() if is_fresh)

    def is_fresh(self, answers: "dict[luigi.Task, bool]") -> bool:
        """Return True if this task and all that it requires are as they would be built now.

        Args:
            answers: those that are known; the others are added.
        """
        if self not in answers:
            fresh = (
                task.is_fresh(answers) if isinstance(task, PipelineTask) else task.complete()
                for task in self.deps()
            )
            answers[self] = all(fresh) and self.has_output()
        return answers[self]

    def has_output(self) -> bool:
        """Return True if its own outputs are as they would be built now."""
        return all(target.exists() for target in luigi.task.flatten(self.output()))

    def reuse(self) -> bool:
        """Take its outputs from where they are the same, in place of running; return if it did."""
        return False


def incremental(run: Callable[[Any], None]) -> Callable[[Any], None]:
    """Make `run` part of a run of the pipeline, and do nothing where its output is current.

    What a task requires may have been built again and turned out the same.
    """

    @functools.wraps(run)
    def run_if_stale(self: "PipelineTask") -> None:
        with context.of_step(self), files.wrap_os_errors(self.paths.work):
            if not self.has_output() and not self.reuse():
                run(self)

    return run_if_stale


class IncrementalTask(PipelineTask):
    """A task with files as its output, which are rebuilt when what they follow from changes.

    Raise `version` when `run` makes other files of the same inputs.
    """

    version: ClassVar[int] = 1

    def target(self, *paths: Path) -> FilesTarget:
        """Return these files as a target, complete while the task's receipt matches."""
        return FilesTarget(self.paths.receipt(self.name), paths, self.build_key)

    def tables_target(self, *tables: Table) -> FilesTarget:
        """Return the files of these tables as a target."""
        return self.target(*(path for table in tables for path in self.paths.staging_paths(table)))

    def parameters(self) -> dict[str, Any]:
        """Return the settings that the files follow from."""
        return {}

    def source_files(self) -> dict[str, str]:
        """Return digests of the files from outside of the graph that the task reads, by name."""
        return {}

    def built_from(self) -> list[Any]:
        """Return the tasks whose contents the files follow from: all that are required."""
        return list(self.deps())

    def build_key(self) -> BuildKey | None:
        """Return what the files follow from; None while something required is missing."""
        inputs = {self._label(task): task.digest() for task in self.built_from()}
        known = {name: digest for name, digest in inputs.items() if digest is not None}
        if len(known) < len(inputs):
            return None
        return BuildKey(self.name, self.version, self.parameters(), known | self.source_files())

    def digest(self) -> str | None:
        """Return a digest of the contents of its files; None while there are none."""
        return receipt.digest if (receipt := self.receipt) else None

    @property
    def receipt(self) -> Receipt | None:
        """The receipt of its files as they are now."""
        return Receipt.read(self.paths.receipt(self.name))

    def _label(self, task: "PipelineTask") -> str:
        return task.name if task.partition == self.partition else f"{task.name} {task.partition}"


class YearTask(PipelineTask):
    """A task of one school year."""

    year = SchoolYearParameter("school year, like 23-24; default today's")

    @property
    def partition(self) -> str:
        """The school year."""
        return str(self.year)

    @property
    def paths(self) -> Snapshot:
        """The snapshot of the year as of the day."""
        return settings.snapshot(self.year, self.as_of, self.today)

    def other_snapshots(self) -> list[Path]:
        """Return the other snapshots of the year and of the same source, the newest first."""
        paths, source = self.paths, settings.source_name()
        catalogue = paths.receipt("FetchMetadata")
        receipts = {
            each: Receipt.read(paths.counterpart(catalogue, each))
            for each in snapshots.of_year(paths.work.parent)
            if each != paths.work
        }
        return [
            each
            for each, receipt in receipts.items()
            if receipt and receipt.key.parameters.get("source") == source
        ]


class ReusableTask(YearTask, IncrementalTask):
    """A task whose files are the same on any day if all that they follow from is the same.

    Those of another snapshot are then linked, not built again. Not for a task that requests
    something, or that compares with what the server said today.
    """

    def reuse(self) -> bool:
        """Link the files of the newest other snapshot that has the same key, if one has."""
        target, own = self.output(), self.paths.work
        return any(target.reuse(own, other) for other in self.other_snapshots())


class YearsTask(PipelineTask):
    """A task of several school years together."""

    years = SchoolYearsParameter("school years, like 22-23,23-24")

    @property
    def partition(self) -> str:
        """All years together."""
        return ALL_YEARS

    @property
    def paths(self) -> AllYears:
        """The files of all years together."""
        return AllYears(settings.folders(), self.years)
