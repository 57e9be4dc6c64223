"""Read text files with a header that people export: tabs, semicolons or commas between cells.

The files are personal data: an error has line numbers and counts, never a value.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputFileError
from pipeline.inputs import encodings

_LINES_NAMED = 4


@dataclass(frozen=True)
class Sheet:
    """A file of cells without white space around them; blank lines are left out.

    Attributes:
        name: The file's name, for messages.
        header_line: The number of the line with the headings.
        header: The headings.
        rows: The number of each line after it, and its cells, as many as there are headings.
        export_again: What to do if something is wrong with it, for messages.
    """

    name: str
    header_line: int
    header: list[str]
    rows: list[tuple[int, list[str]]]
    export_again: str


def read_sheet(name: str, content: bytes, export_again: str) -> Sheet:
    """Read a file that is UTF-8, or UTF-16 with a byte order mark.

    Args:
        name: The file's name, for messages.
        content: Its bytes.
        export_again: What to do if something is wrong with it, for messages.

    Raises:
        InputFileError: Its encoding would be a guess, it has no line after the header, or a line
            has another number of cells than the header.
    """
    encoding = encodings.detect(io.BytesIO(content))
    if encoding is None:
        fault = f"it is not UTF-8 and looks like {encodings.guess(io.BytesIO(content))}"
        raise InputFileError.at(name, fault, export_again)
    numbered = enumerate(io.StringIO(content.decode(encoding), newline=None), start=1)
    lines = [(line, text.rstrip("\n")) for line, text in numbered if text.strip()]
    delimiter = next((mark for mark in "\t;," if lines and mark in lines[0][1]), "\t")
    rows = [(line, cells) for line, text in lines if any(cells := _split(text, delimiter))]
    if len(rows) < 2:
        fault = "it has a header and no student" if rows else "it is empty"
        raise InputFileError.at(name, fault, export_again)
    (header_line, header), *rows = rows
    uneven = [line for line, cells in rows if len(cells) != len(header)]
    refuse_lines(name, uneven, f"the number of cells is not that of the header, {len(header)}")
    return Sheet(name, header_line, header, rows, export_again)


def refuse_lines(name: str, lines: Sequence[int], fault: str, fix: str = "Fix the roster") -> None:
    """Raise InputFileError if there are lines with this fault, naming the first few."""
    if not lines:
        return
    named = list(map(str, lines))
    if len(named) > _LINES_NAMED:
        named[_LINES_NAMED:] = [f"{len(named) - _LINES_NAMED} more"]
    *front, last = named
    place = f"lines {', '.join(front)} and {last}" if front else f"line {last}"
    raise InputFileError.at(f"{name}, {place}", fault, fix)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, or raise InputFileError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InputFileError.unreadable(path, exc) from exc


def _split(text: str, delimiter: str) -> list[str]:
    """Return the trimmed cells of a line; a quotation mark that does not quote a cell is data."""
    try:
        # Line by line, so that a quotation mark in a name does not join two of them.
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        cells = text.split(delimiter)
    return [cell.strip() for cell in cells]
