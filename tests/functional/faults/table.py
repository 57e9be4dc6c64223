"""The table of the fault suite: what goes wrong, where, and what is wanted of the pipeline.

To add a fault, add a line to TABLE. Each line is tried at each of its places, `once` (the fault
hits one request) and `always` (it hits every such request); None means that this is not tried.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.functional.faults.town import LONG


class Wanted(enum.Enum):
    """What is wanted of a run that meets a fault.

    Whatever is wanted, nothing is published but right tables, and the run after the fault
    completes and asks for nothing but what is missing.
    """

    RECOVERS = "the run succeeds with the tables of an undisturbed one"
    REFUSED = "the run fails and says where; all that the fault did not hit is kept"
    ENDS = "the run fails and says where; nothing more is asked"
    NULLS = "the run succeeds; numbers that cannot be read are null, and counted"


RECOVERS, REFUSED, ENDS, NULLS = Wanted


# A wrong address, and a server that wants to be left alone, are trouble of the server as a whole.
_TOKEN_WORDS = ("token", "credentials", "ILLUMINATE_BASE_URL", "the server asks not to be called")


@dataclass(frozen=True)
class Place:
    """Which requests a fault hits; without a page, those for every page."""

    endpoint: str
    page: int | None = None
    assessment_id: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """What a message says that names this place; one of these is enough."""
        if self.assessment_id:
            return (f"{self.endpoint} of assessment {self.assessment_id}:",)
        return _TOKEN_WORDS if self.endpoint == "token" else ("catalogue",)

    def __str__(self) -> str:
        page = f" page {self.page}" if self.page else ""
        return f"{self.endpoint}{page}"


ENDPOINTS = ("overall", "standard", "group")
RESULTS = tuple(Place(endpoint, assessment_id=LONG) for endpoint in ENDPOINTS)
CATALOGUE, TOKEN = Place("catalogue"), Place("token")
PAGED = (CATALOGUE, *RESULTS)


def pages(places: Iterable[Place], *numbers: int) -> tuple[Place, ...]:
    """Pages of what has three of them."""
    return tuple(replace(place, page=number) for place in places for number in numbers)


EVERY_PAGE = pages(PAGED, 1, 2, 3)
EVERYWHERE = (*EVERY_PAGE, TOKEN)
# Each endpoint, and each page of something.
A_PAGE = tuple(replace(place, page=page) for place, page in zip(PAGED, (2, 1, 2, 3), strict=True))
SOMEWHERE = (*A_PAGE, TOKEN)


@dataclass(frozen=True)
class Trouble:
    """One line of the table.

    Attributes:
        name: what goes wrong.
        kind: the simulator's name of the fault; `refused` is a port where nobody listens.
        places: where it is tried.
        once: what is wanted when it hits one request.
        always: what is wanted when it hits every request.
        value: what the kind wants to know.
        retry_after: the header of that name.
        says: what the message says besides the place, when the run fails.
        options: settings of the run.
    """

    name: str
    kind: str
    places: tuple[Place, ...]
    once: Wanted | None = RECOVERS
    always: Wanted | None = REFUSED
    value: object = None
    retry_after: str | None = None
    says: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Combination:
    """One fault at one place, once or always."""

    trouble: Trouble
    place: Place
    times: int | None
    wanted: Wanted

    def __str__(self) -> str:
        return f"{self.trouble.name}, {self.place}, {'once' if self.times else 'always'}"


DRIP = ("--illuminate-deadline", "0.5")
HUSH = ("--illuminate-read-timeout", "0.4")
SMALL = ("--illuminate-most-bytes", "1000000")
FAILED = "the connection failed"
NOT_JSON = "not complete JSON"
NO_PAGE = "not a page of results"

NETWORK = (
    Trouble("connection refused", "refused", SOMEWHERE, says=FAILED),
    Trouble("reset before the reply", "reset_before", EVERYWHERE, says=FAILED),
    Trouble("reset inside the body", "reset_inside", SOMEWHERE, says=FAILED),
    Trouble("body shorter than promised", "short_body", SOMEWHERE, says=FAILED),
    Trouble("half a body without a length", "unframed_body", A_PAGE, says=NOT_JSON),
    Trouble("drip of the body", "drip_body", SOMEWHERE, says="within 0.5 s", options=DRIP),
    Trouble("drip of the headers", "drip_headers", SOMEWHERE, says="within 0.5 s", options=DRIP),
    Trouble("silence", "silence", SOMEWHERE, says=FAILED, options=HUSH),
    Trouble("truncated JSON", "truncated_json", EVERY_PAGE, says=NOT_JSON),
    Trouble("truncated token reply", "truncated_json", (TOKEN,), says="no access_token"),
)

BODIES = (
    Trouble("gzip garbage", "gzip_garbage", SOMEWHERE, says=FAILED),
    Trouble("gzip cut short", "gzip_truncated", A_PAGE, says=NOT_JSON),
    Trouble(
        "gzip bomb", "gzip_bomb", SOMEWHERE, REFUSED, None, 8, says="larger than", options=SMALL
    ),
    Trouble("Latin-1 bytes", "latin1", SOMEWHERE),
    Trouble("a byte order mark", "utf8_bom", A_PAGE, None, RECOVERS),
    Trouble("the word NaN", "nan", SOMEWHERE),
    Trouble("a list, no object", "list_instead_of_object", SOMEWHERE),
    Trouble("no results", "no_results_key", A_PAGE, says=NO_PAGE),
    Trouble("no assessment_id", "missing_field", A_PAGE, value="assessment_id", says="lack"),
    Trouble("no token", "missing_field", (TOKEN,), says="no access_token"),
    Trouble(
        "no percent_correct",
        "missing_field",
        pages(RESULTS, 1),
        value="percent_correct",
        says="lack the field percent_correct",
    ),
)


def status(code: int, places: tuple[Place, ...] = SOMEWHERE) -> Trouble:
    """A status that may pass."""
    return Trouble(str(code), "status", places, value=code, says=str(code))


def later(text: str, places: tuple[Place, ...] = A_PAGE, *, ends: bool = False) -> Trouble:
    """429 with a Retry-After; where that ends the run, it says when to come back."""
    once, says = (ENDS, "run again after") if ends else (RECOVERS, "")
    name = f"429, Retry-After {text if len(text) < 40 else 'absurdly long'}"
    return Trouble(name, "status", places, once, None, 429, text, says)


STATUSES = (
    status(500, EVERYWHERE),
    status(502),
    status(503),
    status(504, A_PAGE[:2]),
    status(408, A_PAGE[2:]),
    status(429),
    later("0", SOMEWHERE),
    later("Wed, 21 Oct 2015 07:28:00 GMT"),
    later("soon"),
    later("1.5"),
    later("-5"),
    later("301", ends=True),
    later("86400", SOMEWHERE, ends=True),
    later("9" * 50, ends=True),
    later("Wed, 21 Oct 2099 07:28:00 GMT", ends=True),
    Trouble("503 for a day", "status", SOMEWHERE, ENDS, None, 503, "86400", "run again after"),
    Trouble("401", "status", EVERY_PAGE, RECOVERS, ENDS, 401, says="401"),
    Trouble("401 for the client", "status", (TOKEN,), ENDS, ENDS, 401, says="CLIENT_SECRET"),
    Trouble("403", "status", A_PAGE, REFUSED, REFUSED, 403, says="may not read"),
    Trouble("403 for the client", "status", (TOKEN,), ENDS, None, 403, says="CLIENT_SECRET"),
    Trouble("404", "status", A_PAGE, REFUSED, REFUSED, 404, says="404"),
    Trouble("400", "status", A_PAGE, REFUSED, None, 400, says="400"),
    Trouble("redirect", "redirect", A_PAGE, REFUSED, REFUSED, says="redirects"),
    Trouble("redirect", "redirect", (TOKEN,), None, REFUSED, says="302"),
    Trouble("a web page", "html", SOMEWHERE, ENDS, ENDS, says="a web page came"),
)


def odd(name: str, wanted: Wanted = REFUSED, **fields: object) -> Trouble:
    """Pages that say something odd about themselves."""
    return Trouble(name, "set_fields", (CATALOGUE, RESULTS[1]), None, wanted, fields)


PAGES = (
    Trouble("more rows promised than sent", "count_up", PAGED),
    Trouble("fewer rows promised than sent", "count_down", PAGED),
    Trouble("one page promises more rows", "count_up", A_PAGE),
    Trouble("one page promises fewer rows", "count_down", A_PAGE),
    Trouble("counts change between pages", "count_changes", PAGED, None, says="promised"),
    Trouble("page 1 served again", "repeat_page", pages(PAGED, 2, 3)),
    Trouble("page 1 served again, and says so", "repeat_page", pages(PAGED, 3), value="honest"),
    Trouble("a row moves to the next page", "moved_row", pages(PAGED, 2, 3)),
    Trouble("wrong page number", "wrong_page_number", A_PAGE, says="was asked"),
    odd("num_pages too large", num_pages=4),
    odd("num_pages far too large", num_pages=10**12),
    odd("num_pages too small", num_pages=2),
    odd("num_pages is 0", num_pages=0),
    odd("num_pages is null", num_pages=None),
    odd("num_pages is no number", num_pages="three"),
    odd("num_results is negative", num_results=-1),
    odd("num_results is no number", num_results="five"),
    odd("page is no number", page="one"),
    odd("results is null", results=None),
    odd("results is an object", results={}),
    odd("results is empty", results=[]),
    odd("an unknown field", RECOVERS, something="new"),
    Trouble("rows of another assessment", "wrong_assessment", RESULTS, REFUSED),
    Trouble("dates are ignored", "ignores_dates", RESULTS, says="dated outside"),
    Trouble("dates are ignored on a page", "ignores_dates", pages(RESULTS, 2)),
)

NO_NUMBERS = ("", "NaN", "1e400", "infinity", "1,5", "twelve", True, [1])
VALUES = tuple(
    Trouble(f"{number!r} as a number", "bad_numbers", RESULTS[1:], None, NULLS, number)
    for number in NO_NUMBERS
)

CATALOGUES = (
    Trouble("an empty catalogue", "empty_catalogue", (CATALOGUE,), REFUSED),
    Trouble(
        "an assessment without an id",
        "set_row_fields",
        pages([CATALOGUE], 1, 2, 3),
        None,
        REFUSED,
        {"assessment_id": None},
    ),
    Trouble(
        "an assessment with an empty id",
        "set_row_fields",
        pages([CATALOGUE], 2),
        None,
        REFUSED,
        {"assessment_id": ""},
    ),
    Trouble(
        "two titles of one assessment",
        "set_row_fields",
        pages([CATALOGUE], 2, 3),
        None,
        REFUSED,
        {"assessment_id": LONG, "title": "Another"},
    ),
)

LIVES = ("soon", "3600", 0, -1, None, 1e300, [1])
TOKENS = (
    *(
        Trouble(
            f"a token for {life!r} s", "set_fields", (TOKEN,), None, RECOVERS, {"expires_in": life}
        )
        for life in LIVES
    ),
    Trouble("an empty token", "set_fields", (TOKEN,), value={"access_token": ""}),
    Trouble("a token of two lines", "set_fields", (TOKEN,), value={"access_token": "a\r\nb: c"}),
    Trouble("a token that is a number", "set_fields", (TOKEN,), value={"access_token": 7}),
)

TABLE = (*NETWORK, *BODIES, *STATUSES, *PAGES, *VALUES, *CATALOGUES, *TOKENS)


def _combine() -> list[Combination]:
    tried = ((1, lambda trouble: trouble.once), (None, lambda trouble: trouble.always))
    return [
        Combination(trouble, place, times, wanted)
        for trouble in TABLE
        for place in trouble.places
        for times, choose in tried
        if (wanted := choose(trouble)) is not None
    ]


COMBINATIONS = _combine()
