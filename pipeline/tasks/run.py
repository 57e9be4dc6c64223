"""One run: its lock, its signals, its connection to the district, and its end.

Luigi tells nobody when a run begins or ends. A run begins here when the first task is asked
whether it is complete, and ends when the interpreter does.
"""

import atexit
import contextlib
import datetime as dt
import functools
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import luigi

from pipeline.config import sections, settings
from pipeline.errors import SettingsError, StoppedError, StorageError
from pipeline.extract.pool import Pool
from pipeline.illuminate.counts import COUNTED
from pipeline.runs.connection import Connection
from pipeline.runs.lock import Lock
from pipeline.runs.messages import print_lines
from pipeline.runs.notify import find_webhook
from pipeline.storage import files
from pipeline.storage.paths import ALL_YEARS, Folders, Place

if TYPE_CHECKING:
    from pipeline.illuminate.client import Client
    from pipeline.runs.webhook import Webhook

log = logging.getLogger("pipeline")

_TASK_FAILED = 30
_FILES_OF_OUR_OWN = 64
# Polars' allocator, as shipped, keeps memory that is free for long, in places of each thread.
_ALLOCATOR = ("_RJEM_MALLOC_CONF", "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0")


class Failure(NamedTuple):
    """A step that failed, of what, and of which set of tables: a school year's or all years'."""

    step: str
    error: BaseException
    label: str


class Run:
    """The run of this process."""

    current: "Run | None" = None
    _lock: Lock
    at_end: "Callable[[Run], None]"
    """What is done with a run when it ends; set once, where tasks and record are put together."""
    compose: "Callable[[Run, Place], dict[str, Any]]"
    """What a run did so far to a set of tables, as its record will say it; set likewise."""

    def __init__(self) -> None:
        self.id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S.%f}Z-{os.getpid()}"
        self.stop = threading.Event()
        self.failures: list[Failure] = []
        self.places: list[Place] = []
        self.completed: set[tuple[str, Place]] = set()
        self.proven: set[tuple[Path, str]] = set()
        """Shards, with their digests, whose bytes this run found whole."""
        self.folders: Folders | None = None
        """Where its data are; None while no settings could be read that say so."""
        self.is_demo = False
        self.let_pass = ""
        self.included_ids: list[str] = []
        self.excluded_ids: list[str] = []
        self.webhook: Webhook | None = None
        self.outcome: str | None = None
        """How it ended, once its last words are said."""
        self._began = time.monotonic()
        self._signal: int | None = None
        self._client: Client | None = None
        self._open = contextlib.ExitStack()

    @classmethod
    def begin(cls) -> "Run":
        """The run of this process, begun when it is first asked for."""
        if cls.current is None:
            print_lines()
            run = Run()
            try:
                run.prepare()
            except (SettingsError, StorageError) as error:
                run.failures.append(Failure("Start", error, ""))
                cls.current = run
                cls.end()
                raise SystemExit(_TASK_FAILED) from None
            cls.current = run
            atexit.register(cls.end)
        return cls.current

    @classmethod
    def end(cls) -> None:
        """Say the last words of the run of this process, and let go of everything it holds."""
        run, cls.current = cls.current, None
        if run is None:
            return
        atexit.unregister(cls.end)
        try:
            cls.at_end(run)
        finally:
            run.close()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began

    @property
    def client(self) -> "Client":
        """The connection to the district, made when it is first needed."""
        if self._client is None:
            connection = Connection(self.stop, self.pool)
            self._client = self._open.enter_context(connection)
        return self._client

    @functools.cached_property
    def pool(self) -> Pool:
        """The threads that ask, decode and keep."""
        return self._open.enter_context(Pool(settings.threads()))

    def counts(self) -> dict[str, int]:
        """What was asked of the district so far."""
        return self._client.counts.snapshot() if self._client else dict.fromkeys(COUNTED, 0)

    def work_on(self, place: Place) -> None:
        """Note a set of tables that tasks of this run build."""
        if place in self.places:
            return
        self.places.append(place)
        for folder in place.written:
            files.sweep(folder)
        self._lock.note(folder for known in self.places for folder in known.written)

    def raise_if_stopped(self) -> None:
        """Begin nothing new once the run was asked to stop.

        Raises:
            StoppedError: it was.
        """
        if self.stop.is_set():
            raise StoppedError("The run was asked to stop.")

    def prepare(self) -> None:
        """Read the settings, take the data folder, and make ready for signals.

        Who can be told of a failure is found out first.
        """
        settings.of_the_run.begin()
        try:
            self.webhook = find_webhook()
        finally:
            folders = self._take_folder()
        # Luigi forgets the command line before the run's last words.
        self.included_ids = settings.ids_to_include()
        self.excluded_ids = settings.ids_to_exclude()
        self.let_pass = settings.allowed_shrink()
        settings.smallest_group()  # refused before anything is asked
        # Both are read once, when polars is imported.
        os.environ.setdefault(*_ALLOCATOR)
        if count := sections.build().threads:
            os.environ["POLARS_MAX_THREADS"] = str(count)
        self._take_signals()
        self._check_open_files()
        if self.is_demo:
            log.info("Demo district: every student and result is made up (no base URL is set).")
            from pipeline.simulator.demo import ensure_inputs

            ensure_inputs(folders.inputs)

    def _take_folder(self) -> Folders:
        self.is_demo = settings.is_demo()
        folders = settings.folders()
        lock = Lock(folders.lock)
        if settings.is_group_readable():
            files.let_group_read()
        for folder in (folders.runs, *lock.unfinished):
            files.sweep(folder)
        lock.note([])
        # Its close forgets what killed runs left, so that must be swept before.
        self._lock = self._open.enter_context(lock)
        self.folders = folders
        return folders

    def begin_step(self) -> None:
        """Make ready for a step that has something to do.

        Raises:
            StoppedError: the run was asked to stop.
        """
        self.raise_if_stopped()
        # Polars takes SIGINT for itself when it is imported, so our handlers are put back.
        import polars  # noqa: F401

        self._take_signals()

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._on_signal)

    def _check_open_files(self) -> None:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = _FILES_OF_OUR_OWN + 4 * settings.threads()
        if most != resource.RLIM_INFINITY and most < needed:
            raise StorageError(
                f"This process may open {most} files and needs {needed}; raise the limit "
                "(ulimit -n) and run again. Nothing was changed."
            )

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.stop.is_set():  # asked a second time: at once
            _die_of(number)
        self._signal = number
        self.stop.set()
        log.warning("Stopping: finished shards are kept, run again to go on.")

    def close(self) -> None:
        """Disconnect, free the data folder, and end by the signal that asked for the end."""
        self._open.close()
        settings.of_the_run.end()
        if self._signal is not None:
            _die_of(self._signal)


@luigi.Task.event_handler(luigi.Event.BROKEN_TASK)
@luigi.Task.event_handler(luigi.Event.FAILURE)
def _note_failure(task: luigi.Task, error: BaseException) -> None:
    label = str(getattr(task, "year", ALL_YEARS))
    Run.begin().failures.append(Failure(task.get_task_family(), error, label))


def _die_of(number: int) -> None:
    """End the way a signal ends a process, so that who sent it can tell."""
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container survives its own signals
