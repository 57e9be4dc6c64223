"""Titles of assessments -> test_type, curriculum and unit, by rules and overrides.

Pure functions of frames. Text columns have the dtype `string`, and null is `pd.NA`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.inputs.rules import (
    CHANGEABLE,
    FROM_TITLE,
    Found,
    TitleRules,
    normalise_title,
    text_frame,
)

_LABELS = (*CHANGEABLE, "unit_labels")


def label_assessments(
    titles: pd.DataFrame, rules: TitleRules, overrides: pd.DataFrame
) -> pd.DataFrame:
    """Label every assessment by its title, then by its override that is for all grades.

    Args:
        titles: One row per assessment: `assessment_id`, `title` (text; the title may be null).
        rules: Asked about the title as sent, once its white space is normalised.
        overrides: As `read_overrides` returns them; those with a grade are passed over.

    Returns:
        `assessment_id, title, test_type, curriculum, unit, unit_labels, matched_by`, text or
        null, in the order of `titles`. `matched_by` tells where each label is from, for instance
        `test_type: line 3; unit: override; unit_labels: line 60`.
    """

    @functools.cache
    def read(title: str) -> dict[str, Found]:
        found = {name: rules.find(name, title) for name in FROM_TITLE}
        return {"title": Found(title)} | {name: label for name, label in found.items() if label}

    changes = {row["assessment_id"]: row for row in _filled(overrides) if "grade" not in row}
    records = []
    for row in _filled(titles):
        title = normalise_title(row.get("title", ""))
        change = changes.get(row["assessment_id"], {})
        labels = _resolve(read(title) if title else {}, change, rules)
        records.append({"assessment_id": row["assessment_id"], **_cells(labels)})
    return text_frame(records, ("assessment_id", *_LABELS, "matched_by"))


def label_by_grade(
    labels: pd.DataFrame, rules: TitleRules, overrides: pd.DataFrame
) -> pd.DataFrame:
    """Resolve the overrides for one grade over the labels that their assessments have.

    Args:
        labels: As `label_assessments` returns them.
        rules: Only those of `unit_labels` are asked.
        overrides: As `read_overrides` returns them; those without a grade are passed over.

    Returns:
        `assessment_id, grade, title, test_type, curriculum, unit, unit_labels`, one row per
        override with a grade whose assessment is in `labels`, in the order of `overrides`.
    """
    labelled = {row["assessment_id"]: row for row in _filled(labels)}
    records = []
    for change in _filled(overrides):
        if "grade" in change and change["assessment_id"] in labelled:
            row = labelled[change["assessment_id"]]
            found = {name: Found(row[name]) for name in CHANGEABLE if name in row}
            records.append({**change, **_cells(_resolve(found, change, rules))})
    return text_frame(records, ("assessment_id", "grade", *_LABELS))


def unmapped(labels: pd.DataFrame, rows: Mapping[str, int]) -> pd.DataFrame:
    """The assessments without a curriculum or a unit, those that weigh most first.

    Args:
        labels: As `label_assessments` returns them.
        rows: How many result rows an assessment has; one that is not named has none.

    Returns:
        `assessment_id, title, test_type, curriculum, unit, rows` (Int64), by falling `rows`,
        then by `assessment_id`.
    """
    lacking = labels[labels["curriculum"].isna() | labels["unit"].isna()]
    counts = [rows.get(assessment_id, 0) for assessment_id in lacking["assessment_id"]]
    return (
        lacking[["assessment_id", *CHANGEABLE]]
        .assign(rows=pd.array(counts, dtype="Int64"))
        .sort_values(["rows", "assessment_id"], ascending=[False, True], ignore_index=True)
    )


def _resolve(
    found: Mapping[str, Found], change: Mapping[str, Any], rules: TitleRules
) -> dict[str, Found]:
    """The labels with the filled cells of an override over them, and the label of their unit."""
    changed = {name: Found(change[name], "override") for name in CHANGEABLE if name in change}
    labels = {**found, **changed}
    if "unit" in labels and (label := rules.find("unit_labels", labels["unit"].value)):
        labels["unit_labels"] = label
    return labels


def _cells(labels: Mapping[str, Found]) -> dict[str, str | None]:
    """The values, and `matched_by`: the origin of each that is not the title as sent."""
    known = {name: labels[name] for name in _LABELS if name in labels}
    origins = [f"{name}: {label.origin}" for name, label in known.items() if label.origin]
    values = {name: label.value for name, label in known.items()}
    return {**values, "matched_by": "; ".join(origins) or None}


def _filled(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row as a dictionary of the cells that are not null."""
    return [
        {str(name): cell for name, cell in row.items() if pd.notna(cell)}
        for row in frame.to_dict("records")
    ]
