"""Connections: no reply outlasts its deadline, its size limit, or the run."""

import socket
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ResponseError, StoppedError, TransientError
from pipeline.illuminate.endpoints import OVERALL
from pipeline.illuminate.wire import Watch
from pipeline.simulator import Fault, Protocol

ASSESSMENT = "1"
# At the deadline the status line is through, and the headers are not.
SLOW = [Fault("drip_body", 0.05), Fault("drip_headers", 0.01), Fault("silence")]


def slow(fault, endpoint, times=None):
    return Fault(fault.kind, fault.value, endpoint=endpoint, times=times)


@pytest.fixture
def watch():
    watch = Watch(threading.Event())
    yield watch
    watch.close()


@pytest.fixture
def pair():
    """Two ends of a connection; to read from one blocks for ten seconds at most."""
    near, far = socket.socketpair()
    near.settimeout(10)
    with near, far:
        yield near, far


# Deadlines.


@pytest.mark.parametrize("fault", SLOW, ids=lambda fault: fault.kind)
def test_a_slow_reply_ends_at_the_deadline(server, connect, window, fault):
    server.faults.add(slow(fault, "overall"))
    client = connect(server, tries=1, deadline=0.3, read_timeout=5)
    with pytest.raises(TransientError, match=r"within 0\.3 s"):
        client.results(OVERALL, ASSESSMENT, window)


@pytest.mark.parametrize("fault", SLOW, ids=lambda fault: fault.kind)
def test_after_a_slow_reply_the_same_is_asked_again(server, connect, fault):
    server.faults.add(slow(fault, "catalogue", times=1))
    client = connect(server, tries=2, deadline=0.3, read_timeout=5)
    assert client.count_assessments() == len(server.district.catalogue)
    assert [entry.fault for entry in server.log[1:]] == [fault.kind, None]


def test_silence_ends_at_the_read_timeout(server, connect):
    server.faults.add(Fault("silence", endpoint="catalogue"))
    with pytest.raises(TransientError, match="Timeout"):
        connect(server, tries=1, read_timeout=0.1).count_assessments()


def test_a_token_is_no_reason_to_wait_longer(server, connect):
    server.faults.add(Fault("silence", endpoint="token"))
    with pytest.raises(TransientError, match="Timeout"):
        connect(server, tries=1, read_timeout=0.1).count_assessments()


def test_only_the_line_that_is_over_time_is_cut(watch, pair):
    near, _ = pair
    early, idle, late = watch.new_line(), watch.new_line(), watch.new_line()
    late.sockets.add(near)
    with early.within(1000), late.within(0):
        assert near.recv(1) == b""
    assert late.was_cut
    assert not early.was_cut
    assert not idle.was_cut


def test_an_idle_connection_is_not_cut_when_the_time_of_its_last_request_is_over(watch, pair):
    near, _ = pair
    idle, late = watch.new_line(), watch.new_line()
    late.sockets.add(near)
    with idle.within(0.05):
        pass
    with late.within(0.1):
        assert near.recv(1) == b""
    assert not idle.was_cut


def test_a_line_is_as_good_as_new_after_it_was_cut(watch, pair):
    near, _ = pair
    line = watch.new_line()
    line.sockets.add(near)
    with line.within(0):
        assert near.recv(1) == b""
    with line.within(1000):
        assert not line.was_cut


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


# Size.


def test_a_reply_that_is_too_large_is_refused(server, connect):
    with pytest.raises(ResponseError, match="larger"):
        connect(server, most_bytes=1000).catalogue()
    assert len(server.log) == 2


def test_a_gzip_bomb_is_given_up_before_it_fills_the_memory(server, connect):
    server.faults.add(Fault("gzip_bomb", 300, endpoint="catalogue"))
    client = connect(server, most_bytes=1 << 20)
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
    client = connect(server, tries=1, most_bytes=1 << 20)
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
