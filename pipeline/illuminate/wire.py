"""Sessions whose requests end at a deadline, or when the run must stop.

The timeouts of requests bound the wait for the next byte, not the whole request: a server that
sends one byte a second holds a thread for hours.
"""

import contextlib
import functools
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

_CHECK_EVERY = 0.2


class WatchedSocket:
    """The socket that one thread has open, and the time by which its request must end.

    A duplicate is kept, because TLS replaces the object that was connected; shutting the duplicate
    down ends the connection in any phase: connecting, TLS handshake, headers, body.
    """

    def __init__(self) -> None:
        self.ends = float("inf")
        self.was_cut = False
        self._duplicate: socket.socket | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut what is done inside after so many seconds; `was_cut` tells whether it was."""
        self.was_cut = False
        self.ends = time.monotonic() + seconds
        try:
            yield
        except BaseException:
            self.close()  # or the server would not see that the connection is given up
            raise
        finally:
            self.ends = float("inf")

    def watch(self, sock: socket.socket) -> None:
        """Watch this socket from now on, instead of the one before."""
        self.close()
        with self._lock:
            self._duplicate = sock.dup()

    def cut(self) -> None:
        """End every transfer on the socket now."""
        self.was_cut = True
        with self._lock, contextlib.suppress(OSError):  # the server may have closed it already
            if self._duplicate is not None:
                self._duplicate.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the duplicate; the connection ends when its owner closes it, too."""
        with self._lock:
            if self._duplicate is not None:
                self._duplicate.close()
            self._duplicate = None


class DeadlineWatcher:
    """Cuts requests that exceed their deadline, and all of them once `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._closed = threading.Event()
        self._sockets: list[WatchedSocket] = []
        threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

    def new_socket(self) -> WatchedSocket:
        """Return a place for the socket of one thread, watched from now on."""
        watched = WatchedSocket()
        self._sockets.append(watched)
        return watched

    def close(self) -> None:
        """Stop watching; what is still open, after an interrupt, ends."""
        self._closed.set()
        for watched in self._sockets:
            watched.cut()
            watched.close()

    def _watch(self) -> None:
        while not self._closed.wait(_CHECK_EVERY):
            now = float("inf") if self._stop.is_set() else time.monotonic()
            for watched in tuple(self._sockets):
                if watched.ends <= now:
                    watched.cut()


class _Adapter(HTTPAdapter):
    """Lets `watched` know the socket of each connection, direct or through a proxy."""

    def __init__(self, watched: WatchedSocket) -> None:
        self._watched = watched
        super().__init__(pool_connections=2, pool_maxsize=1)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = type(pool).ConnectionCls
        if kind in {HTTPConnection, HTTPSConnection}:  # a SOCKS proxy has connections of its own
            pool.ConnectionCls = functools.partial(_new_connection, kind, self._watched)
        return pool


class _FinalResponse(http.client.HTTPResponse):
    """Reads over informational replies (1xx), of which the library skips 100 alone."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        is_informational = status // 100 == 1 and status != HTTPStatus.SWITCHING_PROTOCOLS
        return version, HTTPStatus.CONTINUE if is_informational else status, reason


def _new_connection(
    kind: type[HTTPConnection],
    watched: WatchedSocket,
    **options: Any,  # noqa: ANN401
) -> HTTPConnection:
    connection = kind(**options)
    connection.response_class = _FinalResponse
    connection._new_conn = functools.partial(_connect, connection, watched)  # type: ignore[method-assign]  # noqa: SLF001
    return connection


def _connect(connection: HTTPConnection, watched: WatchedSocket) -> socket.socket:
    """Connect as urllib3 does, with a socket that can be cut while it still connects."""
    failure: OSError = OSError("no address")
    try:
        addresses = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        watched.watch(sock)
        try:
            for option in connection.socket_options or []:
                sock.setsockopt(*option)
            sock.settimeout(connection.timeout)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise NewConnectionError(connection, type(failure).__name__) from failure


def new_session(watched: WatchedSocket) -> requests.Session:
    """Return a session for one thread that keeps its connection open, known to `watched`."""
    session = requests.Session()
    session.mount("http://", _Adapter(watched))
    session.mount("https://", _Adapter(watched))
    return session
