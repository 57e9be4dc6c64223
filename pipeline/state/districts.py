"""Read districts.csv, which lists the districts of a state run; it holds no secret."""

import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.illuminate.address import Address
from pipeline.inputs.lines import Line, read_lines

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_REQUIRED = ("district", "base_url", "secrets_folder")
_PATHS = ("rosters", "title_rules", "manual_changes")


@dataclass(frozen=True)
class District:
    """A line of districts.csv, its paths absolute; an optional cell that is empty stays empty.

    Attributes:
        district: its name, in every key and path.
        base_url: the address of its API.
        rosters: its student roster; `{year}` is filled in by its run.
        title_rules: its title rules.
        manual_changes: its overrides.
        secrets_folder: the folder of its credentials, in files named like the variables.
        time_zone: where its day ends; empty: that of this machine.
    """

    district: str
    base_url: str
    rosters: str
    title_rules: str
    manual_changes: str
    secrets_folder: str
    time_zone: str


COLUMNS = tuple(field.name for field in fields(District))
"""The columns that districts.csv may have, in any order."""


def read_districts(path: Path, *, secrets_are_here: bool = True) -> list[District]:
    """Return the districts in the order of the file; relative paths are relative to its folder.

    Args:
        path: the file.
        secrets_are_here: whether this host has the folders of the credentials; workers may be the
            only ones that do.

    Raises:
        InputFileError: the file cannot be read, or a line is invalid; the message names it.
    """
    header, lines = read_lines(path)
    _check_header(header)
    districts: list[District] = []
    line_of: dict[str, int] = {}
    for line in lines:
        cells = dict.fromkeys(COLUMNS, "") | dict(zip(header.cells, line.cells, strict=True))
        district, source = _read_district(line, cells, path.absolute().parent)
        if secrets_are_here and not Path(district.secrets_folder).is_dir():
            fault = f"there is no folder {district.secrets_folder}, which secrets_folder names"
            raise line.error(fault)
        for key, what in ((district.district, "the district"), (source, "the base_url")):
            earlier = line_of.setdefault(key, line.number)
            if earlier != line.number:
                raise line.error(f"it repeats {what} of line {earlier}")
        districts.append(district)
    if not districts:
        raise header.error("no district follows the header")
    return districts


def _check_header(header: Line) -> None:
    for name in header.cells:
        if name not in COLUMNS:
            raise header.error(f'"{name}" is not a column; those are {", ".join(COLUMNS)}')
        if header.cells.count(name) > 1:
            raise header.error(f"the column {name} is there twice")
    for name in _REQUIRED:
        if name not in header.cells:
            raise header.error(f"the column {name} is missing")


def _read_district(line: Line, cells: Mapping[str, str], folder: Path) -> tuple[District, str]:
    """Return the district of a line, and its source in the one spelling of its address."""
    for name in _REQUIRED:
        if not cells[name]:
            raise line.error(f"the {name} is empty")
    if not _NAME.fullmatch(cells["district"]):
        raise line.error(
            f'"{cells["district"]}" cannot name a folder and a partition; use at most 63 of '
            "a to z, 0 to 9, - and _, the first a letter or a digit"
        )
    _check_time_zone(line, cells["time_zone"])
    secrets = str(folder / cells["secrets_folder"])
    paths = {name: str(folder / cells[name]) if cells[name] else "" for name in _PATHS}
    return District(**{**cells, **paths, "secrets_folder": secrets}), _source(line, cells)


def _source(line: Line, cells: Mapping[str, str]) -> str:
    try:
        return Address.parse(cells["base_url"]).source
    except SettingsError as error:
        raise line.error(
            str(error).replace("ILLUMINATE_BASE_URL", "base_url").rstrip(".")
        ) from None


def _check_time_zone(line: Line, name: str) -> None:
    if not name:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        fault = f'"{name}" is no time zone that this machine knows; write it like America/Denver'
        raise line.error(fault) from None
