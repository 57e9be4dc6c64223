"""The groups of students that the report counts, and the names of their columns.

A group is the students of one grade, at one school where the roster names schools, with a result
in one assessment, or in one of its standards or reporting groups. Each student counts once in it.
No two groups of a kind share a result, so every total is the sum of groups.
"""

KEY = ("kind", "school", "grade", "assessment_id", "part")
"""What identifies a group; `part` is the standard or reporting group, empty for the whole."""

LABELS = ("curriculum", "unit", "unit_labels", "title")
"""What the title rules say of an assessment, for a grade."""

BANDS = (
    "Level 1",
    "Level 2",
    "Level 3 and up, not mastered",
    "Up to level 3, mastered",
    "Level 4",
    "Level 5 and up",
)
"""Performance bands in order. Band sets differ between assessments, so mastery divides them."""

BANDS_BELOW = 3
"""How many of them are below mastery."""

CUTS = tuple(f"from_band_{band}" for band in range(1, len(BANDS)))
"""Columns of the students in a band or a higher one, for all bands but the lowest."""

MASTERED = CUTS[BANDS_BELOW - 1]
"""The column of the students who mastered the assessment."""

ALL_GRADES = 99
"""The grade of all students where there is no roster."""

NO_SCHOOL = ""
"""The school of all students where the roster names none."""


def grade_name(grade: int) -> str:
    """Return a grade's usual name: Pre-K, K, 1, 2 ..."""
    return {0: "K", -1: "Pre-K", -2: "Pre-K 3", ALL_GRADES: "all"}.get(grade, str(grade))
