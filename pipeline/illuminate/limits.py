"""How the server is asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How the server is asked: page size, times in seconds, tries, requests a second (0: any)."""

    page_limit: int = 1000
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    deadline: float = 180.0
    tries: int = 5
    longest_wait: float = 30.0
    longest_pause: float = 300.0
    most_bytes: int = 64 << 20
    max_requests_per_second: float = 0.0
