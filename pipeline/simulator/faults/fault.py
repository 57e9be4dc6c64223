"""What a fault is."""

from dataclasses import dataclass

from pipeline.simulator.api import Api, Question


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, which requests it hits, and how often.

    Attributes:
        kind: a name in one of the tables of this module.
        value: what the kind wants to know, such as a status or a number of seconds.
        endpoint: `token`, `catalogue`, `overall`, `standard`, `group`, `sites`; None means any.
        assessment_id: requests for this assessment only.
        page: requests for this page only.
        last_page: requests for the last page of an answer only.
        times: how many requests it hits; None means without end.
        every: it hits each so-manyth of the requests that match.
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

    def matches(self, endpoint: str, question: Question | None, api: Api) -> bool:
        """True for requests that it may hit."""
        if self.endpoint not in {None, endpoint}:
            return False
        if question is None:
            return self.assessment_id is None and self.page is None and not self.last_page
        return (
            self.assessment_id in {None, question.assessment_id}
            and self.page in {None, question.page}
            and (not self.last_page or question.page == max(1, api.num_pages(question)))
        )
