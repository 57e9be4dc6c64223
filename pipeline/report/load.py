"""What the run records say of the loads: was the latest one complete?

Nothing here counts students, but all rows are in it, those of hidden groups too. So rows are told
to two digits, and values as parts in a hundred, in steps, the smallest of which stands for none,
too. No step is of less than a hundred rows. The records have both to the row, and the sentences of
failed steps, which may name a count of rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LATEST = 14
_FEWEST_ROWS = 10_000
_ENTIRE = {"published", "not reported", "up to date"}
_PARTS = ((1, "under 1 %"), (10, "1 to 10 %"))
_MOST = "10 % or more"
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


def read(records: Sequence[Mapping[str, Any]]) -> Loads:
    """Read run records, the newest last."""
    steps = records[-1]["steps"] if records else {}
    checks = steps.get("CheckTables", {}).get("checks", [])
    return Loads(
        [_load(record) for record in records[-_LATEST:]],
        [(check["name"], check["ok"]) for check in checks],
        list(_quality(steps)),
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
        rows=None if rows is None else _two_digits(rows),
        requests=sum(facts.get("requests", 0) for facts in now),
        retries=sum(facts.get("retries", 0) for facts in now),
        failed_shards=sum(facts.get("failed", 0) for facts in now),
        failed_steps=[failure["step"] for failure in record["failures"]],
        seconds=record["seconds"],
    )


def _two_digits(rows: int) -> int:
    """To the nearest number with two digits that are not 0; 0 where they are few."""
    step = int(10 ** (len(str(rows)) - 2))
    return 0 if rows < _FEWEST_ROWS else (rows + step // 2) // step * step


def _quality(steps: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for step, table in (("CombineResults", "combined"), ("CombineGroup", "group")):
        facts = steps.get(step, {})
        for column, counts in facts.get("values", {}).items():
            what = _VALUES.get(column, column)
            missing, odd = (_part(counts[name], facts["rows"]) for name in ("null", "odd"))
            yield f"{what} missing as sent, {table} table", missing
            yield f"{what} unreadable and made empty, {table} table", odd
    catalogue, inputs = steps.get("FetchMetadata", {}), steps.get("ReadInputs", {})
    yield "assessments repeated in the catalogue", f"{catalogue.get('duplicates', 0):,}"
    repeated = inputs.get("repeated roster lines", 0)
    yield "roster lines that say again what another said", "some" if repeated else "none"


def _part(count: int, rows: int) -> str:
    """How much of something there is, in words."""
    if rows < _FEWEST_ROWS:
        return "not told of so few rows"
    return next((word for most, word in _PARTS if count * 100 < most * rows), _MOST)
