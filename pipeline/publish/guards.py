"""Guards before publishing: compare a run with what is published now, and stop suspicious changes.

The checks prove that tables hold what the server declared. Guards are the second net: they notice
when the server itself suddenly declares less, or when the roster is another year's.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pipeline.errors import CheckError, SettingsError
from pipeline.publish.checks import list_some

GUARDED = ("combined", "group")
"""The tables whose rows are counted per assessment."""

CATALOGUE = "catalogue"
"""The catalogue, guarded when it is fetched: one that shrank is not even stored."""

_NAMES = (*GUARDED, CATALOGUE)
_ALLOWED = re.compile(r"([a-z]+)=([0-9]+)")


class RowCounts(msgspec.Struct, frozen=True):
    """The counts of a published set: rows per guarded table and assessment, and students.

    `students` counts those with results, `matched` those of them on the roster; both are None
    where no roster was configured.
    """

    rows: dict[str, dict[str, int]]
    students: int | None = None
    matched: int | None = None

    @property
    def match_rate(self) -> float | None:
        """The share of students with results that is on the roster, 0 to 1."""
        return None if not self.students or self.matched is None else self.matched / self.students


class GuardResult(NamedTuple):
    """Whether a set may be published, and a sentence with the counts; which table lost how much."""

    ok: bool
    note: str
    table: str = ""
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
    """Return how many rows each table may lose this once, from text like `combined=120,group=3`.

    Raises:
        SettingsError: the text is something else.
    """
    allowed: dict[str, int] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        match = _ALLOWED.fullmatch(part)
        if match is None or match[1] not in _NAMES:
            raise SettingsError(
                f"--publish-allow-shrink is {text!r}; write a table ({', '.join(_NAMES)}) and "
                "a number of rows, like combined=120."
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
) -> GuardResult:
    """Check that a table loses no more rows than it may.

    Rows are counted per assessment, so that growth of one cannot hide the loss of another.

    Args:
        table: its name.
        before: the rows per assessment that are published.
        now: the rows per assessment that are to be published.
        excluded_ids: the assessments that are excluded by a setting; their loss does not count.
        tolerance: the share of the published rows that may be lost, 0 to 1.
        allowed: how many rows may be lost this once.
    """
    lost = {
        assessment: count - now.get(assessment, 0)
        for assessment, count in before.items()
        if assessment not in excluded_ids and now.get(assessment, 0) < count
    }
    total = sum(lost.values())
    largest = sorted(lost, key=lambda assessment: (-lost[assessment], assessment))
    named = list_some([f"{i} had {before[i]:,}, has {now.get(i, 0):,}" for i in largest])
    note = f"{table} lost {total:,} rows" + (f" (assessment {named})" if lost else "")
    limit = max(allowed, int(tolerance * sum(before.values())))
    return GuardResult(total <= limit, note, table, total)


def check_roster_match_rate(
    now: RowCounts, before: float | None, *, near: int = 0, floor: float, drop: float
) -> GuardResult:
    """Check that enough students are on the roster, and not far fewer than last time.

    Args:
        now: the counts of this run.
        before: the match rate of what is published, if known.
        near: how many ids differ from one on the roster only by leading zeros or `.0`.
        floor: the lowest accepted match rate.
        drop: by how much the match rate may be lower than last time.
    """
    if now.match_rate is None:
        return GuardResult(True, "no roster, or no students with results")
    note = f"{now.matched:,} of {now.students:,} students with results are on it"
    if before is not None:
        note += f", last time it was {before:.0%} of them"
    if near:
        note += f"; {near:,} of the others differ from an id on it only by leading zeros or .0"
    ok = now.match_rate >= max(floor, (before or 0.0) - drop)
    return GuardResult(ok, note if ok else f"the roster does not match this year: {note}")


def raise_on_failure(
    results: Sequence[GuardResult], fetched_before: Mapping[str, str] | None = None
) -> None:
    """Stop before publishing if a guard failed.

    Args:
        results: of the guards.
        fetched_before: other school years that are published, and the days they were fetched on.

    Raises:
        CheckError: names each failed guard, and what to do.
    """
    wrong = [result for result in results if not result.ok]
    if not wrong:
        return
    failed = "; ".join(f"check failed: {result.note}" for result in wrong)
    todo = []
    if losses := [f"{result.table}={result.lost}" for result in wrong if result.lost]:
        todo.append(
            "If the server was at fault, run make refresh, which fetches the year again. If the "
            "rows are rightly gone, allow it once with --publish-allow-shrink "
            f"{','.join(losses)}."
        )
        if fetched_before:
            years = (
                f"make refresh YEAR={y} (fetched on {day})" for y, day in fetched_before.items()
            )
            todo.append(
                f"If they were re-dated into another year, fetch that first: {', '.join(years)}."
            )
    if any(not result.lost for result in wrong):
        todo.append("Configure the roster of this year, then run the same command again.")
    raise CheckError(
        f"Nothing was published ({failed}). What was published before is unchanged and all shards "
        f"are kept. {' '.join(todo)}"
    )
