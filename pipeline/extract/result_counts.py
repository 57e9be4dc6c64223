"""What the server counts over all assessments: a check on what is fetched by assessment."""

from collections.abc import Mapping
from concurrent.futures import Future

import msgspec

from pipeline.errors import IlluminateError

EVERY_DATE, SCHOOL_YEARS = "every date", "school years"


class ResultCounts(msgspec.Struct, frozen=True):
    """The results that the server has.

    `first` and `now` are those of the year by endpoint, when it was fetched and at the last count;
    only of a settled year, and of endpoints that were fetched by assessment. `unreached` are
    overall results without a date, or outside the dates of every school year. `problem` is the
    reason why the server gave no usable count, if it gave none. `not_fetched` are results of the
    year that were not fetched, because nothing asked for their assessments.
    """

    first: dict[str, int]
    now: dict[str, int]
    unreached: int | None
    problem: str = ""
    not_fetched: int = 0

    @property
    def changed(self) -> dict[str, tuple[int, int]]:
        """The counts at first and now of the endpoints where they differ."""
        both = self.first.keys() & self.now.keys()
        found = {endpoint: (self.first[endpoint], self.now[endpoint]) for endpoint in sorted(both)}
        return {endpoint: counts for endpoint, counts in found.items() if counts[0] != counts[1]}


def compare_counts(
    counts: Mapping[str, "Future[int]"], fetched: Mapping[str, int], before: ResultCounts | None
) -> ResultCounts:
    """Return what was counted, without what cannot be right.

    Args:
        counts: of the year at some endpoints; and unless it is known how many results are
            unreached, of all overall results, EVERY_DATE, and of those in any school year,
            SCHOOL_YEARS.
        fetched: the rows that were fetched at each endpoint.
        before: the counts of the same snapshot, if this is not the first.
    """
    reasons: list[str] = []
    found = {name: _result(count, reasons) for name, count in counts.items()}
    known = {name: count for name, count in found.items() if count is not None}
    every_date, school_years = (known.pop(name, None) for name in (EVERY_DATE, SCHOOL_YEARS))
    first = before.first if before else {}
    at_first = {name: count for name, count in known.items() if name not in first}
    if any(count < fetched[name] for name, count in at_first.items()):
        known, at_first = {n: c for n, c in known.items() if n in first}, {}
        reasons.append("it counts fewer results of the year than it delivers by assessment")
    unreached = before.unreached if before else None
    if every_date is not None and school_years is not None:
        if every_date >= max(school_years, fetched["overall"]):
            unreached = every_date - school_years
        else:
            reasons.append("it counts fewer results of all dates than of some")
    return ResultCounts(
        first={**first, **at_first},
        now=known,
        unreached=unreached,
        problem=reasons[0] if reasons else "",
        not_fetched=sum(max(0, count - fetched[name]) for name, count in (first or known).items()),
    )


def _result(count: "Future[int]", reasons: list[str]) -> int | None:
    try:
        return count.result()
    except IlluminateError as error:
        reasons.append(str(error))
        return None
