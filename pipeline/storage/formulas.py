"""Text that a spreadsheet would run as a formula: with an apostrophe in front, it only shows it.

Text that already begins with apostrophes before such a sign gets another, so that removing one
always gives the original. Each function has the form that its reader or writer needs.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# Tab and carriage return are skipped by spreadsheets; the last four are full-width =, +, - and @.
_SIGNS = "[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]"

FORMULA = f"^'*{_SIGNS}"
"""A regular expression, for Python, polars and DuckDB alike, that finds such text."""

_ESCAPED = f"^'('*{_SIGNS})"


def escape(text: "pl.Expr") -> "pl.Expr":
    """Return a column with an apostrophe before each formula."""
    import polars as pl

    return pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep()


def unescape(text: "pl.Expr") -> "pl.Expr":
    """Return a column as it was before `escape`."""
    return text.str.replace(_ESCAPED, "${1}")


def escape_sql(column: str) -> str:
    """Return what DuckDB computes `escape` of a column with."""
    is_formula = f"regexp_matches({column}, {_quoted(FORMULA)})"
    return f"CASE WHEN {is_formula} THEN chr(39) || {column} ELSE {column} END"


def unescape_sql(column: str) -> str:
    """Return what DuckDB computes `unescape` of a column with."""
    return f"regexp_replace({column}, {_quoted(_ESCAPED)}, '\\1')"


def escape_text(text: str) -> str:
    """Return a text with an apostrophe before it, if it is a formula."""
    return f"'{text}" if re.match(FORMULA, text) else text


def unescape_text(text: str) -> str:
    """Return a text as it was before `escape_text`."""
    return re.sub(_ESCAPED, r"\1", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
