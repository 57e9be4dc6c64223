"""Label assessments with test_type, curriculum and unit, by title rules and overrides.

Pure functions of frames; only `LabelTables.write` writes. Text columns have the dtype `string`, and
null is `pd.NA`.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.inputs.rules import (
    OVERRIDABLE,
    TITLE_LABELS,
    Label,
    TitleRules,
    normalise_title,
    text_frame,
)
from pipeline.storage import files, formulas

_LABELS = (*OVERRIDABLE, "unit_labels")


class LabelTables(NamedTuple):
    """Labels: the rows of LABELS and UNMAPPED, and the labels that hold for one grade only."""

    labels: pd.DataFrame
    unmapped: pd.DataFrame
    by_grade: pd.DataFrame

    def write(self, paths: Iterable[Path]) -> None:
        """Write each to a CSV file; those that people open in spreadsheets are escaped.

        Raises:
            StorageError: a file cannot be written.
        """
        frames = (escape(self.labels), escape(self.unmapped), self.by_grade)
        for frame, path in zip(frames, paths, strict=True):
            with files.atomic_write(path) as temporary:
                frame.to_csv(temporary, index=False, lineterminator="\n")


def label_tables(
    titles: Mapping[str, str | None],
    catalogue: Mapping[str, str | None],
    rules: TitleRules,
    overrides: pd.DataFrame,
    rows: Mapping[str, int],
) -> LabelTables:
    """Label every assessment with results.

    Args:
        titles: Those that results have, by assessment; where none has one, the catalogue's counts.
        catalogue: The title of each assessment that it lists.
        rules: Applied to titles.
        overrides: As `read_overrides` returns them.
        rows: The number of result rows by assessment.
    """
    known = [(i, catalogue.get(i) if title is None else title) for i, title in titles.items()]
    frame = pd.DataFrame(known, columns=["assessment_id", "title"], dtype="string")
    labels = label_assessments(frame, rules, overrides)
    by_grade = label_by_grade(labels, rules, overrides)
    return LabelTables(mark_listed(labels, catalogue), list_unmapped(labels, rows), by_grade)


def label_assessments(
    titles: pd.DataFrame, rules: TitleRules, overrides: pd.DataFrame
) -> pd.DataFrame:
    """Label each assessment by its title, then by its override for all grades.

    Args:
        titles: One row per assessment: `assessment_id`, `title` (text; the title may be null).
        rules: Applied to the title as sent, with its white space normalised.
        overrides: As `read_overrides` returns them; those for one grade are ignored.

    Returns:
        `assessment_id, title, test_type, curriculum, unit, unit_labels, matched_by`, text or
        null, in the order of `titles`. `matched_by` has the origin of each label, for instance
        `test_type: line 3; unit: override; unit_labels: line 60`.
    """

    @functools.cache
    def read(title: str) -> dict[str, Label]:
        found = {name: rules.find(name, title) for name in TITLE_LABELS}
        return {"title": Label(title)} | {name: label for name, label in found.items() if label}

    changes = {row["assessment_id"]: row for row in _filled(overrides) if "grade" not in row}
    records = []
    for row in _filled(titles):
        title = normalise_title(row.get("title", ""))
        change = changes.get(row["assessment_id"], {})
        labels = _resolve(read(title) if title else {}, change, rules)
        records.append({"assessment_id": row["assessment_id"], **_cells(labels)})
    return text_frame(records, ("assessment_id", *_LABELS, "matched_by"))


def mark_listed(labels: pd.DataFrame, catalogue: Collection[str]) -> pd.DataFrame:
    """Add `in_catalogue`: whether the catalogue, given by its ids, lists the assessment; t or f."""
    listed = ["t" if assessment in catalogue else "f" for assessment in labels["assessment_id"]]
    return labels.assign(in_catalogue=pd.array(listed, dtype="string"))


def label_by_grade(
    labels: pd.DataFrame, rules: TitleRules, overrides: pd.DataFrame
) -> pd.DataFrame:
    """Apply the overrides for one grade to the labels of their assessments.

    Args:
        labels: As `label_assessments` returns them.
        rules: Only those of `unit_labels` are applied.
        overrides: As `read_overrides` returns them; those without a grade are ignored.

    Returns:
        `assessment_id, grade, title, test_type, curriculum, unit, unit_labels`, one row per
        override with a grade whose assessment is in `labels`, in the order of `overrides`.
    """
    labelled = {row["assessment_id"]: row for row in _filled(labels)}
    records = []
    for change in _filled(overrides):
        if "grade" in change and change["assessment_id"] in labelled:
            row = labelled[change["assessment_id"]]
            found = {name: Label(row[name]) for name in OVERRIDABLE if name in row}
            records.append({**change, **_cells(_resolve(found, change, rules))})
    return text_frame(records, ("assessment_id", "grade", *_LABELS))


def list_unmapped(labels: pd.DataFrame, rows: Mapping[str, int]) -> pd.DataFrame:
    """Return the assessments without a curriculum or a unit, those with most rows first.

    Args:
        labels: As `label_assessments` returns them.
        rows: The number of result rows by assessment; 0 where absent.

    Returns:
        `assessment_id, title, test_type, curriculum, unit, rows` (Int64), by descending `rows`,
        then by `assessment_id`.
    """
    lacking = labels[labels["curriculum"].isna() | labels["unit"].isna()]
    counts = [rows.get(assessment_id, 0) for assessment_id in lacking["assessment_id"]]
    return (
        lacking[["assessment_id", *OVERRIDABLE]]
        .assign(rows=pd.array(counts, dtype="Int64"))
        .sort_values(["rows", "assessment_id"], ascending=[False, True], ignore_index=True)
    )


def list_unmatched(
    overrides: pd.DataFrame, labels: pd.DataFrame, catalogue: Collection[str]
) -> list[dict[str, Any]]:
    """Return the overrides that change nothing, because their assessment has no results.

    Args:
        overrides: As `read_overrides` returns them.
        labels: As `label_assessments` returns them.
        catalogue: The ids of all assessments, with results or not.

    Returns:
        For each, in their order, `assessment_id`, `grade` (None for all) and `is_listed`: whether
        the catalogue has it.
    """
    without_results = overrides[~overrides["assessment_id"].isin(labels["assessment_id"])]
    return [
        {
            "assessment_id": row["assessment_id"],
            "grade": row.get("grade"),
            "is_listed": row["assessment_id"] in catalogue,
        }
        for row in _filled(without_results)
    ]


def escape(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as its CSV file has it: text that is a formula with an apostrophe in front."""
    text: pd.DataFrame = table.select_dtypes("string")
    escaped = {name: text[name].map(formulas.escape_text, na_action="ignore") for name in text}
    return table.assign(**escaped)


def _resolve(
    found: Mapping[str, Label], change: Mapping[str, Any], rules: TitleRules
) -> dict[str, Label]:
    """Return the labels with an override applied, and the label of their unit."""
    changed = {name: Label(change[name], "override") for name in OVERRIDABLE if name in change}
    labels = {**found, **changed}
    if "unit" in labels and (label := rules.find("unit_labels", labels["unit"].value)):
        labels["unit_labels"] = label
    return labels


def _cells(labels: Mapping[str, Label]) -> dict[str, str | None]:
    """Return the values, and `matched_by`: the origin of each that is not the title as sent."""
    known = {name: labels[name] for name in _LABELS if name in labels}
    origins = [f"{name}: {label.origin}" for name, label in known.items() if label.origin]
    values = {name: label.value for name, label in known.items()}
    return {**values, "matched_by": "; ".join(origins) or None}


def _filled(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each row as a dictionary of the cells that are not null."""
    return [
        {str(name): cell for name, cell in row.items() if pd.notna(cell)}
        for row in frame.to_dict("records")
    ]
