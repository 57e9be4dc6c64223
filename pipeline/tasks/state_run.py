"""A state run of this process, from its first task until Luigi's build ends."""

import contextlib
import datetime as dt
import os
import sys
import threading
import time
from pathlib import Path

from luigi.interface import PidLockAlreadyTakenExit

from pipeline.config import sections, settings
from pipeline.errors import FolderInUseError, PipelineError, SettingsError, StoppedError
from pipeline.runs.build import current_worker, describe, forks, when_build_ends
from pipeline.runs.context import is_command_line
from pipeline.runs.lock import Lock
from pipeline.runs.messages import print_lines
from pipeline.runs.signals import StopSignals
from pipeline.state import outcomes
from pipeline.state.outcomes import Outcome
from pipeline.state.paths import StateFolders
from pipeline.storage import files

_ALREADY_RUNNING = 10
_OF_ONE_DISTRICT = {
    ("illuminate", "base_url"),
    ("illuminate", "include_ids"),
    ("illuminate", "exclude_ids"),
    ("paths", "rosters"),
    ("paths", "manual_changes"),
    ("paths", "save_path"),
    ("paths", "view_path"),
    ("paths", "prior_years"),
}
"""Settings that would mix up districts, if all of them had the same."""

_current: "StateRun | None" = None


class StateRun:
    """What a state run holds: the lock of the state folder, and the handlers of signals."""

    def __init__(self, run_id: str, folders: StateFolders) -> None:
        self.id = run_id
        self.folders = folders
        self.stop = threading.Event()
        self.latest = folders.latest
        """Where the result is written."""
        self.outcomes: list[Outcome] = []
        """How it ended for districts and years that have no run of their own in it."""
        self.new: set[tuple[str, str]] = set()
        """Districts and years of which what is published of all districts has something new."""
        self.refused: dict[tuple[str, str], str] = {}
        """Those that could not be published with the others, and why."""
        self._started = time.monotonic()
        self._has_begun = False
        self._refusal: PipelineError | None = None
        self._failures: dict[str, None] = {}
        self._held = contextlib.ExitStack()
        self._signals = StopSignals(self.stop, is_command=is_command_line())

    def begin(self) -> None:
        """Take the state folder and handle signals; only the first call does.

        Raises:
            FolderInUseError: another state run holds the folder.
            PipelineError: the run cannot begin. Every later call says the same.
            StoppedError: the run was asked to stop.
        """
        if self._refusal is not None:
            raise self._refusal
        if not self._has_begun:
            self._has_begun = True
            # While these lines are printed, Luigi prints no reason of a failure; `end` does.
            self._held.enter_context(print_lines())
            try:
                self._prepare()
            except PipelineError as error:
                self._refusal = error
                raise
        if self.stop.is_set():
            raise StoppedError("The state run was asked to stop.")

    def fail(self, error: BaseException) -> None:
        """Note why a task failed, unless that is because the run was asked to stop."""
        if not isinstance(error, StoppedError):
            is_expected = isinstance(error, PipelineError)
            reason = describe(error)
            self._failures[reason if is_expected else f"An unexpected error: {reason}."] = None

    def end(self) -> None:
        """Write and print the result, release everything, and let a signal have its effect.

        Raises:
            SystemExit: on Luigi's command line, where another state run holds the folder.
        """
        global _current  # noqa: PLW0603  a process has one run at a time
        _current = None
        try:
            self._report(list(self._failures))
        finally:
            self._held.close()
        self._signals.reraise()
        if isinstance(self._refusal, FolderInUseError) and is_command_line():
            raise PidLockAlreadyTakenExit(_ALREADY_RUNNING)

    def _report(self, failures: list[str]) -> None:
        for reason in failures:
            print(reason, file=sys.stderr)
        if self._refusal is None:
            result = outcomes.summarize(
                self.id,
                [*outcomes.of_run(self.folders.outcomes, self.id), *self.outcomes],
                new=self.new,
                refused=self.refused,
                failures=failures,
                was_stopped=self.stop.is_set(),
                seconds=time.monotonic() - self._started,
            )
            files.write_json(self.latest, result)
            if result.tried:
                print(result.text(), flush=True)

    def _prepare(self) -> None:
        _refuse_shared_settings()
        files.set_group_read(allowed=settings.read(sections.paths).group_readable)
        self._held.enter_context(Lock(self.folders.lock)).note([])
        for folder in (self.folders.root, *self.folders.outcomes.glob("*")):
            files.remove_temp_files(folder)
        self._held.callback(self._signals.restore)
        self._signals.handle()


def current(run_id: str) -> StateRun:
    """Return the state run under way, begun; one is made for the Luigi build that calls this.

    Args:
        run_id: the id of a run that begins.

    Raises:
        PipelineError: it cannot begin, or was asked to stop.
    """
    global _current  # noqa: PLW0603  a process has one run at a time
    if _current is None:
        refuse_forks()
        _current = StateRun(run_id, state_folders())
        if (worker := current_worker()) is not None:
            when_build_ends(worker, _current.end)
    _current.begin()
    return _current


def refuse_forks() -> None:
    """Refuse a Luigi build that would run each task in a process of its own.

    Raises:
        SettingsError: this one would.
    """
    worker = current_worker()
    if worker is not None and forks(worker):
        raise SettingsError(
            "--workers must be 1, and Luigi's [worker] settings timeout and force_multiprocessing "
            "unset: a state run takes one district after the other. Nothing was requested and "
            "nothing was changed."
        )


def under_way() -> StateRun | None:
    """Return the state run under way; None if there is none."""
    return _current


def state_folders() -> StateFolders:
    """Return the folders of state runs."""
    return StateFolders(Path(settings.read(sections.state).dir))


def new_id() -> str:
    """Return the id of a state run that begins now."""
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S.%f}Z-{os.getpid()}"


def _refuse_shared_settings() -> None:
    for section, name, value, origin in settings.describe():
        if (section, name) in _OF_ONE_DISTRICT and value and origin == "luigi.cfg":
            raise SettingsError(
                f"[{section}] {name} is in luigi.cfg, where it would hold for every district. "
                "Remove it there (what differs by district is in districts.csv), then run the same "
                "command again. Nothing was requested and nothing was changed."
            )
