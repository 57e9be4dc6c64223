"""Work for the workers of a Dask cluster. Nothing else here knows distributed.

What is sent is a function of ours and one small value; what comes back is as small, because Dask
computes a result again that a lost worker held. Everything large goes to files and object stores.
A worker that is lost has its work done again by another, as often as the scheduler's
`allowed-failures` says.
"""

import contextlib
import ipaddress
import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pipeline.errors import (
    PipelineError,
    SettingsError,
    StateError,
    UnexpectedError,
    redact_unexpected,
)
from pipeline.state.hosts import Host, this_host

if TYPE_CHECKING:
    from distributed import Client, Future, Security

Item = TypeVar("Item")
Result = TypeVar("Result")

SETTING = "[state] scheduler"
_TALKING = ("python", "dask", "distributed", "msgpack", "cloudpickle")
"""What the scheduler must have in the same version as its clients."""

_LOST = (OSError, RuntimeError)
"""What Dask raises when the connection that is to be ended is lost already."""

_CONNECT_SECONDS = 10.0
_WORKER_SECONDS = 30.0
_AGAIN = "Then run the same command again; what is finished is not requested again."


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
            StateError: the scheduler is lost.
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
            raise StateError(
                f"Dask's scheduler at {self._where} is lost; nothing more was published. Start it "
                f"and its workers. {_AGAIN}"
            ) from None
        if isinstance(found, PipelineError | UnexpectedError):
            raise found
        return found


class Cluster:
    """The workers of a Dask scheduler, until it is closed.

    Args:
        address: `tls://host:port`; `tcp://` only for this machine itself.
        tls_folder: has `ca.pem`, `cert.pem` and `key.pem`, for `tls://`.
        shared: a file that every worker must see, because districts' folders are shared.

    Raises:
        SettingsError: the address or the certificates cannot be used.
        StateError: the scheduler cannot be reached, has no workers, or one of these differs from
            this host.
    """

    def __init__(self, address: str, tls_folder: str, shared: Path) -> None:
        security = _security(address, tls_folder)
        self._address, self._host = address, this_host()
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
        future = self._client.submit(_apply, function, item, self._host, key=key, pure=False)
        return Work(name, future, self._address)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Yield what a function returns for each item, in order; all of them are begun at once.

        Raises:
            PipelineError: what the function raised for an item; the others are dropped.
        """
        client, name = self._client, getattr(function, "__name__", "a part of the work")
        futures = [client.submit(_apply, function, i, self._host, pure=False) for i in items]
        try:
            for future in futures:
                yield Work[Result](name, future, self._address).result()
        finally:
            with contextlib.suppress(*_LOST):
                client.cancel(futures)

    def close(self) -> None:
        """End the connection; work that nobody has begun yet is dropped."""
        with contextlib.suppress(*_LOST):
            self._client.close(timeout=1)

    def _check(self, shared: Path) -> None:
        """Raise StateError unless there is a worker, and each is like this host."""
        try:
            self._client.wait_for_workers(1, timeout=_WORKER_SECONDS)
        except TimeoutError:
            raise StateError(
                f"Dask's scheduler at {self._address} has no workers; nothing was requested. Start "
                "some with dask worker (docs/state.md), then run the same command again."
            ) from None
        versions: Any = self._client.get_versions()
        packages = [versions[role]["packages"] for role in ("client", "scheduler")]
        own, others = ({name: found.get(name) for name in _TALKING} for found in packages)
        if own != others:
            raise StateError(
                f"Dask's scheduler at {self._address} has {_in_words(others)}, and this host "
                f"{_in_words(own)}; nothing was requested. Install the same on both."
            )
        try:
            found = self._client.run(_describe, shared)
        except ImportError:
            raise StateError(
                f"A worker of {self._address} does not have this pipeline; nothing was requested. "
                "Start workers with the Python that make state has set up, or from the same image."
            ) from None
        for host, is_shared in found.values():
            _refuse(self._host, host)
            if not is_shared:
                raise StateError(
                    f"The worker on {host.name} does not see {shared.parent}; nothing was "
                    "requested. Every worker needs the state folder under the same path."
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
    function: Callable[[Item], Result], item: Item, client: Host
) -> Result | PipelineError | UnexpectedError:
    """Return what a function returns or raises, on a worker.

    Errors are returned: Dask would print their text, which may hold anything, and their traceback
    and arguments.
    """
    try:
        _refuse(client, this_host())
        with redact_unexpected():
            return function(item)
    except (PipelineError, UnexpectedError) as error:
        return error.with_traceback(None)


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


def _security(address: str, tls_folder: str) -> "Security | None":
    """Return the certificates for an address; None for one of this machine.

    Whoever reaches a scheduler without TLS can run any code on its workers.

    Raises:
        SettingsError: the address needs certificates that are not there, or is none.
    """
    from distributed import Security

    scheme, host = urlsplit(address).scheme, urlsplit(address).hostname
    if scheme == "tcp" and host and _is_loopback(host):
        return None
    if scheme != "tls" or not host:
        raise SettingsError(
            f"{SETTING} is {address}; it must be like tls://head:8786 (tcp:// is for a scheduler "
            "on this machine only, because it lets everybody in). Nothing was requested."
        )
    files = {name: Path(tls_folder) / f"{name}.pem" for name in ("ca", "cert", "key")}
    for path in files.values():
        if not tls_folder or not path.is_file():
            raise SettingsError(
                f"{SETTING} is {address}, so [state] tls_folder must name a folder with ca.pem, "
                f"cert.pem and key.pem; {path if tls_folder else 'it is empty'}"
                f"{' is not there' if tls_folder else ''}. Nothing was requested."
            )
    return Security(
        require_encryption=True,
        tls_ca_file=str(files["ca"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
