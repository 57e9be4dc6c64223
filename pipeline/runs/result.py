"""The result of a run for other programs: `runs/latest.json`, and what a webhook is told."""

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runs.summary import ROWS, ROWS_OF_ALL_YEARS

GOOD = ("up to date", "published")
"""Outcomes after which all that was asked for is published."""

_NEW = ("published", "not reported")
"""Outcomes after which something is published that was not before."""

_MEANINGS = {
    "up to date": "All that was asked for was published before; no table was changed.",
    "published": "All that was asked for is published, at least a part of it anew.",
    "not finished": "Not all that was asked for is published; nothing failed.",
    "not reported": "All tables are published, but a report failed and is as it was before.",
    "failed": "Something failed; what this run did not publish is as it was before.",
    "stopped": "It was asked to stop; finished shards are kept, the next run goes on.",
}
"""What outcomes mean, from the best to the worst: the worst of all tables is that of the run."""

REPORT = "Report"
"""The step whose failure leaves all tables published."""

_LONGEST_TEXT = 3000
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class About(NamedTuple):
    """What is known of a run as a whole; `source` is empty while it is not known who is asked."""

    run: str
    source: str
    is_made_up: bool
    seconds: float
    was_stopped: bool


class Trouble(NamedTuple):
    """A failure in plain words; `label` is the school year or `all`, empty before any was known."""

    label: str
    step: str
    reason: str


def compose(
    about: About,
    records: Sequence[tuple[dict[str, Any], Path | None]],
    troubles: Iterable[Trouble],
) -> dict[str, Any]:
    """The result of a run; counts only.

    Args:
        about: the run as a whole.
        records: the record of each set of tables, and its file unless it could not be written.
        troubles: all failures, also those that no record has.
    """
    failures = [trouble._asdict() for trouble in troubles]
    tables = [_tables(record, path) for record, path in records]
    outcomes = [table["outcome"] for table in tables]
    outcomes += [_outcome(failure["step"]) for failure in failures]
    outcomes += ["stopped"] * about.was_stopped
    outcome = max(outcomes, key=list(_MEANINGS).index, default="not finished")
    return {
        "run": about.run,
        "outcome": outcome,
        "succeeded": outcome in GOOD,
        "meaning": _MEANINGS[outcome],
        "published": [table["label"] for table in tables if table["outcome"] in _NEW],
        "source": about.source,
        "is_made_up": about.is_made_up,
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": round(about.seconds, 1),
        "tables": tables,
        "failures": failures,
    }


def _outcome(step: str) -> str:
    return "not reported" if step == REPORT else "failed"


def _tables(record: dict[str, Any], path: Path | None) -> dict[str, Any]:
    steps = record["steps"]
    now = [facts for facts in steps.values() if facts["by_this_run"]]
    found: dict[str, Any] = {
        "label": record["year"],
        **{name: record[name] for name in ("as_of", "years") if name in record},
        "outcome": record["outcome"],
        "record": path.name if path else None,
        **{name: sum(facts.get(name, 0) for facts in now) for name in ("requests", "retries")},
        "shards_fetched": sum(facts.get("fetched", 0) for facts in now),
        "shards_failed": sum(facts.get("failed", 0) for facts in now),
    }
    if record["outcome"] in {*GOOD, *_NEW}:  # else the receipts may be those of another run
        places = ROWS_OF_ALL_YEARS if "years" in record else ROWS
        found["rows"] = {name: steps[step][fact] for name, (step, fact) in places.items()}
        found["checks_passed"] = sum(len(facts.get("checks", ())) for facts in steps.values())
    return found


def message(result: dict[str, Any]) -> str:
    """The result as one message for people, in the markup of Slack."""
    lines = [f"*Illuminate pipeline, {_source(result)}: {result['outcome']}.* {result['meaning']}"]
    lines += [_line(table) for table in result["tables"]]
    lines += [_failure(failure) for failure in result["failures"]]
    text = "\n".join(lines)
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]} ... (the rest is in the record of the run)"
    return text.translate(_ESCAPED)


def _source(result: dict[str, Any]) -> str:
    if result["is_made_up"]:
        return "demo district (nobody in it is real)"
    return result["source"].partition("://")[2] or "district not known"


def _line(table: dict[str, Any]) -> str:
    name = (
        f"School year {table['label']} as of {table['as_of']}" if "as_of" in table else "All years"
    )
    counts = [f"{rows:,} rows {name}" for name, rows in table.get("rows", {}).items()]
    if "checks_passed" in table:
        counts.append(f"{table['checks_passed']:,} checks passed")
    if table["requests"]:
        counts.append(f"{table['requests']:,} requests, {table['retries']:,} of them retries")
    if table["shards_failed"]:
        counts.append(f"{table['shards_failed']:,} shards failed")
    return f"{name}: {table['outcome']}. {'; '.join(counts)}".rstrip()


def _failure(failure: dict[str, Any]) -> str:
    where = f"{failure['label']} {failure['step']}".strip()
    return f"• {where}: {failure['reason']}"
