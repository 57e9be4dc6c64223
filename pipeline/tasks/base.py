"""What all tasks share: the day, mostly the year, and being complete only while up to date."""

import datetime as dt
from pathlib import Path
from typing import Any, TypeVar

import luigi

from pipeline.config import settings
from pipeline.errors import SettingsError, StorageError, kind_only
from pipeline.storage import files
from pipeline.storage.paths import Place, Snapshot
from pipeline.tasks.run import Run
from pipeline.tasks.targets import BuiltTarget, Recipe
from pipeline.years import SchoolYear

Step = TypeVar("Step", bound="FileTask")


class SchoolYearParameter(luigi.Parameter[SchoolYear]):
    """A school year, written `23-24`; without one it is `[years] current`."""

    def __init__(self, description: str) -> None:
        # The default is only known when settings are read, so normalize() puts it in.
        super().__init__(default=None, description=description)  # type: ignore[arg-type]

    def parse(self, text: str) -> SchoolYear:
        """Read a school year, or say what is wrong with it."""
        return SchoolYear.parse(text)

    def normalize(self, value: SchoolYear | str | None) -> SchoolYear:
        """Take a school year, its text, or none."""
        if isinstance(value, SchoolYear):
            return value
        return self.parse(value) if value else settings.current_year()


class FileTask(luigi.Task):
    """A step, with files as its target.

    A step says what it requires, which files it makes (`paths`), what its content follows from
    besides (`parameters`, `inputs`), and makes them in `make`, which returns what it counted.
    Raise `version` when `make` makes other files of the same inputs.
    """

    as_of = luigi.DateParameter(
        default=dt.date.today(),  # noqa: DTZ011  the school's own day
        description="last day to ask for, like 2024-06-30; default today",
    )
    version = 1

    @property
    def place(self) -> Place:
        """Where its files are."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The step's name in receipts and messages."""
        return str(self.get_task_family())

    def at(self, step: type[Step], **parameters: Any) -> Step:  # noqa: ANN401
        """Another step for the same day, and the same year or years, unless others are given."""
        task: Step = self.clone(step, **parameters)
        return task

    @kind_only()
    def complete(self) -> bool:
        """Luigi's question: whether there is nothing to do."""
        run = Run.begin()
        try:
            run.work_on(self.place)
            if not self.up_to_date():
                return False
        except (SettingsError, StorageError):
            return False  # run() meets it again, and fails with its sentence
        run.completed.add((self.name, self.place))
        return True

    def up_to_date(self) -> bool:
        """Whether this step and all before it are as they would be built now.

        Once that is so it stays so for this process: nobody else works in the data folder.
        """
        if not getattr(self, "_up_to_date", False):
            self._up_to_date = all(task.up_to_date() for task in self.deps()) and (
                self.output().exists()
            )
        return self._up_to_date

    def output(self) -> BuiltTarget:
        """The step's files, complete while their receipt holds."""
        return BuiltTarget(self.place.receipt(self.name), self.paths(), self.recipe)

    def recipe(self) -> Recipe | None:
        """What the files follow from; None while an input is not there."""
        inputs = self.inputs()
        if inputs is None or None in inputs.values():
            return None
        known = {name: digest for name, digest in inputs.items() if digest is not None}
        return Recipe(self.name, self.version, self.parameters(), known)

    def digest(self) -> str | None:
        """A digest of what the step made; None when it has not."""
        receipt = self.output().receipt
        return receipt.digest if receipt else None

    @kind_only()
    def run(self) -> None:
        """Luigi's order to do the step."""
        run = Run.begin()
        run.begin_step()
        with files.storing(self.place.work):
            self.bring_up_to_date(run)

    def bring_up_to_date(self, run: Run) -> None:
        """Make the files and sign them, unless what came before turned out the same."""
        if not self.output().exists():
            recipe = self.recipe()  # of now: what changes meanwhile is met by the next run
            facts = self.make()
            self.output().sign(recipe, facts, run.id, self.known())

    def paths(self) -> list[Path]:
        """The files that the step makes."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Settings that its content follows from."""
        return {}

    def inputs(self) -> dict[str, str | None]:
        """Digests of what its content follows from, by name."""
        return {task.name: task.digest() for task in self.deps()}

    def known(self) -> dict[str, files.Fingerprint]:
        """The fingerprints of files, by name, that were taken while they were made."""
        return {}

    def make(self) -> dict[str, Any]:
        """Make the files; returns what was counted meanwhile."""
        raise NotImplementedError


class PipelineTask(FileTask):
    """A step of the flow of one school year."""

    year = SchoolYearParameter("school year, like 23-24; default [years] current")

    @property
    def place(self) -> Place:
        """The snapshot."""
        return self.snapshot

    @property
    def snapshot(self) -> Snapshot:
        """The files of this year as of this day."""
        return settings.snapshot(self.year, self.as_of)
