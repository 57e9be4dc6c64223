"""Request data from the API: authenticated, within limits, retried, and verified."""

import functools
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests
import tenacity
import urllib3
from pyrate_limiter import Duration, Limiter, Rate
from requests.utils import select_proxy

from pipeline import network
from pipeline.errors import (
    OutageError,
    PaginationError,
    ResponseError,
    StoppedError,
    TransientError,
)
from pipeline.illuminate import pages, requested
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
from pipeline.illuminate.endpoints import CATALOGUE, Endpoint, date_parameters, results_parameters
from pipeline.illuminate.limits import Limits
from pipeline.illuminate.retry import Retrying, parse_retry_after
from pipeline.illuminate.wire import DeadlineWatcher, WatchedSocket, new_session
from pipeline.years import Window

_READINGS = 3
_CHUNK = 1 << 18
_RATE_STEP = 0.01


class Client:
    """A client of one district's API, for many threads.

    Args:
        stop: ends all waiting and every open request soon after it is set.
        map_pages: requests the pages of a reply after the first, maybe many at once.
        counts: where requests are counted.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        limits: Limits,
        stop: threading.Event | None = None,
        map_pages: pages.MapPages = map,
        counts: Counts | None = None,
    ) -> None:
        self.counts = counts or Counts()
        self._address = address
        self._limits = limits
        self._map_pages = map_pages
        self._stop = stop or threading.Event()
        self._watcher = DeadlineWatcher(self._stop)
        self._local = threading.local()
        found = requests.Session().merge_environment_settings(address.base, {}, None, None, None)
        # Requests to this machine go through no proxy.
        self._proxies = {} if address.is_loopback else found["proxies"]
        self._verify = found["verify"]
        self._limiter = _limiter(limits.max_requests_per_second)
        self._auth = self._make_auth(credentials)
        self._has_sent_data = False
        self._retrying = Retrying(limits, self._stop, self.count_retry)

    def close(self) -> None:
        """End every open request, and the thread that watches deadlines."""
        self._watcher.close()

    def expect(self, requests: int) -> None:
        """Allow the retries that so many requests more may need from now on."""
        self._retrying.budget.expect(requests)

    def count_retry(self) -> None:
        """Count a request that is made again because it failed."""
        self.counts.add("retries")

    def take_retry(self) -> bool:
        """Take one retry of the run's budget; return False if none is left."""
        return self._retrying.budget.take()

    def count_assessments(self) -> int:
        """Return the number of assessments in the catalogue, by one request for one row."""
        return self._page(CATALOGUE, {}, number=1, limit=1).num_results

    def catalogue(self) -> pages.Result:
        """Return every assessment of the district, of all years; one row per assessment.

        Raises:
            IlluminateError: the catalogue could not be read completely.
        """
        result = self._read(CATALOGUE, {})
        requested.check_catalogue(result.rows["assessment_id"])
        return result

    def count_results(self, endpoint: Endpoint, window: Window | None) -> int:
        """Return how many results all assessments have, of all dates if there is no window.

        One request for one row, without retries: whether a server can do this is not known.

        Raises:
            IlluminateError: it cannot, or not now.
        """
        query = {**(date_parameters(window) if window else {}), "page": "1", "limit": "1"}
        url = self._address.method_url(endpoint.method)
        body = self._retrying.once(lambda: self._get(url, query))
        return pages.decode(body, endpoint, 1).num_results

    def results(
        self, endpoint: Endpoint, assessment_id: str, window: Window, likely_rows: int = 0
    ) -> pages.Result:
        """Return all rows of one assessment at one endpoint, dated within the window.

        The pages that the `likely_rows` fill are requested together. Columns have the names used
        outside the API, as the endpoint's `renames` say.

        Raises:
            IlluminateError: they could not be read completely, or are not what was requested.
        """
        parameters = results_parameters(assessment_id, window)
        result = self._read(endpoint, parameters, likely_rows)
        if result.rows.height:
            requested.check_assessment(result.rows, assessment_id)
            requested.check_dates(result.rows, window)
        return _renamed(result, endpoint)

    def all_results(
        self, endpoint: Endpoint, window: Window, most_pages: int | None, likely_rows: int = 0
    ) -> pages.Result:
        """Return all rows dated within the window, whatever their assessment, with duplicates.

        The pages that the `likely_rows` fill are requested together.

        Raises:
            TooManyPagesError: they fill more than `most_pages`, of which only those were requested.
            IlluminateError: they could not be read completely, or are not what was requested.
        """
        parameters = date_parameters(window)
        result = self._read(
            endpoint, parameters, likely_rows, most_pages=most_pages, keep_duplicates=True
        )
        if result.rows.height:
            requested.check_have_assessment(result.rows)
            requested.check_dates(result.rows, window)
        return _renamed(result, endpoint)

    def _read(
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        likely_rows: int = 0,
        **how: Any,  # noqa: ANN401  passed on to pages.read_all
    ) -> pages.Result:
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PaginationError),
            stop=tenacity.stop_after_attempt(_READINGS) | tenacity.stop_when_event_set(self._stop),
            reraise=True,
        )
        get = functools.partial(self._page, endpoint, parameters)
        limit = self._limits.page_limit
        likely_pages = max(1, -(-likely_rows // limit))
        return again(pages.read_all, get, limit, self._map_pages, likely_pages, **how)

    def _page(
        self, endpoint: Endpoint, parameters: dict[str, str], number: int, limit: int
    ) -> pages.Page:
        query = {**parameters, "page": str(number), "limit": str(limit)}
        url = self._address.method_url(endpoint.method)

        def attempt() -> pages.Page:
            page = pages.decode(self._get(url, query), endpoint, number)
            self._has_sent_data = True
            return page

        return self._retrying.call(attempt, _name(endpoint, parameters, number))

    def _get(self, url: str, parameters: dict[str, str]) -> bytes:
        """Return the body of a good reply; an expired token is renewed."""
        while True:
            auth = self._auth.current()
            response, body = self._send("GET", url, params=parameters, auth=auth)
            if response.status_code != requests.codes.unauthorized:
                break
            self._auth.rejected(auth)
        _check_status(response)
        self._check_is_json(response, body)
        self._auth.accepted(auth)
        return body

    def _send(
        self,
        method: str,
        url: str,
        **options: Any,  # noqa: ANN401  passed on to requests
    ) -> tuple[requests.Response, bytes]:
        """Send a request once and read the whole reply, within the limits."""
        if self._stop.is_set():
            raise StoppedError("the run was asked to stop")
        self._wait_for_the_rate()
        watched, session = self._thread()
        self.counts.add("requests" if method == "GET" else "tokens")
        try:
            with watched.within(self._limits.deadline):
                response = session.request(
                    method,
                    url,
                    timeout=(self._limits.connect_timeout, self._limits.read_timeout),
                    allow_redirects=False,
                    stream=True,
                    **options,
                )
                body = self._read_body(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._network_error(watched, error) from None
        if watched.was_cut:
            raise self._network_error(watched)
        return response, body

    def _read_body(self, response: requests.Response) -> bytes:
        chunks, size = [], 0
        with response:
            for chunk in response.iter_content(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > self._limits.max_response_bytes:
                    raise ResponseError(
                        f"a reply is larger than {self._limits.max_response_bytes >> 20} MiB; "
                        "lower [illuminate] page_limit, or raise max_response_bytes"
                    )
        return b"".join(chunks)

    def _check_is_json(self, response: requests.Response, body: bytes) -> None:
        kind = response.headers.get("Content-Type", "")
        if "html" not in kind.lower() and body.lstrip()[:1] != b"<":
            return
        what = "the server sent a web page instead of data"
        if self._has_sent_data:  # the address is right
            raise TransientError(what)
        raise OutageError(
            f"{what}; ILLUMINATE_BASE_URL must be like https://<district>.illuminateed.com/live"
        )

    def _network_error(self, watched: WatchedSocket, error: Exception | None = None) -> Exception:
        if self._stop.is_set():
            return StoppedError("the run was asked to stop")
        host = network.host_of(self._address.base)
        if watched.was_cut or error is None:
            seconds = self._limits.deadline
            return TransientError(f"no complete reply from {host} within {seconds:g} s")
        if problem := network.certificate_problem(error, host):
            return OutageError(problem)
        proxy = network.host_of(select_proxy(self._address.base, self._proxies) or "")
        return TransientError(f"the connection failed: {network.explain(error, host, proxy)}")

    def _wait_for_the_rate(self) -> None:
        if self._limiter is None:
            return
        while not self._limiter.try_acquire("illuminate", blocking=False):
            if self._stop.wait(_RATE_STEP):
                raise StoppedError("the run was asked to stop")

    def _thread(self) -> tuple[WatchedSocket, requests.Session]:
        """Return the socket and the session of the calling thread."""
        if not hasattr(self._local, "session"):
            watched = self._watcher.new_socket()
            session = new_session(watched)
            # Proxies and certificates are looked up once, not at each request, and no ~/.netrc.
            session.trust_env = False
            session.proxies = dict(self._proxies)
            session.verify = self._verify
            self._local.watched, self._local.session = watched, session
        return self._local.watched, self._local.session

    def _make_auth(self, credentials: Credentials) -> Auth:
        if isinstance(credentials, OAuth1Credentials):
            return OAuth1(credentials)
        return OAuth2(lambda: self._fetch_token(credentials))

    def _fetch_token(self, credentials: OAuth2Credentials) -> tuple[str, float]:
        form = token_form(credentials)
        try:
            response, body = self._send("POST", self._address.token_url, data=form)
        except (ResponseError, TransientError) as error:
            raise type(error)(f"the token request failed: {error}") from None
        if response.status_code == requests.codes.ok:
            self._check_is_json(response, body)
        wait = parse_retry_after(response.headers.get("Retry-After"))
        return read_token(response.status_code, body, wait)


def _name(endpoint: Endpoint, parameters: Mapping[str, str], page: int) -> str:
    """Return what is requested, for the log: no student, whatever the request."""
    of_one = parameters.get("assessment_id")
    start, end = (parameters.get(f"date_taken_{name}") for name in ("start", "end"))
    of_range = f" of {start} to {end}" if start else ""
    return f"{endpoint.name}{f' of assessment {of_one}' if of_one else of_range}, page {page}"


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
            f"the server redirects to another address ({status}); check ILLUMINATE_BASE_URL"
        )
    raise ResponseError(f"the server answered {status}{_MEANING.get(status, '')}")


_MEANING = {
    403: ": the account of these credentials has no permission to read this; ask for it where "
    "Illuminate is administered",
    404: ": not found; check ILLUMINATE_BASE_URL",
}


def _renamed(result: pages.Result, endpoint: Endpoint) -> pages.Result:
    # polars takes as long for a renaming as for an empty page
    if all(old == new for old, new in endpoint.renames.items()):
        return result
    return replace(result, rows=result.rows.rename(endpoint.renames))
