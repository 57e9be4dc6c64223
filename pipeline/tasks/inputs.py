"""The files that people keep: the roster, the title rules, the overrides, SQL of their own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import sections, settings
from pipeline.errors import InputFileError
from pipeline.storage import files
from pipeline.storage.paths import InputFiles
from pipeline.tasks.base import PipelineTask

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.inputs.rules import TitleRules


class ReadInputs(PipelineTask):
    """Reads and checks what people keep, so that a bad line stops before any request.

    Makes `roster.csv` of the students and their grades.
    """

    def paths(self) -> list[Path]:
        """The roster, read."""
        return [self.snapshot.roster]

    def inputs(self) -> dict[str, str | None]:
        """The contents of the files."""
        return {**self.contents(), **self._sql()}

    def contents(self) -> dict[str, str]:
        """Digests of roster, rules and overrides as they are now, by name."""
        return {name: content(path) for name, path in self.chosen().named().items()}

    def make(self) -> dict[str, Any]:
        """Read them all; the roster's students are kept."""
        from pipeline.inputs import roster

        self._check_sql()

        for name, path in self.chosen().named().items():
            if not path.is_file():
                raise InputFileError(f"The {name} file {path} is not there; no request was made.")
        rules, overrides = self.rules_and_overrides()
        kept = self.chosen().roster
        students = roster.read_roster(kept) if kept else roster.no_roster()
        with files.replacing(self.paths()[0]) as temporary:
            students.students.to_csv(temporary, index=False)
        return {
            "students": len(students.students),
            "repeated roster lines": students.repeated,
            "rules": sum(len(of_column) for of_column in rules.by_column.values()),
            "overrides": len(overrides),
            "views of one's own": len(settings.sql_views()),
        }

    def _sql(self) -> dict[str, str]:
        """Digests of the SQL as it is now; the folder, where it is not there."""
        folder = sections.paths().sql_views
        missing = {"sql views": "unreadable"} if folder and not Path(folder).is_dir() else {}
        return missing | {
            f"{name}.sql": content(path) for name, path in settings.sql_views().items()
        }

    def _check_sql(self) -> None:
        if folder := sections.paths().sql_views:
            from pipeline.transform import sql_views

            sql_views.check(Path(folder), settings.sql_views().values())

    def chosen(self) -> InputFiles:
        """Where the files are."""
        return settings.input_files(self.year)

    def rules_and_overrides(self) -> "tuple[TitleRules, pd.DataFrame]":
        """What titles mean, and what is changed by hand."""
        from pipeline.inputs import rules

        _, title_rules, overrides = self.chosen()
        return (
            rules.read_rules(title_rules),
            rules.read_overrides(overrides) if overrides else rules.no_overrides(),
        )


def content(path: Path) -> str:
    """The digest of a file that people keep, as it is now."""
    try:
        return files.sha256(path)
    except OSError:
        return "unreadable"  # make() meets it, and says so in a sentence
