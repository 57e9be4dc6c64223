"""The faults that are set on a server, and which of them hits a request."""

import threading
from collections import Counter
from dataclasses import replace

from pipeline.simulator.api import Api, Question
from pipeline.simulator.faults.content import CONTENT, Case
from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.faults.reply import REPLY
from pipeline.simulator.faults.wire import WIRE
from pipeline.simulator.replies import Reply

KINDS = frozenset({*CONTENT, *REPLY, *WIRE})


class Faults:
    """The faults that are set on a server; tests add and clear them from another thread."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._matched: Counter[int] = Counter()
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Set faults; of several that match a request, the first one set hits it."""
        for fault in faults:
            if fault.kind not in KINDS:
                raise ValueError(f"no fault is called {fault.kind!r}; there are {sorted(KINDS)}")
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        """Let everything go well from now on."""
        with self._lock:
            self._faults.clear()
            self._matched.clear()

    def take(self, endpoint: str, question: Question | None, api: Api) -> Fault | None:
        """The fault that hits this request, which is counted."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.matches(endpoint, question, api):
                    self._matched[index] += 1
                    hits, rest = divmod(self._matched[index], fault.every)
                    if rest == 0 and (fault.times is None or hits <= fault.times):
                        return fault
        return None


def spoil(fault: Fault, reply: Reply, question: Question | None, api: Api) -> Reply:
    """The reply that is sent instead of `reply`."""
    if fault.kind in REPLY:
        return REPLY[fault.kind](reply, fault)
    content = reply.json()
    if not isinstance(content, dict):
        return reply
    case = Case(content, question, api, fault.value)
    return replace(reply, body=api.to_json(CONTENT[fault.kind](case)))
