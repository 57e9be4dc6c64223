"""The description of a fault."""

from dataclasses import dataclass

from pipeline.simulator.api import Api, Query


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, which requests it hits, and how often.

    Attributes:
        kind: a name in one of the tables of this package.
        value: the kind's argument, such as a status or a number of seconds.
        endpoint: as in the server's log (`LoggedRequest`); None means any.
        assessment_id: requests for this assessment only; empty: for all assessments together.
        page: requests for this page only.
        last_page: requests for the last page only.
        times: how many requests it hits; None means all.
        every: it hits every nth matching request.
        retry_after: text of the `Retry-After` header of a `status`.
    """

    kind: str
    value: object = None
    endpoint: str | None = None
    assessment_id: str | None = None
    page: int | None = None
    last_page: bool = False
    times: int | None = None
    every: int = 1
    retry_after: str | None = None

    def number(self, default: int) -> int:
        """Return `value` if it is a whole number, else `default`."""
        return self.value if isinstance(self.value, int) else default

    def matches(self, endpoint: str, query: Query | None, api: Api) -> bool:
        """Return True for requests that this fault may hit."""
        if self.endpoint not in {None, endpoint}:
            return False
        if query is None:
            return self.assessment_id is None and self.page is None and not self.last_page
        return (
            self.assessment_id in {None, query.assessment_id or ""}
            and self.page in {None, query.page}
            and (not self.last_page or query.page == max(1, api.num_pages(query)))
        )
