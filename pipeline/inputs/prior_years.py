"""Find tables from before the pipeline, and copy each as clean CSV.

The files are personal data: an error names file, line and column, never a value.
"""

import csv
import glob
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from pipeline.errors import InputFileError, YearError
from pipeline.inputs import encodings
from pipeline.schema import COMBINED, GROUP, VIEW, Table
from pipeline.years import SchoolYear

Derivation = Callable[[Sequence[str]], str]
"""How a cell that a file lacks follows from the other cells of a row."""

_TABLES = (COMBINED, GROUP, VIEW)
# Files of the earlier scripts have these columns. The first says which kind of results a row is.
_KIND = "standard_no_standard"
_IGNORED = {_KIND, "__count", "count", "new_or_current"}
_RESPONSE_TYPES = {"no_standard": "overall", "standard": "standard"}
_ENCODING_NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": encodings.WINDOWS}


class PriorFile(NamedTuple):
    """The encoding of a file from before the pipeline, and its number of rows by school year."""

    encoding: str
    rows: dict[str, int]


def find_files(location: str) -> dict[Path, Table]:
    """Return the files from before the pipeline, in order of their names, and the table of each.

    Args:
        location: A folder, whose CSV files are taken, or a pattern like `/old/*/*.csv`.

    Raises:
        InputFileError: There is none, or a name does not begin with that of a table.
    """
    is_folder = Path(location).is_dir()
    pattern = str(Path(glob.escape(location)) / "*.[cC][sS][vV]") if is_folder else location
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    if not paths:
        raise InputFileError.at(location, "there is no CSV file", "Fix [paths] prior_years")
    return {path: _table_of(path) for path in paths}


def copy_clean(path: Path, table: Table, copy: Path, *, built: Collection[str]) -> PriorFile:
    """Copy a file as UTF-8, with all columns of its table in order and years like 22-23.

    A file of the earlier scripts may lack two columns. The year is then that at the end of its
    name, like `_21-22.csv`. `response_type` follows from `standard_no_standard`, or else from
    `standard_code`, which is `percent` for overall results.

    Args:
        path: The file, in UTF-8, UTF-16 with a byte order mark, or Windows-1252.
        table: The table it holds.
        copy: Where the copy is written.
        built: School years that the run builds, which must not be in the file.

    Raises:
        InputFileError: A byte, a line or a column is invalid, or a year is one of `built`.
    """
    with _opened(path) as (encoding, file), copy.open("w", encoding="utf-8", newline="") as clean:
        writer = csv.writer(clean)  # its line end, CR LF, makes it quote CR and LF in cells
        writer.writerow(table.names)
        rows: dict[str, int] = {}
        parsed: dict[str, str] = {}
        records = _records(path, file)
        _, header = next(records, (1, []))
        header = [name.strip().lower() for name in header]
        derived = _derive(path, table, header)
        columns = _columns(path, table, header, derived)
        year_at = table.names.index("year")
        for number, cells in records:
            row = [cells[at] if isinstance(at, int) else at(cells) for at in columns]
            text = row[year_at]
            if text not in parsed:
                parsed[text] = _year(path, number, text, built)
            year = row[year_at] = parsed[text]
            writer.writerow(row)
            rows[year] = rows.get(year, 0) + 1
    return PriorFile(_ENCODING_NAMES[encoding], dict(sorted(rows.items())))


def _table_of(path: Path) -> Table:
    for table in _TABLES:
        if path.name.startswith(table.stem):
            return table
    names = ", ".join(table.stem for table in _TABLES)
    fix = f"Rename the file so that its name begins with one of {names}"
    raise InputFileError.at(path, "its name matches no table", fix)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, TextIO]]:
    """Open a file as text; yield its encoding and the file."""
    try:
        encoding = _encoding(path)
        file = path.open(encoding=encoding, newline="")
    except OSError as exc:
        raise InputFileError.unreadable(path, exc) from exc
    with file:
        yield encoding, file


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        if found := encodings.detect(file):
            return found
        if encodings.guess(file) == encodings.WINDOWS and encodings.is_valid(file, "cp1252"):
            return "cp1252"
    fault = "it is neither UTF-8, nor UTF-16 with a byte order mark, nor Windows-1252"
    raise InputFileError.at(path, fault, "Save it as UTF-8")


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and each record that is not blank, with the number of its last line."""
    reader = csv.reader(file, strict=True)
    width = 0
    try:
        for cells in filter(None, reader):
            width = width or len(cells)
            if len(cells) != width:
                fault = f"it has {len(cells)} fields where the header has {width}"
                raise _error(path, reader.line_num, fault)
            yield reader.line_num, cells
    except csv.Error as exc:
        raise _error(path, reader.line_num, f"it is not valid CSV ({exc})") from exc


def _columns(
    path: Path, table: Table, header: Sequence[str], derived: Mapping[str, Derivation]
) -> list[int | Derivation]:
    """Return where each column of the table is in the header, or how it follows from a row.

    A line that lacks a key column may be data, so words of the header are only shown after that.
    """
    missing = [n for n in dict.fromkeys(("year", *table.key)) if n not in {*header, *derived}]
    if missing:
        no_year = ", and the file's name does not end like _21-22.csv" if "year" in missing else ""
        raise _error(path, 1, f"the header lacks {', '.join(missing)}{no_year}")
    unknown = sorted(set(header) - {*table.names, *_IGNORED})
    if unknown:
        named = ", ".join(name or "one without a name" for name in unknown)
        raise _error(path, 1, f"the table {table.stem} has no column {named}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise _error(path, 1, f"the header has {', '.join(repeated)} more than once")
    return [
        header.index(name) if name in header else derived.get(name, lambda _: "")
        for name in table.names
    ]


def _derive(path: Path, table: Table, header: Sequence[str]) -> dict[str, Derivation]:
    """Return how columns that the header lacks follow from the cells of a row, where they do."""
    derived: dict[str, Derivation] = {}
    if "year" not in header and (year := _year_of_name(path)):
        derived["year"] = lambda _: year
    if "response_type" not in header and (table is GROUP or "standard_code" in header):
        derived["response_type"] = _response_type(table, header)
    return derived


def _response_type(table: Table, header: Sequence[str]) -> Derivation:
    if table is GROUP:
        return lambda _: "group"
    code_at = header.index("standard_code")
    kind_at = header.index(_KIND) if _KIND in header else None

    def of_row(cells: Sequence[str]) -> str:
        by_code = "overall" if cells[code_at] == "percent" else "standard"
        return by_code if kind_at is None else _RESPONSE_TYPES.get(cells[kind_at].lower(), by_code)

    return of_row


def _year_of_name(path: Path) -> str:
    """Return the school year at the end of a file's name; empty if there is none."""
    match = re.search(r"(?<![0-9-])[0-9]+-[0-9]+$", path.stem)
    try:
        return str(SchoolYear.parse(match[0])) if match else ""
    except YearError:
        return ""


def _year(path: Path, number: int, text: str, built: Collection[str]) -> str:
    try:
        year = str(SchoolYear.parse(text))
    except YearError:
        raise _error(path, number, "column year must hold a school year like 22-23") from None
    if year in built:
        fault = f"rows of {year} would be duplicates, as the run builds that year"
        raise _error(path, number, fault)
    return year


def _error(path: Path, number: int, fault: str) -> InputFileError:
    return InputFileError.at(f"{path}, line {number}", fault)
