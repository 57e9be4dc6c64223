"""Faults in the content of a response: it is still JSON, but wrong."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pipeline.simulator.api import RESULTS, Api, Envelope, Query
from pipeline.simulator.faults.fault import Fault

_BAD_NUMBERS = ("", "NaN", "1e400", "infinity", "1,5", "-3", "140", "twelve")
_NUMBER_FIELDS = ("points", "percent_correct")


@dataclass(frozen=True)
class Page:
    """A page about to be changed; `query` is None for the response to a token request."""

    envelope: Envelope
    query: Query | None
    api: Api
    fault: Fault

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the page; none in the response to a token request."""
        return cast(list[dict[str, Any]], self.envelope.get("results", []))

    @property
    def number(self) -> int:
        """Return the requested page number."""
        return self.query.page if self.query else 1

    @property
    def fields(self) -> Mapping[str, object]:
        """Return `value` as names and values of fields."""
        return cast(Mapping[str, object], self.fault.value or {})

    def other(self, **changes: object) -> Envelope:
        """Return the response to a query that differs from the requested one."""
        if self.query is None:
            return self.envelope
        return self.api.envelope(self.query._replace(**changes)) or self.envelope  # type: ignore[arg-type]


def _change_count(page: Page, times: int) -> Envelope:
    """Declare another number of rows, on every row too."""
    total = page.envelope.get("num_results", 0) + times * page.fault.number(1)
    rows = [{**row, "__count": str(total)} for row in page.rows]
    return {**page.envelope, "num_results": total, "results": rows}


def _repeat_page(page: Page) -> Envelope:
    shown = 1 if page.fault.value == "honest" else page.number
    return {**page.other(page=1), "page": shown} if page.query else page.envelope


def _move_row(page: Page) -> Envelope:
    """Replace the first row of a later page by the last row of page 1."""
    if page.number == 1 or not page.rows:
        return page.envelope
    return {**page.envelope, "results": [page.other(page=1)["results"][-1], *page.rows[1:]]}


def _empty(page: Page) -> Envelope:
    return {"page": page.number, "num_pages": 0, "num_results": 0, "results": []}


def _another_assessment(page: Page) -> Envelope:
    """Return the rows of `value`, or of the first other assessment that has any."""
    if page.query is None or page.query.endpoint not in RESULTS:
        return page.envelope
    wanted = [str(page.fault.value)] if page.fault.value else page.api.ids_with_results()
    others = (page.other(assessment_id=i) for i in wanted if i != page.query.assessment_id)
    return next((other for other in others if other["results"]), page.envelope)


def _without_field(page: Page) -> Envelope:
    """Remove the field `value` from the last row, or the token from a token response."""
    if page.rows:
        page.rows[-1].pop(str(page.fault.value or "title"), None)
    else:
        page.envelope.pop(str(page.fault.value or "access_token"), None)
    return page.envelope


def _with_bad_numbers(page: Page) -> Envelope:
    """Replace numbers by `value`, or by unparseable values in turn."""
    for index, row in enumerate(page.rows):
        for offset, name in enumerate(_NUMBER_FIELDS):
            if name in row:
                bad = _BAD_NUMBERS[(index + offset) % len(_BAD_NUMBERS)]
                row[name] = bad if page.fault.value is None else page.fault.value
    return page.envelope


def _with_nan(page: Page) -> Envelope:
    """Replace one number by the bare word NaN, which is not JSON."""
    if page.rows:
        page.rows[0]["points"] = math.nan
        return page.envelope
    return {**page.envelope, "expires_in" if page.query is None else "num_results": math.nan}


def _with_row_fields(page: Page) -> Envelope:
    """Set the fields of `value` on the first row."""
    for row in page.rows[:1]:
        row.update(page.fields)
    return page.envelope


def _with_rewritten_fields(page: Page) -> Envelope:
    """Rewrite the fields of `value` in all rows: `{}` in the new text is what was sent; or null."""
    for row in page.rows:
        texts = {name: new for name, new in page.fields.items() if row.get(name) is not None}
        row.update({name: new and str(new).format(row[name]) for name, new in texts.items()})
    return page.envelope


_Content: TypeAlias = Callable[[Page], Envelope]
CONTENT: dict[str, _Content] = {
    "count_up": lambda page: _change_count(page, 1),
    "count_down": lambda page: _change_count(page, -1),
    "count_changes": lambda page: _change_count(page, page.number - 1),
    "repeat_page": _repeat_page,
    "moved_row": _move_row,
    "wrong_page_number": lambda page: {**page.envelope, "page": page.number + page.fault.number(1)},
    "empty_catalogue": _empty,
    "wrong_assessment": _another_assessment,
    "ignores_dates": lambda page: page.other(start=None, end=None),
    "no_results_key": lambda page: {k: v for k, v in page.envelope.items() if k != "results"},
    "missing_field": _without_field,
    "bad_numbers": _with_bad_numbers,
    "nan": _with_nan,
    "set_fields": lambda page: {**page.envelope, **page.fields},
    "set_row_fields": _with_row_fields,
    "rewrite_fields": _with_rewritten_fields,
}
