"""Work for the workers of a Dask cluster. Besides `tls`, nothing else here knows distributed.

What is sent is a function of ours and one small value; what comes back is as small, because Dask
computes a result again that a lost worker held. Everything large goes to files and object stores.
A worker that is lost has its work done again by another, as often as the scheduler's
`allowed-failures` says.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipeline.errors import (
    PipelineError,
    StateError,
    StoppedError,
    UnexpectedError,
)
from pipeline.state.hosts import Host, this_host
from pipeline.state.tls import find_security
from pipeline.storage import files

if TYPE_CHECKING:
    from distributed import Client, Future, Security
    from distributed.client import VersionsDict

Item = TypeVar("Item")
Result = TypeVar("Result")

_TALKING = ("python", "dask", "distributed", "msgpack", "cloudpickle")
"""What the scheduler must have in the same version as its clients."""

_CONNECT_SECONDS = 10.0
_WORKER_SECONDS = 30.0
_LOOK_SECONDS = 5.0
_POLL_SECONDS = 0.2
_AGAIN = "Then run the same command again; what is finished is not requested again."


class LostSchedulerError(StateError):
    """The scheduler is lost, or has no workers any more."""


class LostWorkersError(StateError):
    """Every worker that began some work ended before it was done; other work is not affected."""


class Work(Generic[Result]):
    """Something that the cluster has been asked to do."""

    def __init__(
        self, name: str, future: "Future[Result | PipelineError | UnexpectedError]", where: str
    ) -> None:
        self._name = name
        self._future = future
        self._where = where
        self._is_done = threading.Event()
        future.add_done_callback(lambda _: self._is_done.set())

    def wait(self, seconds: float) -> bool:
        """Return True once it is done, False after so many seconds."""
        return self._is_done.wait(seconds)

    def result(self) -> Result:
        """Return what the function returned, once it is done.

        Raises:
            PipelineError: what the function raised.
            UnexpectedError: it raised something else; the message is the type of that.
            LostWorkersError: the workers that did it were lost, again and again.
            LostSchedulerError: the scheduler is lost.
        """
        from distributed import CancelledError, KilledWorker

        try:
            found = self._future.result()
        except KilledWorker as error:
            raise LostWorkersError(
                f"{self._name} was given up: each of the {error.allowed_failures + 1} workers that "
                f"began it was lost. See the workers' own logs (memory is the usual reason). "
                f"{_AGAIN}"
            ) from None
        except CancelledError:
            raise _lost_scheduler(self._where) from None
        if isinstance(found, PipelineError | UnexpectedError):
            raise found
        return found


class Cluster:
    """The workers of a Dask scheduler, until it is closed.

    Args:
        address: `tls://host:port`; `tcp://` only for this machine itself.
        tls_folder: has `ca.pem`, `cert.pem` and `key.pem`, for `tls://`.
        shared: a file that every worker must see, because districts' folders are shared.
        group_readable: whether the group may read what workers write.

    Raises:
        SettingsError: the address or the certificates cannot be used.
        StateError: the scheduler cannot be reached, has no workers, or one of these differs from
            this host.
    """

    def __init__(
        self, address: str, tls_folder: str, shared: Path, *, group_readable: bool = False
    ) -> None:
        security = find_security(address, tls_folder)
        self._address, self._host = address, this_host()
        self._group_readable = group_readable
        self._workers_seen = time.monotonic()
        self._client = _connect(address, security)
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            self._check(shared)
            opened.pop_all()

    def start(
        self, function: Callable[[Item], Result], item: Item, *, name: str, key: str
    ) -> Work[Result]:
        """Ask the workers to apply a function to a value.

        Args:
            function: of a module, or a partial of one.
            item: the value.
            name: what it is, in messages.
            key: what Dask calls it, on its pages and in its logs; unique.
        """
        return Work(name, self._submit(function, item, key), self._address)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        stop: threading.Event | None = None,
    ) -> Generator[Result, None, None]:
        """Yield what a function returns for each item, in order; all of them are begun at once.

        Raises:
            PipelineError: what the function raised for an item; the others are dropped.
            StoppedError: `stop` is set.
        """
        name = getattr(function, "__name__", "a part of the work")
        futures = [self._submit(function, item) for item in items]
        try:
            for future in futures:
                work = Work[Result](name, future, self._address)
                while not self.wait(work, _POLL_SECONDS):
                    if stop and stop.is_set():
                        raise StoppedError("It was asked to stop; nothing was published.")
                yield work.result()
        finally:
            with contextlib.suppress(*_lost()):
                self._client.cancel(futures)

    def wait(self, work: Work[Any], seconds: float) -> bool:
        """Return True once some work is done, False after so many seconds.

        Raises:
            LostSchedulerError: there have been no workers for half a minute.
        """
        if work.wait(seconds):
            return True
        waited = time.monotonic() - self._workers_seen
        if waited > _LOOK_SECONDS:
            with contextlib.suppress(*_lost()):  # of a lost scheduler the work itself tells
                if self._client.nthreads():
                    self._workers_seen = time.monotonic()
                elif waited > _WORKER_SECONDS:
                    raise LostSchedulerError(
                        f"All workers of {self._address} are lost; nothing more was published. "
                        f"Start some. {_AGAIN}"
                    )
        return False

    def _submit(
        self, function: Callable[[Item], Result], item: Item, key: str | None = None
    ) -> "Future[Result | PipelineError | UnexpectedError]":
        about = (self._host, self._group_readable)
        try:
            return self._client.submit(_apply, function, item, *about, key=key, pure=False)
        except _lost():
            raise _lost_scheduler(self._address) from None

    def close(self) -> None:
        """End the connection; work that nobody has begun yet is dropped."""
        with contextlib.suppress(*_lost()):
            self._client.close(timeout=1)

    def _check(self, shared: Path) -> None:
        """Raise StateError unless there is a worker, and each is like this host."""
        try:
            self._client.wait_for_workers(1, timeout=_WORKER_SECONDS)
        except TimeoutError:
            raise StateError(
                f"Dask's scheduler at {self._address} has no workers; nothing was requested. Start "
                "some with dask worker (docs/state-hosts.md), then run the same command again."
            ) from None
        try:
            versions: Any = self._client.get_versions()
            self._check_scheduler(versions)
            found = self._client.run(_describe, shared)
        except ImportError:
            raise StateError(
                f"A worker of {self._address} does not have this pipeline; nothing was requested. "
                "Start workers with the Python that make state has set up, or from the same image."
            ) from None
        except _lost(AttributeError) as error:
            raise StateError(
                f"A worker of {self._address} cannot be asked what it is ({type(error).__name__}); "
                "nothing was requested. Every host must reach every other one, and have the same "
                "pipeline."
            ) from None
        for host, is_shared in found.values():
            _refuse(self._host, host)
            if not is_shared:
                raise StateError(
                    f"The worker on {host.name} does not see {shared.parent}; nothing was "
                    "requested. Every worker needs the state folder under the same path."
                )

    def _check_scheduler(self, versions: "VersionsDict") -> None:
        """Raise StateError where the scheduler has other versions than this host."""
        packages = [versions[role]["packages"] for role in ("client", "scheduler")]
        own, others = ({name: found.get(name) for name in _TALKING} for found in packages)
        if own != others:
            raise StateError(
                f"Dask's scheduler at {self._address} has {_in_words(others)}, and this host "
                f"{_in_words(own)}; nothing was requested. Install the same on both."
            )


@contextlib.contextmanager
def on_this_machine(workers: int) -> Iterator[str]:
    """Start a scheduler and workers that end with the block; yield the scheduler's address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None would open a port for all hosts
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield str(cluster.scheduler_address)


def _apply(
    function: Callable[[Item], Result], item: Item, client: Host, group_readable: bool
) -> Result | PipelineError | UnexpectedError:
    """Return what a function returns or raises, on a worker.

    Errors are returned: Dask would print their text, which may hold anything, and their traceback
    and arguments.
    """
    try:
        _refuse(client, this_host())
        files.set_group_read(allowed=group_readable)
        return function(item)
    except PipelineError as error:
        return error.with_traceback(None)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  a panic of polars is no Exception
        return UnexpectedError(type(error).__name__)


def _lost(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the others, and what Dask raises where it does not reach a host any more."""
    from distributed.client import ClosedClientError

    return OSError, RuntimeError, ClosedClientError, *others


def _lost_scheduler(address: str) -> LostSchedulerError:
    return LostSchedulerError(
        f"Dask's scheduler at {address} is lost; nothing more was published. Start it and its "
        f"workers. {_AGAIN}"
    )


def _describe(shared: Path) -> tuple[Host, bool]:
    """Return what a worker runs, and whether it sees a file."""
    return this_host(), shared.exists()


def _refuse(client: Host, worker: Host) -> None:
    """Raise StateError where a worker is not like the client."""
    if differences := client.differences(worker):
        raise StateError(
            f"The worker on {worker.name} has {', '.join(differences)}. Nothing was requested by "
            "it. Give all hosts the same (the same image, say), then run the same command again."
        )


def _in_words(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _connect(address: str, security: "Security | None") -> "Client":
    from distributed import Client

    for name in ("distributed", "distributed.client"):  # of the loss, with tracebacks; we say it
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(address, security=security, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise StateError(
            f"Dask's scheduler at {address} cannot be reached ({type(error).__name__}); nothing "
            "was requested. Check the address, the certificates and that it runs, then run the "
            "same command again."
        ) from None
