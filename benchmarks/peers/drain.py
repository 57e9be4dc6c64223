"""Fetches and discards: reads every byte of every answer, and does nothing else.

What no client can beat. The answers' heads are read for their length and pages for the number of
their rows; nothing is parsed, kept or checked. With `--targets` it requests precisely what the
file lists, which is what another client was seen to request.

    python -m benchmarks.peers.drain --base-url URL --threads 16 [--targets FILE]
"""

import argparse
import asyncio
import json
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

_API = "rest_server.php/Api/"
METHODS = {
    "overall": "AssessmentAggregateStudentResponses",
    "standard": "AssessmentAggregateStudentResponsesStandard",
    "group": "AssessmentAggregateStudentResponsesGroup",
}
WINDOW = "date_taken_start=2023-07-01&date_taken_end=2024-06-30"
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
NUMBERS = re.compile(rb'\{"page":(\d+),"num_pages":(\d+),"num_results":(\d+)')
_IDS = re.compile(rb'"assessment_id":"(\w+)"')
_BEGINNING = 512
_BUFFER = 1 << 20


class Connection(asyncio.BufferedProtocol):
    """One connection, kept alive; a request at a time. Only the beginning of an answer is kept."""

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._buffer = memoryview(bytearray(_BUFFER))
        self._beginning = bytearray()
        self._received = 0
        self._length = 0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to send requests."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Let nobody wait for an answer that cannot come."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("closed by the server"))

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Where to receive: over what was received before."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """Count what was received, until the answer is whole."""
        if self._keep or len(self._beginning) < _BEGINNING:
            self._beginning += self._buffer[:count]
        if not self._length:
            end = self._beginning.find(b"\r\n\r\n")
            found = _LENGTH.search(self._beginning)
            if end < 0 or found is None:
                return
            self._length = end + 4 + int(found[1])
        self._received += count
        if self._received >= self._length and self._answer:
            self._answer.set_result(bytes(self._beginning))

    async def fetch(self, request: bytes) -> bytes:
        """Send a request, and wait until the whole answer was received."""
        self._beginning.clear()
        self._received = self._length = 0
        self._answer = asyncio.get_running_loop().create_future()
        assert isinstance(self._transport, asyncio.WriteTransport)  # noqa: S101  for the types
        self._transport.write(request)
        return await self._answer


class Drain:
    """A number of connections that work off a queue of targets."""

    def __init__(self, base_url: str, threads: int) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._path = parts.path
        self._threads = threads
        self._queue: deque[str] = deque()
        self.rows = dict.fromkeys(METHODS, 0)

    async def everything(self) -> None:
        """Fetch the catalogue, then each assessment's results at each endpoint."""
        ids = await self._catalogue()
        for method in METHODS.values():
            self._queue += (self.target(method, 1, assessment_id) for assessment_id in ids)
        await self._work_off(more=True)

    async def only(self, targets: Iterable[str]) -> None:
        """Fetch precisely these."""
        self._queue += targets
        await self._work_off(more=False)

    def target(self, method: str, page: int, assessment_id: str | None = None) -> str:
        """The target of a request."""
        target = f"{self._path}/{_API}{method}/?page={page}&limit=1000"
        return f"{target}&{WINDOW}&assessment_id={assessment_id}" if assessment_id else target

    async def _catalogue(self) -> list[str]:
        connection = await self._connect(keep=True)
        ids: dict[str, None] = {}
        page = last = 1
        while page <= last:
            answer = await connection.fetch(_request(self.target("Assessments", page)))
            numbers = NUMBERS.search(answer)
            last = int(numbers[2]) if numbers else 0
            ids |= dict.fromkeys(ids_in(answer))
            page += 1
        return list(ids)

    async def _work_off(self, *, more: bool) -> None:
        workers = [self._worker(await self._connect(), more) for _ in range(self._threads)]
        await asyncio.gather(*workers)

    async def _worker(self, connection: Connection, more: bool) -> None:
        while self._queue:
            target = self._queue.popleft()
            answer = await connection.fetch(_request(target))
            if (numbers := NUMBERS.search(answer)) and numbers[1] == b"1":
                self._note(target, int(numbers[2]) if more else 0, int(numbers[3]))

    def _note(self, target: str, pages: int, rows: int) -> None:
        """Count the rows that a first page promises, and request the pages after it."""
        for kind, method in METHODS.items():
            if f"/{method}/" in target:
                self.rows[kind] += rows
        self._queue.extendleft(
            target.replace("page=1&", f"page={page}&") for page in range(pages, 1, -1)
        )

    async def _connect(self, *, keep: bool = False) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(keep=keep), self._host, self._port
        )
        return connection


def ids_in(page: bytes) -> list[str]:
    """The assessments that a page of the catalogue names."""
    return [found.decode() for found in _IDS.findall(page)]


def _request(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer a\r\n\r\n".encode()


def main() -> None:
    """Drain, and say how many rows went by."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--targets", type=Path)
    options = parser.parse_args()
    drain = Drain(options.base_url, options.threads)
    if options.targets:
        targets = options.targets.read_text(encoding="utf-8").splitlines()
        asyncio.run(drain.only(targets))
    else:
        asyncio.run(drain.everything())
    print(json.dumps(drain.rows))


if __name__ == "__main__":
    main()
