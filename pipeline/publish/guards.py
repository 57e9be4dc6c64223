"""Guards before publishing: compare a run with what is published now, and stop suspicious changes.

The checks prove that tables hold what the server declared. Guards are the second net: they notice
when the server itself suddenly declares less, or sends values that cannot be read, or when the
roster is another year's.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pipeline.errors import CheckError, SettingsError
from pipeline.publish.checks import list_some
from pipeline.schema import COMBINED, GROUP
from pipeline.storage.paths import ALL_YEARS_SUFFIX
from pipeline.words import counted

GUARDED = {"combined": COMBINED, "group": GROUP}
"""The tables whose rows are counted per assessment, and whose values are counted per column."""

CATALOGUE = "catalogue"
"""The catalogue, guarded when it is fetched: one that shrank is not even stored."""

GUARDED_OF_ALL_YEARS = tuple(f"{name}{ALL_YEARS_SUFFIX}" for name in ("combined", "group", "view"))
"""The tables of all years, whose rows are counted per school year."""

_TABLES = (*GUARDED, CATALOGUE, *GUARDED_OF_ALL_YEARS)
_NAMES = {*_TABLES, *(f"{name}.{column}" for name, of in GUARDED.items() for column in of.expected)}
_ALLOWED = re.compile(r"([a-z_.]+)=([0-9]+)")
_LEAST_READABLE = 0.5
_FEW = 10  # values that say nothing about a column
_OF_SOME_ASSESSMENTS = ("performance_band_level", "performance_band_label", "mastered")


class RowCounts(msgspec.Struct, frozen=True):
    """The counts of a published set: rows per guarded table and assessment, and students.

    `students` counts those with results, `matched` those of them on the roster; both are None
    where no roster was configured. `readable` counts the values of each guarded table by expected
    column; it is empty in sets of earlier versions.
    """

    rows: dict[str, dict[str, int]]
    students: int | None = None
    matched: int | None = None
    readable: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)

    @property
    def match_rate(self) -> float | None:
        """The share of students with results that is on the roster, 0 to 1."""
        return None if not self.students or self.matched is None else self.matched / self.students

    def total(self, table: str) -> int:
        """Return how many rows a table has."""
        return sum(self.rows.get(table, {}).values())

    def lacking(self, table: str, column: str) -> int | None:
        """Return how many rows of a table lack a readable value; None if they were not counted."""
        rows, readable = self.total(table), self.readable.get(table)
        return rows - readable.get(column, 0) if rows and readable is not None else None


class GuardResult(NamedTuple):
    """Whether a set may be published, and a sentence with the counts; what lost how much.

    `what` is a table, which lost rows, or a column, like `group.points`, which lacks values.
    """

    ok: bool
    note: str
    what: str = ""
    lost: int = 0


def guarded_rows(before: RowCounts, table: str) -> dict[str, int]:
    """Return the published rows of a table per assessment that must not be lost.

    An assessment without results, a draft for example, may leave the catalogue.
    """
    rows = before.rows.get(table, {})
    if table != CATALOGUE:
        return rows
    with_results = {i for guarded in GUARDED for i in before.rows.get(guarded, {})}
    return {i: count for i, count in rows.items() if i in with_results}


def parse_allowed_shrink(text: str) -> dict[str, int]:
    """Return how much may be gone this once, from text like `combined=120,group.points=3`.

    A table's name gives rows that it may lose, a column's the values that it may lack.

    Raises:
        SettingsError: the text is something else.
    """
    allowed: dict[str, int] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        match = _ALLOWED.fullmatch(part)
        if match is None or match[1] not in _NAMES:
            raise SettingsError(
                f"--publish-allow-shrink is {text!r}; write a table ({', '.join(_TABLES)}) and "
                "a number of rows, like combined=120, or a column and a number of values, like "
                "combined.percent_correct=120."
            )
        allowed[match[1]] = int(match[2])
    return allowed


def check_no_shrink(
    table: str,
    before: Mapping[str, int],
    now: Mapping[str, int],
    *,
    excluded_ids: Collection[str],
    tolerance: float,
    allowed: int,
    per: str = "assessment",
) -> GuardResult:
    """Check that a table loses no more rows than it may.

    Rows are counted per assessment, or per school year, so that growth of one cannot hide the loss
    of another.

    Args:
        table: its name.
        before: the rows per assessment, or per year, that are published.
        now: those that are to be published.
        excluded_ids: the assessments that are excluded by a setting; their loss does not count.
        tolerance: the share of the published rows that may be lost, 0 to 1.
        allowed: how many rows may be lost this once.
        per: what rows are counted by.
    """
    lost = {
        assessment: count - now.get(assessment, 0)
        for assessment, count in before.items()
        if assessment not in excluded_ids and now.get(assessment, 0) < count
    }
    total = sum(lost.values())
    largest = sorted(lost, key=lambda assessment: (-lost[assessment], assessment))
    named = list_some([f"{i} had {before[i]:,}, has {now.get(i, 0):,}" for i in largest])
    note = f"{table} lost {counted(total, 'row')}" + (f" ({per} {named})" if lost else "")
    limit = max(allowed, int(tolerance * sum(before.values())))
    return GuardResult(total <= limit, note, table, total)


def check_readable(
    table: str, now: RowCounts, before: RowCounts | None, *, drop: float, allowed: Mapping[str, int]
) -> list[GuardResult]:
    """Check that each expected column is as readable as in what is published.

    Where nothing is known of that yet, half of the rows must have a student, a number or a date;
    other columns may be empty. A few values more may always be unreadable, but not half of a small
    table; what only some assessments have may be empty in all rows that were added.

    Args:
        table: the table's name.
        now: the counts of this run.
        before: the counts of what is published, if known.
        drop: by how much the readable share may be lower than in what is published.
        allowed: how many values may be empty or unreadable this once, by table and column.
    """
    rows, results = now.total(table), []
    for column in GUARDED[table].expected:
        if (lacking := now.lacking(table, column)) is None:
            continue
        name = f"{table}.{column}"
        known = before.lacking(table, column) if before else None
        if before is None or known is None:
            may_be_empty = column in _OF_SOME_ASSESSMENTS
            most, compared = rows if may_be_empty else rows * _LEAST_READABLE, "less than half"
        else:
            share = known / before.total(table)
            # Not by share alone: an excluded assessment takes only good values away.
            most = max(rows * (share + drop), min(known + _FEW, rows * _LEAST_READABLE))
            if column in _OF_SOME_ASSESSMENTS:  # all rows that were added may lack it
                most = max(most, known + rows - before.total(table))
            compared = f"{1 - share:.1%} of what is published"
        note = (
            f"{name} is readable in {1 - lacking / rows:.1%} of {counted(rows, 'row')} ({compared})"
        )
        results.append(GuardResult(lacking <= max(most, allowed.get(name, 0)), note, name, lacking))
    return results


def check_roster_match_rate(
    now: RowCounts, before: float | None, *, near: int = 0, floor: float, drop: float
) -> GuardResult:
    """Check that enough students are on the roster, and not far fewer than last time.

    Without a roster nobody is on it: null would replace the grades that are published.

    Args:
        now: the counts of this run.
        before: the match rate of what is published, if known.
        near: how many ids differ from one on the roster only by leading zeros or `.0`.
        floor: the lowest accepted match rate.
        drop: by how much the match rate may be lower than last time.
    """
    if now.matched is None:
        had = f"{before or 0.0:.0%} of the students with published results were on one"
        return GuardResult((before or 0.0) <= drop, f"no roster is configured, and {had}")
    if now.match_rate is None:
        return GuardResult(True, "no students with results")
    on_it = "is" if now.matched == 1 else "are"
    note = f"{now.matched:,} of {counted(now.students or 0, 'student')} with results {on_it} on it"
    if before is not None:
        note += f", last time it was {before:.0%} of them"
    if near:
        others = counted(near, "of the others differs", "of the others differ")
        note += f"; {others} from an id on it only by leading zeros or .0"
    ok = now.match_rate >= max(floor, (before or 0.0) - drop)
    return GuardResult(ok, note if ok else f"the roster does not match this year: {note}")


def raise_on_failure(
    results: Sequence[GuardResult], year: object, fetched_before: Mapping[str, str] | None = None
) -> None:
    """Stop before publishing if a guard failed.

    Args:
        results: of the guards.
        year: the school year that they are about.
        fetched_before: other school years that are published, and the days they were fetched on.

    Raises:
        CheckError: names each failed guard, and what to do.
    """
    wrong = [result for result in results if not result.ok]
    if not wrong:
        return
    failed = "; ".join(f"check failed: {result.note}" for result in wrong)
    todo = []
    if losses := [f"{result.what}={result.lost}" for result in wrong if result.lost]:
        todo.append(
            f"If the server was at fault, run make refresh YEAR={year}, which fetches the year "
            "again. If the loss is correct, allow it once with --publish-allow-shrink "
            f"{','.join(losses)}."
        )
    if fetched_before and any(result.what in GUARDED for result in wrong):
        years = (f"make refresh YEAR={y} (fetched on {day})" for y, day in fetched_before.items())
        todo.append(
            f"If rows were re-dated into another year, fetch that first: {', '.join(years)}."
        )
    if any(not result.lost for result in wrong):
        todo.append("Configure the roster of this year, then run the same command again.")
    raise CheckError(
        f"Nothing was published ({failed}). What was published before is unchanged and all shards "
        f"are kept. {' '.join(todo)}"
    )
