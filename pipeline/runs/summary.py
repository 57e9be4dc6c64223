"""The record of a run, as a few lines for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import printable
from pipeline.runs.news import KINDS
from pipeline.runs.request_counts import count_requests, sum_requests
from pipeline.storage.paths import ALL_YEARS, Snapshot, TableSetPaths
from pipeline.years import UNKNOWN_DAY

_HEADLINES = {
    "published": "published.",
    "not reported": "published, but the report FAILED; the previous report is unchanged.",
    "up to date": "everything is up to date; no table was changed.",
    "failed": "FAILED; what was published before is unchanged.",
    "not finished": "not finished; what was published before is unchanged.",
    "stopped": "stopped; what was fetched is kept; run the same command to continue.",
    "done": "done.",
}
_COMPLETE = ("published", "not reported", "up to date")
_HALF_PUBLISHED = "FAILED; some published files are new and others old."
_PUBLISHED_AGAIN = "published again; every table is as it was."
_PUBLISHED_ALL_THE_SAME = "FAILED, but the tables of this run are published."
_OWN = "SqlView-"
_FETCH = "FetchScores "
_NAMED = 10

ROWS = {
    "combined": ("CombineResults", "rows"),
    "group": ("CombineGroup", "rows"),
    "view": ("BuildViews", "rows"),
    "latest": ("BuildViews", "latest"),
}
"""The step and the fact that hold a large table's row count in the record of a school year."""

ROWS_OF_ALL_YEARS = {
    "combined": ("ConcatResults", "rows"),
    "group": ("ConcatGroup", "rows"),
    "view": ("ConcatView", "rows"),
}
"""The same in the record of all years."""


def summarize(record: dict[str, Any], snapshot: Snapshot, path: Path) -> str:
    """Return what a run did to a school year; `path` is where its record is."""
    made_up = " (demo district, nobody in it is real)" if record["is_made_up"] else ""
    year = f"School year {record['year']} as of {record['as_of']}{made_up}"
    lines = [f"{year}{_no_results(record, snapshot)}: {_headline(record)}"]
    lines += _failures(record)
    lines += [f"  {text}" for text in (*_begun(record), *_changed(record), *_withdrawn(record))]
    lines += [f"  {name:<11} {text}" for name, text in _requested(record)]
    if record["outcome"] in _COMPLETE:
        lines += [f"  {name:<11} {text}" for name, text in _published(record, snapshot)]
    elif _is_built(record):
        lines += [f"  {'values':<11} {_values(record['steps'])}"]
    if record.get("report"):
        lines += [f"  {'report':<11} {record['report']}"]
    if lost := record["steps"].get("Report", {}).get("lost charts"):
        charts = "1 chart" if lost == 1 else f"{lost:,} charts"
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
        lines += [f"  {name:<11} {text}" for name, text in _all_years(record, paths)]
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
    return _HEADLINES[record["outcome"]]


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
            f"CHANGED: the server has {now:,} {endpoint} results of {year}, and had {then:,} when "
            f"they were fetched, on {_fetched_on(steps)}. Run make refresh YEAR={year} to fetch "
            "the year again."
        )


def _withdrawn(record: dict[str, Any]) -> Iterator[str]:
    """Return the views of SQL files that the run removed."""
    if names := record["withdrawn"]:
        yield (
            f"REMOVED: {_list_some(names)}, because [paths] sql_views has no such SQL file any "
            "more. To have it again, put the file back, then run the same command again."
        )


def _fetched_on(steps: dict[str, Any]) -> str:
    return str(steps.get("FetchMetadata", {}).get("fetched_on", UNKNOWN_DAY))


def _record(record: dict[str, Any], path: Path) -> list[str]:
    seconds = f"{record['seconds']:g} s"
    if record["is_one_of_several"]:
        seconds = f"{record['own_seconds']:g} s, of {seconds} for the whole run"
    return [f"  {'record':<11} {path}", f"  {'time':<11} {seconds}"]


def _all_years(record: dict[str, Any], paths: TableSetPaths) -> Iterator[tuple[str, str]]:
    steps = record["steps"]
    built = {name: steps[step] for name, (step, _) in ROWS_OF_ALL_YEARS.items()}
    for file, facts in steps["ReadPriorYears"]["files"].items():
        rows = f"{sum(facts['rows'].values()):,} rows of {', '.join(facts['rows']) or 'no year'}"
        unreadable = _unreadable(facts["values"], "values unreadable (set to null)")
        text = f"{file} ({facts['encoding']}): {rows}, {unreadable}"
        if repeated := facts["repeated keys"]:
            text += f"; {repeated:,} rows have the key of a row before"
        yield "prior", text
    for year in sorted({year for facts in built.values() for year in facts["rows by year"]}):
        counts = [f"{name} {of['rows by year'].get(year, 0):,}" for name, of in built.items()]
        yield year, ", ".join(counts)
    yield "rows", ", ".join(f"{name} {facts['rows']:,}" for name, facts in built.items())
    if undated := [f"{name} {of['undated']:,}" for name, of in built.items() if of["undated"]]:
        yield (
            "undated",
            f"rows without a date are in the tables of several years: {', '.join(undated)}",
        )
    yield "checks", f"{sum(len(facts['checks']) for facts in built.values())} passed"
    yield "tables", str(paths.published_folder("illuminate"))
    yield "view", str(paths.published_folder("views"))


def _roster(roster: dict[str, Any], view: dict[str, Any]) -> str:
    if not roster["students"]:
        return "none: grades are null"
    text = f"{view['students on the roster']:,} of {view['students']:,} students are on it"
    if near := view["students nearly on the roster"]:
        text += f"; {near:,} others differ from an id on it only by leading zeros or .0"
    if codes := roster["students without a grade"]:
        text += f"; {codes:,} on it have a code that is no grade (set to null)"
    several = {
        name: of for name, of in roster.get("students with several values", {}).items() if of
    }
    if several:
        named = ", ".join(f"{name} {count:,}" for name, count in several.items())
        text += f"; students with several values in one column (set to null): {named}"
    return text


def _list_overrides(unmatched: list[dict[str, Any]]) -> str:
    """Return the first overrides that match nothing, by assessment and grade, and why."""
    return _list_some(
        [
            each["assessment_id"]
            + (f" grade {each['grade']}" if each["grade"] is not None else "")
            + (" (no results)" if each.get("is_listed", True) else " (not in the catalogue)")
            for each in unmatched
        ]
    )


def _list_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _list_ids(ids: Iterable[str]) -> str:
    """Return the first of some ids, numbers by their size, and how many more there are."""
    return _list_some(sorted(ids, key=lambda each: (len(each), each)))


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


def _values(steps: dict[str, Any]) -> str:
    values = {
        f"{table} {column}": counts
        for table in ("combined", "group")
        for column, counts in steps[ROWS[table][0]]["values"].items()
    }
    empty = sum(counts["null"] for counts in values.values())
    unreadable = _unreadable(values, "unreadable (set to null)")
    return f"{empty:,} values empty at source, {unreadable}"


def _unreadable(values: Mapping[str, Mapping[str, int]], what: str) -> str:
    """Return how many values could not be read, in all and by column."""
    counts = {name: of["unparseable"] for name, of in values.items() if of["unparseable"]}
    named = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{sum(counts.values()):,} {what}" + (f": {named}" if named else "")


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
        yield "skipped", f"{skipped:,} standard or group shards: no overall results"
    yield from _by_page(record["steps"])
    if gone := record["steps"].get("FetchMetadata", {}).get("no longer listed"):
        what = "assessments are" if len(gone) > 1 else "assessment is"
        some = _list_ids(gone)
        yield "catalogue", f"{len(gone):,} {what} no longer listed, without results: {some}"
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
        yield "by page", f"{compared:,} comparisons with results by assessment agree"
    for endpoint, facts in fetched.items():
        if reason := facts.get("not by page"):
            yield "not by page", f"{endpoint}: {reason}"
        if kept := facts.get("not reread"):
            some = f"{kept['ranges']:,} of {kept['of']:,} ranges of dates"
            yield "not reread", f"{endpoint}: {some}, last read on {kept['since']} or later"
    if found := {i for facts in fetched.values() for i in facts.get("unlisted", ())}:
        what = "assessments with results are" if len(found) > 1 else "assessment with results is"
        yield "unlisted", f"{len(found):,} {what} not in the catalogue: {_list_ids(found)}"


def _published(record: dict[str, Any], snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    steps = record["steps"]
    rows = [f"{name} {steps[step][fact]:,}" for name, (step, fact) in ROWS.items()]
    labels, view = steps["LabelAssessments"], steps["BuildViews"]
    yield "rows", ", ".join(rows)
    own = [
        (step.removeprefix(_OWN), of["rows"]) for step, of in steps.items() if step.startswith(_OWN)
    ]
    if own:
        yield "own views", ", ".join(f"{name} {count:,}" for name, count in own)
    yield from _new(record)
    yield "values", _values(steps)
    yield from _unreached(steps.get("CountResults"))
    yield "titles", f"{labels['unmapped']:,} of {labels['rows']:,} without curriculum or unit"
    if unmatched := [*labels["unmatched overrides"], *view["unmatched overrides"]]:
        count = f"{len(unmatched):,} of {labels['overrides']:,} match nothing"
        yield "overrides", f"{count}: assessment {_list_overrides(unmatched)}"
    yield "roster", _roster(steps["ReadRoster"], view)
    yield "checks", f"{len(steps['CheckTables']['checks'])} passed"
    yield "tables", str(snapshot.published_folder("illuminate"))
    yield "view", str(snapshot.published_folder("views"))


def _new(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return what is new since the last successful run."""
    for kind, of in record["new"].items():
        count, names = of["count"], of.get("names", ())
        text = f"{count:,} {KINDS[kind][count > 1]}"
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        yield "new", f"{text}: {', '.join(names)}{more}" if names else f"{text} more than before"


def _unreached(counts: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if counts and counts["problem"]:
        yield (
            "not counted",
            f"results over all assessments, because of the server: {counts['problem']}",
        )
    if counts and counts.get("not_fetched"):
        what = "results are of assessments that are excluded or not in the catalogue"
        yield "not fetched", f"{counts['not_fetched']:,} {what}, so no table has them"
    if counts and counts["unreached"]:
        what = "overall results have no date in any school year, so no table has them"
        yield "unreached", f"{counts['unreached']:,} {what}"
