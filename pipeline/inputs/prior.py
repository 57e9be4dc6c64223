"""Tables from before the pipeline: which files there are, and each as strict, clean CSV.

The files are personal data: an error tells file, line and column, and never what stands there.
"""

import csv
import glob
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from pipeline.errors import InputFileError, YearError
from pipeline.inputs import encodings
from pipeline.schema import COMBINED, GROUP, VIEW, Table
from pipeline.years import SchoolYear

_TABLES = (COMBINED, GROUP, VIEW)
_SPOKEN = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": encodings.WINDOWS}


class Prior(NamedTuple):
    """What a file from before the pipeline was found to hold: its rows by school year."""

    encoding: str
    rows: dict[str, int]


def find(place: str) -> dict[Path, Table]:
    """The files from before the pipeline, in order of their names, and the table of each.

    Args:
        place: a folder, of which all CSV files are taken, or a pattern like `/old/*/*.csv`.

    Raises:
        InputFileError: there is none, or a name does not begin with that of a table.
    """
    pattern = str(Path(glob.escape(place)) / "*.[cC][sS][vV]") if Path(place).is_dir() else place
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    if not paths:
        raise InputFileError(
            f"[paths] prior_years is {place}, and no file is there; mend it and run again."
        )
    return {path: _table_of(path) for path in paths}


def read(path: Path, table: Table, copy: Path, *, taken: Collection[str]) -> Prior:
    """Copy a file as UTF-8, with all columns of its table in their order and years like 22-23.

    Args:
        path: the file, in UTF-8, UTF-16 with a byte order mark, or Windows-1252.
        table: what it holds.
        copy: where the copy is written.
        taken: school years whose rows may not stand in it.

    Raises:
        InputFileError: a byte, a line or a column is not what it must be, or a year is taken.
    """
    with _opened(path) as (encoding, file), copy.open("w", encoding="utf-8", newline="") as clean:
        writer = csv.writer(clean)  # its line end, CR LF, makes it put quotes around both
        writer.writerow(table.names)
        rows: dict[str, int] = {}
        known: dict[str, str] = {}
        header, lines = _lines(path, file)
        columns = _columns(path, table, header)
        place = header.index("year")
        for number, cells in lines:
            text = cells[place]
            if text not in known:
                known[text] = _year(path, number, text, taken)
            year = cells[place] = known[text]
            writer.writerow(["" if column is None else cells[column] for column in columns])
            rows[year] = rows.get(year, 0) + 1
    return Prior(_SPOKEN[encoding], dict(sorted(rows.items())))


def _table_of(path: Path) -> Table:
    for table in _TABLES:
        if path.name.startswith(table.stem):
            return table
    names = ", ".join(table.stem for table in _TABLES)
    raise InputFileError(
        f"{path}: which table it holds cannot be told; let its name begin with one of {names}."
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, TextIO]]:
    """The file as strict text, and its encoding."""
    try:
        encoding = _encoding(path)
        file = path.open(encoding=encoding, newline="")
    except OSError as exc:
        raise InputFileError(
            f"{path} cannot be read ({exc.strerror}); mend its name or its rights and run again."
        ) from exc
    with file:
        yield encoding, file


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        if found := encodings.encoding_of(file):
            return found
        if encodings.likely(file) == encodings.WINDOWS and encodings.is_text(file, "cp1252"):
            return "cp1252"
    raise InputFileError(
        f"{path} is neither UTF-8, nor UTF-16 with a byte order mark, nor Windows-1252; save it "
        "as UTF-8 and run again."
    )


def _lines(path: Path, file: TextIO) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and each record that is not blank with the number of its last line."""
    reader = csv.reader(file, strict=True)

    def records() -> Iterator[tuple[int, list[str]]]:
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as exc:
            fault = f"it is no line of CSV ({exc})"
            raise _error(path, reader.line_num, fault) from exc

    lines = records()
    _, header = next(lines, (1, []))

    def whole() -> Iterator[tuple[int, list[str]]]:
        for number, cells in lines:
            if len(cells) != len(header):
                fault = f"it has {len(cells)} fields, and the header {len(header)}"
                raise _error(path, number, fault)
            yield number, cells

    return header, whole()


def _columns(path: Path, table: Table, header: Sequence[str]) -> list[int | None]:
    """Where each column of the table stands in the header; None where it does not.

    A header that lacks a key column may be no header, so its words are only told after that.
    """
    missing = [name for name in dict.fromkeys(("year", *table.key)) if name not in header]
    if missing:
        raise _error(path, 1, f"the header lacks {', '.join(missing)}")
    unknown = sorted(set(header) - set(table.names))
    if unknown:
        named = ", ".join(name or "one without a name" for name in unknown)
        raise _error(path, 1, f"the table {table.stem} has no column {named}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise _error(path, 1, f"the header has {', '.join(twice)} more than once")
    return [header.index(name) if name in header else None for name in table.names]


def _year(path: Path, number: int, text: str, taken: Collection[str]) -> str:
    try:
        year = str(SchoolYear.parse(text))
    except YearError:
        raise _error(path, number, "column year must hold a school year like 22-23") from None
    if year in taken:
        raise _error(path, number, f"its rows of {year} would stand twice, as the run builds them")
    return year


def _error(path: Path, number: int, fault: str) -> InputFileError:
    return InputFileError(f"{path}, line {number}: {fault}; mend the file and run again.")
