"""The paged endpoints over a district, as JSON. Knows nothing of HTTP."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

from pipeline.simulator.district.administrations import Endpoint, Row
from pipeline.simulator.district.district import District
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
_NUMERIC_FIELDS = {
    *("__count", "assessment_id", "performance_band_level"),
    *("points", "points_possible", "percent_correct"),
}


class Query(NamedTuple):
    """The parameters of a request, with limits and defaults applied."""

    endpoint: str
    assessment_id: str | None
    page: int
    limit: int
    start: dt.date | None
    end: dt.date | None

    @classmethod
    def parse(cls, endpoint: str, params: Mapping[str, str], protocol: Protocol) -> "Query":
        """Parse the parameters of a request, ignoring unknown ones."""
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
    """The paged endpoints over a district, with a cache of rendered pages."""

    def __init__(self, district: District, protocol: Protocol) -> None:
        self._district = district
        self._protocol = protocol
        self._renames = {
            "reporting_group_id": protocol.group_id_field,
            "reporting_group": protocol.group_label_field,
        }
        # The district's version is part of each key, so that a change invalidates the caches.
        self._cached_rows = lru_cache(maxsize=16)(self._find_rows)
        self._cached_bodies = lru_cache(maxsize=20_000)(self._render)

    def body(self, query: Query) -> bytes | None:
        """Return the requested page; None for a 404."""
        return self._cached_bodies(query, self._district.version)

    def envelope(self, query: Query) -> Envelope | None:
        """Return the requested page as a new object, which the caller may change."""
        body = self.body(query)
        return None if body is None else cast(Envelope, json.loads(body))

    def num_pages(self, query: Query) -> int:
        """Return the number of pages of a query's results."""
        return -(-len(self._rows(query)) // query.limit)

    def to_json(self, value: object) -> bytes:
        """Return a value as JSON, encoded as this server does."""
        text = json.dumps(value, ensure_ascii=self._protocol.ascii_json, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")

    def ids_with_results(self) -> list[str]:
        """Return the assessments that have results in any year; some more than once."""
        return [i for year in self._district.years for i in self._district.ids_with_results(year)]

    def _render(self, query: Query, _version: int) -> bytes | None:
        if self._is_of_all(query) and self._protocol.without_assessment == "404":
            return None
        rows, num_pages = self._rows(query), self.num_pages(query)
        if query.page > max(1, num_pages):
            if self._protocol.beyond_end == "404":
                return None
            if self._protocol.beyond_end == "empty":
                rows, num_pages = [], 0
        total = len(rows)
        first = (min(query.page, max(1, num_pages)) - 1) * query.limit
        results = [self._serialize(row, total) for row in rows[first : first + query.limit]]
        page = {"page": query.page, "num_pages": num_pages, "num_results": total}
        return self.to_json({**page, "results": results})

    def _rows(self, query: Query) -> list[Row]:
        return self._cached_rows(query._replace(page=1), self._district.version)

    def _find_rows(self, query: Query, _version: int) -> list[Row]:
        endpoint, assessment_id, _, _, start, end = query
        if endpoint == CATALOGUE:
            rows = self._district.catalogue
        elif self._is_of_all(query) and self._protocol.without_assessment == "none":
            rows = []
        else:
            of_kind = cast(Endpoint, endpoint)
            rows = self._district.results(of_kind, assessment_id, start, end)
            if self._protocol.undated_pass and (start or end):
                every = self._district.results(of_kind, assessment_id, None, None)
                rows = rows + [row for row in every if row["date_taken"] is None]
        if self._protocol.row_order == "student":
            return sorted(rows, key=lambda row: row.get("local_student_id") or "")
        return rows[::-1] if self._protocol.row_order == "reversed" else rows

    @staticmethod
    def _is_of_all(query: Query) -> bool:
        """Return True for a request for the results of no assessment in particular."""
        return query.endpoint != CATALOGUE and query.assessment_id is None

    def _serialize(self, row: Row, total: int) -> Mapping[str, object]:
        sent = {self._renames.get(name, name): value for name, value in row.items()}
        sent["__count"] = str(total)
        if self._protocol.numbers_as_json:
            return {name: _number(name, value) for name, value in sent.items()}
        return sent


def _number(name: str, value: str | None) -> object:
    if value and name in _NUMERIC_FIELDS and _NUMBER.fullmatch(value):
        return json.loads(value)
    return value


def _positive(text: str | None, default: int) -> int:
    # At most nine digits, so that no page number is expensive to compute with.
    return int(text) if text and re.fullmatch("0*[1-9][0-9]{0,8}", text) else default


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None
