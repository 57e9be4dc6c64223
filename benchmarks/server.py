"""The server of the benchmark: sends rows that are ready-made, from a process of its own.

It is no simulator: every request is answered, whatever the token. One thread and one `select` carry
all connections; rows are joined into a page as they lie in the mapped file, of one assessment or
of all, dated within any range, and nothing is rendered but the numbers around them. It ends when
standard input does, and then reports on one line what was requested.

    python -m benchmarks.server FOLDER [--port 0] [--latency 0.02] [--log FILE] [--until DAY]
"""

import argparse
import contextlib
import heapq
import itertools
import json
import mmap
import os
import re
import selectors
import socket
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from benchmarks.work import YEAR, Work, day_of
from pipeline.simulator.api import CATALOGUE, METHODS
from pipeline.simulator.responses import LOGIN_PAGE, Response

_LOOPBACK = "127.0.0.1"
_BACKLOG = 512
_CHUNK = 1 << 16
_AHEAD = 1 << 24
_API = re.compile(r"/(?:live|dna)/rest_server\.php/Api/(\w+)/?")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MOST = 1000
_WHOLE_YEAR = (0, day_of(YEAR.last_day.isoformat()))


def whole(reply: Response) -> bytes:
    """An answer as it goes over the wire."""
    return reply.head + reply.body


_TOKEN = whole(Response(b'{"access_token":"a","token_type":"Bearer","expires_in":86400}'))
_LOGIN = whole(LOGIN_PAGE)


class Answers:
    """Every answer there is, found by the request; `until` is the last day that has results."""

    def __init__(self, folder: Path, until: str = "") -> None:
        work = Work.open(folder)
        self._index = work.read_index()
        self._lines = _mapped(work.lines)
        self._offsets = _mapped(work.offsets).cast("Q")
        self._by_day = _mapped(work.by_day).cast("I")
        self._last_day = day_of(until or YEAR.last_day.isoformat())
        self._find_rows = lru_cache(maxsize=64)(self._rows)

    def find(self, method: str, target: str) -> bytes:
        """The answer to a request line; for what nobody has results of, the empty one."""
        if method == "POST":
            return _TOKEN
        path, _, query = target.partition("?")
        named = _API.fullmatch(path)
        if named is None or named[1] not in METHODS:
            return _LOGIN
        params = dict(parse_qsl(query))
        rows = self._find_rows(
            METHODS[named[1]],
            params.get("assessment_id", ""),
            params.get("date_taken_start", YEAR.first_day.isoformat()),
            params.get("date_taken_end", YEAR.last_day.isoformat()),
        )
        return self._page(rows, _number(params, "page", 1), min(_MOST, _number(params, "limit")))

    def _rows(self, endpoint: str, assessment_id: str, start: str, end: str) -> Sequence[int]:
        """The numbers of the rows of one assessment or of all, dated within a range."""
        if endpoint == CATALOGUE:
            assessment_id = ""
        first, count = self._index.assessments[endpoint].get(assessment_id, (0, 0))
        first_day, last_day = max(0, day_of(start)), max(-1, min(day_of(end), self._last_day))
        if endpoint == CATALOGUE or (assessment_id and (first_day, last_day) == _WHOLE_YEAR):
            return range(first, first + count)
        starts = self._index.days[endpoint][first_day : last_day + 2]
        if not assessment_id:
            return self._by_day[starts[0] : starts[-1]] if starts else ()
        found: list[int] = []
        for day in itertools.pairwise(starts):
            bounds = (bisect_left(self._by_day, row, *day) for row in (first, first + count))
            found += self._by_day[slice(*bounds)]
        return sorted(found)

    def _page(self, rows: Sequence[int], number: int, limit: int) -> bytes:
        numbers = rows[(number - 1) * limit : number * limit]
        if not numbers:
            body = b'{"page":%d,"num_pages":0,"num_results":0,"results":[]}' % number
            return whole(Response(body))
        total, lines, offsets = len(rows), self._lines, self._offsets
        begin = b'{"page":%d,"num_pages":%d,"num_results":%d,"results":['
        end = b',"__count":"%d"}' % total
        listed = (end + b",").join([lines[offsets[row] : offsets[row + 1]] for row in numbers])
        body = b"".join([begin % (number, -(-total // limit), total), listed, end, b"]}"])
        return whole(Response(body))


def _mapped(path: Path) -> memoryview:
    """A file in memory: not on a disk that is slow when nobody has read it lately."""
    with path.open("rb", buffering=0) as file:
        while file.read(_AHEAD):
            pass
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _number(params: dict[str, str], name: str, default: int = 50) -> int:
    text = params.get(name, "")
    return max(1, int(text)) if text.isdecimal() else default


@dataclass
class Report:
    """What was requested from a server: times are those of `time.monotonic`."""

    requests: int = 0
    tokens: int = 0
    connections: int = 0
    at_once: int = 0
    bytes: int = 0
    first: float = 0.0
    last: float = 0.0
    processor: float = 0.0


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    sending: memoryview | None = None


class Server:
    """All connections, and the answers that are due on them."""

    def __init__(self, answers: Answers, port: int, latency: float, log: bool) -> None:
        self.report = Report()
        self.targets: list[str] = []
        self._answers = answers
        self._latency = latency
        self._log = log
        self._due: list[tuple[float, int, _Connection, bytes]] = []
        self._turn = itertools.count()
        self._listening = socket.create_server((_LOOPBACK, port), backlog=_BACKLOG)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        # Not epoll, which wakes on whole milliseconds only.
        self._selector = selectors.SelectSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def serve(self) -> None:
        """Answer until standard input ends."""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, events in self._selector.select(wait):
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is self._listening:
                    self._accept()
                elif events & selectors.EVENT_WRITE:
                    self._send(key.data)
                else:
                    self._receive(key.data)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, connection, answer = heapq.heappop(self._due)
                self._begin(connection, answer)

    def _accept(self) -> None:
        accepted, _ = self._listening.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(accepted, selectors.EVENT_READ, _Connection(accepted))
        self.report.connections += 1
        self.report.at_once = max(self.report.at_once, len(self._selector.get_map()) - 2)

    def _receive(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(_CHUNK)
        except ConnectionError:
            received = b""
        if not received:
            self._close(connection)
            return
        connection.received += received
        while (request := _take(connection.received)) is not None:
            self._answer(connection, *request)

    def _answer(self, connection: _Connection, method: str, target: str) -> None:
        now, report = time.monotonic(), self.report
        report.first = report.first or now
        if method == "GET":
            report.requests += 1
            if self._log:
                self.targets.append(target)
        else:
            report.tokens += 1
        answer = self._answers.find(method, target)
        if self._latency:
            heapq.heappush(self._due, (now + self._latency, next(self._turn), connection, answer))
        else:
            self._begin(connection, answer)

    def _begin(self, connection: _Connection, answer: bytes) -> None:
        connection.sending = memoryview(answer)
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        sending = connection.sending
        if sending is None:
            return
        try:
            sent = connection.socket.send(sending)
        except BlockingIOError:
            sent = 0
        except OSError:  # the client is gone
            self._close(connection)
            return
        self.report.bytes += sent
        if sent == len(sending):
            connection.sending = None
            self.report.last = time.monotonic()
            self._watch(connection, selectors.EVENT_READ)
        else:
            connection.sending = sending[sent:]
            self._watch(connection, selectors.EVENT_WRITE)

    def _watch(self, connection: _Connection, events: int) -> None:
        key = self._selector.get_key(connection.socket)
        if key.events != events:
            self._selector.modify(connection.socket, events, connection)

    def _close(self, connection: _Connection) -> None:
        connection.sending = None
        if connection.socket.fileno() >= 0:
            self._selector.unregister(connection.socket)
            connection.socket.close()


def _take(received: bytearray) -> tuple[str, str] | None:
    """Take one whole request out of what was received: its method and its target."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end])
    length = _LENGTH.search(head)
    whole_length = end + 4 + (int(length[1]) if length else 0)
    if len(received) < whole_length:
        return None
    del received[:whole_length]
    method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    return method, target


def main() -> None:
    """Serve; the first line says where, the last one what was requested."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--until", default="")
    options = parser.parse_args()
    answers = Answers(options.folder, options.until)
    server = Server(answers, options.port, options.latency, options.log is not None)
    print(f"http://{_LOOPBACK}:{server.port}/live", flush=True)
    before = time.process_time()
    server.serve()
    server.report.processor = time.process_time() - before
    if options.log:
        options.log.write_text("\n".join(server.targets), encoding="utf-8")
    with contextlib.suppress(BrokenPipeError):  # whoever started this may be gone
        print(json.dumps(asdict(server.report)), flush=True)
    os._exit(0)  # not a moment for connections that are still open


if __name__ == "__main__":
    main()
