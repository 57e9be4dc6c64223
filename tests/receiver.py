"""A local HTTP server that receives webhook deliveries."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T00canary/B00madeup/x1y2z3canary"
"""The secret part of its address; as made up as the server."""


class Receiver(ThreadingHTTPServer):
    """Stores what it receives, and responds with the next of its statuses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.is_silent = False
        self.drips = False
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/{SECRET}"

    def shutdown(self) -> None:
        self.go_on.set()
        super().shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.got.append((self.path, json.loads(self.rfile.read(length))))
        if self.server.is_silent:
            self.server.go_on.wait(60)
            return
        while self.server.drips and not self.server.go_on.wait(0.05):
            try:
                self.wfile.write(b"H")
            except OSError:
                return
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append((self.path, {}))
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver during the context."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
