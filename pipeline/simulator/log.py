"""The server's memory of who asked what."""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.simulator.credentials import Auth


@dataclass(frozen=True)
class LoggedRequest:
    """One request that was received.

    Attributes:
        time: when its answer was decided, on the clock of `time.monotonic`.
        endpoint: `token`, `catalogue`, `overall`, `standard`, `group`, `sites` or `other`.
        assessment_id: what was asked about.
        page: the page asked for; None where there are no pages.
        status: of the answer; 0 where the connection was spoiled instead.
        auth: how the client proved who it is.
        connection: the client's port, which tells connections apart.
        fault: the kind of the fault that hit it.
        params: of the request line; never the form of a token request.
        line: the request line as it came, without the version of HTTP.
    """

    time: float
    endpoint: str
    assessment_id: str | None
    page: int | None
    status: int
    auth: Auth
    connection: int
    fault: str | None = None
    params: Mapping[str, str] = field(default_factory=dict, hash=False)
    line: str = ""


class RequestLog:
    """Requests in order of arrival, readable from every thread, and as JSON lines in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[LoggedRequest] = []
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def add(self, entry: LoggedRequest) -> None:
        """Remember a request."""
        with self._lock:
            self._entries.append(entry)
        if self._file:
            self._file.write(json.dumps(asdict(entry)) + "\n")

    def entries(self) -> list[LoggedRequest]:
        """All requests since the start or the last `clear`."""
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        """Forget the requests so far; the file keeps them."""
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
