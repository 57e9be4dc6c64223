"""One run: its lock, its signals, its connection to the district, its record and its last words.

Luigi tells nobody when a run begins or ends. A run begins here when the first task is asked
whether it is complete, and ends when the interpreter does.
"""

import atexit
import datetime as dt
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO

import luigi
from luigi.interface import PidLockAlreadyTakenExit

from pipeline import config, files
from pipeline.demo import NAME, DemoDistrict, ensure_inputs
from pipeline.errors import PipelineError, StoppedError
from pipeline.illuminate.address import Address
from pipeline.illuminate.auth import Credentials, OAuth2Credentials
from pipeline.illuminate.client import COUNTED, Client
from pipeline.layout import Folders, Snapshot

log = logging.getLogger("pipeline")


def source_name() -> str:
    """The name of who is asked: the base URL, or the demo district's own."""
    return NAME if config.is_demo() else config.address().base


class Connection:
    """A client of the configured district, or of a demo district that is started for it."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop
        self._client: Client | None = None
        self._demo: DemoDistrict | None = None

    def __enter__(self) -> Client:
        """Connect.

        Raises:
            SettingsError: the address or the credentials cannot be used.
        """
        if config.is_demo():
            self._demo = DemoDistrict()
            address = Address.parse(self._demo.base_url)
            credentials: Credentials = OAuth2Credentials(
                self._demo.client_id, self._demo.client_secret
            )
        else:
            address, credentials = config.address(), config.credentials()
        self._client = Client(address, credentials, config.limits(), self._stop)
        return self._client

    def __exit__(self, *_: object) -> None:
        """Disconnect; a demo district ends."""
        if self._client is not None:
            self._client.close()
        if self._demo is not None:
            self._demo.stop()


class Run:
    """The run of this process."""

    current: "Run | None" = None

    def __init__(self) -> None:
        self.id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S.%f}Z-{os.getpid()}"
        self.stop = threading.Event()
        self.failures: list[tuple[str, BaseException]] = []
        self.snapshots: list[Snapshot] = []
        self._began = time.monotonic()
        self._signal: int | None = None
        self._client: Client | None = None
        self._connection = Connection(self.stop)
        self._lock = hold(config.folders().lock)

    @classmethod
    def begin(cls) -> "Run":
        """The run of this process, begun when it is first asked for."""
        if cls.current is None:
            _configure_logging()
            cls.current = Run()
            cls.current.prepare()
        return cls.current

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began

    @property
    def client(self) -> Client:
        """The connection to the district, made when it is first needed."""
        if self._client is None:
            self._client = self._connection.__enter__()
        return self._client

    def counts(self) -> dict[str, int]:
        """What was asked of the district so far."""
        return self._client.counts.snapshot() if self._client else dict.fromkeys(COUNTED, 0)

    def work_on(self, snapshot: Snapshot) -> None:
        """Note a snapshot that tasks of this run build, and sweep what killed runs left there."""
        if snapshot in self.snapshots:
            return
        self.snapshots.append(snapshot)
        shards = [snapshot.shards(endpoint) for endpoint in ("overall", "standard", "group")]
        places = [snapshot.published_folder(kind) for kind in ("illuminate", "views")]
        receipts = snapshot.receipt("").parent
        for folder in (snapshot.work, snapshot.results, receipts, *shards, *places):
            files.sweep(folder)

    def raise_if_stopped(self) -> None:
        """Begin nothing new once the run was asked to stop.

        Raises:
            StoppedError: it was.
        """
        if self.stop.is_set():
            raise StoppedError("The run was asked to stop.")

    def prepare(self) -> None:
        """Make ready for signals, for what killed runs left, and for the end."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._on_signal)
        files.sweep(self._folders.runs)
        if config.is_demo():
            log.info("Demo district: every student and result is made up (no base URL is set).")
            ensure_inputs(self._folders.inputs)
        atexit.register(self._finish)

    @property
    def _folders(self) -> Folders:
        return config.folders()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.stop.is_set():  # asked a second time: at once
            _die_of(number)
        self._signal = number
        self.stop.set()
        log.warning("Stopping: finished shards are kept, run again to go on.")

    def _finish(self) -> None:
        from pipeline.tasks import record

        try:
            record.finish(self)
        finally:
            self._connection.__exit__()
            if self._signal is not None:
                _die_of(self._signal)


@luigi.Task.event_handler(luigi.Event.FAILURE)
def _note_failure(task: luigi.Task, error: BaseException) -> None:
    Run.begin().failures.append((task.get_task_family(), error))


def hold(path: Path) -> IO[str]:
    """Hold the data folder for this process, and no longer than it lives."""
    files.make_folder(path.parent)
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        print(
            f"Another run (process {handle.read().strip()}) is at work in {path.parent}; "
            "nothing was changed. Wait until it ends.",
            file=sys.stderr,
        )
        raise PidLockAlreadyTakenExit from None
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle


def _die_of(number: int) -> None:
    """End the way a signal ends a process, so that who sent it can tell."""
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container survives its own signals


class _PlainErrors(logging.Filter):
    """Keeps Luigi from printing the traceback of an error that is one plain sentence.

    What a task failed of is said in the summary; what keeps Luigi from starting is said here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, PipelineError):
            return True
        record.msg, record.args, record.exc_info = str(error), (), None
        return Run.current is None


def quiet_luigi() -> None:
    """Let Luigi print our errors as sentences."""
    logging.getLogger("luigi-interface").addFilter(_PlainErrors())


def _configure_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
