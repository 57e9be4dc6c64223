"""What is refused before anything is requested or changed."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import luigi
from luigi.task_register import Register, TaskClassException

from pipeline.config import config_file, rosters, sections, settings
from pipeline.errors import SettingsError

_SIMILAR = 0.75
"""How similar a name is to the one that was meant: one letter of four, or two of eight, differ."""


def check_settings() -> None:
    """Read every setting, and refuse what makes no sense.

    Raises:
        SettingsError: one cannot be read or used.
    """
    settings.check_address()
    settings.check_time_zone()
    settings.source_name()
    settings.historical_before()
    settings.smallest_group()
    rosters.parameters()
    for section in sections.SECTIONS:
        settings.read(section)


def check_config_file(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to go on without settings that somebody wrote down; Luigi only warns, or does not.

    Raises:
        SettingsError: the file that LUIGI_CONFIG_PATH names is missing, one cannot be read, or one
            has a section or a setting that is misspelled.
    """
    named = environ.get(config_file.VARIABLE)
    if named and not Path(named).is_file():
        raise SettingsError.refused(
            f"{config_file.VARIABLE} names {named}, which is not a file, so its settings are "
            "missing",
            f"Correct or unset {config_file.VARIABLE}",
        )
    for path in config_file.find(environ):
        try:
            written = config_file.parse(path)
        except OSError as error:
            raise SettingsError.refused(
                f"{path} cannot be read ({error.strerror}), so its settings are missing",
                "Check its path and permissions",
            ) from None
        for section in written.sections():
            names = [name for name in written[section] if name not in written.defaults()]
            _check_section(path, section, names)


def _check_section(path: Path, section: str, names: Iterable[str]) -> None:
    """Refuse what nothing reads: a section that looks like one of ours, or a name in one of ours.

    A section may also be Luigi's, a task's, whose parameters it sets, or another program's.
    """
    task = _class_of(section)
    if task is None:
        ours = [each.__name__ for each in sections.SECTIONS]
        spelled = section.lower() if section.isupper() else section
        if near := difflib.get_close_matches(spelled, ours, 1, _SIMILAR):
            raise SettingsError.refused(
                f"{path} has a section [{section}], which nothing reads (did you mean [{near[0]}]?)"
            )
    elif task.__module__.startswith("pipeline."):
        known = [name for name, _ in task.get_params()]
        for name in names:
            if name.replace("-", "_") not in known:  # Luigi takes both
                raise SettingsError.refused(
                    f"{path} has {name} in [{section}], where nothing reads it{_hint(name, known)}"
                )


def _class_of(section: str) -> type[luigi.Task] | None:
    """Return the task or the settings that Luigi reads from a section; None if it knows none."""
    try:
        found: type[luigi.Task] = Register.get_task_cls(section)
    except TaskClassException:
        return None
    return found


def _hint(name: str, known: Iterable[str]) -> str:
    """Return what was probably meant by a name: a similar one, or the same of another section."""
    elsewhere = [f"[{s.__name__}] {name}" for s in sections.SECTIONS if name in s.get_param_names()]
    near = [*difflib.get_close_matches(name, known, 1), *elsewhere]
    return f" (did you mean {near[0]}?)" if near else ""
