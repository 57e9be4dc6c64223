"""Read the students of a OneRoster 1.1 or 1.2 export: CSV files in a folder or a ZIP file.

`users.csv` has the students. Their schools are the organisations of type `school` in `orgs.csv`:
1.1 names a user's organisations in `users.csv`, 1.2 in `roles.csv`, which also has the roles.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

from pipeline.errors import InputFileError
from pipeline.inputs.sheets import Sheet, read_bytes, read_sheet

SCHOOL = "school"
"""The heading of the name of a student's school, after those of `users.csv`."""

Files = Mapping[str, Path | zipfile.Path]
"""The files of an export by name."""

_USERS, _ORGS, _ROLES = "users.csv", "orgs.csv", "roles.csv"
_EXPORT_AGAIN = "Export the CSV files of OneRoster 1.1 or 1.2 again"


def find_files(path: Path) -> Files | None:
    """Return the files of an export that are read; None if there is no export at the path.

    A folder is taken for one, and a ZIP file that holds `users.csv`, at whatever depth.

    Raises:
        InputFileError: The folder does not hold `users.csv`.
    """
    names = (_USERS, _ORGS, _ROLES)
    if path.is_dir():
        if not (path / _USERS).is_file():
            fault = f"the folder has no {_USERS}, so it is no export of OneRoster"
            raise InputFileError.at(path, fault, "Name a file, or a folder with such an export")
        return {name: path / name for name in names if (path / name).is_file()}
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        # Of several with one name, that which is least deep.
        members = sorted(archive.namelist(), key=lambda name: -name.count("/"))
    found = {Path(member).name: zipfile.Path(path, member) for member in members}
    return {name: found[name] for name in names if name in found} if _USERS in found else None


def read_students(files: Files) -> Sheet:
    """Return `users.csv` with its students only, and the names of their schools under SCHOOL.

    A student with several grades or schools has a row for each, all with the number of one line.

    Raises:
        InputFileError: A file cannot be read, or lacks a column that is needed.
    """
    users, roles = _read(files, _USERS, "sourcedId"), _students_by_role(files)
    if not roles and "role" not in users.header:
        fault = f"the header lacks role, and no student is in {_ROLES}"
        raise InputFileError.at(f"{_USERS}, line {users.header_line}", fault, _EXPORT_AGAIN)
    schools = _schools(files)
    rows = []
    for (line, cells), user in _records(users):
        if user["sourcedId"] not in roles and user.get("role", "").casefold() != "student":
            continue
        organisations = _split(user.get("primaryOrgSourcedId", "")) or roles.get(
            user["sourcedId"], _split(user.get("orgSourcedIds", ""))
        )
        named = [schools[each] for each in organisations if each in schools]
        for grade, school in product(_split(user.get("grades", "")) or [""], named or [""]):
            own = {"grades": grade}
            row = [own.get(*each) for each in zip(users.header, cells, strict=True)]
            rows.append((line, [*row, school]))
    if not rows:
        raise InputFileError.at(_USERS, "it has no student", _EXPORT_AGAIN)
    return replace(users, header=[*users.header, SCHOOL], rows=rows)


def _students_by_role(files: Files) -> dict[str, list[str]]:
    """Return the organisations of each student in `roles.csv`: of primary roles, if there is one.

    It is empty without that file, which 1.1 does not have.
    """
    primary: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    if _ROLES in files:
        roles = _read(files, _ROLES, "userSourcedId", "roleType", "role", "orgSourcedId")
        for _, role in _records(roles):
            if role["role"].casefold() == "student":
                found = primary if role["roleType"].casefold() == "primary" else others
                found.setdefault(role["userSourcedId"], []).append(role["orgSourcedId"])
    return others | primary


def _schools(files: Files) -> dict[str, str]:
    """Return the name of each school by its id; empty without `orgs.csv`."""
    if _ORGS not in files:
        return {}
    organisations = _read(files, _ORGS, "sourcedId", "name", "type")
    return {
        each["sourcedId"]: each["name"]
        for _, each in _records(organisations)
        if each["type"].casefold() == "school"
    }


def _read(files: Files, name: str, *needed: str) -> Sheet:
    if name not in files:
        raise InputFileError.at(name, "it is not in the folder", _EXPORT_AGAIN)
    file = files[name]
    try:
        content = read_bytes(file) if isinstance(file, Path) else file.read_bytes()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
        # RuntimeError: it has a password. NotImplementedError: an unknown compression.
        fault = "it cannot be read from the ZIP file, which is damaged or has a password"
        raise InputFileError.at(name, fault, _EXPORT_AGAIN) from None
    sheet = read_sheet(name, content, _EXPORT_AGAIN)
    if lacking := [each for each in needed if each not in sheet.header]:
        fault = f"the header lacks {' and '.join(lacking)}"
        raise InputFileError.at(f"{name}, line {sheet.header_line}", fault, _EXPORT_AGAIN)
    return sheet


def _records(sheet: Sheet) -> Iterator[tuple[tuple[int, list[str]], dict[str, str]]]:
    """Yield each row with its cells by heading, but for those that are to be deleted."""
    for line, cells in sheet.rows:
        record = dict(zip(sheet.header, cells, strict=True))
        if record.get("status", "").casefold() != "tobedeleted":
            yield (line, cells), record


def _split(text: str) -> list[str]:
    """Return the values of a cell that holds a list."""
    return [each.strip() for each in text.split(",") if each.strip()]
