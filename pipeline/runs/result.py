"""The result of a run for other programs: `runs/latest.json`, and the post to a webhook."""

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runs.build import Failure
from pipeline.runs.news import KINDS
from pipeline.runs.request_counts import count_requests, sum_requests
from pipeline.runs.summary_tables import ROWS, ROWS_OF_ALL_YEARS
from pipeline.words import counted

SUCCESS_OUTCOMES = ("done", "up to date", "published")
"""Outcomes after which everything that was requested is done."""

_NEW = ("published", "not reported")
"""Outcomes after which something is published that no successful run has reported yet."""

_MEANINGS = {
    "done": "The requested steps are done; publishing was not one of them.",
    "up to date": "Everything requested was published before; no table was changed.",
    "published": "Everything requested is published; something is new since the last success.",
    "not finished": "Not everything requested is published; nothing failed.",
    "not reported": "All tables are published, but a report could not be rebuilt and is unchanged.",
    "failed": "Something failed; whatever this run did not publish is unchanged.",
    "stopped": "It was asked to stop; what was fetched is kept, and the next run continues.",
}
"""The outcomes and their meanings, from best to worst: the worst of all sets is the run's."""

REPORT_STEPS = {"DiscloseFigures", "Report"}
"""The step whose failure leaves all tables published."""

_LONGEST_TEXT = 3000
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class RunFacts(NamedTuple):
    """A run as a whole; `source` is empty where the settings do not name a valid one."""

    run: str
    source: str
    is_made_up: bool
    seconds: float
    was_stopped: bool


def compose(
    about: RunFacts,
    records: Sequence[tuple[dict[str, Any], Path | None]],
    failures: Iterable[Failure],
) -> dict[str, Any]:
    """Return the result of a run: counts and names only.

    Args:
        about: the run as a whole.
        records: the record of each table set, and its file unless it could not be written.
        failures: all failures, including those before any table set was known.
    """
    failed = [
        {"label": failure.partition, "step": failure.step, "reason": failure.reason}
        for failure in failures
    ]
    tables = [_tables(record, path) for record, path in records]
    outcomes = [table["outcome"] for table in tables]
    outcomes += [_outcome(failure["step"]) for failure in failed]
    outcomes += ["stopped"] * about.was_stopped
    outcome = max(outcomes, key=list(_MEANINGS).index, default="not finished")
    return {
        "run": about.run,
        "outcome": outcome,
        "succeeded": outcome in SUCCESS_OUTCOMES,
        "meaning": _MEANINGS[outcome],
        "published": [table["label"] for table in tables if table["outcome"] in _NEW],
        "source": about.source,
        "is_made_up": about.is_made_up,
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": round(about.seconds, 1),
        "tables": tables,
        "failures": failed,
    }


def _outcome(step: str) -> str:
    return "not reported" if step in REPORT_STEPS else "failed"


def _tables(record: dict[str, Any], path: Path | None) -> dict[str, Any]:
    steps = record["steps"]
    now = [facts for facts in steps.values() if facts["by_this_run"]]
    found: dict[str, Any] = {
        "label": record["year"],
        **{name: record[name] for name in ("as_of", "years") if name in record},
        "outcome": record["outcome"],
        "record": path.name if path else None,
        **sum_requests(now),
        "shards_fetched": sum(facts.get("fetched", 0) for facts in now),
        "shards_failed": sum(facts.get("failed", 0) for facts in now),
    }
    if record["outcome"] in {"up to date", *_NEW}:  # else the receipts may be of another run
        places = ROWS_OF_ALL_YEARS if "years" in record else ROWS
        found["rows"] = {name: steps[step][fact] for name, (step, fact) in places.items()}
        found["new"] = record["new"]
        found["checks_passed"] = sum(len(facts.get("checks", ())) for facts in steps.values())
    return found


def message(result: dict[str, Any]) -> str:
    """Return the result as one message for people, in Slack's markup."""
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
    return result["source"].partition("://")[2] or "unknown district"


def _line(table: dict[str, Any]) -> str:
    name = (
        f"School year {table['label']} as of {table['as_of']}" if "as_of" in table else "All years"
    )
    counts = [f"{counted(rows, 'row')} {name}" for name, rows in table.get("rows", {}).items()]
    counts += [
        counted(of["count"], *(f"new {words}" for words in KINDS[n]))
        for n, of in table.get("new", {}).items()
    ]
    if "checks_passed" in table:
        counts.append(f"{counted(table['checks_passed'], 'check')} passed")
    if table["requests"] or table["tokens"]:
        counts.append(count_requests(table, "request"))
    if table["shards_failed"]:
        counts.append(f"{counted(table['shards_failed'], 'shard')} failed")
    return f"{name}: {table['outcome']}. {'; '.join(counts)}".rstrip()


def _failure(failure: dict[str, Any]) -> str:
    where = f"{failure['label']} {failure['step']}".strip()
    return f"• {where}: {failure['reason']}"
