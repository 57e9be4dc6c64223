"""The tasks that read what people maintain: roster, title rules, overrides, SQL views.

Each checks a file and keeps a copy of what it read, which is what other tasks read. A bad line
stops a run before any request, because `CheckInputs` precedes every task that makes one.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import rosters, sections, settings
from pipeline.errors import InputFileError, printable
from pipeline.storage import files
from pipeline.tasks.base import IncrementalTask, ReusableTask, YearTask, incremental
from pipeline.tasks.targets import FilesTarget

if TYPE_CHECKING:
    from pipeline.inputs.roster import Headings

log = logging.getLogger("pipeline")


class ReadInput(ReusableTask):
    """A task that reads a file from outside of the graph."""

    priority = 20  # a bad file is reported before anything else is done

    def place(self) -> Path | None:
        """Return the file or the folder that the settings name; None if they name none."""
        raise NotImplementedError


class ReadRoster(ReadInput):
    """Read the student roster; without one there are no students, and grades are null."""

    version = 3

    def place(self) -> Path | None:
        """Return the roster, or the folder of its files."""
        return settings.input_files(self.year).roster

    def output(self) -> FilesTarget:
        """Return `roster.csv`: `local_student_id, grade` and the named columns, by student."""
        return self.target(self.paths.roster)

    def parameters(self) -> dict[str, Any]:
        """Return how the roster is read, where that is set."""
        return rosters.parameters()

    def source_files(self) -> dict[str, str]:
        """Return the digest of the roster, or of each of its files."""
        from pipeline.inputs import oneroster

        path = self.place()
        if path and path.is_dir():
            found = oneroster.find_files(path) or {}
            return digests(**{name: path / name for name in found})
        return digests(roster=path)

    @incremental
    def run(self) -> None:
        from pipeline.inputs import roster

        path, columns = self.place(), rosters.columns()
        with self.output().build() as build, files.atomic_write(self.paths.roster) as temporary:
            if path is None:
                found = roster.empty_roster(tuple(columns))
            else:
                path = path if path.is_dir() else existing("roster", path)
                found = roster.read_roster(path, headings(), self.year)
                if not found.has_years:
                    self._warn_of_another_year(path)
            found.students.to_csv(temporary, index=False)
            build.stats |= {
                "students": len(found.students),
                "students without a grade": found.without_grade,
                "repeated roster lines": found.repeated,
            }
            if columns:
                build.stats["students with several values"] = found.several

    def _warn_of_another_year(self, path: Path) -> None:
        """Say that a year that is over may get grades of another one."""
        configured = settings.read(sections.paths).rosters
        if configured and "{year}" not in configured and self.year.last_day < self.today:
            log.warning(
                "The roster's path has no {year}, so the grades of %s are those that %s has now, "
                "and may be of another school year. Put {year} into the path, with a file for each "
                "year, or name a column with the school year in [roster] year.",
                self.year,
                printable(str(path)),
            )


class ReadTitleRules(ReadInput):
    """Read the title rules: those of the district, or those that are shipped."""

    def place(self) -> Path:
        """Return the file of the rules."""
        return settings.input_files(self.year).title_rules

    def output(self) -> FilesTarget:
        """Return a copy of the rules, which are valid."""
        return self.target(self.paths.title_rules)

    def source_files(self) -> dict[str, str]:
        """Return the digest of the rules."""
        return digests(**{"title rules": self.place()})

    @incremental
    def run(self) -> None:
        from pipeline.inputs import rules

        path = existing("title rules", self.place())
        with self.output().build() as build:
            found = rules.read_rules(path)
            files.write_bytes(self.paths.title_rules, path.read_bytes())
            build.stats |= {"rules": sum(map(len, found.by_column.values()))}


class ReadOverrides(ReadInput):
    """Read the overrides of labels; without a file there are none."""

    def place(self) -> Path | None:
        """Return the file of the overrides."""
        return settings.input_files(self.year).overrides

    def output(self) -> FilesTarget:
        """Return a copy of the overrides, which are valid; empty if there are none."""
        return self.target(self.paths.overrides)

    def source_files(self) -> dict[str, str]:
        """Return the digest of the overrides."""
        return digests(overrides=self.place())

    @incremental
    def run(self) -> None:
        from pipeline.inputs import rules

        path = self.place()
        with self.output().build() as build:
            if path is None:
                files.write_text(self.paths.overrides, rules.empty_overrides().to_csv(index=False))
                return
            found = rules.read_overrides(existing("overrides", path))
            files.write_bytes(self.paths.overrides, path.read_bytes())
            build.stats |= {"overrides": len(found)}


class ReadSqlViews(ReadInput):
    """Check the SQL files of custom views, all of them: names, syntax, columns."""

    def place(self) -> Path | None:
        """Return the folder of the SQL files."""
        folder = settings.read(sections.paths).sql_views
        return Path(folder) if folder else None

    def output(self) -> FilesTarget:
        """Return a list of the views' names."""
        return self.target(self.paths.work / "custom_views.json")

    def parameters(self) -> dict[str, Any]:
        """Return the roster's columns, which the SQL may name, where there are any."""
        columns = list(rosters.columns())
        return {"roster columns": columns} if columns else {}

    def source_files(self) -> dict[str, str]:
        """Return the digest of each file."""
        folder = self.place()
        missing = {str(folder): "missing"} if folder and not folder.is_dir() else {}
        return missing | digests(
            **{f"{name}.sql": path for name, path in settings.sql_views().items()}
        )

    @incremental
    def run(self) -> None:
        with self.output().build() as build:
            found = settings.sql_views()
            if folder := self.place():
                from pipeline.transform import sql_views

                sql_views.check(folder, found.values(), tuple(rosters.columns()))
            files.write_json(self.output().paths[0], list(found))
            build.stats |= {"custom views": len(found)}


class CheckInputs(YearTask, IncrementalTask):
    """Nothing is requested before every file that people maintain was found valid.

    Its own output is always the same, so that an edited file is no reason to fetch anything again.
    """

    priority = 20

    def requires(self) -> list[ReadInput]:
        readers = (ReadRoster, ReadTitleRules, ReadOverrides, ReadSqlViews)
        return [self.other(reader) for reader in readers]

    def output(self) -> FilesTarget:
        """Return a note that the files are valid."""
        return self.target(self.paths.work / "inputs.json")

    @incremental
    def run(self) -> None:
        with self.output().build():
            files.write_json(self.output().paths[0], {"valid": True})


def headings() -> "Headings":
    """Return which headings of the roster hold what, by the settings."""
    from pipeline.inputs.roster import Headings

    chosen = settings.read(sections.roster)
    return Headings(chosen.id, chosen.grade, rosters.current(), chosen.year, rosters.columns())


def digests(**paths: Path | None) -> dict[str, str]:
    """Return the digests of files from outside of the graph, as they are now, by name."""
    return {name: _digest(path) for name, path in paths.items() if path is not None}


def _digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError:
        return "unreadable"  # run() meets it, and fails with a sentence


def existing(name: str, path: Path) -> Path:
    """Return the path of a file.

    Raises:
        InputFileError: there is no such file.
    """
    if not path.is_file():
        raise InputFileError(
            f"The {name} file {path} does not exist; nothing was requested. Check the path, then "
            "run the same command again."
        )
    return path
