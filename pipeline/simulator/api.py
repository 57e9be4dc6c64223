"""The paged endpoints over a district, and its views, as JSON. Knows nothing of HTTP."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast, get_args

from pipeline.simulator.district import schools
from pipeline.simulator.district.administrations import Endpoint, Row
from pipeline.simulator.district.district import District
from pipeline.simulator.district.rng import seeded
from pipeline.simulator.protocol import Protocol
from pipeline.years import SchoolYear

Envelope: TypeAlias = dict[str, Any]

CATALOGUE = "catalogue"
METHODS = {
    "Assessments": CATALOGUE,
    "AssessmentAggregateStudentResponses": "overall",
    "AssessmentAggregateStudentResponsesStandard": "standard",
    "AssessmentAggregateStudentResponsesGroup": "group",
}
"""The methods that the pipeline calls."""
RESULTS = frozenset(get_args(Endpoint))

# What other public clients call too.
_LISTS = {"enrollment": schools.enrollment, "roster": schools.roster, "users": schools.users}
_LIST_METHODS = {name.capitalize(): name for name in _LISTS}
_VIEW, _VIEW_METHOD = "view", re.compile(r"Assessment/(.+)/View")

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

    @property
    def is_of_all(self) -> bool:
        """Whether it requests the results of no assessment in particular."""
        return self.endpoint in RESULTS and self.assessment_id is None

    @classmethod
    def parse(cls, method: str, params: Mapping[str, str], protocol: Protocol) -> "Query | None":
        """Parse the parameters of a method, ignoring unknown ones; None if it takes none."""
        if viewed := _VIEW_METHOD.fullmatch(method):
            return cls(_VIEW, viewed[1], 1, 1, None, None)
        endpoint = (METHODS | _LIST_METHODS).get(method)
        if endpoint is None:
            return None
        start, end = params.get("date_taken_start"), params.get("date_taken_end")
        if protocol.honour_start_date:
            start, end = start or params.get("start_date"), end or params.get("end_date")
        assessment_id, cap = params.get("assessment_id") or None, protocol.cap
        if endpoint in RESULTS and assessment_id is None:
            cap = protocol.without_assessment.cap or cap
        return cls(
            endpoint,
            assessment_id,
            _positive(params.get("page"), 1),
            min(_positive(params.get("limit"), protocol.default_limit), cap),
            _date(start),
            _date(end),
        )


class Api:
    """The paged endpoints over a district and its views, with a cache of rendered pages."""

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
        if query.endpoint == _VIEW:
            view = self._district.view(query.assessment_id or "")
            return None if view is None else self.to_json(view)
        rows, num_pages = self._rows(query), self.num_pages(query)
        if query.page > max(1, num_pages):
            if self._protocol.beyond_end == "404":
                return None
            if self._protocol.beyond_end == "empty":
                rows, num_pages = [], 0
        total = len(rows)
        first = (min(query.page, max(1, num_pages)) - 1) * query.limit
        if query.is_of_all and self._protocol.without_assessment.order == "unstable":
            rows = seeded(query.page, query.limit).sample(rows, total)
        results = [self._serialize(row, total) for row in rows[first : first + query.limit]]
        page = {"page": query.page, "num_pages": num_pages, "num_results": total}
        return self.to_json({**page, "results": results})

    def _rows(self, query: Query) -> list[Row]:
        return self._cached_rows(query._replace(page=1), self._district.version)

    def _find_rows(self, query: Query, _version: int) -> list[Row]:
        rows: list[Row] = []
        if query.endpoint == CATALOGUE:
            rows = self._district.catalogue
        elif query.endpoint in _LISTS:
            rows = _LISTS[query.endpoint](self._district.students, self._district.years[-1])
        elif query.is_of_all:
            rows = self._find_all(query)
        elif query.endpoint in RESULTS:
            rows = self._find_results(
                query, query.start, query.end, undated=self._protocol.undated_pass
            )
        if self._protocol.row_order == "student":
            return sorted(rows, key=_student)
        return rows[::-1] if self._protocol.row_order == "reversed" else rows

    def _find_all(self, query: Query) -> list[Row]:
        """Return the results of all assessments, as far as the protocol has them."""
        how, start, end = self._protocol.without_assessment, query.start, query.end
        has_dates = start is not None or end is not None
        if how.answer == "none" or query.endpoint not in how.endpoints:
            return []
        if how.dates == "ignored":
            start = end = None
        if (how.dates if has_dates else how.without_dates) == "current_year":
            year = SchoolYear.of(self._district.today)
            start, end = (
                max(start or dt.date.min, year.first_day),
                min(end or dt.date.max, year.last_day),
            )
        undated = how.undated_pass or self._protocol.undated_pass
        rows = self._find_results(query, start, end, undated=undated)
        keys = {"standard": _standard_code, "student": _student}
        return sorted(rows, key=keys[how.order]) if how.order in keys else rows

    def _find_results(
        self, query: Query, start: dt.date | None, end: dt.date | None, *, undated: bool
    ) -> list[Row]:
        of_kind = cast(Endpoint, query.endpoint)
        rows = self._district.results(of_kind, query.assessment_id, start, end)
        if undated and (start or end):
            every = self._district.results(of_kind, query.assessment_id, None, None)
            rows = rows + [row for row in every if row["date_taken"] is None]
        return rows

    def _serialize(self, row: Row, total: int) -> Mapping[str, object]:
        sent = {self._renames.get(name, name): value for name, value in row.items()}
        sent["__count"] = str(total)
        if self._protocol.numbers_as_json:
            return {name: _number(name, value) for name, value in sent.items()}
        return sent


def _student(row: Row) -> str:
    return row.get("local_student_id") or ""


def _standard_code(row: Row) -> str:
    return row.get("standard_code") or ""


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
