"""The record of a run, as a few lines that a person can read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.storage.paths import Place, Snapshot

_HEADLINES = {
    "published": "published.",
    "not reported": "published, but the report FAILED; the report before is unchanged.",
    "up to date": "everything is up to date; no table was changed.",
    "failed": "FAILED; what was published before is unchanged.",
    "not finished": "not finished; what was published before is unchanged.",
    "stopped": "stopped; finished shards are kept, run again to go on.",
}
_OWN = "SqlView-"

ROWS = {
    "combined": ("CombineResults", "rows"),
    "group": ("CombineGroup", "rows"),
    "view": ("BuildViews", "rows"),
    "latest": ("BuildViews", "latest"),
}
"""Where the record of a school year says how many rows a large table has: step and fact."""

ROWS_OF_ALL_YEARS = {
    "combined": ("UniteResults", "rows"),
    "group": ("UniteGroup", "rows"),
    "view": ("UniteView", "rows"),
}
"""Where the record of all years says it."""


def summary(record: dict[str, Any], snapshot: Snapshot, path: Path) -> str:
    """What a run did; `path` is where its record was written."""
    made_up = " (demo district, nobody in it is real)" if record["is_made_up"] else ""
    year = f"School year {record['year']} as of {record['as_of']}{made_up}"
    lines = [f"\n{year}: {_HEADLINES[record['outcome']]}"]
    if snapshot.window.is_empty:
        lines += [
            f"  The year begins on {snapshot.window.start}: there were no results to ask for."
        ]
    lines += [f"  {failure['step']}: {failure['reason']}" for failure in record["failures"]]
    lines += [f"  {name:<11} {text}" for name, text in _asked(record)]
    if record["outcome"] in {"published", "not reported", "up to date"}:
        lines += [f"  {name:<11} {text}" for name, text in _published(record, snapshot)]
    if record.get("report"):
        lines += [f"  {'report':<11} {record['report']}"]
    lines += [f"  {'record':<11} {path}", f"  {'time':<11} {record['seconds']:g} s"]
    return "\n".join(lines)


def summary_of_all_years(record: dict[str, Any], place: Place, path: Path) -> str:
    """What a run did to all years together; `path` is where its record was written."""
    made_up = " (demo district, nobody in it is real)" if record["is_made_up"] else ""
    lines = [f"\nAll years, {', '.join(record['years'])}{made_up}: {_HEADLINES[record['outcome']]}"]
    lines += [f"  {failure['step']}: {failure['reason']}" for failure in record["failures"]]
    if record["outcome"] in {"published", "up to date"}:
        lines += [f"  {name:<11} {text}" for name, text in _united(record, place)]
    lines += [f"  {'record':<11} {path}", f"  {'time':<11} {record['seconds']:g} s"]
    return "\n".join(lines)


def _united(record: dict[str, Any], place: Place) -> Iterator[tuple[str, str]]:
    steps = record["steps"]
    built = {name: steps[step] for name, (step, _) in ROWS_OF_ALL_YEARS.items()}
    for file, facts in steps["ReadPriorYears"]["files"].items():
        odd = sum(counts["odd"] for counts in facts["values"].values())
        rows = f"{sum(facts['rows'].values()):,} rows of {', '.join(facts['rows']) or 'no year'}"
        yield "prior", f"{file} ({facts['encoding']}): {rows}, {odd:,} values unreadable"
    for year in sorted({year for facts in built.values() for year in facts["rows by year"]}):
        counts = [f"{name} {of['rows by year'].get(year, 0):,}" for name, of in built.items()]
        yield year, ", ".join(counts)
    yield "rows", ", ".join(f"{name} {facts['rows']:,}" for name, facts in built.items())
    yield "checks", f"{sum(len(facts['checks']) for facts in built.values())} passed"
    yield "tables", str(place.published_folder("illuminate"))
    yield "view", str(place.published_folder("views"))


def _asked(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    steps = record["steps"].values()
    now = [facts for facts in steps if facts["by_this_run"]]
    requests, retries, fetched, failed = (
        sum(facts.get(name, 0) for facts in now)
        for name in ("requests", "retries", "fetched", "failed")
    )
    there = sum(facts.get("kept", 0) + facts.get("fetched", 0) for facts in steps)
    shards = f"{fetched:,} fetched, {there - fetched:,} kept"
    yield "requests", f"{requests:,}, {retries:,} of them retries"
    yield "shards", f"{shards}, {failed:,} FAILED" if failed else shards
    if spared := sum(facts.get("not asked", 0) for facts in steps):
        yield "not asked", f"{spared:,} shards by standard or group: nothing overall, nothing there"
    if record["let_pass"]:
        yield "let pass", f"{record['let_pass']} rows gone, by --publish-allow-shrink"
    if record["excluded_ids"]:
        yield (
            "left out",
            f"assessment {', '.join(record['excluded_ids'])} ([illuminate] exclude_ids)",
        )


def _published(record: dict[str, Any], snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    steps = record["steps"]
    rows = [f"{name} {steps[step][fact]:,}" for name, (step, fact) in ROWS.items()]
    values = [
        counts
        for step in ("CombineResults", "CombineGroup")
        for counts in steps[step]["values"].values()
    ]
    null, odd = (sum(counts[name] for counts in values) for name in ("null", "odd"))
    labels, view = steps["LabelAssessments"], steps["BuildViews"]
    matched = f"{view['students on the roster']:,} of {view['students']:,} students are on it"
    yield "rows", ", ".join(rows)
    own = [
        (step.removeprefix(_OWN), of["rows"]) for step, of in steps.items() if step.startswith(_OWN)
    ]
    if own:
        yield "own views", ", ".join(f"{name} {count:,}" for name, count in own)
    yield "values", f"{null:,} numbers and dates null as sent, {odd:,} unreadable and made null"
    yield "titles", f"{labels['unmapped']:,} of {labels['rows']:,} without curriculum or unit"
    yield "roster", matched if steps["ReadInputs"]["students"] else "none: grades are null"
    yield "checks", f"{len(steps['CheckTables']['checks'])} passed"
    yield "tables", str(snapshot.published_folder("illuminate"))
    yield "view", str(snapshot.published_folder("views"))
