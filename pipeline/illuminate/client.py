"""Asks the API: signed, within limits, as often as needed, and checks what comes back."""

import threading
from typing import Any

import polars as pl
import requests
import tenacity
import urllib3
from pyrate_limiter import Duration, Limiter, Rate
from requests.utils import get_environ_proxies

from pipeline.errors import (
    OutageError,
    ResponseError,
    StoppedError,
    TransientError,
    WalkError,
)
from pipeline.illuminate import pages
from pipeline.illuminate.address import Address
from pipeline.illuminate.auth import (
    Auth,
    Credentials,
    OAuth1,
    OAuth1Credentials,
    OAuth2,
    OAuth2Credentials,
    read_token,
    token_form,
)
from pipeline.illuminate.counts import Counts
from pipeline.illuminate.endpoints import CATALOGUE, Endpoint, results_parameters
from pipeline.illuminate.limits import Limits
from pipeline.illuminate.retry import Pause, Retrying, parse_retry_after
from pipeline.illuminate.threads import Here, Threads
from pipeline.illuminate.wire import Line, Watch, new_session
from pipeline.years import Window

_WALKS = 3
_CHUNK = 1 << 18
_RATE_STEP = 0.01


class Client:
    """One district's API, for many threads.

    `stop` ends all waiting and every open request soon after it is set. `threads` ask for the pages
    of one reply after the first, and one of them proves large pages.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        limits: Limits,
        stop: threading.Event | None = None,
        threads: Threads | None = None,
    ) -> None:
        self.counts = Counts()
        self._address = address
        self._limits = limits
        self._threads = threads or Here()
        self._stop = stop or threading.Event()
        self._watch = Watch(self._stop)
        self._local = threading.local()
        # No proxy stands between this machine and itself.
        self._proxies = (
            {} if address.is_loopback else get_environ_proxies(address.base, no_proxy=None)
        )
        self._verify = requests.Session().merge_environment_settings(
            address.base, {}, None, None, None
        )["verify"]
        self._limiter = _limiter(limits.max_requests_per_second)
        self._auth = self._make_auth(credentials)
        self._retrying = Retrying(
            tries=limits.tries,
            longest_wait=limits.longest_wait,
            pause=Pause(self._stop, limits.longest_pause),
            stop=self._stop,
            on_retry=lambda: self.counts.add("retries"),
        )

    def close(self) -> None:
        """Let go of the thread that watches deadlines."""
        self._watch.close()

    def count_assessments(self) -> int:
        """How many assessments the catalogue has, by one request for one row."""
        page = self._page(CATALOGUE, {}, 1, limit=1)
        return page.num_results

    def catalogue(self) -> pages.Result:
        """Every assessment of the district, whatever the year; one row per assessment.

        Raises:
            IlluminateError: the catalogue could not be read whole.
        """
        result = self._read(CATALOGUE, {})
        _check_ids(result.rows["assessment_id"])
        return result

    def results(self, endpoint: Endpoint, assessment_id: str, window: Window) -> pages.Result:
        """All rows of one assessment at one endpoint, dated within the window.

        Raises:
            IlluminateError: they could not be read whole, or are not what was asked for.
        """
        result = self._read(endpoint, results_parameters(assessment_id, window))
        if result.rows.height:
            _check_asked(result.rows, assessment_id, window)
        return result

    def _read(self, endpoint: Endpoint, parameters: dict[str, str]) -> pages.Result:
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(WalkError),
            stop=tenacity.stop_after_attempt(_WALKS) | tenacity.stop_when_event_set(self._stop),
            reraise=True,
        )
        return again(
            pages.walk,
            lambda number: self._page(endpoint, parameters, number),
            lambda number, limit: self._page(endpoint, parameters, number, limit),
            self._threads.each,
        )

    def _page(
        self, endpoint: Endpoint, parameters: dict[str, str], number: int, limit: int | None = None
    ) -> pages.Page:
        limit = limit or self._limits.page_limit
        asked = {**parameters, "page": str(number), "limit": str(limit)}
        url = self._address.method_url(endpoint.method)

        def once() -> pages.Page:
            return pages.decode(self._get(url, asked), endpoint, number, self._threads)

        return self._retrying.call(once)

    def _get(self, url: str, parameters: dict[str, str]) -> bytes:
        """The body of a good reply; a token that has ended is renewed."""
        while True:
            signer = self._auth.signer()
            response, body = self._send("GET", url, params=parameters, auth=signer)
            if response.status_code != requests.codes.unauthorized:
                break
            self._auth.refused(signer)
        _check_status(response)
        _check_is_json(response, body)
        self._auth.accepted(signer)
        return body

    def _send(
        self,
        method: str,
        url: str,
        **what: Any,  # noqa: ANN401  passed on to requests
    ) -> tuple[requests.Response, bytes]:
        """Send once, and read the whole reply, within the limits."""
        if self._stop.is_set():
            raise StoppedError("the run was asked to stop")
        self._wait_for_the_rate()
        line, session = self._thread()
        self.counts.add("requests" if method == "GET" else "tokens")
        try:
            with line.within(self._limits.deadline):
                response = session.request(
                    method,
                    url,
                    timeout=(self._limits.connect_timeout, self._limits.read_timeout),
                    allow_redirects=False,
                    stream=True,
                    **what,
                )
                body = self._read_body(response)
        except requests.exceptions.SSLError:
            raise OutageError(
                "the certificate of the server is not trusted; if your network has its own, "
                "name it in REQUESTS_CA_BUNDLE"
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # The library's own texts hold the whole address; the kind of error says enough.
            raise self._network_error(line, type(error).__name__) from None
        if line.was_cut:
            raise self._network_error(line, "")
        return response, body

    def _read_body(self, response: requests.Response) -> bytes:
        chunks, size = [], 0
        with response:
            for chunk in response.iter_content(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > self._limits.most_bytes:
                    raise ResponseError(
                        f"a reply is larger than {self._limits.most_bytes >> 20} MiB"
                    )
        return b"".join(chunks)

    def _network_error(self, line: Line, kind: str) -> Exception:
        if self._stop.is_set():
            return StoppedError("the run was asked to stop")
        if line.was_cut:
            return TransientError(f"no complete reply within {self._limits.deadline:g} s")
        return TransientError(f"the connection failed ({kind})")

    def _wait_for_the_rate(self) -> None:
        if self._limiter is None:
            return
        while not self._limiter.try_acquire("illuminate", blocking=False):
            if self._stop.wait(_RATE_STEP):
                raise StoppedError("the run was asked to stop")

    def _thread(self) -> tuple[Line, requests.Session]:
        """The line and the session of the calling thread."""
        if not hasattr(self._local, "session"):
            line = self._watch.new_line()
            session = new_session(line)
            # Proxies and certificates are looked up once, not at each request.
            session.trust_env = False
            session.proxies = dict(self._proxies)
            session.verify = self._verify
            self._local.line, self._local.session = line, session
        return self._local.line, self._local.session

    def _make_auth(self, credentials: Credentials) -> Auth:
        if isinstance(credentials, OAuth1Credentials):
            return OAuth1(credentials)
        return OAuth2(lambda: self._fetch_token(credentials))

    def _fetch_token(self, credentials: OAuth2Credentials) -> tuple[str, float]:
        form = token_form(credentials)
        try:
            response, body = self._send("POST", self._address.token_url, data=form, auth=_unsigned)
        except (ResponseError, TransientError) as error:
            raise type(error)(f"the token request failed: {error}") from None
        if response.status_code == requests.codes.ok:
            _check_is_json(response, body)
        wait = parse_retry_after(response.headers.get("Retry-After"))
        return read_token(response.status_code, body, wait)


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _limiter(per_second: float) -> Limiter | None:
    if per_second <= 0:
        return None
    return Limiter(Rate(1, max(1, round(int(Duration.SECOND) / per_second))))


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == requests.codes.ok:
        return
    if status in {408, 429} or status >= 500:
        wait = parse_retry_after(response.headers.get("Retry-After"))
        raise TransientError(f"the server answered {status}", wait)
    if 300 <= status < 400:
        raise ResponseError(
            f"the server redirects elsewhere ({status}); is ILLUMINATE_BASE_URL right?"
        )
    raise ResponseError(f"the server answered {status}{_MEANING.get(status, '')}")


_MEANING = {
    403: ": the account behind the credentials may not read this",
    404: ": there is no such thing at this address",
}


def _check_is_json(response: requests.Response, body: bytes) -> None:
    kind = response.headers.get("Content-Type", "")
    if "html" in kind.lower() or body.lstrip()[:1] == b"<":
        raise OutageError(
            "a web page came instead of data; ILLUMINATE_BASE_URL must be like "
            "https://<district>.illuminateed.com/live"
        )


def _check_asked(rows: pl.DataFrame, assessment_id: str, window: Window) -> None:
    if rows["assessment_id"].ne_missing(assessment_id).any():
        raise ResponseError("rows of another assessment came")
    first, last = window.start.isoformat(), window.end.isoformat()
    dates = rows["date_taken"].unique()
    if any(_is_date(text) and not first <= text <= last for text in dates if text is not None):
        raise ResponseError(f"rows came that are dated outside of {first} to {last}")


def _check_ids(ids: pl.Series) -> None:
    if not all(ids):
        raise ResponseError("it has an assessment without an id")
    if ids.n_unique() != len(ids):
        raise WalkError("it names an assessment twice with different contents")


def _is_date(text: str) -> bool:
    return len(text) == len("2000-01-01") and text[:4].isdigit() and text[4] == text[7] == "-"
