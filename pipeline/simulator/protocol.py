"""What is unknown of the API, as settings; every default is an assumption."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """How the server behaves where no public source shows what the real one does.

    Attributes:
        default_limit: rows on a page when `limit` is not given or no positive number.
        cap: a larger `limit` is lowered to this without a word.
        beyond_end: what a page after the last one brings.
        group_id_field: name of the reporting group's id in group results.
        group_label_field: name of the reporting group's label in group results.
        row_order: standard results by standard, as seen; by student; or all rows reversed.
        honour_start_date: `start_date` and `end_date` filter, too.
        numbers_as_json: ids and numbers in rows are JSON numbers where they can be.
        ascii_json: letters beyond ASCII are written as escapes, as PHP does if not told otherwise.
        error_body: body of every 401, 403 and 404.
        token_seconds: how long an OAuth 2 token is good for.
        token_requests_limit: after so many requests a token is refused; None means never.
        gzip: bodies are compressed for clients that ask for it.
        latency_seconds: how long each request waits for its answer.
    """

    default_limit: int = 50
    cap: int = 1000
    beyond_end: Literal["empty", "repeat_last", "404"] = "empty"
    group_id_field: str = "reporting_group_id"
    group_label_field: str = "reporting_group"
    row_order: Literal["standard", "student", "reversed"] = "standard"
    honour_start_date: bool = False
    numbers_as_json: bool = False
    ascii_json: bool = False
    error_body: str = ""
    token_seconds: float = 3600
    token_requests_limit: int | None = None
    gzip: bool = False
    latency_seconds: float = 0.0
