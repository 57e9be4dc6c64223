"""Connections: no reply outlasts its deadline, its size limit, or the run."""

import contextlib
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ResponseError, StoppedError, TransientError
from pipeline.illuminate.address import Address
from pipeline.illuminate.auth import OAuth2Credentials
from pipeline.illuminate.client import Client
from pipeline.illuminate.endpoints import OVERALL
from pipeline.illuminate.limits import Limits
from pipeline.illuminate.wire import DeadlineWatcher
from pipeline.simulator import Fault, Protocol

ASSESSMENT = "1"
# At the deadline the status line is through, and the headers are not.
SLOW = [Fault("drip_body", 0.05), Fault("drip_headers", 0.01), Fault("silence")]


def slow(fault, endpoint, times=None):
    return Fault(fault.kind, fault.value, endpoint=endpoint, times=times)


@pytest.fixture
def watcher():
    watcher = DeadlineWatcher(threading.Event())
    yield watcher
    watcher.close()


@pytest.fixture
def pair():
    """Two ends of a connection; to read from one blocks for ten seconds at most."""
    near, far = socket.socketpair()
    near.settimeout(10)
    with near, far:
        yield near, far


@pytest.fixture
def connect_to():
    """Make a client for any address that tries once: `connect_to(url, stop, deadline=1)`."""
    with contextlib.ExitStack() as stack:

        def make(url, stop=None, **limits):
            credentials = OAuth2Credentials("an-id", "a-secret")
            limits = Limits(**{"tries": 1, **limits})
            client = Client(Address.parse(url), credentials, limits, stop)
            stack.callback(client.close)
            return client

        yield make


# Deadlines.


@pytest.mark.parametrize("fault", SLOW, ids=lambda fault: fault.kind)
def test_a_slow_reply_ends_at_the_deadline(server, connect, window, fault):
    server.faults.add(slow(fault, "overall"))
    client = connect(server, tries=1, deadline=0.3, read_timeout=5)
    with pytest.raises(TransientError, match=r"within 0\.3 s"):
        client.results(OVERALL, ASSESSMENT, window)


@pytest.mark.parametrize("fault", SLOW, ids=lambda fault: fault.kind)
def test_a_slow_reply_is_requested_again(server, connect, fault):
    server.faults.add(slow(fault, "catalogue", times=1))
    client = connect(server, tries=2, deadline=0.3, read_timeout=5)
    assert client.count_assessments() == len(server.district.catalogue)
    assert [entry.fault for entry in server.log[1:]] == [fault.kind, None]


def test_silence_ends_at_the_read_timeout(server, connect):
    server.faults.add(Fault("silence", endpoint="catalogue"))
    with pytest.raises(TransientError, match="did not answer in time"):
        connect(server, tries=1, read_timeout=0.1).count_assessments()


def test_a_token_is_no_reason_to_wait_longer(server, connect):
    server.faults.add(Fault("silence", endpoint="token"))
    with pytest.raises(TransientError, match="did not answer in time"):
        connect(server, tries=1, read_timeout=0.1).count_assessments()


def test_only_the_socket_past_its_deadline_is_cut(watcher, pair):
    near, _ = pair
    early, idle, late = (watcher.new_socket() for _ in range(3))
    late.watch(near)
    with early.within(1000), late.within(0):
        assert near.recv(1) == b""
    assert late.was_cut
    assert not early.was_cut
    assert not idle.was_cut


def test_an_idle_connection_is_not_cut_at_the_deadline_of_its_last_request(watcher, pair):
    near, _ = pair
    idle, late = watcher.new_socket(), watcher.new_socket()
    late.watch(near)
    with idle.within(0.05):
        pass
    with late.within(0.1):
        assert near.recv(1) == b""
    assert not idle.was_cut


def test_a_socket_that_was_cut_does_not_cut_the_next_request(watcher, pair):
    near, _ = pair
    watched = watcher.new_socket()
    watched.watch(near)
    with watched.within(0):
        assert near.recv(1) == b""
    with watched.within(1000):
        assert not watched.was_cut


# Stop.


def test_stop_cuts_every_open_request(server, connect, window, until):
    server.faults.add(Fault("silence", endpoint="overall"))
    stop = threading.Event()
    client = connect(server, stop=stop, read_timeout=20)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(client.results, OVERALL, str(n), window) for n in range(4)]
        until(lambda: sum(entry.endpoint == "overall" for entry in server.log) == 4)
        stop.set()
        assert [type(each.exception(15)) for each in waiting] == [StoppedError] * 4


@pytest.mark.parametrize("kind", ["drip_body", "drip_headers"])
def test_stop_cuts_a_reply_that_drips(server, connect, window, until, kind):
    server.faults.add(Fault(kind, 0.05, endpoint="overall"))
    stop = threading.Event()
    client = connect(server, stop=stop)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.results, OVERALL, ASSESSMENT, window)
        until(lambda: len(server.log) == 2)
        stop.set()
        assert isinstance(waiting.exception(15), StoppedError)


@pytest.fixture
def full():
    """The port of a server whose queue of connections is full: to connect takes for ever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def silent():
    """The port of a server that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("scheme", "phase"), [("http", "full"), ("https", "silent")])
def test_stop_cuts_a_connection_that_is_not_made_yet(connect_to, request, scheme, phase):
    """While the socket connects, and during the TLS handshake."""
    stop = threading.Event()
    port = request.getfixturevalue(phase)
    client = connect_to(f"{scheme}://127.0.0.1:{port}", stop, connect_timeout=20)
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(StoppedError):
        client.count_assessments()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("scheme", "phase"), [("http", "full"), ("https", "silent")])
def test_a_connection_that_is_not_made_ends_at_the_deadline(connect_to, request, scheme, phase):
    port = request.getfixturevalue(phase)
    client = connect_to(f"{scheme}://127.0.0.1:{port}", connect_timeout=20, deadline=0.3)
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"within 0\.3 s"):
        client.count_assessments()
    assert time.monotonic() - began < 5


def test_a_proxy_that_never_answers_ends_at_the_deadline(connect_to, monkeypatch, silent):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent}")
    client = connect_to("https://district.invalid/live", connect_timeout=20, deadline=0.3)
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"within 0\.3 s"):
        client.count_assessments()
    assert time.monotonic() - began < 5


# Informational replies.


@pytest.mark.parametrize("status", [100, 102, 103])
def test_an_informational_reply_before_the_response_is_read_over(server, connect, window, status):
    server.faults.add(Fault("informational", status))
    client = connect(server, tries=1)
    assert client.catalogue().declared == len(server.district.catalogue)
    assert {entry.fault for entry in server.log} == {"informational"}


# Size.


def test_a_reply_that_is_too_large_is_refused(server, connect):
    with pytest.raises(ResponseError, match="larger"):
        connect(server, max_response_bytes=1000).catalogue()
    assert len(server.log) == 2


def test_a_gzip_bomb_is_given_up_before_it_fills_the_memory(server, connect):
    server.faults.add(Fault("gzip_bomb", 300, endpoint="catalogue"))
    client = connect(server, max_response_bytes=1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ResponseError, match="1 MiB"):
            client.count_assessments()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20
    assert sum(entry.endpoint == "catalogue" for entry in server.log) == 1


def test_a_gzip_bomb_instead_of_a_token_is_given_up_before_it_fills_the_memory(server, connect):
    server.faults.add(Fault("gzip_bomb", 100, endpoint="token"))
    client = connect(server, tries=1, max_response_bytes=1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises((ResponseError, TransientError)):
            client.count_assessments()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


def test_compressed_replies_are_read(serve, connect, district):
    server = serve(protocol=Protocol(gzip=True))
    assert connect(server).catalogue().declared == len(district.catalogue)
