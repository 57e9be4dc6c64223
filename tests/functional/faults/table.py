"""The table of the fault suite: what goes wrong, where, and what is expected of the pipeline.

To add a fault, add a line to TABLE. Each line is tested at each of its places, `once` (the fault
hits one request) and `always` (it hits every such request); None means that it is not tested.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.errors import printable
from tests.functional.faults.district import LONG


class Expected(enum.Enum):
    """What is expected of a run with a fault.

    In every case only correct tables are published, and the run after the fault completes and
    requests only what is missing.
    """

    RECOVERS = "the run succeeds with the tables of an undisturbed one"
    REFUSED = "the run fails and says where; everything that the fault did not hit is reused"
    ENDS = "the run fails and says where; nothing more is requested"
    NULLS = "the run succeeds; unparseable numbers are null, and counted"


RECOVERS, REFUSED, ENDS, NULLS = Expected


# A wrong address and a server that rejects all requests for a while concern the server as a whole.
_TOKEN_WORDS = ("token", "credentials", "ILLUMINATE_BASE_URL", "the server asked to wait")


@dataclass(frozen=True)
class Place:
    """Which requests a fault hits; without a page, those for every page."""

    endpoint: str
    page: int | None = None
    assessment_id: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words of which a message must contain one to name this place."""
        if self.assessment_id:
            return (f"{self.endpoint} of assessment {printable(self.assessment_id)}:",)
        return _TOKEN_WORDS if self.endpoint == "token" else ("catalogue",)

    def __str__(self) -> str:
        page = f" page {self.page}" if self.page else ""
        return f"{self.endpoint}{page}"


ENDPOINTS = ("overall", "standard", "group")
RESULTS = tuple(Place(endpoint, assessment_id=LONG) for endpoint in ENDPOINTS)
CATALOGUE, TOKEN = Place("catalogue"), Place("token")
PAGED = (CATALOGUE, *RESULTS)


def pages(places: Iterable[Place], *numbers: int) -> tuple[Place, ...]:
    """Return places with these page numbers."""
    return tuple(replace(place, page=number) for place in places for number in numbers)


EVERY_PAGE = pages(PAGED, 1, 2, 3)
EVERYWHERE = (*EVERY_PAGE, TOKEN)
# Each endpoint, and each page number at one of them.
A_PAGE = tuple(replace(place, page=page) for place, page in zip(PAGED, (2, 1, 2, 3), strict=True))
SOMEWHERE = (*A_PAGE, TOKEN)


@dataclass(frozen=True)
class FaultCase:
    """One line of the table.

    Attributes:
        name: what goes wrong.
        kind: the simulator's name of the fault; `refused` is a port where nothing listens.
        places: where it is tested.
        once: what is expected if it hits one request.
        always: what is expected if it hits every request.
        value: the kind's argument.
        retry_after: the `Retry-After` header.
        message: what the message must contain besides the place if the run fails.
        options: settings of the run.
    """

    name: str
    kind: str
    places: tuple[Place, ...]
    once: Expected | None = RECOVERS
    always: Expected | None = REFUSED
    value: object = None
    retry_after: str | None = None
    message: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Combination:
    """One fault at one place, once or always."""

    fault: FaultCase
    place: Place
    times: int | None
    expected: Expected

    def __str__(self) -> str:
        return f"{self.fault.name}, {self.place}, {'once' if self.times else 'always'}"


DRIP = ("--illuminate-deadline", "0.5")
SILENCE = ("--illuminate-read-timeout", "0.4")
SMALL = ("--illuminate-max-response-bytes", "1000000")
FAILED = "the connection failed"
NOT_JSON = "not complete JSON"
NO_PAGE = "not a page of results"

NETWORK = (
    FaultCase("connection refused", "refused", SOMEWHERE, message=FAILED),
    FaultCase("reset before the reply", "reset_before", EVERYWHERE, message=FAILED),
    FaultCase("reset inside the body", "reset_inside", SOMEWHERE, message=FAILED),
    FaultCase("body shorter than promised", "short_body", SOMEWHERE, message=FAILED),
    FaultCase("103 before the reply", "informational", SOMEWHERE, None, RECOVERS),
    FaultCase("half a body without a length", "unframed_body", A_PAGE, message=NOT_JSON),
    FaultCase("drip of the body", "drip_body", SOMEWHERE, message="within 0.5 s", options=DRIP),
    FaultCase(
        "drip of the headers", "drip_headers", SOMEWHERE, message="within 0.5 s", options=DRIP
    ),
    FaultCase("silence", "silence", SOMEWHERE, message=FAILED, options=SILENCE),
    FaultCase("truncated JSON", "truncated_json", EVERY_PAGE, message=NOT_JSON),
    FaultCase("truncated token reply", "truncated_json", (TOKEN,), message="no access_token"),
)

BODIES = (
    FaultCase("gzip garbage", "gzip_garbage", SOMEWHERE, message=FAILED),
    FaultCase("gzip cut short", "gzip_truncated", A_PAGE, message=NOT_JSON),
    FaultCase(
        "gzip bomb", "gzip_bomb", SOMEWHERE, REFUSED, None, 8, message="larger than", options=SMALL
    ),
    FaultCase("Latin-1 bytes", "latin1", SOMEWHERE),
    FaultCase("a byte order mark", "utf8_bom", A_PAGE, None, RECOVERS),
    FaultCase("the word NaN", "nan", SOMEWHERE),
    FaultCase("a list, no object", "list_instead_of_object", SOMEWHERE),
    FaultCase("no results", "no_results_key", A_PAGE, message=NO_PAGE),
    FaultCase("no assessment_id", "missing_field", A_PAGE, value="assessment_id", message="lack"),
    FaultCase("no token", "missing_field", (TOKEN,), message="no access_token"),
    FaultCase(
        "no percent_correct",
        "missing_field",
        pages(RESULTS, 1),
        value="percent_correct",
        message="lack the field percent_correct",
    ),
)


def status(code: int, places: tuple[Place, ...] = SOMEWHERE) -> FaultCase:
    """Return a status that may be temporary."""
    return FaultCase(str(code), "status", places, value=code, message=str(code))


def later(text: str, places: tuple[Place, ...] = A_PAGE, *, ends: bool = False) -> FaultCase:
    """Return a 429 with a Retry-After; if it ends the run, the message says when to run again."""
    once, says = (ENDS, " s, until ") if ends else (RECOVERS, "")
    name = f"429, Retry-After {text if len(text) < 40 else 'absurdly long'}"
    return FaultCase(name, "status", places, once, None, 429, text, says)


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
    FaultCase(
        "503 for a day",
        "status",
        SOMEWHERE,
        ENDS,
        None,
        503,
        "86400",
        " s, until ",
    ),
    FaultCase("401", "status", EVERY_PAGE, RECOVERS, ENDS, 401, message="401"),
    FaultCase("401 for the client", "status", (TOKEN,), ENDS, ENDS, 401, message="CLIENT_SECRET"),
    FaultCase("403", "status", A_PAGE, REFUSED, REFUSED, 403, message="no permission to read"),
    FaultCase("403 for the client", "status", (TOKEN,), ENDS, None, 403, message="CLIENT_SECRET"),
    FaultCase("404", "status", A_PAGE, REFUSED, REFUSED, 404, message="404"),
    FaultCase("400", "status", A_PAGE, REFUSED, None, 400, message="400"),
    FaultCase("redirect", "redirect", A_PAGE, REFUSED, REFUSED, message="redirects"),
    FaultCase("redirect", "redirect", (TOKEN,), None, REFUSED, message="302"),
    FaultCase("a web page", "html", A_PAGE, message="sent a web page"),
    FaultCase(
        "a web page before any data",
        "html",
        (*pages([CATALOGUE], 1), TOKEN),
        ENDS,
        ENDS,
        message="ILLUMINATE_BASE_URL must be like",
    ),
)


def wrong_envelope(name: str, expected: Expected = REFUSED, **fields: object) -> FaultCase:
    """Return a fault that sets wrong fields on a page's envelope."""
    return FaultCase(name, "set_fields", (CATALOGUE, RESULTS[1]), None, expected, fields)


PAGES = (
    FaultCase("more rows promised than sent", "count_up", PAGED),
    FaultCase("fewer rows promised than sent", "count_down", PAGED),
    FaultCase("one page promises more rows", "count_up", A_PAGE),
    FaultCase("one page promises fewer rows", "count_down", A_PAGE),
    FaultCase("counts change between pages", "count_changes", PAGED, None, message="declared"),
    FaultCase("page 1 served again", "repeat_page", pages(PAGED, 2, 3)),
    FaultCase("page 1 served again, and says so", "repeat_page", pages(PAGED, 3), value="honest"),
    FaultCase("a row moves to the next page", "moved_row", pages(PAGED, 2, 3)),
    FaultCase("wrong page number", "wrong_page_number", A_PAGE, message="was requested"),
    wrong_envelope("num_pages too large", num_pages=4),
    wrong_envelope("num_pages far too large", num_pages=10**12),
    wrong_envelope("num_pages too small", num_pages=2),
    wrong_envelope("num_pages is 0", num_pages=0),
    wrong_envelope("num_pages is null", num_pages=None),
    wrong_envelope("num_pages is no number", num_pages="three"),
    wrong_envelope("num_results is negative", num_results=-1),
    wrong_envelope("num_results is no number", num_results="five"),
    wrong_envelope("page is no number", page="one"),
    wrong_envelope("results is null", results=None),
    wrong_envelope("results is an object", results={}),
    wrong_envelope("results is empty", results=[]),
    wrong_envelope("an unknown field", RECOVERS, something="new"),
    FaultCase("rows of another assessment", "wrong_assessment", RESULTS, REFUSED),
    FaultCase("dates are ignored", "ignores_dates", RESULTS, message="dated outside"),
    FaultCase("dates are ignored on a page", "ignores_dates", pages(RESULTS, 2)),
)

FIELDS = tuple(
    FaultCase(
        f"a field named {name!r}",
        "set_row_fields",
        pages(RESULTS[:1], 1),
        None,
        REFUSED,
        {name: "x"},
        message=f"a field named {name!r}, which cannot",
    )
    for name in ("\0points", "Points", "title ", "", "a\n\x1b[32mb", "__Count")
)

# Of so few rows they are most, for which a run stops; see tests/functional/test_guards.py.
ANY_SHARE = ("--checks-readable-drop", "1")
NO_NUMBERS = ("", "NaN", "1e400", "infinity", "1,5", "twelve", True, [1])
VALUES = tuple(
    FaultCase(
        f"{number!r} as a number",
        "bad_numbers",
        RESULTS[1:],
        None,
        NULLS,
        number,
        options=ANY_SHARE,
    )
    for number in NO_NUMBERS
)

CATALOGUES = (
    FaultCase("an empty catalogue", "empty_catalogue", (CATALOGUE,), REFUSED),
    FaultCase(
        "an assessment without an id",
        "set_row_fields",
        pages([CATALOGUE], 1, 2, 3),
        None,
        REFUSED,
        {"assessment_id": None},
    ),
    FaultCase(
        "an assessment with an empty id",
        "set_row_fields",
        pages([CATALOGUE], 2),
        None,
        REFUSED,
        {"assessment_id": ""},
    ),
    FaultCase(
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
        FaultCase(
            f"a token for {life!r} s", "set_fields", (TOKEN,), None, RECOVERS, {"expires_in": life}
        )
        for life in LIVES
    ),
    FaultCase("an empty token", "set_fields", (TOKEN,), value={"access_token": ""}),
    FaultCase("a token of two lines", "set_fields", (TOKEN,), value={"access_token": "a\r\nb: c"}),
    FaultCase("a token that is a number", "set_fields", (TOKEN,), value={"access_token": 7}),
)

TABLE = (*NETWORK, *BODIES, *STATUSES, *PAGES, *FIELDS, *VALUES, *CATALOGUES, *TOKENS)


def _combine() -> list[Combination]:
    tried = ((1, lambda fault: fault.once), (None, lambda fault: fault.always))
    return [
        Combination(fault, place, times, expected)
        for fault in TABLE
        for place in fault.places
        for times, choose in tried
        if (expected := choose(fault)) is not None
    ]


COMBINATIONS = _combine()
