"""What a summary says of the tables that a run built or published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.runs.news import KINDS
from pipeline.storage.paths import Snapshot, TableSetPaths
from pipeline.words import counted

_OWN = "SqlView-"
_NAMED = 10

_NOT_FETCHED = (
    "result is of an assessment that is excluded or not in the catalogue, so no table has it",
    "results are of assessments that are excluded or not in the catalogue, so no table has them",
)
_UNREACHED = (
    "overall result has no date in any school year, so no table has it",
    "overall results have no date in any school year, so no table has them",
)
_NEAR = (
    "other differs from an id on it only by leading zeros or .0",
    "others differ from an id on it only by leading zeros or .0",
)
_NO_GRADE = (
    "on it has a code that is no grade (set to null)",
    "on it have a code that is no grade (set to null)",
)
_REPEATED = ("row has the key of a row before", "rows have the key of a row before")

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


def describe_year(record: dict[str, Any], snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Return the lines about a school year that is published, each with its name."""
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
    yield "values", describe_values(steps)
    yield from _unreached(steps.get("CountResults"))
    yield "titles", f"{labels['unmapped']:,} of {labels['rows']:,} without curriculum or unit"
    if unmatched := [*labels["unmatched overrides"], *view["unmatched overrides"]]:
        match = "matches nothing" if len(unmatched) == 1 else "match nothing"
        count = f"{len(unmatched):,} of {labels['overrides']:,} {match}"
        yield "overrides", f"{count}: assessment {_list_overrides(unmatched)}"
    yield "roster", _roster(steps["ReadRoster"], view)
    yield "checks", f"{len(steps['CheckTables']['checks'])} passed"
    yield "tables", str(snapshot.published_folder("illuminate"))
    yield "view", str(snapshot.published_folder("views"))


def describe_all_years(record: dict[str, Any], paths: TableSetPaths) -> Iterator[tuple[str, str]]:
    """Return the lines about all years that are published, each with its name."""
    steps = record["steps"]
    built = {name: steps[step] for name, (step, _) in ROWS_OF_ALL_YEARS.items()}
    for file, facts in steps["ReadPriorYears"]["files"].items():
        rows = counted(sum(facts["rows"].values()), "row")
        rows += f" of {', '.join(facts['rows']) or 'no year'}"
        unreadable = _unreadable(facts["values"], "value")
        text = f"{file} ({facts['encoding']}): {rows}, {unreadable}"
        if repeated := facts["repeated keys"]:
            text += f"; {counted(repeated, *_REPEATED)}"
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


def describe_values(steps: dict[str, Any]) -> str:
    """Return how many values are empty, and how many could not be read."""
    values = {
        f"{table} {column}": counts
        for table in ("combined", "group")
        for column, counts in steps[ROWS[table][0]]["values"].items()
    }
    empty = sum(counts["null"] for counts in values.values())
    return f"{counted(empty, 'value')} empty at source, {_unreadable(values)}"


def list_some(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def list_ids(ids: Iterable[str]) -> str:
    """Return the first of some ids, numbers by their size, and how many more there are."""
    return list_some(sorted(ids, key=lambda each: (len(each), each)))


def _new(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return what is new since the last successful run."""
    for kind, of in record["new"].items():
        count, names = of["count"], of.get("names", ())
        text = counted(count, *KINDS[kind])
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        yield "new", f"{text}: {', '.join(names)}{more}" if names else f"{text} more than before"


def _unreached(counts: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if counts and counts["problem"]:
        yield (
            "not counted",
            f"results over all assessments, because of the server: {counts['problem']}",
        )
    if counts and counts.get("not_fetched"):
        yield "not fetched", counted(counts["not_fetched"], *_NOT_FETCHED)
    if counts and counts["unreached"]:
        yield "unreached", counted(counts["unreached"], *_UNREACHED)


def _roster(roster: dict[str, Any], view: dict[str, Any]) -> str:
    if not roster["students"]:
        return "none: grades are null"
    on_it = view["students on the roster"]
    are = "is" if on_it == 1 else "are"
    text = f"{on_it:,} of {counted(view['students'], 'student')} {are} on it"
    if near := view["students nearly on the roster"]:
        text += f"; {counted(near, *_NEAR)}"
    if codes := roster["students without a grade"]:
        text += f"; {counted(codes, *_NO_GRADE)}"
    several = {
        name: of for name, of in roster.get("students with several values", {}).items() if of
    }
    if several:
        named = ", ".join(f"{name} {count:,}" for name, count in several.items())
        text += f"; students with several values in one column (set to null): {named}"
    return text


def _list_overrides(unmatched: list[dict[str, Any]]) -> str:
    """Return the first overrides that match nothing, by assessment and grade, and why."""
    return list_some(
        [
            each["assessment_id"]
            + (f" grade {each['grade']}" if each["grade"] is not None else "")
            + (" (no results)" if each.get("is_listed", True) else " (not in the catalogue)")
            for each in unmatched
        ]
    )


def _unreadable(values: Mapping[str, Mapping[str, int]], noun: str = "") -> str:
    """Return how many values could not be read, in all and by column."""
    counts = {name: of["unparseable"] for name, of in values.items() if of["unparseable"]}
    named = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    number = sum(counts.values())
    what = counted(number, noun) if noun else f"{number:,}"
    return f"{what} unreadable (set to null)" + (f": {named}" if named else "")
