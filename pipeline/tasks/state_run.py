"""A state run of this process, from its first task until Luigi's build ends."""

import contextlib
import datetime as dt
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from luigi.interface import PidLockAlreadyTakenExit

from pipeline.config import sections, settings
from pipeline.config.check import check_config_file
from pipeline.errors import (
    FolderInUseError,
    PipelineError,
    SettingsError,
    StoppedError,
    UnexpectedError,
    redact_unexpected,
)
from pipeline.runs import process
from pipeline.runs.build import current_worker, describe, forks, when_build_ends
from pipeline.runs.context import is_command_line
from pipeline.runs.lock import Lock
from pipeline.runs.messages import print_error, print_lines
from pipeline.runs.signals import StopSignals
from pipeline.state import outcomes
from pipeline.state.district_run import DistrictJob, run_district
from pipeline.state.outcomes import Outcome
from pipeline.state.paths import StateFolders
from pipeline.storage import file_system, files

if TYPE_CHECKING:
    from pipeline.state.cluster import Cluster
    from pipeline.state.on_cluster import OnCluster

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

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
    """What a state run holds: the state folder, the handlers of signals, and a cluster if any.

    Args:
        run_id: its id.
        folders: where it keeps everything.
        is_whole: whether it is a run of all districts; one of a single district does not hold the
            state folder, so that an orchestrator can run many, and writes no result of all.
        latest: where the result is written; default as every run of all districts does.
    """

    def __init__(
        self, run_id: str, folders: StateFolders, *, is_whole: bool, latest: Path | None = None
    ) -> None:
        self.id = run_id
        self.folders = folders
        self.cluster: Cluster | None = None
        """Where districts are run; None: on this machine, one after the other."""
        self.stop = threading.Event()
        self.ended: dict[tuple[str, str], Outcome] = {}
        """How it ended for the districts and years that it ran."""
        self.outcomes: list[Outcome] = []
        """How it ended for districts and years that have no run of their own in it."""
        self.new: set[tuple[str, str]] = set()
        """Districts and years of which what is published of all districts has something new."""
        self.refused: dict[tuple[str, str], str] = {}
        """Those that could not be published with the others, and why."""
        self._started = time.monotonic()
        self._has_begun = False
        self._refusal: PipelineError | UnexpectedError | None = None
        self._failures: dict[str, None] = {}
        self._is_whole = is_whole
        self._latest = latest or folders.latest
        self._districts: OnCluster | None = None
        self._lock: Lock | None = None
        self._held = contextlib.ExitStack()
        self._signals = StopSignals(self.stop, is_command=is_command_line())

    def begin(self) -> None:
        """Take the state folder and handle signals; only the first call does.

        Raises:
            FolderInUseError: another state run holds the folder.
            PipelineError, UnexpectedError: the run cannot begin. Every later call says the same.
            StoppedError: the run was asked to stop, or another one has taken over the folder.
        """
        if self._refusal is not None:
            raise self._refusal
        if not self._has_begun:
            self._has_begun = True
            # While these lines are printed, Luigi prints no reason of a failure; `end` does.
            self._held.enter_context(print_lines())
            try:
                with redact_unexpected():
                    self._prepare()
            except (PipelineError, UnexpectedError) as error:
                self._refusal = error
                raise
        self.check()
        if self.stop.is_set():
            raise StoppedError("The state run was asked to stop.")

    def check(self) -> None:
        """Make sure that this run still holds the state folder.

        Raises:
            StoppedError: it does not.
        """
        if self._lock is not None:
            self._lock.check()

    def run_district(
        self, job: DistrictJob, together: Callable[[], Iterable[DistrictJob]]
    ) -> Outcome:
        """Run a district, here or on the cluster, and return how it ended.

        Args:
            job: the district and year.
            together: what the cluster is asked to run along with it; all of that begins at once.

        Raises:
            StateError: the scheduler of the cluster is lost.
            StorageError: the outcome cannot be written.
        """
        if self._districts is None:
            outcome = run_district(job, self.stop)
        else:
            if not self._districts.has(job):
                self._districts.begin(together())
            outcome = self._districts.outcome(job)
        # Another host's file may be seen here later only.
        self.ended[outcome.district, outcome.year] = outcome
        return outcome

    def run_all(self, call: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the result of each item, from the cluster if there is one, in their order.

        Raises:
            StoppedError: the run was asked to stop; nothing is begun any more.
        """
        if self.cluster is not None:
            yield from self.cluster.map(call, items, self.stop)
            return
        for item in items:
            if self.stop.is_set():
                raise StoppedError("It was asked to stop; nothing was published.")
            yield call(item)

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
            if self._districts is not None:
                self._districts.end()
            lost = [self._lock.loss] if self._lock and self._lock.loss else []
            self._report([*lost, *self._failures])
        finally:
            self._held.close()
        self._signals.reraise()
        if isinstance(self._refusal, FolderInUseError) and is_command_line():
            raise PidLockAlreadyTakenExit(_ALREADY_RUNNING)

    def _report(self, failures: list[str]) -> None:
        for reason in failures:
            print_error(reason)
        if self._refusal is None and self._is_whole and not (self._lock and self._lock.loss):
            written = outcomes.of_run(self.folders.outcomes, self.id)
            ended = {(each.district, each.year): each for each in written} | self.ended
            result = outcomes.summarize(
                self.id,
                [*ended.values(), *self.outcomes],
                new=self.new,
                refused=self.refused,
                failures=failures,
                was_stopped=self.stop.is_set(),
                seconds=time.monotonic() - self._started,
            )
            files.write_json(self._latest, result)
            if result.tried:
                print(result.text(), flush=True)

    def _prepare(self) -> None:
        check_config_file()
        chosen = settings.read(sections.state)
        process.let_polars_start()
        file_system.forget_what_was_said()
        _refuse_shared_settings()
        files.set_group_read(allowed=settings.read(sections.paths).group_readable)
        if self._is_whole:
            self._lock = self._held.enter_context(Lock(self.folders.lock, stop=self.stop))
            self._lock.note([])
            for folder in (self.folders.root, *self.folders.outcomes.glob("*")):
                files.remove_temp_files(folder)
            for left in self.folders.root.glob(self.folders.rebuilding("*").name):
                files.remove_folder(left)
            # What workers still run for a run that was killed is for this one.
            for left in self.folders.root.glob(self.folders.wanted("*").name):
                left.unlink()
        self._held.callback(self._signals.restore)
        self._signals.handle()
        if chosen.scheduler and self._is_whole:
            self._connect(chosen.scheduler, chosen.tls_folder)

    def _connect(self, scheduler: str, tls_folder: str) -> None:
        """Connect to the cluster."""
        from pipeline.state.cluster import Cluster
        from pipeline.state.on_cluster import OnCluster

        # Another name for each try: those of an earlier one with this id are to end.
        wanted = self.folders.wanted(f"{self.id}-{secrets.token_hex(4)}")
        files.write_text(wanted, "")
        self._held.callback(wanted.unlink, missing_ok=True)
        shared = settings.read(sections.paths).group_readable
        self.cluster = Cluster(scheduler, tls_folder, wanted, group_readable=shared)
        self._held.callback(self.cluster.close)
        self._districts = OnCluster(self.cluster, wanted, self.stop)


def current(run_id: str, *, is_whole: bool = True, latest: Path | None = None) -> StateRun:
    """Return the state run under way, begun; one is made for the Luigi build that calls this.

    Args:
        run_id: the id of a run that begins.
        is_whole: whether that is of all districts.
        latest: where its result is written, if not where every run of all districts does.

    Raises:
        PipelineError: it cannot begin, or was asked to stop.
    """
    global _current  # noqa: PLW0603  a process has one run at a time
    if _current is None:
        refuse_forks()
        _current = StateRun(run_id, state_folders(), is_whole=is_whole, latest=latest)
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
    return StateFolders(Path(settings.read(sections.state).dir).absolute())


def new_id() -> str:
    """Return the id of a state run that begins now."""
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S.%f}Z-{os.getpid()}"


def _refuse_shared_settings() -> None:
    for section, name, value, origin in settings.describe():
        if (section, name) in _OF_ONE_DISTRICT and value and origin == "luigi.cfg":
            raise SettingsError.refused(
                f"[{section}] {name} is in luigi.cfg, where it would hold for every district",
                "Remove it there (what differs by district is in districts.csv)",
            )
