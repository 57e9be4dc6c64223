"""Guards before publishing: compare a run with what is published now, and stop what looks wrong.

The checks prove that tables hold what the server declared. Guards are the second net: they notice
when the server itself suddenly declares less, or when the roster is another year's.
"""

import re
from collections.abc import Collection, Mapping, Sequence

import msgspec

from pipeline.errors import CheckError, SettingsError
from pipeline.publish.check_result import Check

GUARDED = ("combined", "group")
"""The tables whose rows are counted per assessment."""

CATALOGUE = "catalogue"
"""The catalogue, guarded when it is fetched: one that shrank is not even kept."""

_NAMES = (*GUARDED, CATALOGUE)
_NAMED = 5
_ALLOWANCE = re.compile(r"([a-z]+)=([0-9]+)")


class Counted(msgspec.Struct, frozen=True):
    """What a published set held: per guarded table the rows of each assessment, and students.

    `students` counts those with results, `matched` those of them on the roster; both are None
    where no roster was configured.
    """

    rows: dict[str, dict[str, int]]
    students: int | None = None
    matched: int | None = None

    @property
    def share(self) -> float | None:
        """Which part of the students was on the roster."""
        return None if not self.students or self.matched is None else self.matched / self.students


def parse_allowance(text: str) -> dict[str, int]:
    """How many rows may be lost per table, once: `combined=120,group=3`.

    Raises:
        SettingsError: it is something else.
    """
    allowed: dict[str, int] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        match = _ALLOWANCE.fullmatch(part)
        if match is None or match[1] not in _NAMES:
            raise SettingsError(
                f"--publish-allow-shrink is {text!r}; write a table ({', '.join(_NAMES)}) and "
                "a number of rows, like combined=120."
            )
        allowed[match[1]] = int(match[2])
    return allowed


def not_shrunk(
    table: str,
    before: Mapping[str, int],
    now: Mapping[str, int],
    *,
    left_out: Collection[str],
    tolerance: float,
    allowed: int,
) -> Check:
    """No more rows of a table are gone than may be.

    Rows are counted per assessment, so that growth of one cannot hide the loss of another.
    Assessments that were left out on purpose do not count.

    Args:
        table: its name.
        before: the rows per assessment that are published.
        now: the rows per assessment that are to be published.
        left_out: the assessments that are excluded by a setting.
        tolerance: which part of the published rows may be gone, 0 to 1.
        allowed: how many rows may be gone this once.
    """
    lost = {
        assessment: count - now.get(assessment, 0)
        for assessment, count in before.items()
        if assessment not in left_out and now.get(assessment, 0) < count
    }
    total = sum(lost.values())
    largest = sorted(lost, key=lambda assessment: (-lost[assessment], assessment))
    named = ", ".join(f"{i} had {before[i]:,}, has {now.get(i, 0):,}" for i in largest[:_NAMED])
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    note = f"{total:,} rows gone" + (f" (assessment {named}{more})" if lost else "")
    limit = max(allowed, int(tolerance * sum(before.values())))
    return Check(f"{table} has not shrunk", total <= limit, note)


def roster_fits(now: Counted, before: float | None, *, floor: float, drop: float) -> Check:
    """Enough students are on the roster, and not far fewer than last time.

    Args:
        now: the counts of this run.
        before: which part was on the roster when it was last published, if known.
        floor: the least part that is accepted.
        drop: by how much the part may be less than last time.
    """
    name = "the roster is the right one"
    if now.share is None:
        return Check(name, True, "no roster, or no students with results")
    note = f"{now.matched:,} of {now.students:,} students with results are on it"
    if before is not None:
        note += f", last time it was {before:.0%} of them"
    least = max(floor, (before or 0.0) - drop)
    return Check(name, now.share >= least, note)


def stop_at(guards: Sequence[Check]) -> None:
    """Stop the run at guards that do not agree.

    Raises:
        CheckError: names each of them, and what can be done.
    """
    wrong = [guard for guard in guards if not guard.ok]
    if wrong:
        found = "; ".join(f"not so: {guard.name}, {guard.note}" for guard in wrong)
        raise CheckError(
            f"Nothing was published ({found}). What was published before is unchanged and all "
            "shards are kept. If the server was at fault, make refresh fetches the year anew; "
            "rows that are rightly gone are let pass once with --publish-allow-shrink TABLE=ROWS; "
            "a roster must be that of the year."
        )
