"""Tries what a run of a school year needs, one plain line each; no secret is shown."""

import argparse
import contextlib
import logging
import re
from collections.abc import Callable, Iterator

from pipeline.commands.doctor import deliveries, district, inputs, machine
from pipeline.commands.doctor.note import Note
from pipeline.commands.options import year_of
from pipeline.config import settings
from pipeline.config.sections import SECTIONS
from pipeline.errors import PipelineError, SettingsError, printable
from pipeline.storage.files import reason
from pipeline.storage.paths import Snapshot
from pipeline.years import SchoolYear, today

Trial = Callable[[Snapshot], str | Note]

TRIALS: dict[str, Trial] = {
    "Python": machine.python,
    "settings": inputs.check_settings,
    "time zone": machine.time_zone,
    "school year": machine.school_year,
    "process": machine.limits,
    "memory": machine.memory_size,
    "file system": machine.file_system,
    "tables": machine.tables,
    "views": machine.views,
    "reports": machine.reports,
    "disk": machine.disk,
    "demo": inputs.write_demo,
    "roster": inputs.read_roster,
    "title rules": inputs.read_rules,
    "overrides": inputs.read_overrides,
    "prior years": inputs.find_prior_years,
    "views of your own": inputs.check_sql_views,
    "district": district.catalogue,
    "database": deliveries.database,
    "copies": deliveries.copies,
    "webhook": deliveries.webhook,
}
"""What is tried, in this order: what needs a network comes last."""

_WITH_PASSWORD = re.compile(r"[^/]*://.*:.*@")


def main(options: argparse.Namespace) -> int:
    """Print a line per thing tried; return 0 when all is well, else 1."""
    year = year_of(options)
    _print_settings()
    paths = _paths(year)
    marks = "`FAILED` must be fixed, and its line says how; `note` works, but read it"
    print(f"Tried for the school year {year} ({marks}):")
    failed = sum(not _try(name, trial, paths) for name, trial in TRIALS.items())
    if failed:
        todo = "Do what these lines say, then run the same command again."
        print(f"{failed} of {len(TRIALS)} FAILED. {todo}")
        return 1
    print("Nothing failed: a run of this school year has what it needs.")
    return 0


def _paths(year: SchoolYear) -> Snapshot:
    try:
        return settings.snapshot(year, today(), today())
    except SettingsError:  # which the line of the settings says; the others need the folders alone
        return Snapshot(settings.folders(), year, year.window(today()), "", None)


def _print_settings() -> None:
    meanings = {
        (section.__name__, name): parameter.description
        for section in SECTIONS
        for name, parameter in section.current_params()
    }
    print("Settings (command line > environment > luigi.cfg > default):")
    for section, name, value, origin in settings.describe():
        shown = _shown(name, value)
        line = f"  [{section}] {name} = {shown}, from {origin}".replace("from default", "default")
        print(printable(f"{line}: {meanings[section, name]}"))


def _shown(name: str, value: object) -> object:
    if name == "base_url" and value:
        try:
            return settings.address().base
        except SettingsError:
            return "(not usable)"  # it may hold a password
    if isinstance(value, str) and _WITH_PASSWORD.match(value):
        return "(not shown: it contains a password; docs/copies.md says where that belongs)"
    return "(none)" if value in ("", ()) else value


def _try(name: str, trial: Trial, paths: Snapshot) -> bool:
    try:
        with _warnings() as said:
            found = trial(paths)
    except PipelineError as error:
        print(f"  FAILED  {name}: {error}", flush=True)
        return False
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        todo = "Check the path and permissions."
        print(printable(f"  FAILED  {name}: {where}{reason(error)}. {todo}"), flush=True)
        return False
    # What a run would warn of is said in place of what works.
    notes = [*([found.text] if isinstance(found, Note) else []), *said]
    text = ". ".join(note.rstrip(".") for note in notes) or found
    print(printable(f"  {'note' if notes else 'ok':<7} {name}: {text}"), flush=True)
    return True


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what a run would warn of in the block."""
    kept, log = _Kept(logging.WARNING), logging.getLogger("pipeline")
    log.addHandler(kept)
    try:
        yield kept.messages
    finally:
        log.removeHandler(kept)


class _Kept(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
