"""Tables with pandas, frames in memory, as a script would do it."""

from pathlib import Path

import pandas as pd

STUDENT = "local_student_id"
LABELS = ["assessment_id", "test_type", "curriculum", "unit", "unit_labels"]

_VIEW = (
    *("data_source", "assessment_id", "year", "date_taken", "grade", STUDENT),
    *("test_type", "curriculum", "unit", "unit_labels", "title", "standard_code", "score"),
    *("performance_band_level", "performance_band_label", "proficiency", "mastered"),
    *("response_type", "points", "points_possible", "academic_benchmark_guid"),
)
_ATTEMPTS = ["response_type", "assessment_id", "standard_code", STUDENT, "academic_benchmark_guid"]
_STUDENT_NUMBER, _GRADE = "STUDENTS.Student_Number", "STUDENTS.Grade_Level"


def read_roster(path: Path) -> pd.DataFrame:
    """Student and grade."""
    roster = pd.read_csv(path, sep="\t", dtype={_STUDENT_NUMBER: str}, usecols=[0, 1])
    return roster.rename(columns={_STUDENT_NUMBER: STUDENT, _GRADE: "grade"})


def combine(overall: pd.DataFrame, standard: pd.DataFrame, year: str) -> pd.DataFrame:
    """Overall and standard results in one frame, without duplicates."""
    overall = overall.assign(response_type="overall", standard_code="percent")
    standard = standard.assign(response_type="standard")
    return pd.concat([overall, standard]).drop_duplicates().assign(year=year)


def group(rows: pd.DataFrame, year: str) -> pd.DataFrame:
    """Results by reporting group, without duplicates."""
    return rows.drop_duplicates().assign(year=year, response_type="group")


def view(combined: pd.DataFrame, labels: pd.DataFrame, roster: pd.DataFrame) -> pd.DataFrame:
    """The combined rows with labels and grades."""
    rows = combined.merge(labels, on="assessment_id", how="left")
    rows = rows.merge(roster, on=STUDENT, how="left")
    level, label = rows["performance_band_level"], rows["performance_band_label"]
    rows = rows.assign(
        data_source="illuminate",
        title=rows["title"].str.strip(),
        score=rows["percent_correct"].astype(float).round().astype("Int64"),
        proficiency=level + " " + label,
        grade=rows["grade"].astype("Int64"),
    )
    return rows[list(_VIEW)]


def latest(view: pd.DataFrame) -> pd.DataFrame:
    """Of each student, assessment and standard the latest attempt, and how many there were."""
    known = view.groupby(_ATTEMPTS, dropna=False)
    that_day = view.groupby([*_ATTEMPTS, "date_taken"], dropna=False)
    rows = view.assign(
        attempt=known["date_taken"].transform("nunique"),
        attempts=known["score"].transform("size"),
        attempts_that_day=that_day["score"].transform("size"),
    ).sort_values("date_taken", kind="stable", na_position="first")
    return rows.drop_duplicates(_ATTEMPTS, keep="last").sort_index()


def write(folder: Path, **tables: pd.DataFrame) -> None:
    """Each table as a CSV file of its name."""
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
