"""The latest runs of a year, from their records: was the newest one complete?

Nothing here counts students, but the rows of suppressed groups are included. So row counts are
rounded to two digits, and parts of the values are given as ranges of percentages that start at
zero; no step is smaller than a hundred rows. The run records themselves have exact counts, and the
messages of failed steps, which may contain a row count and are therefore not shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LATEST = 14
_FEWEST_ROWS = 10_000
_COMPLETE = {"published", "not reported", "up to date"}
_PARTS = ((1, "under 1 %"), (10, "1 to 10 %"))
_LARGEST_PART = "10 % or more"
_VALUES = {
    "percent_correct": "percentages",
    "points": "points",
    "points_possible": "possible points",
    "date_taken": "dates",
}

_NEW = {
    "assessments": "assessments with results",
    "unlabelled": "titles without curriculum or unit",
    "standards": "standards",
}


@dataclass(frozen=True)
class PastRun:
    """One run as the page shows it; `rows` is rounded, and None if no table was built."""

    run: str
    finished: str
    outcome: str
    rows: int | None
    requests: int
    retries: int
    failed_shards: int
    failed_steps: list[str]
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Return True if the year's tables were complete when the run ended."""
        return self.outcome in _COMPLETE

    @property
    def rows_text(self) -> str:
        """Return the rounded row count as text."""
        if self.rows is None:
            return "not built"
        return f"{self.rows:,}" if self.rows else f"under {_FEWEST_ROWS:,}"


@dataclass(frozen=True)
class RunHistory:
    """The latest runs of a year, oldest first, and the newest one's checks and data quality."""

    runs: list[PastRun]
    checks: list[tuple[str, bool]]
    quality: list[tuple[str, str]]

    @property
    def latest(self) -> PastRun | None:
        """Return the newest run."""
        return self.runs[-1] if self.runs else None

    @property
    def rows(self) -> list[list[str]]:
        """Return a table of the runs, the newest first."""
        return [
            [
                run.finished,
                run.outcome,
                run.rows_text,
                *(f"{number:,}" for number in (run.requests, run.retries, run.failed_shards)),
                ", ".join(run.failed_steps) or "none",
                f"{run.seconds:g}",
            ]
            for run in reversed(self.runs)
        ]

    @property
    def check_results(self) -> list[tuple[str, str]]:
        """Return each check with its result as text."""
        return [(name, "passed" if ok else "FAILED") for name, ok in self.checks]


def read(records: Sequence[Mapping[str, Any]]) -> RunHistory:
    """Return the history in run records, given oldest first."""
    steps = records[-1]["steps"] if records else {}
    checks = steps.get("CheckTables", {}).get("checks", [])
    return RunHistory(
        [_past_run(record) for record in records[-_LATEST:]],
        [(check["name"], check["ok"]) for check in checks],
        [*_quality(steps), *_new(records[-1].get("new", {}) if records else {})],
    )


def _past_run(record: Mapping[str, Any]) -> PastRun:
    steps = record["steps"]
    rows = steps.get("CombineResults", {}).get("rows")

    def total(name: str) -> int:
        return sum(stats.get(name, 0) for stats in steps.values() if stats["by_this_run"])

    return PastRun(
        run=record["run"],
        finished=record["finished_at"][:16].replace("T", " "),
        outcome=record["outcome"],
        rows=None if rows is None else _two_digits(rows),
        requests=total("requests") + total("tokens"),
        retries=total("retries"),
        failed_shards=total("failed"),
        failed_steps=[failure["step"] for failure in record["failures"]],
        seconds=record["seconds"],
    )


def _two_digits(rows: int) -> int:
    """Round to two significant digits; return 0 for fewer than _FEWEST_ROWS."""
    step = int(10 ** (len(str(rows)) - 2))
    return 0 if rows < _FEWEST_ROWS else (rows + step // 2) // step * step


def _quality(steps: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for step, table in (("CombineResults", "combined"), ("CombineGroup", "group")):
        stats = steps.get(step, {})
        for column, counts in stats.get("values", {}).items():
            if (what := _VALUES.get(column)) is None:
                continue
            empty, unreadable = (_part(counts[of], stats["rows"]) for of in ("null", "unparseable"))
            yield f"{what} empty at source, {table} table", empty
            yield f"{what} unreadable (set to null), {table} table", unreadable
    duplicates = steps.get("FetchMetadata", {}).get("duplicates", 0)
    yield "duplicate assessments in the catalogue", f"{duplicates:,}"
    unlisted = {i for stats in steps.values() for i in stats.get("unlisted", ())}
    yield "assessments with results that are not in the catalogue", f"{len(unlisted):,}"
    repeated = any(stats.get("repeated roster lines") for stats in steps.values())
    yield "duplicate roster lines", "some" if repeated else "none"


def _new(found: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    """Yield what is new since the run before; how many students are not on the roster is hidden."""
    for kind, what in _NEW.items():
        yield (
            f"{what} that are new since the run before",
            f"{found.get(kind, {}).get('count', 0):,}",
        )


def _part(count: int, rows: int) -> str:
    if rows < _FEWEST_ROWS:
        return "not shown for so few rows"
    return next((text for most, text in _PARTS if count * 100 < most * rows), _LARGEST_PART)
