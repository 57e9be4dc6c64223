"""Reading a reply of several pages, and believing none of it.

A reply is `{"page", "num_pages", "num_results", "results"}`; every row repeats `num_results` as
`__count`. A page alone is checked by `decode`; `PageWalk` checks what pages say together. The
walk knows no HTTP: it is given pages and says which one it wants next.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import msgspec

from pipeline.errors import TransientError, WalkError
from pipeline.illuminate.endpoints import Endpoint

COUNT_FIELD = "__count"

Row = tuple[str | None, ...]


class _Envelope(msgspec.Struct):
    page: int
    num_pages: int
    num_results: int
    results: msgspec.Raw


_envelope = msgspec.json.Decoder(_Envelope)
_text_rows = msgspec.json.Decoder(list[dict[str, str | None]])
# Floats are kept as the text that was sent, so that no digit is lost or invented.
_any_rows = msgspec.json.Decoder(list[dict[str, Any]], float_hook=lambda t: msgspec.Raw(t.encode()))


@dataclass(frozen=True)
class Page:
    """One page, decoded: its numbers, the names of its columns, and its rows as text.

    `fields` are the endpoint's own, which stand before all others.
    """

    number: int
    num_pages: int
    num_results: int
    columns: tuple[str, ...]
    rows: list[Row]
    fields: tuple[str, ...] = ()

    def repeats(self, other: "Page") -> bool:
        """Whether both hold the same rows, in whatever order."""
        return (self.columns, Counter(self.rows)) == (other.columns, Counter(other.rows))


def decode(content: bytes, endpoint: Endpoint, asked_page: int) -> Page:
    """Decode and check one page.

    Returns the rows without `__count`, their columns in the order of the endpoint's fields, then
    unknown fields by name. Values are the text that was sent; nested values are JSON.

    Raises:
        TransientError: the body is no complete JSON in UTF-8, or not a page of this endpoint.
    """
    try:
        content.decode()  # what the decoder passes over must be UTF-8 as well
        envelope = _envelope.decode(content.removeprefix(b"\xef\xbb\xbf"))
        rows = _decode_rows(bytes(envelope.results))
    except msgspec.ValidationError as error:
        # msgspec names the place and the type that was expected, never the value.
        raise TransientError(f"the reply is not a page of results ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TransientError("the reply is not complete JSON in UTF-8") from None
    _check_numbers(envelope, rows, asked_page)
    columns = _columns(rows, endpoint)
    return Page(
        envelope.page,
        envelope.num_pages,
        envelope.num_results,
        columns,
        project(rows, columns),
        endpoint.fields,
    )


def _decode_rows(content: bytes) -> list[dict[str, str | None]]:
    try:
        return _text_rows.decode(content)
    except msgspec.ValidationError:
        return [{k: _text(v) for k, v in row.items()} for row in _any_rows.decode(content)]


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _check_numbers(
    envelope: _Envelope, rows: Sequence[dict[str, str | None]], asked_page: int
) -> None:
    if envelope.page != asked_page:
        raise TransientError(f"page {asked_page} was asked, page {envelope.page} came")
    total = envelope.num_results
    if total < 0 or not min(total, 1) <= envelope.num_pages <= max(total, 1):
        raise TransientError(f"num_pages {envelope.num_pages} does not fit num_results {total}")
    if any(row.get(COUNT_FIELD, str(total)) != str(total) for row in rows):
        raise WalkError(f"rows carry another __count than num_results {total}")


def _columns(rows: Iterable[dict[str, str | None]], endpoint: Endpoint) -> tuple[str, ...]:
    seen: set[str] = set()
    lacking: set[str] = set()
    for row in rows:
        keys = row.keys()
        lacking |= endpoint.required - keys
        seen |= keys
    if lacking:
        raise TransientError(f"rows lack the field {', '.join(sorted(lacking))}")
    return _in_order(seen - {COUNT_FIELD}, endpoint.fields)


def _in_order(names: set[str], fields: tuple[str, ...]) -> tuple[str, ...]:
    known = [name for name in fields if name in names]
    return (*known, *sorted(names.difference(known)))


def project(rows: Sequence[dict[str, str | None]], columns: Sequence[str]) -> list[Row]:
    """The values of `columns` in each row; a field that a row lacks is null."""
    if len(columns) > 1 and all(row.keys() >= set(columns) for row in rows):
        return list(map(itemgetter(*columns), rows))
    return [tuple(row.get(name) for name in columns) for row in rows]


@dataclass(frozen=True)
class Result:
    """A whole reply: every distinct row once, and the numbers that prove it.

    `declared` = `len(rows)` + `duplicates`, always.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    declared: int
    pages: int
    duplicates: int


@dataclass
class PageWalk:
    """Collects the pages of one reply in order and refuses what does not fit together.

    Add pages until `wanted` is None, then take `result()`.
    """

    pages: list[Page] = field(default_factory=list)

    @property
    def wanted(self) -> int | None:
        """The number of the next page to ask for; None when all are there."""
        if not self.pages:
            return 1
        return None if len(self.pages) >= self.pages[0].num_pages else len(self.pages) + 1

    def add(self, page: Page) -> None:
        """Take the page that was wanted.

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
            if any(page.repeats(other) for other in self.pages):
                raise WalkError(f"page {page.number} repeats the rows of another page")
        self.pages.append(page)

    @property
    def moved(self) -> int:
        """How many rows of one page stand on another page as well.

        They may be duplicates of the server's own, or rows that moved while pages were read, in
        which case another row was missed; one walk cannot tell.
        """
        return sum(len(set(page.rows)) for page in self._aligned()) - len(self._distinct())

    def result(self) -> Result:
        """The whole reply, duplicates removed and counted.

        Raises:
            WalkError: more or fewer rows came than were promised.
        """
        received = sum(len(page.rows) for page in self.pages)
        declared = self.pages[0].num_results
        if received != declared:
            raise WalkError(
                f"{declared} rows were promised and {received} came on {len(self.pages)} pages"
            )
        distinct = self._distinct()
        return Result(
            self._columns(), distinct, declared, len(self.pages), declared - len(distinct)
        )

    @property
    def rows(self) -> list[Row]:
        """Every row that came, in order, with all columns."""
        return [row for page in self._aligned() for row in page.rows]

    def _columns(self) -> tuple[str, ...]:
        seen = {name for page in self.pages for name in page.columns}
        return _in_order(seen, self.pages[0].fields)

    def _aligned(self) -> list[Page]:
        columns = self._columns()
        return [_align(page, columns) for page in self.pages]

    def _distinct(self) -> list[Row]:
        return list(dict.fromkeys(self.rows))


def _align(page: Page, columns: tuple[str, ...]) -> Page:
    if page.columns == columns:
        return page
    rows = [dict(zip(page.columns, row, strict=True)) for row in page.rows]
    return Page(page.number, page.num_pages, page.num_results, columns, project(rows, columns))


def walk(get: Callable[[int], Page], again: Callable[[int, int], Page] | None = None) -> Result:
    """Read a whole reply through `get(page number)`.

    Rows that stand on two pages are accepted as the server's own duplicates only when a second
    walk brings exactly the same rows. It goes through `again(page number, limit)`, with smaller
    pages, because rows that move at a boundary move elsewhere then.

    Raises:
        WalkError: the pages contradict each other, or two walks differ.
    """
    first = _walk_once(get)
    result = first.result()
    if first.moved:
        smaller = max(1, 2 * len(first.pages[0].rows) // 3)
        second = _walk_once(get if again is None else lambda number: again(number, smaller))
        if Counter(second.rows) != Counter(first.rows):
            raise WalkError("rows moved between pages while they were read")
    return result


def _walk_once(get: Callable[[int], Page]) -> PageWalk:
    pages = PageWalk()
    while (number := pages.wanted) is not None:
        pages.add(get(number))
    return pages
