"""One run: it begins with the first step that Luigi runs, and ends when Luigi's build ends.

context.current()   the run under way; Luigi's events and the steps find it here
run.begin()         lock, signal handlers, settings: once, when something really runs
run.end()           record, summary, webhook; releases all that the run holds
"""

import contextlib
import datetime as dt
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from luigi.cmdline_parser import CmdlineParser
from luigi.interface import PidLockAlreadyTakenExit
from luigi.rpc import RPCError
from luigi.worker import Worker

from pipeline.config import sections, settings
from pipeline.config.check import check_config_file, check_settings
from pipeline.errors import FolderInUseError, PipelineError, SettingsError, StoppedError
from pipeline.runs import process, record
from pipeline.runs.build import (
    ONE_WORKER,
    Build,
    Failure,
    Step,
    current_worker,
    forks,
    held_elsewhere,
    unreachable,
    when_build_ends,
)
from pipeline.runs.destinations import check_destinations
from pipeline.runs.lock import Lock
from pipeline.runs.messages import print_error, print_lines
from pipeline.runs.notify import find_webhook
from pipeline.runs.recovery import clean_up, recover_publications
from pipeline.runs.signals import StopSignals
from pipeline.storage import file_system, files
from pipeline.storage.paths import Folders, TableSetPaths
from pipeline.years import today

if TYPE_CHECKING:
    from pipeline.runs.webhook import Webhook

log = logging.getLogger("pipeline")

T = TypeVar("T")

_ALREADY_RUNNING, _TASK_FAILED, _SCHEDULING_ERROR = 10, 30, 35

_current: "RunContext | None" = None
_ended: ContextVar["list[RunContext] | None"] = ContextVar("ended", default=None)


class RunContext:
    """The run of this process that is under way."""

    def __init__(self, worker: Worker | None) -> None:
        self.id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S.%f}Z-{os.getpid()}"
        self.build = Build()
        self.fresh: set[Any] = set()
        """Tasks that Luigi found up to date; they count as such until the build ends."""
        self.notes: dict[str, str] = {}
        """What steps say when they are done, by partition."""
        self.stop = threading.Event()
        self.verified: set[tuple[Path, str]] = set()
        """What this run found to be as it was written, and need not read again."""
        self.folders: Folders | None = None
        """Where its data are; None while the settings that say so cannot be read."""
        self.is_demo = False
        self.allowed_shrink = self.replaced_source = ""
        self.included_ids: list[str] = []
        self.excluded_ids: list[str] = []
        self.webhook: Webhook | None = None
        self.outcome = ""
        """How it ended; empty while it is under way."""
        self._worker = worker
        self._started = time.monotonic()
        self.has_begun = False
        self._refusal: PipelineError | None = None
        self._registered: list[TableSetPaths] = []
        self._signals = StopSignals(self.stop, is_command=is_command_line())
        self._lock: Lock | None = None
        self._shared: dict[object, Any] = {}
        self._held = contextlib.ExitStack()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started

    @property
    def was_refused(self) -> bool:
        """Whether the run could not begin."""
        return self._refusal is not None

    @property
    def failures(self) -> list[Failure]:
        """Why the run could not begin or go on, then every step that failed."""
        if self._refusal is not None:
            return [Failure("", "Start", str(self._refusal))]
        lost = [Failure("", "Lock", self._lock.loss)] if self._lock and self._lock.loss else []
        return [*lost, *self.build.failures]

    def freeze_settings(self) -> None:
        """Read each section of settings once until the run ends."""
        self._held.enter_context(settings.frozen())

    def begin(self) -> None:
        """Take the data folder, read the settings and handle signals; only the first call does.

        Raises:
            FolderInUseError: another run holds the data folder.
            SettingsError, StorageError: the run cannot begin. Every later call says the same.
        """
        if self._refusal is not None:
            raise self._refusal
        if self.has_begun:
            return
        self.has_begun = True
        with self._refusing():
            self._prepare()

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except PipelineError as error:
            self._refusal = error
            raise

    def begin_step(self, step: Step) -> None:
        """Get ready for a step; what refuses the run is its own failure, and not the step's.

        Raises:
            PipelineError: the run cannot begin, or what it builds could not be published.
            StoppedError: the run was asked to stop.
        """
        self.begin()
        self.raise_if_stopped()
        if self._lock is not None and not self._registered:
            with self._refusing():
                check_destinations(self.build, self._lock.note)
        self.register_outputs(step.paths)
        # Polars takes SIGINT for itself when it is imported, so our handlers are put back.
        import polars  # noqa: F401

        self._signals.handle()

    def raise_if_stopped(self) -> None:
        """Start nothing new once the run was asked to stop.

        Raises:
            StoppedError: it was, or another one has taken over the data folder.
        """
        if self._lock is not None:
            self._lock.check()
        if self.stop.is_set():
            raise StoppedError("The run was asked to stop.")

    def share(self, open_resource: "Callable[[RunContext], AbstractContextManager[T]]") -> T:
        """Return what `open_resource` opens; opened once, and closed when the run ends."""
        if open_resource not in self._shared:
            self._shared[open_resource] = self._held.enter_context(open_resource(self))
        shared: T = self._shared[open_resource]
        return shared

    def register_outputs(self, paths: TableSetPaths) -> None:
        """Note a table set that this run works on, and remove what a killed run left there."""
        if paths in self._registered or self._lock is None or self._lock.loss:
            return
        self._registered.append(paths)
        for folder in paths.output_dirs:
            files.remove_temp_files(folder)
        self._lock.note(folder for each in self._registered for folder in each.output_dirs)

    def end(self) -> None:
        """Write the record, report the result and release everything that the run holds.

        Raises:
            SystemExit: on Luigi's command line, where the run could not begin or be scheduled.
            PipelineError: in other programs, where the run could not begin.
        """
        global _current  # noqa: PLW0603  a process has one run at a time
        is_unreachable = self._note_scheduler()
        try:
            with contextlib.suppress(PipelineError):  # which is then among the failures
                self.begin()
            if isinstance(self._refusal, FolderInUseError):  # nothing was done, nothing is recorded
                print_error(self._refusal)
            else:
                self.outcome = record.finish(self)
        finally:
            _current = None
            self._held.close()
        if (ended := _ended.get()) is not None:
            ended.append(self)
        self._signals.reraise()
        if is_unreachable and is_command_line():
            raise SystemExit(_SCHEDULING_ERROR)
        if self._refusal is not None:
            self._refuse(self._refusal)

    def _refuse(self, refusal: PipelineError) -> None:
        if not is_command_line():
            raise refusal
        if isinstance(refusal, FolderInUseError):
            raise PidLockAlreadyTakenExit(_ALREADY_RUNNING)
        raise SystemExit(_TASK_FAILED)

    def _note_scheduler(self) -> bool:
        """Note in words what a central scheduler kept from running; True if none was reached."""
        # The error that ends the build, if any, is being handled while the build ends.
        if isinstance(sys.exc_info()[1], RPCError):
            self.build.blocked = unreachable(self._worker, self.build)
            return True
        if self._worker is not None and not self.build.failures:
            self.build.blocked = held_elsewhere(self._worker, self.build)
        return False

    def _prepare(self) -> None:
        self._held.enter_context(print_lines())
        file_system.forget_what_was_said()
        try:
            self.webhook = find_webhook()  # first: it is notified of whatever goes wrong next
        finally:
            check_config_file()
            self._acquire_lock()
        if self._worker is not None and forks(self._worker):
            raise SettingsError(ONE_WORKER)
        self._read_settings()
        self._held.callback(self._signals.restore)
        self._signals.handle()
        if self.is_demo and self.folders:
            log.info("Demo district: every student and result is made up (no base URL is set).")
            from pipeline.simulator.demo import ensure_inputs

            ensure_inputs(self.folders.inputs, today())

    def _acquire_lock(self) -> None:
        self.is_demo = settings.is_demo()
        folders = settings.folders()
        files.set_group_read(allowed=settings.read(sections.paths).group_readable)
        lock = Lock(folders.lock, stop=self.stop)
        try:
            recover_publications(folders)
            clean_up(folders, *lock.unfinished)
            lock.note([])
        except BaseException:
            lock.release()
            raise
        # Closing it forgets what killed runs left, so that was removed first.
        self._lock = self._held.enter_context(lock)
        self.folders = folders

    def _read_settings(self) -> None:
        # Luigi forgets the command line before the run ends.
        chosen = settings.read(sections.illuminate)
        self.included_ids, self.excluded_ids = list(chosen.include_ids), list(chosen.exclude_ids)
        self.allowed_shrink = settings.allowed_once("allow_shrink")
        self.replaced_source = settings.allowed_once("replace_source")
        check_settings()
        process.prepare()


def current() -> RunContext:
    """Return the run under way; one is made for the Luigi build that calls this."""
    global _current  # noqa: PLW0603  a process has one run at a time
    if _current is None:
        worker = current_worker()
        _current = RunContext(worker)
        _current.freeze_settings()
        if worker is not None:
            when_build_ends(worker, _current.end)
            if forks(worker):
                with contextlib.suppress(PipelineError):  # refused before any process is forked
                    _current.begin()
    return _current


@contextlib.contextmanager
def of_step(step: Step) -> Iterator[RunContext]:
    """Yield the run of a step, begun; where the step is run without Luigi, a run of its own.

    Raises:
        PipelineError: the run cannot begin.
        StoppedError: the run was asked to stop.
    """
    is_own = _current is None and current_worker() is None
    run, started = current(), time.monotonic()
    try:
        run.begin_step(step)
        if is_own:
            run.build.see(step)
        yield run
    except BaseException as error:
        run.build.keep_counts(step)
        if is_own:
            run.build.fail(step, error)
        raise
    else:
        if is_own:
            run.build.complete(step)
    finally:
        run.build.spend(step, time.monotonic() - started)
        if is_own:
            run.end()


@contextlib.contextmanager
def watch() -> Iterator[list[RunContext]]:
    """Collect the runs that end in the block."""
    ended: list[RunContext] = []
    token = _ended.set(ended)
    try:
        yield ended
    finally:
        _ended.reset(token)


def under_way() -> RunContext | None:
    """Return the run of the build that is under way, begun or not; None if there is no build."""
    return _current


def is_command_line() -> bool:
    """Return True where Luigi's own command line runs, and its exit code is the answer."""
    return CmdlineParser.get_instance() is not None
