"""What is unknown about the API, as settings; every default is an assumption."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """The server's behaviour where no public source shows the real one's.

    Attributes:
        default_limit: rows on a page if `limit` is missing or not a positive number.
        cap: a larger `limit` is silently lowered to this.
        beyond_end: the response to a request for a page after the last; with "empty", it has no
            rows and a `num_results` of 0.
        without_assessment: the response to a request for results without an assessment: those of
            all assessments, none, or a 404.
        group_id_field: name of the reporting group's id in group results.
        group_label_field: name of the reporting group's label in group results.
        undated_pass: results without a date are sent for any dates.
        row_order: standard results by standard, as observed; by student; or all rows reversed.
        honour_start_date: `start_date` and `end_date` filter too.
        numbers_as_json: ids and numbers in rows are JSON numbers where they can be.
        ascii_json: letters beyond ASCII are escaped, as PHP does by default.
        error_body: body of every 401, 403 and 404.
        token_seconds: how long an OAuth 2 token is valid.
        token_requests_limit: a token is refused after so many requests; None means never.
        gzip: bodies are compressed for clients that accept it.
        latency_seconds: the delay before each response.
    """

    default_limit: int = 50
    cap: int = 1000
    beyond_end: Literal["empty", "repeat_last", "404"] = "empty"
    without_assessment: Literal["all", "none", "404"] = "all"
    group_id_field: str = "reporting_group_id"
    group_label_field: str = "reporting_group"
    undated_pass: bool = False
    row_order: Literal["standard", "student", "reversed"] = "standard"
    honour_start_date: bool = False
    numbers_as_json: bool = False
    ascii_json: bool = False
    error_body: str = ""
    token_seconds: float = 3600
    token_requests_limit: int | None = None
    gzip: bool = False
    latency_seconds: float = 0.0
