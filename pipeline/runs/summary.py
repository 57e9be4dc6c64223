"""The record of a run, as a few lines for people."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import printable
from pipeline.runs.request_counts import count_requests, sum_requests
from pipeline.runs.summary_tables import (
    ROWS,
    describe_all_years,
    describe_values,
    describe_year,
    list_ids,
    list_some,
)
from pipeline.storage.paths import ALL_YEARS, Snapshot, TableSetPaths
from pipeline.words import counted
from pipeline.years import UNKNOWN_DAY

_HEADLINES = {
    "published": "published.",
    "not reported": "published, but the report FAILED; the previous report is unchanged.",
    "up to date": "everything is up to date; no table was changed.",
    "failed": "FAILED; what was published before is unchanged.",
    "not finished": "not finished; what was published before is unchanged.",
    "stopped": "stopped.",  # what is kept was said when it was asked to stop
    "done": "done.",
}
_COMPLETE = ("published", "not reported", "up to date")
_HALF_PUBLISHED = "FAILED; some published files are new and others old."
_WAITS = "published, but the report waits for another year; the previous report is unchanged."
_REPORTED_AGAIN = "no table was changed; the report was rebuilt."
_PUBLISHED_AGAIN = "published again; every table is as it was."
_PUBLISHED_ALL_THE_SAME = "FAILED, but the tables of this run are published."
_FETCH = "FetchScores "


def summarize(record: dict[str, Any], snapshot: Snapshot, path: Path) -> str:
    """Return what a run did to a school year; `path` is where its record is."""
    made_up = " (demo district, nobody in it is real)" if record["is_made_up"] else ""
    year = f"School year {record['year']} as of {record['as_of']}{made_up}"
    lines = [f"{year}{_no_results(record, snapshot)}: {_headline(record)}"]
    lines += _failures(record)
    notes = (*_waits(record), *_begun(record), *_changed(record), *_withdrawn(record))
    lines += [f"  {text}" for text in notes]
    lines += [f"  {name:<11} {text}" for name, text in _requested(record)]
    if record["outcome"] in _COMPLETE:
        lines += [f"  {name:<11} {text}" for name, text in describe_year(record, snapshot)]
    elif _is_built(record):
        lines += [f"  {'values':<11} {describe_values(record['steps'])}"]
    if record.get("report"):
        lines += [f"  {'report':<11} {record['report']}"]
    if lost := record["steps"].get("Report", {}).get("lost charts"):
        charts = counted(lost, "chart")
        lines += [f"  {'':<11} {charts} could not be drawn; tables are shown in their place"]
    return _text([*lines, *_record(record, path)])


def summarize_delivery(record: dict[str, Any], step: str, path: Path) -> str:
    """Return how a delivery ended that did not succeed; `path` is where its record is."""
    is_of_all = record["year"] == ALL_YEARS
    what = "All years" if is_of_all else f"School year {record['year']}"
    lines = [f"{what}, {step}: {_headline(record)}"]
    return _text([*lines, *_failures(record), *_record(record, path)])


def summarize_all_years(record: dict[str, Any], paths: TableSetPaths, path: Path) -> str:
    """Return what a run did to all years together; `path` is where its record is."""
    made_up = " (demo district, nobody in it is real)" if record["is_made_up"] else ""
    lines = [f"All years, {', '.join(record['years'])}{made_up}: {_headline(record)}"]
    lines += _failures(record)
    lines += [f"  {text}" for text in _withdrawn(record)]
    if record["outcome"] in {"published", "up to date"}:
        lines += [f"  {name:<11} {text}" for name, text in describe_all_years(record, paths)]
    return _text([*lines, *_record(record, path)])


def _headline(record: dict[str, Any]) -> str:
    """Return how a run ended, and what its readers find: that is read from the disk."""
    if record["is_half_published"]:
        return _HALF_PUBLISHED
    if record["published_by"] == record["run"]:
        if record["outcome"] == "failed":
            return _PUBLISHED_ALL_THE_SAME
        if record["outcome"] == "up to date":
            return _PUBLISHED_AGAIN
    waits_only = record["report_waits_for"] and not record["failures"]
    if record["outcome"] == "not reported" and waits_only:
        return _WAITS
    if record["outcome"] == "up to date" and record["steps"].get("Report", {}).get("by_this_run"):
        return _REPORTED_AGAIN
    return _HEADLINES[record["outcome"]]


def _waits(record: dict[str, Any]) -> Iterator[str]:
    """Return for which years the report waits, unless it would not be built anyway."""
    if (years := record["report_waits_for"]) and record["outcome"] not in {"failed", "stopped"}:
        yield (
            f"Report: not rebuilt before {' and '.join(years)}, with which it compares. Fix what "
            "failed there, then run the same command again."
        )


def _failures(record: dict[str, Any]) -> list[str]:
    return [
        line
        for failure in record["failures"]
        for line in f"  {failure['step']}: {failure['reason']}".split("\n")
    ]


def _text(lines: Iterable[str]) -> str:
    """Return the lines below an empty one."""
    return "\n".join(["", *map(printable, lines)])


def _begun(record: dict[str, Any]) -> Iterator[str]:
    """Return that a school year has begun, and how its predecessor is still fetched."""
    fetched = record["steps"].get("FetchMetadata", {})
    if (before := fetched.get("year before")) and fetched["by_this_run"]:
        yield (
            f"NEW: the first run of school year {record['year']}. A run without a year no longer "
            f"fetches {before}; its late corrections come with make run YEAR={before}."
        )


def _changed(record: dict[str, Any]) -> Iterator[str]:
    """Return what the server has changed of a settled year since it was fetched."""
    steps, year = record["steps"], record["year"]
    for endpoint, (then, now) in steps.get("CountResults", {}).get("changed", {}).items():
        yield (
            f"CHANGED: the server has {counted(now, f'{endpoint} result')} of {year}, and had "
            f"{then:,} when they were fetched, on {_fetched_on(steps)}. Run make refresh "
            f"YEAR={year} to fetch the year again."
        )


def _withdrawn(record: dict[str, Any]) -> Iterator[str]:
    """Return the views of SQL files that the run removed, and why."""
    why, todo = "is not set any more", "set the folder again"
    if record["sql_views"]:
        why, todo = "has no such SQL file any more", "put the file back"
    if names := record["withdrawn"]:
        them = "it" if len(names) == 1 else "them"
        yield (
            f"REMOVED: {list_some(names)}, because [paths] sql_views {why}. To publish {them} "
            f"again, {todo}, then run the same command again."
        )


def _fetched_on(steps: dict[str, Any]) -> str:
    return str(steps.get("FetchMetadata", {}).get("fetched_on", UNKNOWN_DAY))


def _record(record: dict[str, Any], path: Path) -> list[str]:
    seconds = f"{record['seconds']:g} s"
    if record["is_one_of_several"]:
        seconds = f"{record['own_seconds']:g} s, of {seconds} for the whole run"
    return [f"  {'record':<11} {path}", f"  {'time':<11} {seconds}"]


def _no_results(record: dict[str, Any], snapshot: Snapshot) -> str:
    """Return that a school year has no results; nothing if it has some, or that is not known."""
    if snapshot.window.is_empty:
        return f" begins on {snapshot.window.start} and has no results yet"
    rows = (record["steps"][ROWS[table][0]]["rows"] for table in ("combined", "group"))
    if not _is_built(record) or any(rows):
        return ""
    return " has no results" if snapshot.is_of_whole_year else " has no results yet"


def _is_built(record: dict[str, Any]) -> bool:
    """Return True if the tables were built for this run, whether or not they are published."""
    failed = {failure["step"] for failure in record["failures"]}
    return record["outcome"] in _COMPLETE or "Publish" in failed


def _requested(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "FetchMetadata" in record["steps"]:
        yield "fetched", f"on {_fetched_on(record['steps'])}"
    steps = record["steps"].values()
    now = [facts for facts in steps if facts["by_this_run"]]
    fetched, failed = (sum(facts.get(name, 0) for facts in now) for name in ("fetched", "failed"))
    there = sum(facts.get("reused", 0) + facts.get("fetched", 0) for facts in steps)
    shards = f"{fetched:,} fetched, {there - fetched:,} reused"
    yield "requests", count_requests(sum_requests(now))
    yield "shards", f"{shards}, {failed:,} FAILED" if failed else shards
    if skipped := sum(facts.get("skipped", 0) for facts in steps):
        yield "skipped", f"{counted(skipped, 'standard or group shard')}: no overall results"
    yield from _by_page(record["steps"])
    if gone := record["steps"].get("FetchMetadata", {}).get("no longer listed"):
        some, what = list_ids(gone), counted(len(gone), "assessment is", "assessments are")
        yield "catalogue", f"{what} no longer listed, without results: {some}"
    if record["allowed_shrink"]:
        yield (
            "allowed",
            f"{record['allowed_shrink']} rows or values fewer, by --publish-allow-shrink",
        )
    if record["replaced_source"]:
        yield "replaced", f"tables of {record['replaced_source']}, by --publish-replace-source"
    if record["excluded_ids"]:
        text = f"assessment {', '.join(record['excluded_ids'])} ([illuminate] exclude_ids)"
        listed = record["steps"].get("ListAssessments", {})
        if unlisted := listed.get("excluded but not listed"):
            text += f"; not in the catalogue: {', '.join(unlisted)}"
        yield "excluded", text


def _by_page(steps: dict[str, Any]) -> Iterator[tuple[str, str]]:
    fetched = {
        name.removeprefix(_FETCH): of for name, of in steps.items() if name.startswith(_FETCH)
    }
    if compared := sum(of.get("compared", 0) for of in fetched.values() if of["by_this_run"]):
        agree = "agrees" if compared == 1 else "agree"
        what = counted(compared, "comparison")
        yield "by page", f"{what} with results by assessment {agree}"
    for endpoint, facts in fetched.items():
        if reason := facts.get("not by page"):
            yield "not by page", f"{endpoint}: {reason}"
        if kept := facts.get("not reread"):
            some = (
                f"{kept['ranges']:,} of {counted(kept['of'], 'range of dates', 'ranges of dates')}"
            )
            yield "not reread", f"{endpoint}: {some}, last read on {kept['since']} or later"
    if found := {i for facts in fetched.values() for i in facts.get("unlisted", ())}:
        what = counted(len(found), "assessment with results is", "assessments with results are")
        yield "unlisted", f"{what} not in the catalogue: {list_ids(found)}"
