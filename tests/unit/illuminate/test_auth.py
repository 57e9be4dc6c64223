"""Signing in: one token for all threads, renewed in time; refusals name variables, not values."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import requests

from pipeline.errors import AuthError, OutageError, StoppedError, TransientError
from pipeline.illuminate import auth
from pipeline.illuminate.auth import (
    OAuth1Credentials,
    OAuth2,
    OAuth2Credentials,
    read_token,
    token_form,
)
from pipeline.illuminate.endpoints import OVERALL
from pipeline.simulator import Credentials, Fault, Protocol
from tests import canaries

CANARY = "c4nary9f2c+/=%\"'Zz9"
THREADS = 16


def tokens(server) -> int:
    return sum(entry.endpoint == "token" for entry in server.log)


def request_token(server, client_id="", client_secret=""):
    known = server.credentials
    credentials = OAuth2Credentials(
        client_id or known.client_id, client_secret or known.client_secret
    )
    reply = requests.post(server.token_url, data=token_form(credentials), timeout=5)
    return read_token(reply.status_code, reply.content)


def at_once(call, threads=THREADS):
    """Run `call` on so many threads that all begin together."""
    together = threading.Barrier(threads)

    def begin(_):
        together.wait(10)
        return call()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


class Counter:
    """Gives out tokens without a server, and counts them."""

    def __init__(self, life=3600.0):
        self.life = life
        self.given = 0

    def __call__(self):
        self.given += 1
        return f"token-{self.given}", self.life


@pytest.fixture
def clock(monkeypatch):
    """The clock that tokens are renewed by, to be set at will."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


# One token for many threads.


def test_threads_that_begin_together_request_one_token(server, connect):
    client = connect(server)
    at_once(client.count_assessments)
    assert tokens(server) == 1
    assert client.counts.snapshot()["tokens"] == 1


def test_threads_refused_with_the_same_token_cause_one_renewal():
    counter = Counter()
    oauth = OAuth2(counter)
    refused = oauth.current()
    at_once(lambda: oauth.rejected(refused))
    assert counter.given == 2
    assert oauth.current() is not refused


def test_a_token_revoked_under_many_threads_is_renewed_once_and_every_request_succeeds(
    serve, connect
):
    server = serve(protocol=Protocol(latency_seconds=0.1))
    client = connect(server)
    client.count_assessments()
    server.authority.revoke_tokens()
    server.clear_log()
    assert set(at_once(client.count_assessments)) == {len(server.district.catalogue)}
    assert tokens(server) == 1


@pytest.mark.parametrize("good_for", range(1, 6))
def test_a_token_that_ends_after_any_number_of_requests_loses_nothing(
    serve, connect, window, good_for
):
    server = serve(protocol=Protocol(token_requests_limit=good_for, cap=10))
    client = connect(server, page_limit=10)
    assert client.catalogue().declared == len(server.district.catalogue)
    answered = sum(entry.endpoint == "catalogue" and entry.status == 200 for entry in server.log)
    assert tokens(server) == -(-answered // good_for)


def test_two_tokens_are_requested_from_a_server_that_refuses_each(server, connect, window):
    server.faults.add(Fault("status", 401, endpoint="overall"))
    client = connect(server)
    with pytest.raises(AuthError):
        client.results(OVERALL, "1", window)
    assert tokens(server) == 2
    assert sum(entry.endpoint == "overall" for entry in server.log) == 2


# How long a token is used.


@pytest.mark.parametrize("life", [3600.0, 600.0, 60.0, 1.0])
def test_a_token_is_renewed_before_it_ends_and_not_long_before(clock, life):
    counter = Counter(life)
    oauth = OAuth2(counter)
    first = oauth.current()
    clock.now += life * 0.8
    assert oauth.current() is first
    clock.now += life * 0.19
    assert oauth.current() is not first
    assert counter.given == 2


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        (3600, 3600),
        ("3600", 3600),
        (1800.5, 1800.5),
        (None, 3600),
        (0, 60),
        (-1, 60),
        ("-1", 60),
        ("soon", 60),
        ("", 60),
        (10**9, 86_400),
        (10**30, 86_400),
    ],
)
def test_expires_in_is_believed_within_reason(server, expires_in, life):
    server.faults.add(Fault("set_fields", {"expires_in": expires_in}, endpoint="token"))
    assert request_token(server)[1] == life


@pytest.mark.parametrize("expires_in", [float("inf"), float("nan"), [3600], {"seconds": 3600}])
def test_an_expires_in_that_is_no_number_is_no_crash(server, expires_in):
    """A reply that is no JSON may be refused; either way it is one of our own errors."""
    server.faults.add(Fault("set_fields", {"expires_in": expires_in}, endpoint="token"))
    try:
        life = request_token(server)[1]
    except TransientError:
        return
    assert life == 60


@pytest.mark.parametrize(
    ("sent", "life"),
    [
        ("1e400", 86_400),
        ("-1e400", 60),
        ("9" * 5000, 86_400),
        ("1e-400", 60),
        ('"Infinity"', 86_400),
        ('"NaN"', 60),
        ("[1e400]", 60),
        ("true", 60),
        (" null ", 3600),
    ],
)
def test_a_lifetime_out_of_all_reason_spoils_no_token(sent, life):
    body = f'{{"access_token": "abc", "expires_in":{sent}, "other": 1e400}}'
    assert auth.read_token(200, body.encode()) == ("abc", life)


def test_a_missing_expires_in_means_an_hour(server):
    server.faults.add(Fault("missing_field", "expires_in", endpoint="token"))
    assert request_token(server)[1] == 3600


# Token requests that fail.


@pytest.mark.parametrize(
    "wrong", [{"client_id": CANARY}, {"client_secret": CANARY}], ids=["id", "secret"]
)
def test_wrong_credentials_are_named_by_their_variables_alone(server, connect, wrong):
    known = {"client_id": server.credentials.client_id, "client_secret": "demo-secret"}
    client = connect(server, OAuth2Credentials(**(known | wrong)))
    with pytest.raises(AuthError) as error:
        client.count_assessments()
    text = str(error.value)
    assert "ILLUMINATE_CLIENT_ID" in text
    assert "ILLUMINATE_CLIENT_SECRET" in text
    assert canaries.found([CANARY], text) == set()
    assert not any(value in text for value in known.values())


def test_refused_credentials_are_tried_once_by_all_threads(server, connect):
    client = connect(server, OAuth2Credentials("demo-client", "wrong"))

    def refused():
        with pytest.raises(AuthError):
            client.count_assessments()

    at_once(refused)
    assert tokens(server) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_token_request_that_is_refused_is_an_error_of_the_credentials(server, status):
    server.faults.add(Fault("status", status, endpoint="token"))
    with pytest.raises(AuthError):
        request_token(server)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 500),
        Fault("status", 503),
        Fault("status", 404),
        Fault("redirect"),
        Fault("missing_field"),
        Fault("set_fields", {"access_token": None}),
        Fault("set_fields", {"access_token": ""}),
        Fault("set_fields", {"access_token": 5}),
        Fault("set_fields", {"access_token": ["a"]}),
        Fault("set_fields", {"access_token": "t\u00f6k\u20acn"}),
        Fault("set_fields", {"access_token": "token\r\nX-Other: 1"}),
        Fault("list_instead_of_object"),
        Fault("truncated_json"),
        Fault("truncated_json", 0),
        Fault("gzip_garbage"),
        Fault("gzip_truncated"),
        Fault("reset_before"),
        Fault("short_body"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.value}",
)
def test_a_token_reply_that_cannot_be_used_is_retried(server, connect, fault):
    server.faults.add(Fault(fault.kind, fault.value, endpoint="token", times=1))
    client = connect(server)
    assert client.count_assessments() == len(server.district.catalogue)
    assert tokens(server) == 2


def test_a_web_page_in_place_of_a_token_ends_the_run_with_a_hint(server, connect):
    server.faults.add(Fault("html", endpoint="token"))
    with pytest.raises(OutageError, match="ILLUMINATE_BASE_URL must be like"):
        connect(server).count_assessments()
    assert tokens(server) == 1


def test_a_token_reply_that_is_redirected_is_not_followed(server, connect):
    server.faults.add(Fault("redirect", "/live/elsewhere", endpoint="token"))
    client = connect(server, tries=1)
    with pytest.raises(TransientError):
        client.count_assessments()
    assert [entry.endpoint for entry in server.log] == ["token"]


def test_a_dripped_token_reply_ends_at_the_deadline(server, connect):
    server.faults.add(Fault("drip_body", 0.01, endpoint="token"))
    client = connect(server, tries=1, deadline=0.3)
    with pytest.raises(TransientError):
        client.count_assessments()


def test_stop_ends_a_token_request_that_is_not_answered(server, connect, until):
    server.faults.add(Fault("silence", endpoint="token"))
    stop = threading.Event()
    client = connect(server, stop=stop, tries=1, read_timeout=1.5)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.count_assessments)
        until(lambda: server.log)
        stop.set()
        assert isinstance(waiting.exception(20), StoppedError)


# OAuth 1, and what must not take its place.


def test_oauth_1_signatures_are_accepted(server, connect, window):
    known = server.credentials
    client = connect(
        server,
        OAuth1Credentials(
            known.consumer_key, known.consumer_secret, known.access_token, known.access_token_secret
        ),
    )
    assert client.count_assessments() == len(server.district.catalogue)
    client.results(OVERALL, "aB/ü &%=+", window)
    assert [entry.auth for entry in server.log] == ["oauth1", "oauth1"]


@pytest.mark.parametrize("place", range(4))
def test_refused_oauth_1_credentials_are_tried_once_and_named_by_their_variables(
    server, connect, place
):
    known = server.credentials
    values = [
        known.consumer_key,
        known.consumer_secret,
        known.access_token,
        known.access_token_secret,
    ]
    values[place] = CANARY
    client = connect(server, OAuth1Credentials(*values))
    with pytest.raises(AuthError) as error:
        client.count_assessments()
    assert "ILLUMINATE_CONSUMER_KEY" in str(error.value)
    assert "ILLUMINATE_ACCESS_TOKEN" in str(error.value)
    assert canaries.found([CANARY], str(error.value)) == set()
    assert not any(value in str(error.value) for value in values)
    assert len(server.log) == 1


@pytest.mark.parametrize("scheme", ["oauth2", "oauth1"])
def test_a_netrc_file_cannot_replace_the_credentials(
    server, connect, monkeypatch, tmp_path, scheme
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login clara password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    known = server.credentials
    credentials = {
        "oauth2": None,
        "oauth1": OAuth1Credentials(
            known.consumer_key, known.consumer_secret, known.access_token, known.access_token_secret
        ),
    }
    connect(server, credentials[scheme]).count_assessments()
    assert server.log[-1].auth == scheme


def test_credentials_show_no_value_when_they_are_printed():
    shown = f"{OAuth2Credentials(CANARY, CANARY)!r} {OAuth1Credentials(*[CANARY] * 4)}"
    assert canaries.found([CANARY], shown) == set()


def test_secrets_with_any_characters_reach_the_server_as_they_are(serve, connect):
    server = serve(credentials=Credentials(*[CANARY + letter for letter in "abcdef"]))
    known = server.credentials
    connect(server).count_assessments()
    connect(
        server,
        OAuth1Credentials(
            known.consumer_key, known.consumer_secret, known.access_token, known.access_token_secret
        ),
    ).count_assessments()
    assert [entry.auth for entry in server.log] == ["none", "oauth2", "oauth1"]
