"""The two files that say what titles mean: title rules, and overrides of what they give.

A file is refused at its first bad line, by a sentence that names file, line and fault.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.errors import InputFileError

FROM_TITLE = ("test_type", "curriculum", "unit")
"""The labels that are read from a title."""
CHANGEABLE = ("title", *FROM_TITLE)
"""What an override can change."""
_RULE_HEADER = ("column", "pattern", "value")
_OVERRIDE_HEADER = ("assessment_id", "grade", *FROM_TITLE, "title", "reason")
_GRADES = {"K": 0} | {
    spelling: grade for grade in range(-2, 15) for spelling in (f"{grade}", f"{grade:02}")
}


class Found(NamedTuple):
    """A label and where it is from: a line of the rules, an override, or the title as sent."""

    value: str
    origin: str = ""


@dataclass(frozen=True)
class TitleRule:
    """One line of the rules: what `pattern` matches gets the label `value`."""

    line: int
    column: str
    pattern: re.Pattern[str]
    value: str

    def label(self, text: str) -> str:
        """The label of a title (of a unit, if this is a `unit_labels` rule), or nothing."""
        whole = self.column == "unit_labels"
        match = self.pattern.fullmatch(text) if whole else self.pattern.search(text)
        return normalise_title(match.expand(self.value)) if match else ""


@dataclass(frozen=True)
class TitleRules:
    """The rules of every column, each in the order of the file."""

    by_column: Mapping[str, tuple[TitleRule, ...]]

    def find(self, column: str, text: str) -> Found | None:
        """The label from the first rule of `column` that has one for `text`."""
        for rule in self.by_column[column]:
            if value := rule.label(text):
                return Found(value, f"line {rule.line}")
        return None


def normalise_title(text: str) -> str:
    """The text with each run of white space, of any kind, made one space, and none at its ends."""
    return " ".join(text.split())


def read_rules(path: Path) -> TitleRules:
    r"""Read a CSV file with the header `column,pattern,value`; cells are trimmed.

    `column` is test_type, curriculum, unit or unit_labels, `pattern` a regular expression, and
    `value` what the label is, in which `\1` or `\g<name>` stands for a group of the pattern.

    Raises:
        InputFileError: the file cannot be read, or a line of it cannot be used.
    """
    rules = [_read_rule(line) for line in _read_lines(path, _RULE_HEADER)]
    columns = (*FROM_TITLE, "unit_labels")
    return TitleRules({name: tuple(r for r in rules if r.column == name) for name in columns})


def read_overrides(path: Path) -> pd.DataFrame:
    """Read a CSV file with the header `assessment_id,grade,test_type,curriculum,unit,title,reason`.

    Returns:
        These columns in this order, one row per line: `grade` is Int64 (K = 0, null = every
        grade), all others are text; an empty cell is null.

    Raises:
        InputFileError: the file cannot be read, or a line of it cannot be used.
    """
    records = []
    line_of: dict[tuple[str, int | None], int] = {}
    for line in _read_lines(path, _OVERRIDE_HEADER):
        record = _read_override(line)
        earlier = line_of.setdefault((record["assessment_id"], record["grade"]), line.number)
        if earlier != line.number:
            raise line.error(f"it has the assessment and the grade of line {earlier}")
        records.append(record)
    return text_frame(records, _OVERRIDE_HEADER)


def no_overrides() -> pd.DataFrame:
    """What `read_overrides` returns for a file with no line but its header."""
    return text_frame([], _OVERRIDE_HEADER)


def text_frame(records: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """The records with exactly these columns: `grade` as Int64, all others as text."""
    types = {name: "Int64" if name == "grade" else "string" for name in columns}
    return pd.DataFrame(records, columns=list(columns), dtype=object).astype(types)


class _Line(NamedTuple):
    """A line of a CSV file that people keep, its cells trimmed."""

    file: str
    number: int
    cells: list[str]

    def error(self, fault: str) -> InputFileError:
        """The error that names file, line and fault."""
        place = f"{self.file}, line {self.number}"
        return InputFileError(f"{place}: {fault}; mend the line and run again.")


def _read_rule(line: _Line) -> TitleRule:
    """Check the line of one rule."""
    column, pattern, value = line.cells
    if column not in (*FROM_TITLE, "unit_labels"):
        raise line.error(f'"{column}" is no column that rules can fill')
    if not pattern or not value:
        raise line.error(f"the {'value' if pattern else 'pattern'} is empty")
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError) as exc:
        reason = exc.msg if isinstance(exc, re.error) else exc
        raise line.error(f'"{pattern}" is no regular expression ({reason})') from exc
    try:
        # sub() reads the whole template even where nothing matches.
        compiled.sub(value, "")
    except (re.error, IndexError) as exc:
        raise line.error(f'the value "{value}" does not fit its pattern ({exc})') from exc
    return TitleRule(line.number, column, compiled, value)


def _read_override(line: _Line) -> dict[str, Any]:
    """Check the line of one override; an empty cell is None."""
    cells = (normalise_title(cell) or None for cell in line.cells)
    record: dict[str, Any] = dict(zip(_OVERRIDE_HEADER, cells, strict=True))
    if record["assessment_id"] is None:
        raise line.error("the assessment_id is empty")
    if not any(record[name] for name in CHANGEABLE):
        raise line.error("it changes nothing (fill test_type, curriculum, unit or title)")
    if (grade := record["grade"]) is not None:
        if grade.upper() not in _GRADES:
            raise line.error(f'"{grade}" is no grade (K, or a whole number from -2 to 14)')
        record["grade"] = _GRADES[grade.upper()]
    return record


def _read_lines(path: Path, header: tuple[str, ...]) -> Iterator[_Line]:
    """The lines below the header, each with as many cells as the header has."""
    lines = _split(path)
    first = next(lines, _Line(path.name, 1, []))
    if first.cells != list(header):
        raise first.error(f'the header must read "{",".join(header)}"')
    for line in lines:
        if len(line.cells) != len(header):
            raise line.error(f"it has {len(line.cells)} cells where the header has {len(header)}")
        yield line


def _split(path: Path) -> Iterator[_Line]:
    """The lines of a CSV file that are neither blank nor a comment."""
    for number, text in enumerate(io.StringIO(_read_text(path), newline=None), start=1):
        # A spreadsheet may quote a comment, and fill a blank line with commas.
        if text.lstrip(' "').startswith("#") or not text.replace(",", "").strip():
            continue
        try:
            # One line at a time, so that a forgotten quotation mark cannot swallow the next ones.
            cells = next(csv.reader([text], strict=True))
        except csv.Error as exc:
            raise _Line(path.name, number, []).error(f"it is no line of CSV ({exc})") from exc
        yield _Line(path.name, number, [cell.strip() for cell in cells])


def _read_text(path: Path) -> str:
    """The content of a UTF-8 file, with or without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise InputFileError(
            f"{path} cannot be read ({exc.strerror}); mend its name or its rights and run again."
        ) from exc
    except UnicodeDecodeError as exc:
        line = _Line(path.name, exc.object.count(b"\n", 0, exc.start) + 1, [])
        raise line.error("it is not UTF-8") from exc
