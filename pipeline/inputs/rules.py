"""Read title rules, which turn titles into labels, and overrides, which replace labels.

A file is refused at its first invalid line, with a message that names file, line and fault.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.inputs.grades import GRADES, SPELLINGS
from pipeline.inputs.lines import Line, read_lines
from pipeline.storage import formulas

TITLE_LABELS = ("test_type", "curriculum", "unit")
"""The labels that are read from a title."""
OVERRIDABLE = ("title", *TITLE_LABELS)
"""The columns that an override can replace."""
_RULE_HEADER = ("column", "pattern", "value")
_OVERRIDE_HEADER = ("assessment_id", "grade", *TITLE_LABELS, "title", "reason")
_NON_ASCII = re.compile(r"\\?([^\x00-\x7f])")
_SINGLE_DIGIT = re.compile(r"(?<!\d)\d(?!\d)")


class Label(NamedTuple):
    """A label and its origin: a line of the rules, `override`, or empty for the title as sent."""

    value: str
    origin: str = ""


@dataclass(frozen=True)
class TitleRule:
    """One line of the rules: a title that `pattern` matches gets the label `value`."""

    line: int
    column: str
    pattern: re.Pattern[str]
    value: str

    def label(self, text: str) -> str:
        """Return the label of a title (of a unit, for a `unit_labels` rule), or an empty text.

        Args:
            text: As `simplify` returns it.
        """
        if self.column != "unit_labels":
            match = self.pattern.search(text)
            return normalise_title(match.expand(self.value)) if match else ""
        match = self.pattern.fullmatch(text)
        label = normalise_title(match.expand(self.value)) if match else ""
        return _SINGLE_DIGIT.sub(r"0\g<0>", label)  # as text, 02 sorts before 10


@dataclass(frozen=True)
class TitleRules:
    """The rules of each column, in the order of the file."""

    by_column: Mapping[str, tuple[TitleRule, ...]]

    def find(self, column: str, text: str) -> Label | None:
        """Return the label from the first rule of `column` that has one for `text`."""
        simple = simplify(text)
        # Who copies a title from a CSV file may copy an apostrophe with it.
        spellings = dict.fromkeys([simple, formulas.escape_text(simple)])
        for rule in self.by_column[column]:
            for spelling in spellings:
                if value := rule.label(spelling):
                    return Label(value, f"line {rule.line}")
        return None


def normalise_title(text: str) -> str:
    """Replace each run of white space by one space, and remove it at both ends."""
    return " ".join(text.split())


def simplify(text: str) -> str:
    """Return the copy of a title that rules read, so that one meaning has one spelling.

    Every dash is a hyphen, digits and full-width characters are ASCII, invisible characters are
    gone, and white space is normalised.
    """
    return normalise_title("".join(map(_simple, text)))


@functools.cache
def _simple(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Pd" or character in "\N{MINUS SIGN}\N{SOFT HYPHEN}":
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf":
        return ""
    if "\uff01" <= character <= "\uff5e":  # the full-width forms of ASCII
        return chr(ord(character) - 0xFEE0)
    return " " if character.isspace() else character


def read_rules(path: Path) -> TitleRules:
    r"""Read a CSV file with the header `column,pattern,value`; cells are trimmed.

    `column` is test_type, curriculum, unit or unit_labels, `pattern` a regular expression, and
    `value` the label, in which `\1` or `\g<name>` refers to a group of the pattern. In a label of
    `unit_labels`, a single digit gets a zero in front.

    Raises:
        InputFileError: The file cannot be read, or a line is invalid.
    """
    rules = [_read_rule(line) for line in _read_lines(path, _RULE_HEADER)]
    columns = (*TITLE_LABELS, "unit_labels")
    return TitleRules({name: tuple(r for r in rules if r.column == name) for name in columns})


def read_overrides(path: Path) -> pd.DataFrame:
    """Read a CSV file with the header `assessment_id,grade,test_type,curriculum,unit,title,reason`.

    Returns:
        These columns in this order, one row per line: `grade` is Int64 (K = 0, null = every
        grade), all others are text; an empty cell is null.

    Raises:
        InputFileError: The file cannot be read, or a line is invalid.
    """
    records = []
    line_of: dict[tuple[str, int | None], int] = {}
    for line in _read_lines(path, _OVERRIDE_HEADER):
        record = _read_override(line)
        earlier = line_of.setdefault((record["assessment_id"], record["grade"]), line.number)
        if earlier != line.number:
            raise line.error(f"it repeats the assessment and grade of line {earlier}")
        records.append(record)
    return text_frame(records, _OVERRIDE_HEADER)


def empty_overrides() -> pd.DataFrame:
    """Return what `read_overrides` returns for a file with only a header."""
    return text_frame([], _OVERRIDE_HEADER)


def text_frame(records: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the records with exactly these columns: `grade` as Int64, all others as text."""
    types = {name: "Int64" if name == "grade" else "string" for name in columns}
    return pd.DataFrame(records, columns=list(columns), dtype=object).astype(types)


def _read_rule(line: Line) -> TitleRule:
    """Parse and check one rule."""
    column, pattern, value = line.cells
    if column not in (*TITLE_LABELS, "unit_labels"):
        raise line.error(f'"{column}" is not a column that rules can fill')
    if not pattern or not value:
        raise line.error(f"the {'value' if pattern else 'pattern'} is empty")
    try:
        compiled = re.compile(_NON_ASCII.sub(_simple_part, pattern), re.IGNORECASE)
    except (re.error, OverflowError) as exc:
        reason = exc.msg if isinstance(exc, re.error) else exc
        raise line.error(f'"{pattern}" is not a regular expression ({reason})') from exc
    try:
        # sub() reads the whole template even where nothing matches.
        compiled.sub(value, "")
    except (re.error, IndexError) as exc:
        raise line.error(f'the value "{value}" does not fit its pattern ({exc})') from exc
    return TitleRule(line.number, column, compiled, value)


def _simple_part(part: re.Match[str]) -> str:
    """Return what a character of a pattern, perhaps after a backslash, is in simplified titles."""
    simple = _simple(part[1])
    return part[0] if simple == part[1] else re.escape(simple)


def _read_override(line: Line) -> dict[str, Any]:
    """Parse and check one override; an empty cell is None."""
    cells = (normalise_title(formulas.unescape_text(cell)) or None for cell in line.cells)
    record: dict[str, Any] = dict(zip(_OVERRIDE_HEADER, cells, strict=True))
    if record["assessment_id"] is None:
        raise line.error("the assessment_id is empty")
    if not any(record[name] for name in OVERRIDABLE):
        raise line.error("it changes nothing (fill in test_type, curriculum, unit or title)")
    if (grade := record["grade"]) is not None:
        if grade.upper() not in GRADES:
            raise line.error(f'"{grade}" is not a grade ({SPELLINGS})')
        record["grade"] = GRADES[grade.upper()]
    return record


def _read_lines(path: Path, columns: tuple[str, ...]) -> Iterator[Line]:
    """Return the lines of a file whose header has exactly these columns."""
    header, lines = read_lines(path)
    if header.cells != list(columns):
        raise header.error(f'the header must read "{",".join(columns)}"')
    return lines
