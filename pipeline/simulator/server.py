"""The server: in its own thread for tests, or as a process for people and the demo."""

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from weakref import WeakSet

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from pipeline.simulator.api import Api
from pipeline.simulator.credentials import Authority, Credentials
from pipeline.simulator.district.district import District
from pipeline.simulator.faults.fault_injector import FaultInjector
from pipeline.simulator.handlers import make_application
from pipeline.simulator.log import LoggedRequest
from pipeline.simulator.protocol import Protocol

_LOOPBACK = "127.0.0.1"
_BACKLOG = 128
_CALL_SECONDS = 10


class Server:
    """A made-up district served over HTTP, on the loopback address only."""

    def __init__(
        self,
        district: District,
        protocol: Protocol | None = None,
        credentials: Credentials | None = None,
        port: int = 0,
    ) -> None:
        self.district = district
        self.protocol = protocol or Protocol()
        self.credentials = credentials or Credentials()
        self.port = port
        self.api = Api(district, self.protocol)
        self.authority = Authority(self.credentials, self.protocol)
        self.faults = FaultInjector()
        self.detached: WeakSet[IOStream] = WeakSet()
        self._log: list[LoggedRequest] = []
        self._application = make_application(self)
        self._stopping = asyncio.Event()

    @property
    def base_url(self) -> str:
        """Return the value for `ILLUMINATE_BASE_URL`."""
        return f"http://{_LOOPBACK}:{self.port}/live"

    @property
    def api_url(self) -> str:
        """Return the address to which method names are appended."""
        return f"{self.base_url}/rest_server.php/Api/"

    @property
    def token_url(self) -> str:
        """Return the address that issues OAuth 2 tokens."""
        return f"{self.base_url}/?OAuth2_AccessToken"

    @property
    def log(self) -> list[LoggedRequest]:
        """Return the requests so far, in order."""
        return list(self._log)

    def clear_log(self) -> None:
        """Remove the requests so far from the log."""
        self._log.clear()

    def record(self, entry: LoggedRequest) -> None:
        """Log a request."""
        self._log.append(entry)

    def stop_listening(self) -> None:
        """Refuse new connections and close the existing ones, like a server that went down."""
        self._call(self._close_connections())

    def resume_listening(self) -> None:
        """Listen again on the same port."""
        self._call(self._listen())

    def stop(self) -> None:
        """End `run`, from any thread."""
        # If the loop is closed, `run` has ended already.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def run(self, ready: Callable[[str], object]) -> None:
        """Serve until `stop` is called; call `ready` with the base URL once the server listens."""
        self._loop = asyncio.get_running_loop()
        await self._listen()
        ready(self.base_url)
        await self._stopping.wait()
        await self._close_connections()
        if handlers := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(handlers)

    async def pause(self, seconds: float) -> None:
        """Wait, but return at once when the server stops."""
        # Not asyncio.timeout: under pytest-cov on CPython 3.11 it let its CancelledError escape.
        waiter = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([waiter], timeout=seconds)
        waiter.cancel()

    async def _listen(self) -> None:
        listening = socket.create_server((_LOOPBACK, self.port), backlog=_BACKLOG)
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        self._http = HTTPServer(self._application)
        self._http.add_socket(listening)

    async def _close_connections(self) -> None:
        self._http.stop()
        for stream in self.detached:
            stream.close()
        await self._http.close_all_connections()

    def _call(self, coroutine: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_SECONDS)


@contextlib.contextmanager
def serving(
    district: District,
    protocol: Protocol | None = None,
    credentials: Credentials | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """Serve a district from a thread during the context; port 0 means any free port."""
    server = Server(district, protocol, credentials, port)
    started: concurrent.futures.Future[str] = concurrent.futures.Future()
    with concurrent.futures.ThreadPoolExecutor(1, "simulator") as pool:
        running = pool.submit(asyncio.run, server.run(started.set_result))
        either: list[concurrent.futures.Future[Any]] = [started, running]
        concurrent.futures.wait(either, return_when=concurrent.futures.FIRST_COMPLETED)
        if running.done():
            running.result()
        try:
            yield server
        finally:
            server.stop()
            running.result()


def serve_forever(
    server: Server, ready: Callable[[str], None], *, until_stdin_closes: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT, in a process that does nothing else.

    With `until_stdin_closes` it also ends when standard input does: a server whose standard input
    is a pipe from its parent never outlives the parent, however that ends.
    """

    def on_ready(base_url: str) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
        if until_stdin_closes:
            threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
        ready(base_url)

    asyncio.run(server.run(on_ready))


def _stop_at_end_of_stdin(server: Server) -> None:
    # Not sys.stdin.read(): this thread would still hold its lock when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.stop()
