"""Reading a reply of several pages, and believing none of it.

A reply is `{"page", "num_pages", "num_results", "results"}`; every row repeats `num_results` as
`__count`. A page alone is checked by `decode`; `PageWalk` checks what pages say together. The
walk knows no HTTP: it is given pages and says which ones it wants.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec
import polars as pl

from pipeline.errors import TransientError, WalkError
from pipeline.illuminate.endpoints import Endpoint
from pipeline.illuminate.threads import Here, Threads

COUNT_FIELD = "__count"
# In bytes: below it, the way to another thread costs more than it saves.
_LARGE = 1 << 16


class _Envelope(msgspec.Struct):
    page: int
    num_pages: int
    num_results: int


class _AnyRows(_Envelope):
    results: list[dict[str, Any]]


_ORDER_MARK = b"\xef\xbb\xbf"
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


class _Proof(NamedTuple):
    """What a body says: its numbers, all values of `__count`, and how many rows came."""

    page: int
    num_pages: int
    num_results: int
    counts: set[str | None]
    height: int


def decode(
    content: bytes, endpoint: Endpoint, asked_page: int, threads: Threads | None = None
) -> Page:
    """Decode and check one page.

    Returns the rows without `__count`. Values are the text that was sent, nested values JSON, and
    a field that a row lacks is null. Of the `threads`, one proves all large pages.

    Raises:
        TransientError: the body is no complete JSON in UTF-8, or not a page of this endpoint.
    """
    alone = (threads if threads and len(content) > _LARGE else Here()).alone
    body = content.removeprefix(_ORDER_MARK)
    try:
        proof = alone(_prove_text, body, endpoint)
        rows = None if proof is None else _read_text(body, endpoint, proof)
        if proof is None or rows is None:
            proof, rows = alone(_decode_any, body, endpoint)
    except msgspec.ValidationError as error:
        # msgspec names the place and the type that was expected, never the value.
        raise TransientError(f"the reply is not a page of results ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TransientError("the reply is not complete JSON in UTF-8") from None
    _check_numbers(proof, asked_page)
    return Page(proof.page, proof.num_pages, proof.num_results, endpoint.fields, rows)


def _prove_text(body: bytes, endpoint: Endpoint) -> _Proof | None:
    """See whether the rows of a page hold nothing but known fields, each of them text or null.

    That is what the API sends. What msgspec passes over may still be no UTF-8.
    """
    try:
        page = _text_decoder(endpoint).decode(body)
    except msgspec.ValidationError:
        return None
    counts = {row.count for row in page.results} - {msgspec.UNSET}
    return _Proof(page.page, page.num_pages, page.num_results, counts, len(page.results))


def _read_text(body: bytes, endpoint: Endpoint, proof: _Proof) -> pl.DataFrame | None:
    """Read the rows of a page that is proven to be nothing but text; None where polars will not.

    Polars makes no objects of Python, and many threads may read at once; but by itself it would be
    too lenient, though not with what is no UTF-8.
    """
    if not proof.height:
        body.decode()
        return _no_rows(endpoint)
    row = pl.Struct(_text(endpoint.fields))
    try:
        document = pl.read_json(body, schema={"results": pl.List(row)})
    except pl.exceptions.ComputeError:
        return None
    rows = document["results"].explode().struct.unnest()
    return rows if rows.height == proof.height else None


@functools.cache
def _no_rows(endpoint: Endpoint) -> pl.DataFrame:
    return pl.DataFrame(schema=_text(endpoint.fields))


@functools.cache
def _text_decoder(endpoint: Endpoint) -> msgspec.json.Decoder[Any]:
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
    page = msgspec.defstruct("Page", [("results", list[row])], bases=(_Envelope,))  # type: ignore[valid-type]
    return msgspec.json.Decoder(page)


def _decode_any(body: bytes, endpoint: Endpoint) -> tuple[_Proof, pl.DataFrame]:
    """Decode a page with unknown fields, with values that are no text, or not in UTF-8."""
    body.decode()  # what the decoder passes over must be UTF-8 as well
    page = _any_rows.decode(body)
    lacking = {name for row in page.results for name in endpoint.required - row.keys()}
    if lacking:
        raise TransientError(f"rows lack the field {', '.join(sorted(lacking))}")
    rows = [{name: _as_text(value) for name, value in row.items()} for row in page.results]
    counts = {row.pop(COUNT_FIELD) for row in rows if COUNT_FIELD in row}
    columns = _in_order({name for row in rows for name in row}, endpoint.fields)
    values = [tuple(row.get(name) for name in columns) for row in rows]
    proof = _Proof(page.page, page.num_pages, page.num_results, counts, len(rows))
    return proof, pl.DataFrame(values, schema=_text(columns), orient="row")


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _text(columns: Iterable[str]) -> dict[str, type[pl.String]]:
    return dict.fromkeys(columns, pl.String)


def _in_order(names: set[str], fields: Sequence[str]) -> tuple[str, ...]:
    return (*fields, *sorted(names.difference(fields)))


def _check_numbers(proof: _Proof, asked_page: int) -> None:
    if proof.page != asked_page:
        raise TransientError(f"page {asked_page} was asked, page {proof.page} came")
    total = proof.num_results
    if total < 0 or not min(total, 1) <= proof.num_pages <= max(total, 1):
        raise TransientError(f"num_pages {proof.num_pages} does not fit num_results {total}")
    if not proof.counts <= {str(total)}:
        raise WalkError(f"rows carry another __count than num_results {total}")


@dataclass(frozen=True)
class Result:
    """A whole reply: every distinct row once, as text, and the numbers that prove it.

    `declared` = `rows.height` + `duplicates`, always. `moved` rows of one page stand on another
    page as well. They may be duplicates of the server's own, or rows that moved while pages were
    read, in which case another row was missed; one walk cannot tell.
    """

    rows: pl.DataFrame
    declared: int
    pages: int
    duplicates: int
    moved: int = 0


@dataclass
class PageWalk:
    """Collects the pages of one reply in order and refuses what does not fit together.

    Add page 1, then those that are `wanted`, then take `result()`.
    """

    pages: list[Page] = field(default_factory=list)
    _received: int = 0

    @property
    def wanted(self) -> range:
        """The numbers of the pages that are still to be added, as far as is known."""
        return range(len(self.pages) + 1, (self.pages[0].num_pages if self.pages else 1) + 1)

    def add(self, page: Page) -> None:
        """Take the next page that was wanted.

        Raises:
            WalkError: it contradicts the pages before it.
        """
        if self.pages:
            first = self.pages[0]
            if (page.num_pages, page.num_results) != (first.num_pages, first.num_results):
                raise WalkError(
                    f"page 1 of {first.num_pages} promised {first.num_results} rows, "
                    f"page {page.number} of {page.num_pages} promised {page.num_results}"
                )
            if page.rows.is_empty() and self._received < first.num_results:
                raise WalkError(
                    f"page {page.number} of {first.num_pages} is empty, when {self._received} of "
                    f"{first.num_results} rows had come"
                )
        self.pages.append(page)
        self._received += page.rows.height

    def result(self) -> Result:
        """The whole reply, duplicates removed and counted.

        Raises:
            WalkError: more or fewer rows came than were promised, or a page came twice.
        """
        declared = self.pages[0].num_results
        if self._received != declared:
            raise WalkError(
                f"{declared} rows were promised and {self._received} came on "
                f"{len(self.pages)} pages"
            )
        rows = self.rows()
        distinct = _distinct(rows)
        duplicates = declared - distinct.height
        moved = 0
        if duplicates and len(self.pages) > 1:
            self._check_repeats()
            moved = sum(page.rows.n_unique() for page in self.pages) - distinct.height
        return Result(distinct, declared, len(self.pages), duplicates, moved)

    def rows(self) -> pl.DataFrame:
        """Every row that came, in order, with all columns; to be read when all pages are there."""
        if len(self.pages) == 1:
            return self.pages[0].rows
        every = pl.concat([page.rows for page in self.pages], how="diagonal")
        return every.select(_in_order(set(every.columns), self.pages[0].fields))

    def _check_repeats(self) -> None:
        """Raises WalkError where two pages hold the same rows, in whatever order."""
        hashes = [page.rows.hash_rows().sort() for page in self.pages]
        for number, (page, its) in enumerate(zip(self.pages, hashes, strict=True)):
            alike = (p for p, h in zip(self.pages[:number], hashes, strict=False) if h.equals(its))
            if any(_same_rows(page.rows, other.rows) for other in alike):
                raise WalkError(f"page {page.number} repeats the rows of another page")


def _distinct(rows: pl.DataFrame) -> pl.DataFrame:
    # Rows with hashes of their own are distinct, and that is much quicker to see.
    if rows.height < 2 or rows.hash_rows().n_unique() == rows.height:
        return rows
    return rows.unique(maintain_order=True)


class Each(Protocol):
    """Calls a function with each of some numbers, maybe many at once; like the built-in `map`."""

    def __call__(self, get: Callable[[int], Page], numbers: range, /) -> Iterable[Page]:
        """The pages, in the order of their numbers."""


def walk(
    get: Callable[[int], Page],
    again: Callable[[int, int], Page] | None = None,
    each: Each = map,
) -> Result:
    """Read a whole reply through `get(page number)`; the pages after the first through `each`.

    Rows that stand on two pages are accepted as the server's own duplicates only when a second
    walk brings exactly the same rows. It goes through `again(page number, limit)`, with smaller
    pages, because rows that move at a boundary move elsewhere then.

    Raises:
        WalkError: the pages contradict each other, or two walks differ.
    """
    first = _walk_once(get, each)
    result = first.result()
    if result.moved:
        smaller = max(1, 2 * first.pages[0].rows.height // 3)
        second = _walk_once(get if again is None else lambda number: again(number, smaller), each)
        if not _same_rows(first.rows(), second.rows()):
            raise WalkError("rows moved between pages while they were read")
    return result


def _walk_once(get: Callable[[int], Page], each: Each) -> PageWalk:
    pages = PageWalk()
    pages.add(get(1))
    for page in each(get, pages.wanted):
        pages.add(page)
    return pages


def _same_rows(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.columns == other.columns and one.sort(one.columns).equals(other.sort(one.columns))
