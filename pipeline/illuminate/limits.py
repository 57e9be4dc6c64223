"""The limits of all requests to the server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Page size, times in seconds, attempts, bytes, and requests per second (0: no limit)."""

    page_limit: int = 1000
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    deadline: float = 180.0
    tries: int = 5
    max_backoff: float = 30.0
    max_retry_after: float = 300.0
    max_response_bytes: int = 64 << 20
    max_requests_per_second: float = 0.0
