"""The faults of a server: which of them hits a request, and what it does."""

import threading
from collections import Counter
from dataclasses import replace

from pipeline.simulator.api import Api, Query
from pipeline.simulator.faults.connection import CONNECTION
from pipeline.simulator.faults.content import CONTENT, Page
from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.faults.response import RESPONSE
from pipeline.simulator.responses import Response

KINDS = frozenset({*CONTENT, *RESPONSE, *CONNECTION})


class FaultInjector:
    """The faults of a server; tests add and clear them from another thread."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._matched: Counter[int] = Counter()
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Add faults; if several match a request, the first one added hits it."""
        for fault in faults:
            if fault.kind not in KINDS:
                raise ValueError(
                    f"there is no fault called {fault.kind!r}; the kinds are {sorted(KINDS)}"
                )
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
            self._matched.clear()

    def next_fault(self, endpoint: str, query: Query | None, api: Api) -> Fault | None:
        """Return the fault that hits this request, and count the hit."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.matches(endpoint, query, api):
                    self._matched[index] += 1
                    hits, rest = divmod(self._matched[index], fault.every)
                    if rest == 0 and (fault.times is None or hits <= fault.times):
                        return fault
        return None


def apply_fault(fault: Fault, response: Response, query: Query | None, api: Api) -> Response:
    """Return what is sent instead of `response`."""
    if fault.kind in RESPONSE:
        return RESPONSE[fault.kind](response, fault)
    content = response.json()
    if not isinstance(content, dict):
        return response
    page = Page(content, query, api, fault)
    return replace(response, body=api.to_json(CONTENT[fault.kind](page)))
