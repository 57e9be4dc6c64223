"""The expected tables, computed in plain Python from the simulated district."""

import csv
import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from pipeline.simulator import District
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)

COMBINED = [
    "year",
    "response_type",
    "assessment_id",
    "title",
    "standard_code",
    "standard_description",
    "academic_benchmark_guid",
    "version",
    "version_label",
    "local_student_id",
    "first_name",
    "last_name",
    "middle_name",
    "date_taken",
    "points",
    "points_possible",
    "percent_correct",
    "performance_band_level",
    "performance_band_label",
    "mastered",
]
GROUP = [
    "year",
    "response_type",
    "assessment_id",
    "title",
    "reporting_group_id",
    "reporting_group",
    "local_student_id",
    "first_name",
    "last_name",
    "middle_name",
    "date_taken",
    "points",
    "points_possible",
    "percent_correct",
    "performance_band_level",
    "performance_band_label",
    "mastered",
]
VIEW = [
    "data_source",
    "assessment_id",
    "year",
    "date_taken",
    "grade",
    "local_student_id",
    "test_type",
    "curriculum",
    "unit",
    "unit_labels",
    "title",
    "standard_code",
    "score",
    "performance_band_level",
    "performance_band_label",
    "proficiency",
    "mastered",
    "response_type",
    "points",
    "points_possible",
    "academic_benchmark_guid",
]
LATEST = [*VIEW, "attempt", "attempts", "attempts_that_day"]

Row = dict[str, str]

_STANDARD = ("response_type", "assessment_id", "standard_code")


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def published(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what people see, given all files of a data folder by their relative paths.

    Both folders have a description, so that of the views is called as in a copy.
    """
    views = {
        name.removeprefix("views/").replace("datapackage", "views.datapackage"): data
        for name, data in files.items()
        if name.startswith("views/")
    }
    place = "illuminate/"
    tables = {n.removeprefix(place): data for n, data in files.items() if n.startswith(place)}
    return views | tables


def read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def catalogue_ids(district: District) -> list[str]:
    return sorted({str(row["assessment_id"]) for row in district.catalogue})


def published_ids(district: District) -> list[str]:
    """Return all that a run finds: those of the catalogue, and those with results beside it."""
    return sorted({*catalogue_ids(district), *district.unlisted_ids(YEAR)})


def combined(district: District, ids: list[str]) -> list[Row]:
    """Return the combined table, in its order."""
    overall = _rows(district, "overall", ids, {"standard_code": "percent"}, COMBINED)
    key = ("assessment_id", "standard_code", "version", "local_student_id", "date_taken")
    standard = _rows(district, "standard", ids, {}, COMBINED)
    return _ordered(overall, key) + _ordered(standard, key)


def group(district: District, ids: list[str]) -> list[Row]:
    """Return the table by reporting group, in its order."""
    key = ("assessment_id", "reporting_group_id", "local_student_id", "date_taken")
    return _ordered(_rows(district, "group", ids, {}, GROUP), key)


def view_of(row: Row, grades: dict[str, str]) -> Row:
    """Return the view's row for a combined row, without labels."""
    level, label = row["performance_band_level"], row["performance_band_label"]
    return {
        "data_source": "illuminate",
        "grade": grades.get(row["local_student_id"], ""),
        "score": _score(row["percent_correct"]),
        "proficiency": f"{level} {label}" if level and label else "",
        **{
            name: row[name]
            for name in (
                *("assessment_id", "year", "date_taken", "local_student_id", "standard_code"),
                *("performance_band_level", "performance_band_label", "mastered"),
                *("response_type", "points", "points_possible", "academic_benchmark_guid"),
            )
        },
    }


def latest(combined: list[Row], view: list[Row]) -> list[Row]:
    """Return the latest attempts of a view, in its order, with their numbers."""
    guids: dict[tuple[str, ...], set[str]] = {}
    for row in combined:
        guids.setdefault(tuple(row[name] for name in _STANDARD), set()).add(
            row["academic_benchmark_guid"]
        )
    attempts: dict[tuple[str, ...], list[int]] = {}
    for position, row in enumerate(combined):
        standard, student = tuple(row[name] for name in _STANDARD), row["local_student_id"]
        only = guids[standard] - {""} if len(guids[standard] - {""}) == 1 else ()
        guid = next(iter(only), row["academic_benchmark_guid"])
        alone = "" if student and row["standard_code"] else str(position)
        attempts.setdefault((*standard, student, guid, alone), []).append(position)
    found = {}
    for positions in attempts.values():
        days = [combined[position]["date_taken"] for position in positions]
        last = max(positions, key=lambda position: (*_rank(combined[position]), position))
        found[last] = {
            **view[last],
            "attempt": str(len(set(days))),
            "attempts": str(len(days)),
            "attempts_that_day": str(days.count(combined[last]["date_taken"])),
        }
    return [found[position] for position in sorted(found)]


def _rank(row: Row) -> tuple[str | float, ...]:
    """Return what decides which attempt is the latest; what is no number is below all numbers."""
    numbers = (row[name] for name in ("percent_correct", "points", "version"))
    ranks = (float(text) if _is_number(text) else -math.inf for text in numbers)
    return row["date_taken"], *ranks, row["version"]


def standards(combined: list[Row]) -> list[Row]:
    """Return the spellings of standards in the combined table, in their order."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in combined:
        if row["response_type"] == "standard":
            spelling = row["standard_code"], row["academic_benchmark_guid"]
            rows.setdefault(spelling, []).append(row["standard_description"])
    owners: dict[str, set[str]] = {}
    for code, guid in rows:
        owners.setdefault(_bare(code), set()).update({guid} - {""})
    found = []
    for (code, guid), descriptions in rows.items():
        of_code = owners[_bare(code)]
        owner = guid or (next(iter(of_code)) if len(of_code) == 1 else "")
        own = [bare for bare, guids in owners.items() if owner and guids == {owner}]
        shared = [bare for bare, guids in owners.items() if owner and owner in guids]
        normalised = min(own, key=lambda bare: (len(bare), bare), default=None) or (
            f"{min(shared, key=lambda bare: (len(bare), bare))} {owner}" if owner else _bare(code)
        )
        found.append(
            {
                "standard_code": code,
                "academic_benchmark_guid": guid,
                "standard_description": min(filter(None, descriptions), default=""),
                "normalised_code": normalised,
                "rows": str(len(descriptions)),
            }
        )
    return _ordered(found, ("normalised_code", "standard_code", "academic_benchmark_guid"))


def _bare(code: str) -> str:
    """Return a code as no spelling changes it; the simulator's have only these two prefixes."""
    for prefix in ("CCSS.Math.Content.", "CCSS.ELA-Literacy."):
        code = code.removeprefix(prefix)
    parts = "".join(each if each.isalnum() else " " for each in code.upper()).split()
    bare = ""
    for part in parts:
        bare += f".{part}" if bare[-1:].isdigit() and part[0].isdigit() else part
    return bare


def one_space(title: str) -> str:
    return " ".join(title.split())


def _rows(
    district: District, endpoint: str, ids: list[str], fixed: Row, columns: list[str]
) -> list[Row]:
    rows = []
    for assessment_id in ids:
        sent = district.results(endpoint, assessment_id, YEAR.first_day, YEAR.last_day)
        distinct = {tuple(sorted(row.items(), key=lambda i: i[0])): row for row in sent}
        for row in distinct.values():
            full = {"year": "23-24", "response_type": endpoint, **row, **fixed}
            rows.append({name: _clean(name, full.get(name)) for name in columns})
    return rows


def _clean(name: str, text: str | None) -> str:
    if text is None:
        return ""
    if name in {"assessment_id", "local_student_id"}:
        return text.strip()
    if name in {"points", "points_possible", "percent_correct"}:
        return text if _is_number(text) else ""
    if name == "date_taken":
        return text if _is_date(text) else ""
    return text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _score(percent: str) -> str:
    if not percent:
        return ""
    return str(int((Decimal(percent) + Decimal("0.5")).to_integral_value(ROUND_FLOOR)))


def _ordered(rows: list[Row], key: tuple[str, ...]) -> list[Row]:
    return sorted(rows, key=lambda row: [row[name].encode() for name in key])
