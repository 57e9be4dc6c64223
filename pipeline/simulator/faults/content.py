"""Faults of what an answer says: it stays JSON, and what it says is not so."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pipeline.simulator.api import CATALOGUE, Api, Envelope, Question

_NO_NUMBERS = ("", "NaN", "1e400", "infinity", "1,5", "-3", "140", "twelve")
_NUMBER_FIELDS = ("points", "percent_correct")


@dataclass(frozen=True)
class Case:
    """A page about to be spoiled; `question` is None for the reply to a token request."""

    envelope: Envelope
    question: Question | None
    api: Api
    value: object

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the page; none in the reply to a token request."""
        return cast(list[dict[str, Any]], self.envelope.get("results", []))

    @property
    def page(self) -> int:
        """The page that was asked for."""
        return self.question.page if self.question else 1

    @property
    def amount(self) -> int:
        """How much `value` says to be off by."""
        return self.value if isinstance(self.value, int) else 1

    def other(self, **changes: object) -> Envelope:
        """The answer to a question that differs from the one asked."""
        if self.question is None:
            return self.envelope
        return self.api.envelope(self.question._replace(**changes)) or self.envelope  # type: ignore[arg-type]


def _lie(envelope: Envelope, by: int) -> Envelope:
    """Promise another number of rows, on every row too."""
    total = envelope.get("num_results", 0) + by
    rows = [{**row, "__count": str(total)} for row in envelope.get("results", [])]
    return {**envelope, "num_results": total, "results": rows}


def _repeat_page(case: Case) -> Envelope:
    shown = 1 if case.value == "honest" else case.page
    return {**case.other(page=1), "page": shown} if case.question else case.envelope


def _move_row(case: Case) -> Envelope:
    """A row of page 1 slipped onto page 2, where it took the place of another."""
    if case.page == 1 or not case.rows:
        return case.envelope
    return {**case.envelope, "results": [case.other(page=1)["results"][-1], *case.rows[1:]]}


def _empty(case: Case) -> Envelope:
    return {"page": case.page, "num_pages": 0, "num_results": 0, "results": []}


def _another_assessment(case: Case) -> Envelope:
    """The rows of `value`, or of the first assessment that has any and was not asked for."""
    if case.question is None or case.question.endpoint == CATALOGUE:
        return case.envelope
    wanted = [str(case.value)] if case.value else case.api.ids_with_results()
    others = (case.other(assessment_id=i) for i in wanted if i != case.question.assessment_id)
    return next((other for other in others if other["results"]), case.envelope)


def _without_results(case: Case) -> Envelope:
    return {name: value for name, value in case.envelope.items() if name != "results"}


def _without_field(case: Case) -> Envelope:
    """The last row lacks the field `value`; a token reply lacks its token."""
    if case.rows:
        case.rows[-1].pop(str(case.value or "title"), None)
    else:
        case.envelope.pop(str(case.value or "access_token"), None)
    return case.envelope


def _with_no_numbers(case: Case) -> Envelope:
    """Where numbers belong stands `value`, or one thing after another that is none."""
    for index, row in enumerate(case.rows):
        for place, name in enumerate(_NUMBER_FIELDS):
            if name in row:
                odd = _NO_NUMBERS[(index + place) % len(_NO_NUMBERS)]
                row[name] = odd if case.value is None else case.value
    return case.envelope


def _with_nan(case: Case) -> Envelope:
    """One number is the bare word NaN, which is not JSON."""
    if case.rows:
        case.rows[0]["points"] = math.nan
        return case.envelope
    return {**case.envelope, "expires_in" if case.question is None else "num_results": math.nan}


def _with_fields(case: Case) -> Envelope:
    return {**case.envelope, **_mapping(case.value)}


def _with_row_fields(case: Case) -> Envelope:
    """The first row has the fields of `value`."""
    for row in case.rows[:1]:
        row.update(_mapping(case.value))
    return case.envelope


def _mapping(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value or {})


_Content: TypeAlias = Callable[[Case], Envelope]
CONTENT: dict[str, _Content] = {
    "count_up": lambda case: _lie(case.envelope, case.amount),
    "count_down": lambda case: _lie(case.envelope, -case.amount),
    "count_changes": lambda case: _lie(case.envelope, (case.page - 1) * case.amount),
    "repeat_page": _repeat_page,
    "moved_row": _move_row,
    "wrong_page_number": lambda case: {**case.envelope, "page": case.page + case.amount},
    "empty_catalogue": _empty,
    "wrong_assessment": _another_assessment,
    "ignores_dates": lambda case: case.other(start=None, end=None),
    "no_results_key": _without_results,
    "missing_field": _without_field,
    "bad_numbers": _with_no_numbers,
    "nan": _with_nan,
    "set_fields": _with_fields,
    "set_row_fields": _with_row_fields,
}
