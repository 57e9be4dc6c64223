"""Anomalies of real results, injected into made-up ones."""

from random import Random
from typing import Literal, TypeAlias

Dirtiness: TypeAlias = Literal["none", "realistic", "harsh"]

_Row: TypeAlias = dict[str, str | None]
# Only rows of the first page, so that a duplicate is on the same page as its original.
_FIRST_ROWS = 900


def choose(number: int, dirtiness: Dirtiness) -> int | None:
    """Return the anomaly of the administration that has this number in its year; None for none.

    With "harsh", each administration has the next one. With "realistic", those that public clients
    met often, repeated rows and wrong dates, come as often; the others, unreadable scores and
    missing bands, come once a year.
    """
    repeats, anomaly = divmod(number, len(_ANOMALIES))
    is_rare = bool(_ANOMALIES[anomaly].keys() - {"date_taken"})
    if dirtiness == "none" or (dirtiness == "realistic" and is_rare and repeats):
        return None
    return anomaly


def inject(rows: list[_Row], anomaly: int, rng: Random) -> None:
    """Change one row of `rows` by an anomaly, which `choose` returned."""
    if rows:
        index = rng.randrange(min(len(rows), _FIRST_ROWS))
        changes = _ANOMALIES[anomaly]
        changed = {**rows[index], **changes}
        rows[index : index + 1] = [changed] if changes else [changed, rows[index]]


_UNSCORED: _Row = {
    "percent_correct": None,
    "performance_band_level": None,
    "performance_band_label": None,
    "mastered": None,
}
# The fields that each changes; no change makes a duplicate.
_ANOMALIES: tuple[_Row, ...] = (
    {},
    {"points": "0", "points_possible": "0", **_UNSCORED},
    {"points": None, **_UNSCORED},
    {"percent_correct": ""},
    {"percent_correct": "NaN"},
    {"points": "infinity"},
    {"performance_band_level": None},
    {"date_taken": None},
    {"date_taken": "2000-01-01"},
    {"date_taken": "infinity"},
    {"performance_band_label": None},
)
