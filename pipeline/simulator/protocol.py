"""What is unknown about the API, as settings; every default is an assumption."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class WithoutAssessment:
    """The responses to requests for results that name no assessment.

    Attributes:
        answer: the results of all assessments, an empty page, a status, or a login page.
        endpoints: those that answer so; the others have no results without an assessment.
        dates: they filter; are ignored; or what they select is only of the current school year.
        without_dates: the results of every year, or of the current one.
        order: by assessment; by standard or by student across assessments; or another order for
            each page and limit, as a database gives without a unique key to sort by.
        cap: as that of `Protocol`, if it is another.
        undated_pass: as that of `Protocol`, for these requests only.
    """

    answer: Literal["all", "none", "400", "401", "404", "html"] = "all"
    endpoints: tuple[str, ...] = ("overall", "standard", "group")
    dates: Literal["filter", "ignored", "current_year"] = "filter"
    without_dates: Literal["all", "current_year"] = "all"
    order: Literal["assessment", "standard", "student", "unstable"] = "assessment"
    cap: int | None = None
    undated_pass: bool = False


@dataclass(frozen=True)
class Protocol:
    """The server's behaviour where no public source shows the real one's.

    Attributes:
        default_limit: rows on a page if `limit` is missing or not a positive number.
        cap: a larger `limit` is silently lowered to this.
        beyond_end: the response to a request for a page after the last; with "empty", it has no
            rows and a `num_results` of 0.
        without_assessment: the responses to requests for results without an assessment.
        group_id_field: name of the reporting group's id in group results.
        group_label_field: name of the reporting group's label in group results.
        undated_pass: results without a date are sent for any dates.
        row_order: standard results by standard, as observed; by student; or all rows reversed.
        honour_start_date: `start_date` and `end_date` filter too.
        numbers_as_json: ids and numbers in rows are JSON numbers where they can be.
        ascii_json: letters beyond ASCII are escaped, as PHP does by default.
        error_body: body of every 400, 401, 403 and 404.
        token_seconds: how long an OAuth 2 token is valid.
        token_requests_limit: a token is refused after so many requests; None means never.
        gzip: bodies are compressed for clients that accept it.
        latency_seconds: the delay before each response.
    """

    default_limit: int = 50
    cap: int = 1000
    beyond_end: Literal["empty", "repeat_last", "404"] = "empty"
    without_assessment: WithoutAssessment = WithoutAssessment()
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
