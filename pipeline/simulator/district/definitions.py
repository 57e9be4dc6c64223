"""The definition of an assessment, as `Assessment/<id>/View` gives it.

Public clients show its two keys, `export_version` and `assessment`, and nothing of what they hold.
ASSUMPTIONS: the fields of the catalogue, with bands, standards, reporting groups and questions; all
values are text, as in rows.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from pipeline.simulator.district.administrations import Administration, Row, Scoring, draw_scoring
from pipeline.simulator.district.planning import Assessment, catalogue_row
from pipeline.simulator.district.rng import seeded

View: TypeAlias = dict[str, Any]


def view(seed: int, of: Assessment) -> View:
    """Return an assessment as it was given last; one that was never given has no questions yet."""
    parts: dict[str, list[Row]] = {
        "performance_bands": [],
        "standards": [],
        "reporting_groups": [],
        "questions": [],
    }
    if of.administrations:
        given = of.administrations[-1]
        scoring = draw_scoring(given, seeded(seed, of.assessment_id, given.year))
        parts = {
            "performance_bands": list(_bands(scoring)),
            "standards": [vars(standard) for standard in given.standards],
            "reporting_groups": [vars(group) for group in given.groups],
            "questions": list(_questions(given, scoring)),
        }
    return {"export_version": "1", "assessment": {**catalogue_row(of), **parts}}


def _bands(scoring: Scoring) -> Iterator[Row]:
    for least, level, label in scoring.bands:
        yield {
            "performance_band_level": level,
            "performance_band_label": label,
            "minimum_value": str(least),
        }


def _questions(given: Administration, scoring: Scoring) -> Iterator[Row]:
    """Yield as many questions of one point for each standard as it has possible points."""
    codes = [
        standard.standard_code
        for standard, points in zip(given.standards, scoring.possible, strict=True)
        for _ in range(points)
    ]
    for number, code in enumerate(codes, start=1):
        yield {"number": str(number), "standard_code": code, "points_possible": "1"}
