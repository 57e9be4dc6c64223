"""Read replies of several pages, and verify them.

A page is `{"page", "num_pages", "num_results", "results"}`; every row repeats `num_results` as
`__count`. `decode` checks a page alone, `read_all` the pages of one reply together. Nothing here
knows HTTP: pages come from a function that is given their numbers.
"""

import contextlib
import functools
import itertools
import operator
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from pipeline.errors import PaginationError, ResponseError, TooManyPagesError, TransientError
from pipeline.illuminate.endpoints import Endpoint

COUNT_FIELD = "__count"
# PostgreSQL's limit, in bytes; the rest of a longer name is cut off silently.
_LONGEST_NAME = 63


class _Envelope(msgspec.Struct):
    page: int
    num_pages: int
    num_results: int


class _AnyRows(_Envelope):
    results: list[dict[str, Any]]


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Floats are kept as the text that was sent, so that no digit is lost or invented.
_any_rows = msgspec.json.Decoder(_AnyRows, float_hook=lambda text: msgspec.Raw(text.encode()))


@dataclass(frozen=True)
class Page:
    """One page, decoded: its numbers, and its rows as text.

    The columns of `rows` are `fields`, the endpoint's own, then unknown fields by name.
    """

    number: int
    num_pages: int
    num_results: int
    fields: tuple[str, ...]
    rows: pl.DataFrame


def decode(content: bytes, endpoint: Endpoint, expected_page: int) -> Page:
    """Decode and check one page.

    Returns the rows without `__count`. Values are the text that was sent, nested values JSON, and
    a field that a row lacks is null.

    Raises:
        TransientError: the body is no complete JSON in UTF-8, or not a page of this endpoint.
        ResponseError: an unknown field has a name that no column can have.
    """
    body = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        # To read known fields by a decoder of their own takes a sixth off fetching full pages.
        envelope, counts, rows = _decode_known(body, endpoint) or _decode_any(body, endpoint)
    except msgspec.ValidationError as error:
        # msgspec names the place and the type that was expected, never the value.
        raise TransientError(f"the reply is not a page of results ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TransientError("the reply is not complete JSON in UTF-8") from None
    _check_numbers(envelope, counts, expected_page)
    total = envelope.num_results
    return Page(envelope.page, envelope.num_pages, total, endpoint.fields, rows)


_Decoded = tuple[_Envelope, set[str | None], pl.DataFrame]
"""A page's numbers, all values of `__count`, and its rows."""


def _decode_known(body: bytes, endpoint: Endpoint) -> _Decoded | None:
    """Decode a page of known fields whose rows are text or null; return None for any other."""
    try:
        page = _known_decoder(endpoint).decode(body)
    except msgspec.ValidationError:
        return None
    counts = {row.count for row in page.results} - {msgspec.UNSET}
    values = {
        name: list(map(operator.attrgetter(f"field_{number}"), page.results))
        for number, name in enumerate(endpoint.fields)
    }
    return page, counts, pl.DataFrame(values, schema=_text(endpoint.fields))


@functools.cache
def _known_decoder(endpoint: Endpoint) -> msgspec.json.Decoder[Any]:
    text, unset = str | None, msgspec.UNSET
    defaults = {n: msgspec.NODEFAULT if n in endpoint.required else None for n in endpoint.fields}
    fields = [
        (f"field_{number}", text, msgspec.field(name=name, default=default))
        for number, (name, default) in enumerate(defaults.items())
    ]
    count = ("count", text | msgspec.UnsetType, msgspec.field(name=COUNT_FIELD, default=unset))
    row = msgspec.defstruct(
        "Row", [*fields, count], forbid_unknown_fields=True, gc=False, kw_only=True
    )
    results = ("results", list[row])  # type: ignore[valid-type]
    page = msgspec.defstruct("Page", [results], bases=(_Envelope,), forbid_unknown_fields=True)
    return msgspec.json.Decoder(page)


def _decode_any(body: bytes, endpoint: Endpoint) -> _Decoded:
    """Decode a page with unknown fields, in rows or beside them, or with values not text."""
    # What the decoder skips must be UTF-8 as well. Only here, because a second copy of each page
    # takes a fifth more memory of a whole fetch.
    body.decode()
    page = _any_rows.decode(body)
    lacking = {name for row in page.results for name in endpoint.required - row.keys()}
    if lacking:
        settings = sorted(f"{new}_field" for old, new in endpoint.renames.items() if old in lacking)
        hint = f"; if it has another name, set [illuminate] {', '.join(settings)}"
        lacked = ", ".join(sorted(lacking))
        raise TransientError(f"rows lack the field {lacked}{hint if settings else ''}")
    rows = [{name: _as_text(value) for name, value in row.items()} for row in page.results]
    counts = {row.pop(COUNT_FIELD) for row in rows if COUNT_FIELD in row}
    columns = _in_order({name for row in rows for name in row}, endpoint.fields)
    _check_names(columns, endpoint)
    values = [tuple(row.get(name) for name in columns) for row in rows]
    return page, counts, pl.DataFrame(values, schema=_text(columns), orient="row")


def _check_names(columns: Iterable[str], endpoint: Endpoint) -> None:
    """Raise ResponseError for a field that files and databases could not have as a column."""
    reserved = {COUNT_FIELD, *endpoint.renames.values()}.difference(endpoint.fields)
    taken = {name.casefold(): name for name in reserved}
    for name in columns:
        fault, folded = "", name.strip().casefold()
        if not folded or not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
            fault = f"cannot name a column: that takes 1 to {_LONGEST_NAME} printable characters"
        elif folded in taken:
            fault = f"cannot be told from the column {taken[folded]!r}"
        if fault:
            raise ResponseError(f"rows have a field named {name[:_LONGEST_NAME]!r}, which {fault}")
        taken[folded] = name


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _text(columns: Iterable[str]) -> dict[str, type[pl.String]]:
    return dict.fromkeys(columns, pl.String)


def _in_order(names: set[str], fields: Sequence[str]) -> tuple[str, ...]:
    return (*fields, *sorted(names.difference(fields)))


def _check_numbers(envelope: _Envelope, counts: set[str | None], expected_page: int) -> None:
    if envelope.page != expected_page:
        raise TransientError(f"page {expected_page} was requested, page {envelope.page} came")
    total, pages = envelope.num_results, envelope.num_pages
    if total < 0 or not min(total, 1) <= pages <= max(total, 1):
        raise TransientError(f"num_pages {pages} contradicts num_results {total}")
    if not counts <= {str(total)}:
        raise PaginationError(f"a row's __count differs from num_results {total}")


@dataclass(frozen=True)
class Result:
    """A whole reply: every distinct row once, as text, and the verified counts.

    `declared` = `rows.height` + `duplicates`, always. If duplicates were kept, there are none left
    out.
    """

    rows: pl.DataFrame
    declared: int
    pages: int
    duplicates: int


MapPages = Callable[[Callable[[int], Page], range], Iterable[Page]]
"""Calls a function with each of some numbers, maybe many at once; like the built-in `map`."""


def read_all(
    get: Callable[[int, int], Page],
    limit: int,
    map_pages: MapPages = map,
    likely_pages: int = 1,
    *,
    most_pages: int | None = None,
    keep_duplicates: bool = False,
) -> Result:
    """Read a whole reply through `get(page number, limit)`, at first the `likely_pages`.

    Pages are requested by `map_pages`, but for a first one alone.

    Rows that occur on two pages may be duplicates of the server's own, or rows that moved while
    pages were read, in which case another row was missed; the pages of one reading cannot tell.
    They are accepted as duplicates only when a second reading gives exactly the same rows. It uses
    smaller pages, because rows that move at a page boundary then move elsewhere. Duplicates are
    left out, unless they are to be kept.

    Raises:
        TooManyPagesError: there are more than `most_pages`; only the likely ones were requested.
        PaginationError: the pages contradict each other, are not all there, or repeat one another,
            or two readings differ.
    """
    pages = _read_once(lambda number: get(number, limit), map_pages, likely_pages, most_pages)
    rows, declared = _all_rows(pages), pages[0].num_results
    if rows.height != declared:
        raise PaginationError(
            f"{declared} rows were declared and {rows.height} came (pages: {len(pages)})"
        )
    distinct = _distinct(rows)
    if distinct.height < declared and len(pages) > 1:
        _check_repeats(pages)
        if sum(page.rows.n_unique() for page in pages) > distinct.height:
            smaller = max(1, 2 * pages[0].rows.height // 3)
            again = _read_once(lambda number: get(number, smaller), map_pages)
            if max(page.rows.height for page in again) > smaller:
                raise PaginationError(
                    "rows are on two pages, and a second reading proves nothing, because the "
                    "server ignores the limit of rows on a page"
                )
            if not _same_rows(rows, _all_rows(again)):
                raise PaginationError("rows moved between pages while they were read")
    kept = rows if keep_duplicates else distinct
    return Result(kept, declared, len(pages), declared - kept.height)


def _read_once(
    get: Callable[[int], Page],
    map_pages: MapPages,
    likely_pages: int = 1,
    most_pages: int | None = None,
) -> list[Page]:
    likely = range(1, likely_pages + 1)
    with _ending(map_pages(get, likely) if likely_pages > 1 else map(get, likely)) as begun:
        first = next(begun)
        if most_pages and first.num_pages > most_pages:
            raise TooManyPagesError(first.num_pages)
        pages, received = [first], first.rows.height
        with _ending(map_pages(get, range(likely_pages + 1, first.num_pages + 1))) as others:
            rest = itertools.chain(begun, others)
            for page in itertools.islice(rest, max(0, first.num_pages - 1)):
                _check_next(page, first, received)
                pages.append(page)
                received += page.rows.height
    return pages


@contextlib.contextmanager
def _ending(pages: Iterable[Page]) -> Iterator[Iterator[Page]]:
    """End the requests of pages with the block, whether or not all pages were taken.

    An error keeps what it passed through. A generator in it would end when it is collected as
    garbage: by any thread, also by one whose own request it then waits for, which is for ever.
    """
    found = iter(pages)
    try:
        yield found
    finally:
        if isinstance(found, Generator):
            found.close()


def _check_next(page: Page, first: Page, received: int) -> None:
    """Raise PaginationError where a page contradicts those before it."""
    if (page.num_pages, page.num_results) != (first.num_pages, first.num_results):
        raise PaginationError(
            f"page 1 of {first.num_pages} declared {first.num_results} rows, "
            f"page {page.number} of {page.num_pages} declared {page.num_results}"
        )
    if page.rows.is_empty() and received < first.num_results:
        raise PaginationError(
            f"page {page.number} of {first.num_pages} is empty after {received} of "
            f"{first.num_results} rows"
        )


def _all_rows(pages: Sequence[Page]) -> pl.DataFrame:
    """Return every row of the pages, in order, with all columns."""
    if len(pages) == 1:
        return pages[0].rows
    every = pl.concat([page.rows for page in pages], how="diagonal")
    return every.select(_in_order(set(every.columns), pages[0].fields))


def _check_repeats(pages: Sequence[Page]) -> None:
    """Raise PaginationError where two pages hold the same rows, in whatever order."""
    hashes = [page.rows.hash_rows().sort() for page in pages]
    for number, (page, its) in enumerate(zip(pages, hashes, strict=True)):
        alike = (p for p, h in zip(pages[:number], hashes, strict=False) if h.equals(its))
        if any(_same_rows(page.rows, other.rows) for other in alike):
            raise PaginationError(f"page {page.number} repeats the rows of another page")


def _distinct(rows: pl.DataFrame) -> pl.DataFrame:
    # Rows with different hashes are distinct, and that is much quicker to find out.
    if rows.height < 2 or rows.hash_rows().n_unique() == rows.height:
        return rows
    return rows.unique(maintain_order=True)


def _same_rows(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.columns == other.columns and one.sort(one.columns).equals(other.sort(one.columns))
