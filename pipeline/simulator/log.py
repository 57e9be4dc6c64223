"""An entry of the server's log."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.simulator.credentials import Auth


@dataclass(frozen=True)
class LoggedRequest:
    """One request that was received.

    Attributes:
        time: when the response was decided, on the clock of `time.monotonic`.
        endpoint: `token`, `catalogue`, `overall`, `standard`, `group`, `enrollment`, `users`,
            `roster`, `view`, `sites` or `other`.
        assessment_id: the requested assessment.
        page: the requested page; None where there are no pages.
        status: of the response; 0 if a fault hit the connection instead.
        auth: how the client authenticated.
        connection: the client's port, which identifies the connection.
        fault: the kind of the fault that hit it.
        params: of the query string; never the form of a token request.
        line: the request line as received, without the HTTP version.
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
