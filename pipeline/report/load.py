"""What the run records say of the loads: was the latest one complete?

Nothing here counts students. Rows are results of all assessments together, and they are told to the
nearest hundred all the same: in a tiny district they could stand for its students. The records
have them to the row, and the sentences of failed steps, which may name a count of rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.disclosure import Rule

_LATEST = 14
_FEWEST_ROWS = 1000
_ENTIRE = {"published", "not reported", "up to date"}
_VALUES = {
    "percent_correct": "percentages",
    "points": "points",
    "points_possible": "possible points",
    "date_taken": "dates",
}


@dataclass(frozen=True)
class Load:
    """One run."""

    run: str
    finished: str
    outcome: str
    is_entire: bool
    rows: int | None
    requests: int
    retries: int
    failed_shards: int
    failed_steps: list[str]
    seconds: float

    @property
    def rows_told(self) -> str:
        """Its rows in words."""
        if self.rows is None:
            return "not built"
        return f"{self.rows:,}" if self.rows else f"under {_FEWEST_ROWS:,}"


@dataclass(frozen=True)
class Loads:
    """The latest runs of a school year, the newest last, and what was counted for its tables."""

    loads: list[Load]
    checks: list[tuple[str, bool]]
    quality: list[tuple[str, str]]

    @property
    def latest(self) -> Load | None:
        """The newest run."""
        return self.loads[-1] if self.loads else None


def read(records: Sequence[Mapping[str, Any]], rule: Rule) -> Loads:
    """Read run records, the newest last."""
    steps = records[-1]["steps"] if records else {}
    checks = steps.get("CheckTables", {}).get("checks", [])
    return Loads(
        [_load(record) for record in records[-_LATEST:]],
        [(check["name"], check["ok"]) for check in checks],
        list(_quality(steps, rule)),
    )


def _load(record: Mapping[str, Any]) -> Load:
    steps = record["steps"]
    now = [facts for facts in steps.values() if facts["by_this_run"]]
    rows = steps.get("CombineResults", {}).get("rows")
    return Load(
        run=record["run"],
        finished=record["finished_at"][:16].replace("T", " "),
        outcome=record["outcome"],
        is_entire=record["outcome"] in _ENTIRE,
        rows=None if rows is None else _hundreds(rows),
        requests=sum(facts.get("requests", 0) for facts in now),
        retries=sum(facts.get("retries", 0) for facts in now),
        failed_shards=sum(facts.get("failed", 0) for facts in now),
        failed_steps=[failure["step"] for failure in record["failures"]],
        seconds=record["seconds"],
    )


def _hundreds(rows: int) -> int:
    """To the nearest hundred; 0 where they are few."""
    return 0 if rows < _FEWEST_ROWS else (rows + 50) // 100 * 100


def _quality(steps: Mapping[str, Any], rule: Rule) -> Iterator[tuple[str, str]]:
    for step, table in (("CombineResults", "combined"), ("CombineGroup", "group")):
        for column, counts in steps.get(step, {}).get("values", {}).items():
            what = _VALUES.get(column, column)
            yield f"{what} missing as sent, {table} table", rule.told(counts["null"])
            yield f"{what} unreadable and made empty, {table} table", rule.told(counts["odd"])
    catalogue, inputs = steps.get("FetchMetadata", {}), steps.get("ReadInputs", {})
    yield "assessments repeated in the catalogue", rule.told(catalogue.get("duplicates", 0))
    yield (
        "roster lines that say again what another said",
        rule.told(inputs.get("repeated roster lines", 0)),
    )
