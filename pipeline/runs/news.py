"""What is new in a published set: what the last successful run did not leave there.

Titles, ids and codes are named; students are only counted.
"""

import csv
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from pipeline.errors import printable
from pipeline.schema import LABELS, STANDARDS, UNMAPPED, Table
from pipeline.storage import formulas
from pipeline.storage.paths import Snapshot

KINDS = {
    "assessments": ("assessment", "assessments"),
    "unlabelled": ("title without curriculum or unit", "titles without curriculum or unit"),
    "standards": ("standard", "standards"),
    "unmatched_students": ("student not on the roster", "students not on the roster"),
}
"""What may be new, and the words for one and for several of it."""

_NAMED = 10


class Inventory(msgspec.Struct, frozen=True):
    """What a published set has: ids, titles and normalised codes, and a count of students.

    `unmatched_students` counts those with results who are not on the roster; None without one.
    """

    assessments: list[str]
    unlabelled: list[str]
    standards: list[str]
    unmatched_students: int | None


def take_inventory(paths: Snapshot, steps: Mapping[str, Mapping[str, Any]]) -> Inventory:
    """Return what the published tables of a school year have.

    Args:
        paths: the snapshot that is published.
        steps: what each step of it counted.
    """
    view, has_roster = steps["BuildViews"], steps["ReadRoster"]["students"]
    return Inventory(
        _values(paths, LABELS, "assessment_id"),
        _values(paths, UNMAPPED, "title"),
        _values(paths, STANDARDS, "normalised_code"),
        view["students"] - view["students on the roster"] if has_roster else None,
    )


def compare(now: Inventory, before: Inventory) -> dict[str, dict[str, Any]]:
    """Return what is new by kind: how much, and the names of the first few.

    Students are counted and have no names: it is by how many more than before.
    """
    names = ("assessments", "unlabelled", "standards")
    found = {name: _added(getattr(now, name), getattr(before, name)) for name in names}
    more = (now.unmatched_students or 0) - (before.unmatched_students or 0)
    is_known = None not in (now.unmatched_students, before.unmatched_students)
    found["unmatched_students"] = {"count": more if is_known else 0}
    return {name: of for name, of in found.items() if of["count"] > 0}


def _added(now: Collection[str], before: Collection[str]) -> dict[str, Any]:
    added = sorted({*now} - {*before}, key=lambda each: (len(each), each))
    return {"count": len(added), "names": added[:_NAMED]}


def _values(paths: Snapshot, table: Table, column: str) -> list[str]:
    """Return the distinct values of a column of a small table, unescaped and printable."""
    (path,) = paths.published_paths(table)
    with path.open(encoding="utf-8", newline="") as file:
        values = {row[column] for row in csv.DictReader(file)}
    return sorted(printable(formulas.unescape_text(value)) for value in values if value)
