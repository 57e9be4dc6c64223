"""Read CSV files that people maintain line by line, so that an error names the line.

Blank lines and lines that begin with # are left out; cells are trimmed.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import InputFileError


class Line(NamedTuple):
    """A line of a CSV file, its cells trimmed."""

    file: str
    number: int
    cells: list[str]

    def error(self, fault: str) -> InputFileError:
        """Return an error that names file, line and fault."""
        return InputFileError.at(f"{self.file}, line {self.number}", fault, "Fix the line")


def read_lines(path: Path) -> tuple[Line, Iterator[Line]]:
    """Return the header, and the lines below it, each with as many cells as the header has.

    Raises:
        InputFileError: the file cannot be read, or a line is invalid.
    """
    lines = _split(path)
    header = next(lines, Line(path.name, 1, []))
    return header, (_as_wide_as(header, line) for line in lines)


def _as_wide_as(header: Line, line: Line) -> Line:
    if len(line.cells) != len(header.cells):
        raise line.error(f"it has {len(line.cells)} cells where the header has {len(header.cells)}")
    return line


def _split(path: Path) -> Iterator[Line]:
    """Yield the lines of a CSV file that are neither blank nor a comment."""
    for number, text in enumerate(io.StringIO(_read_text(path), newline=None), start=1):
        # A spreadsheet may quote a comment, and fill a blank line with commas.
        if text.lstrip(' "').startswith("#") or not text.replace(",", "").strip():
            continue
        try:
            # Line by line, so that a missing quotation mark does not swallow the next lines.
            cells = next(csv.reader([text], strict=True))
        except csv.Error as exc:
            raise Line(path.name, number, []).error(f"it is not valid CSV ({exc})") from exc
        yield Line(path.name, number, [cell.strip() for cell in cells])


def _read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise InputFileError.unreadable(path, exc) from exc
    except UnicodeDecodeError as exc:
        line = Line(path.name, exc.object.count(b"\n", 0, exc.start) + 1, [])
        raise line.error("it is not UTF-8") from exc
