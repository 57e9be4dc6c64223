"""What the server answers to whom asks properly: pages of results as JSON. Knows no HTTP."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

from pipeline.simulator.district.district import District
from pipeline.simulator.district.sittings import Endpoint, Row
from pipeline.simulator.protocol import Protocol

Envelope: TypeAlias = dict[str, Any]

CATALOGUE = "catalogue"
METHODS = {
    "Assessments": CATALOGUE,
    "AssessmentAggregateStudentResponses": "overall",
    "AssessmentAggregateStudentResponsesStandard": "standard",
    "AssessmentAggregateStudentResponsesGroup": "group",
}

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_NUMERIC_FIELDS = frozenset(
    {"assessment_id", "points", "points_possible", "percent_correct", "performance_band_level"}
)


class Question(NamedTuple):
    """What was asked, after limits, defaults and nonsense were dealt with."""

    endpoint: str
    assessment_id: str | None
    page: int
    limit: int
    start: dt.date | None
    end: dt.date | None

    @classmethod
    def read(cls, endpoint: str, params: Mapping[str, str], protocol: Protocol) -> "Question":
        """Read the parameters of a request; those that are not known are ignored."""
        start, end = params.get("date_taken_start"), params.get("date_taken_end")
        if protocol.honour_start_date:
            start, end = start or params.get("start_date"), end or params.get("end_date")
        return cls(
            endpoint,
            params.get("assessment_id") or None,
            _positive(params.get("page"), 1),
            min(_positive(params.get("limit"), protocol.default_limit), protocol.cap),
            _date(start),
            _date(end),
        )


class Api:
    """The paged endpoints over a district; what was rendered once is kept."""

    def __init__(self, district: District, protocol: Protocol) -> None:
        self._district = district
        self._protocol = protocol
        # The district's version is part of each key, so that a changed district is asked anew.
        self._kept_rows = lru_cache(maxsize=16)(self._find_rows)
        self._kept_bodies = lru_cache(maxsize=20_000)(self._render)

    def body(self, question: Question) -> bytes | None:
        """The page that was asked for; None where the answer is 404."""
        return self._kept_bodies(question, self._district.version)

    def envelope(self, question: Question) -> Envelope | None:
        """The same page as an object of the caller's own, to be changed at will."""
        body = self.body(question)
        return None if body is None else cast(Envelope, json.loads(body))

    def num_pages(self, question: Question) -> int:
        """How many pages the answer has."""
        return -(-len(self._rows(question)) // question.limit)

    def to_json(self, value: object) -> bytes:
        """Write JSON as this server does."""
        text = json.dumps(value, ensure_ascii=self._protocol.ascii_json, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")

    def ids_with_results(self) -> list[str]:
        """Every assessment that has results in any year."""
        years = self._district.years
        return list(dict.fromkeys(i for y in years for i in self._district.ids_with_results(y)))

    def _render(self, question: Question, _version: int) -> bytes | None:
        rows, num_pages = self._rows(question), self.num_pages(question)
        page = question.page
        if page > max(1, num_pages):
            if self._protocol.beyond_end == "404":
                return None
            if self._protocol.beyond_end == "empty":
                rows, num_pages = [], 0
            page = max(1, num_pages)
        first = (page - 1) * question.limit
        total = len(rows)
        return self.to_json(
            {
                "page": question.page,
                "num_pages": num_pages,
                "num_results": total,
                "results": [
                    self._as_sent(row, total) for row in rows[first : first + question.limit]
                ],
            }
        )

    def _rows(self, question: Question) -> list[Row]:
        return self._kept_rows(question._replace(page=1), self._district.version)

    def _find_rows(self, question: Question, _version: int) -> list[Row]:
        endpoint, assessment_id, _, _, start, end = question
        if endpoint == CATALOGUE:
            rows = self._district.catalogue
        else:
            rows = self._district.results(cast(Endpoint, endpoint), assessment_id, start, end)
        match self._protocol.row_order:
            case "student":
                return sorted(rows, key=lambda row: row.get("local_student_id") or "")
            case "reversed":
                return rows[::-1]
            case _:
                return rows

    def _as_sent(self, row: Row, total: int) -> dict[str, object]:
        sent: dict[str, object] = {self._field(name): value for name, value in row.items()}
        sent["__count"] = str(total)
        if self._protocol.numbers_as_json:
            return {name: _number(name, value) for name, value in sent.items()}
        return sent

    def _field(self, name: str) -> str:
        match name:
            case "reporting_group_id":
                return self._protocol.group_id_field
            case "reporting_group":
                return self._protocol.group_label_field
            case _:
                return name


def _number(name: str, value: object) -> object:
    numeric = name in _NUMERIC_FIELDS or name == "__count"
    if numeric and isinstance(value, str) and _NUMBER.fullmatch(value):
        return json.loads(value)
    return value


def _positive(text: str | None, default: int) -> int:
    # At most nine digits, so that no page number is a sum of its own to compute.
    return int(text) if text and re.fullmatch("0*[1-9][0-9]{0,8}", text) else default


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None
