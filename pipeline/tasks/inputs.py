"""The files that people keep: the roster, the title rules, the overrides."""

from pathlib import Path
from typing import Any

from pipeline import config, files
from pipeline.errors import InputFileError
from pipeline.tasks.base import PipelineTask

_NONE = "none"


class ReadInputs(PipelineTask):
    """Reads and checks roster, rules and overrides, so that a bad line stops before any request.

    Makes `roster.csv` of the students and their grades.
    """

    def paths(self) -> list[Path]:
        """The roster, read."""
        return [self.snapshot.roster]

    def parameters(self) -> dict[str, Any]:
        """Which files are configured."""
        return {name: str(path or "") for name, path in self._files().items()}

    def inputs(self) -> dict[str, str | None]:
        """The contents of the files."""
        return self.contents()

    def contents(self) -> dict[str, str | None]:
        """Digests of the files as they are now."""
        return {name: _content(path) for name, path in self._files().items()}

    def make(self) -> dict[str, Any]:
        """Read all three; the roster's students are kept."""
        from pipeline import roster, rules

        chosen = self._files()
        for name, path in chosen.items():
            if path is not None and not path.is_file():
                raise InputFileError(f"The {name} file {path} is not there; no request was made.")
        title_rules = rules.read_rules(chosen["title rules"] or rules.DEFAULT_RULES)
        overrides = read_overrides(chosen["overrides"])
        students = roster.read_roster(chosen["roster"]) if chosen["roster"] else roster.no_roster()
        with files.replacing(self.paths()[0]) as temporary:
            students.students.to_csv(temporary, index=False)
        return {
            "students": len(students.students),
            "repeated roster lines": students.repeated,
            "rules": sum(len(of_column) for of_column in title_rules.by_column.values()),
            "overrides": len(overrides),
        }

    def _files(self) -> dict[str, Path | None]:
        return config.input_files(self.year)


def read_overrides(path: Path | None) -> Any:  # noqa: ANN401
    """The overrides at `path`, or none."""
    from pipeline import rules

    return rules.read_overrides(path) if path else rules.no_overrides()


def _content(path: Path | None) -> str:
    if path is None:
        return _NONE
    try:
        return files.sha256(path)
    except OSError:
        return "unreadable"  # make() meets it, and says so in a sentence
