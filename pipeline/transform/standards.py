"""Standards: the spellings that results have of each, and one code that all of them share."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.ids import trim
from pipeline.schema import STANDARDS
from pipeline.storage import files, formulas
from pipeline.transform.values import escape_formulas

_PREFIXES = (
    *("CCSSMATHEMATICS", "CCSSMATHCONTENT", "CCSSMATHPRACTICE", "CCSSMATH"),
    *("CCSSELALITERACY", "CCSSELA", "CCSSLITERACY", "CCSS", "NGSS"),
)
"""What some spellings have before the code of a standard, the longest of several first."""

_BETWEEN_NUMBERS = re.compile(r"(?<=\d)[\W_]+(?=\d)")
_OTHER_PUNCTUATION = re.compile(r"[^\w.]|_|(?<!\d)\.|\.(?!\d)")
_SPELLING = ("standard_code", "academic_benchmark_guid")


class Spelling(NamedTuple):
    """A code and a guid under which results name a standard; either may be null."""

    code: str | None
    guid: str | None


def count_spellings(combined: pl.LazyFrame) -> pl.DataFrame:
    """Return the spellings in some rows of the combined table, for `list_standards`."""
    description = pl.col("standard_description")
    return (
        combined.filter(pl.col("response_type") == "standard")
        .group_by(_SPELLING)
        .agg(pl.when(description != "").then(description).min(), rows=pl.len())
        .collect(engine="streaming")
    )


def list_standards(counted: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return STANDARDS: every spelling in the combined table.

    Args:
        counted: `count_spellings` of parts of the table; together they have all rows.
    """
    # Not of millions of rows: that takes three times as long as counting them.
    known = pl.concat(counted).with_columns(pl.col(_SPELLING).replace("", None))
    found = known.group_by(_SPELLING).agg(
        pl.col("standard_description").min(), pl.col("rows").sum()
    )
    spellings = list(map(Spelling._make, found.select(_SPELLING).iter_rows()))
    codes = normalise_codes(spellings)
    normalised = pl.Series([codes[each] for each in spellings], dtype=pl.String)
    return (
        found.with_columns(normalised_code=normalised).select(STANDARDS.names).sort(STANDARDS.key)
    )


def write_standards(listed: pl.DataFrame, path: Path) -> None:
    """Write STANDARDS to its CSV file.

    Raises:
        StorageError: it cannot be written.
    """
    with files.atomic_write(path) as temporary:
        escape_formulas(listed.lazy(), STANDARDS).collect().write_csv(temporary)


def read_spellings(standards: Path) -> pl.LazyFrame:
    """Return the text columns of STANDARDS, of each spelling, from its CSV file."""
    names = STANDARDS.of_kind("text")
    rows = pl.scan_csv(standards, infer_schema=False, glob=False).select(names)
    return rows.with_columns(formulas.unescape(pl.col(names)))


def normalise_codes(spellings: Collection[Spelling]) -> dict[Spelling, str | None]:
    """Return one code for all spellings of a standard, distinct from those of all other standards.

    Spellings with one guid are of one standard. A spelling without a guid is of the standard that
    has its bare code, if there is only one; else of a standard of its own. The code is the
    shortest bare code that only this standard has, or one that others have too, with the guid.
    It is null where there is neither code nor guid.
    """
    codes: dict[str, set[str]] = defaultdict(set)
    guids: dict[str, set[str]] = defaultdict(set)
    bare = {each: (_bare_code(each.code), trim(each.guid or "").upper()) for each in spellings}
    for code, guid in bare.values():
        if guid:
            codes[guid] |= {code} - {""}
            guids[code].add(guid)

    def name(guid: str) -> str:
        by_length = sorted(codes[guid], key=lambda code: (len(code), code))
        own = [code for code in by_length if len(guids[code]) == 1]
        return own[0] if own else " ".join([*by_length[:1], guid])

    def find(code: str, guid: str) -> str | None:
        of_code = guids.get(code, set()) if code else set()
        known = guid or (next(iter(of_code)) if len(of_code) == 1 else "")
        return name(known) if known else code or None

    return {each: find(*parts) for each, parts in bare.items()}


def _bare_code(code: str | None) -> str:
    """Return a code in capitals, without punctuation and known prefixes.

    A dot stays between two numbers: 1.11 and 11.1 are two standards.
    """
    upper = trim(code or "").upper()
    bare = _OTHER_PUNCTUATION.sub("", _BETWEEN_NUMBERS.sub(".", upper))
    known = next(filter(bare.startswith, _PREFIXES), "")
    return bare.removeprefix(known) or bare or upper
