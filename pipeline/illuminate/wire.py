"""Connections that can be cut: at the deadline of a request, or when the run must stop.

The timeouts of requests bound the wait for the next byte, not the request: a server that drips
one byte a second holds a thread for hours. So each thread's open sockets are known here, and one
watch closes those whose request is over time.
"""

import contextlib
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

_LOOK_EVERY = 0.2


class Line:
    """The sockets that one thread has open, and the time by which its request must be over."""

    def __init__(self) -> None:
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.ends = float("inf")
        self.was_cut = False

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut what is done inside after so many seconds; `was_cut` tells whether it was."""
        self.was_cut = False
        self.ends = time.monotonic() + seconds
        try:
            yield
        finally:
            self.ends = float("inf")

    def cut(self) -> None:
        """End every transfer on this line now."""
        self.was_cut = True
        for sock in list(self.sockets):
            with contextlib.suppress(OSError):  # it may have been closed a moment before
                sock.shutdown(socket.SHUT_RDWR)


class Watch:
    """Looks at all lines a few times a second, in a thread of its own, until the run stops."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._closed = threading.Event()
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._look, name="deadlines", daemon=True).start()

    def new_line(self) -> Line:
        """A line that is watched from now on."""
        line = Line()
        with self._lock:
            self._lines.append(line)
        return line

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _look(self) -> None:
        while not self._closed.wait(_LOOK_EVERY):
            now = float("inf") if self._stop.is_set() else time.monotonic()
            with self._lock:
                lines = list(self._lines)
            for line in lines:
                if line.ends <= now:
                    line.cut()


class _Adapter(HTTPAdapter):
    """Hands every socket that is opened to the line of its thread."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._line)


def _pools(line: Line) -> dict[str, type[HTTPConnectionPool]]:
    class KnownConnection(HTTPConnection):
        """Makes its own socket, so that it is known to the line while it still connects."""

        def _new_conn(self) -> socket.socket:
            try:
                return _connect(line, self.host, self.port, self.timeout, self.socket_options)
            except socket.gaierror as error:
                raise NameResolutionError(self.host, self, error) from error
            except OSError as error:
                raise NewConnectionError(self, type(error).__name__) from error

    class KnownHTTPSConnection(KnownConnection, HTTPSConnection):
        pass

    class KnownPool(HTTPConnectionPool):
        ConnectionCls = KnownConnection

    class KnownHTTPSPool(HTTPSConnectionPool):
        ConnectionCls = KnownHTTPSConnection

    return {"http": KnownPool, "https": KnownHTTPSPool}


def _connect(line: Line, host: str, port: int, timeout: Any, options: Any) -> socket.socket:  # noqa: ANN401
    """Connect to the first address of a host that takes it."""
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        line.sockets.add(sock)
        try:
            for option in options or []:
                sock.setsockopt(*option)
            if isinstance(timeout, int | float):
                sock.settimeout(timeout)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def new_session(line: Line) -> requests.Session:
    """A session for one thread, its connections kept open and known to `line`."""
    session = requests.Session()
    session.mount("http://", _Adapter(line))
    session.mount("https://", _Adapter(line))
    return session
