"""The server: in a thread of its own for tests, or as a process for people and the demo."""

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer

from pipeline.simulator.api import Api
from pipeline.simulator.credentials import Authority, Credentials
from pipeline.simulator.district.district import District
from pipeline.simulator.faults.board import Faults
from pipeline.simulator.faults.wire import Wire
from pipeline.simulator.handlers import make_application
from pipeline.simulator.log import LoggedRequest, RequestLog
from pipeline.simulator.protocol import Protocol
from pipeline.simulator.waiting import wait_for

_LOOPBACK = "127.0.0.1"
_BACKLOG = 128
_CALL_SECONDS = 10


class Server:
    """A made-up district behind HTTP, on the loopback address only."""

    def __init__(
        self,
        district: District,
        protocol: Protocol | None = None,
        credentials: Credentials | None = None,
        port: int = 0,
        log_path: Path | None = None,
    ) -> None:
        self.district = district
        self.protocol = protocol or Protocol()
        self.credentials = credentials or Credentials()
        self.port = port
        self.api = Api(district, self.protocol)
        self.authority = Authority(
            self.credentials, self.protocol.token_seconds, self.protocol.token_requests_limit
        )
        self.faults = Faults()
        self.requests = RequestLog(log_path)
        self._application = make_application(self)
        self._held: set[Wire] = set()
        self._told_to_stop = asyncio.Event()

    @property
    def base_url(self) -> str:
        """What `ILLUMINATE_BASE_URL` would say."""
        return f"http://{_LOOPBACK}:{self.port}/live"

    @property
    def api_url(self) -> str:
        """The address that method names are added to."""
        return f"{self.base_url}/rest_server.php/Api/"

    @property
    def token_url(self) -> str:
        """Where OAuth 2 tokens are given out."""
        return f"{self.base_url}/?OAuth2_AccessToken"

    @property
    def log(self) -> list[LoggedRequest]:
        """The requests so far, in order."""
        return self.requests.entries()

    def clear_log(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()

    def stop_listening(self) -> None:
        """Refuse connections and cut those there are, as a server that went down."""
        self._call(self._hang_up())

    def resume_listening(self) -> None:
        """Listen again, on the same port."""
        self._call(self._listen())

    def stop(self) -> None:
        """End `run`, from whatever thread."""
        # A loop that is closed already has ended `run`.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told_to_stop.set)

    async def run(self, ready: Callable[[str], object]) -> None:
        """Serve until `stop` is called; `ready` is told the base URL when all is up."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._listen()
            ready(self.base_url)
            await self._told_to_stop.wait()
            await self._hang_up()
            await self._let_handlers_end()
        finally:
            self.requests.close()

    async def pause(self, seconds: float) -> None:
        """Wait, but not when the server is told to stop."""
        await wait_for(self._told_to_stop, seconds)

    @contextlib.contextmanager
    def holding(self, wire: Wire) -> Iterator[None]:
        """Remember, meanwhile, a connection that the HTTP server no longer knows."""
        self._held.add(wire)
        try:
            yield
        finally:
            self._held.remove(wire)

    async def _listen(self) -> None:
        listening = socket.create_server((_LOOPBACK, self.port), backlog=_BACKLOG)
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        self._http = HTTPServer(self._application)
        self._http.add_socket(listening)

    async def _hang_up(self) -> None:
        self._http.stop()
        for wire in self._held:
            wire.close()
        await self._http.close_all_connections()

    async def _let_handlers_end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    def _call(self, coroutine: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_SECONDS)


@contextlib.contextmanager
def serving(
    district: District,
    protocol: Protocol | None = None,
    credentials: Credentials | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """Serve a district from a thread while the context lasts; port 0 takes a free one."""
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
    district: District,
    protocol: Protocol | None,
    credentials: Credentials | None,
    port: int,
    *,
    ready: Callable[[str], None],
    until_stdin_closes: bool = False,
    log_path: Path | None = None,
) -> None:
    """Serve a district until SIGTERM or SIGINT, for a process that does nothing else.

    With `until_stdin_closes` it also ends when standard input does: a server whose standard input
    is a pipe from its parent never outlives it, however the parent ends.
    """
    server = Server(district, protocol, credentials, port, log_path)

    def announce(base_url: str) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
        if until_stdin_closes:
            threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
        ready(base_url)

    asyncio.run(server.run(announce))


def _stop_at_end_of_stdin(server: Server) -> None:
    # Past sys.stdin, whose lock would still be held by this thread when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.stop()
