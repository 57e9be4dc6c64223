"""Retries: how often, after what, how long before, and when never."""

import email.utils
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import (
    OutageError,
    PaginationError,
    ResponseError,
    StoppedError,
    TransientError,
)
from pipeline.illuminate.endpoints import OVERALL
from pipeline.illuminate.limits import Limits
from pipeline.illuminate.retry import Cooldown, Retrying, parse_retry_after
from pipeline.simulator import Fault

ASSESSMENT = "1"


class RecordedWaits(threading.Event):
    """A stop event that never waits, and remembers how long it was to wait."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return self.is_set()


def retrying(stop=None, *, tries=5, max_backoff=0.0, on_retry=lambda: None):
    limits = Limits(tries=tries, max_backoff=max_backoff, max_retry_after=300.0)
    return Retrying(limits, stop or RecordedWaits(), on_retry)


class Attempts:
    """Fails so many times, then succeeds; counts its calls."""

    def __init__(self, failures, error=None):
        self.calls = 0
        self.failures = failures
        self.error = error or TransientError("broken")

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "good"


def requests_to(server, endpoint="overall"):
    return [entry for entry in server.log if entry.endpoint == endpoint]


# Which failures are tried again.


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_retried(server, connect, window, status):
    server.faults.add(Fault("status", status, endpoint="overall", times=2))
    client = connect(server, tries=3)
    assert client.results(OVERALL, ASSESSMENT, window).rows.is_empty()
    assert len(requests_to(server)) == 3
    assert client.counts.snapshot() == {"requests": 3, "retries": 2, "tokens": 1}


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 422])
def test_a_status_that_will_not_pass_is_not_retried(server, connect, window, status):
    server.faults.add(Fault("status", status, endpoint="overall"))
    with pytest.raises(ResponseError, match=str(status)):
        connect(server).results(OVERALL, ASSESSMENT, window)
    assert len(requests_to(server)) == 1


@pytest.mark.parametrize(
    "kind",
    ["reset_before", "reset_inside", "short_body", "unframed_body", "truncated_json",
     "gzip_garbage", "gzip_truncated", "list_instead_of_object", "no_results_key", "nan"],
)  # fmt: skip
def test_a_reply_that_was_broken_on_its_way_is_retried(server, connect, kind):
    server.faults.add(Fault(kind, endpoint="catalogue", times=1))
    assert connect(server).count_assessments() == len(server.district.catalogue)
    assert len(requests_to(server, "catalogue")) == 2


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_a_page_that_never_comes_is_requested_so_many_times(server, connect, window, tries):
    server.faults.add(Fault("status", 502, endpoint="overall"))
    with pytest.raises(TransientError, match="502"):
        connect(server, tries=tries).results(OVERALL, ASSESSMENT, window)
    assert len(requests_to(server)) == tries


def test_a_server_that_cannot_be_reached_is_tried_so_many_times(server, connect, window):
    client = connect(server, tries=3)
    client.count_assessments()
    server.stop_listening()
    with pytest.raises(TransientError, match="connection"):
        client.results(OVERALL, ASSESSMENT, window)
    assert client.counts.snapshot() == {"requests": 4, "retries": 2, "tokens": 1}
    server.resume_listening()
    assert client.results(OVERALL, ASSESSMENT, window).rows.is_empty()


@pytest.mark.parametrize("error", [ResponseError("a"), PaginationError("b"), KeyError("c")])
def test_an_error_that_is_not_transient_is_raised_at_once(error):
    attempts = Attempts(1, error)
    with pytest.raises(type(error)):
        retrying().call(attempts)
    assert attempts.calls == 1


def test_each_retry_is_announced():
    announced = []
    attempts = Attempts(3)
    assert retrying(on_retry=lambda: announced.append(attempts.calls)).call(attempts) == "good"
    assert announced == [1, 2, 3]


def test_waits_grow_to_a_limit_and_differ():
    waits = []
    for _ in range(5):
        stop = RecordedWaits()
        retrying(stop, tries=9, max_backoff=20.0).call(Attempts(8))
        assert len(stop.waits) == 8
        for before, wait in enumerate(stop.waits):
            assert 0 <= wait <= min(2**before, 20.0)
        waits += stop.waits
    assert len(set(waits)) == len(waits)
    assert max(waits) > 1


# Retry-After.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("21601", 21_601),
        ("86400", 86_400),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("-5", None),
        ("1e3", None),
        ("\u0663", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Foo 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_means_seconds_or_nothing(text, seconds):
    assert parse_retry_after(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["9" * 5000, "Wed, 21 Oct 99999 07:28:00 GMT", "Wed, 99 Oct 2015 99:99:99 GMT", "\x00", "GMT",
     "Wed, 21 Oct 2015 07:28:00 +99999999999999999999"],
)  # fmt: skip
def test_a_retry_after_that_makes_no_sense_is_no_crash(text):
    seconds = parse_retry_after(text)
    assert seconds is None or seconds >= 0


def test_a_retry_that_the_server_delays_is_logged_with_the_delay(caplog):
    caplog.set_level(logging.INFO, "pipeline")
    retrying().call(Attempts(1, TransientError("busy", 0.6)), "catalogue, page 1")
    assert caplog.messages == ["catalogue, page 1: attempt 1 failed, retrying after 1 s: busy"]


def test_retry_after_may_be_a_date_to_come():
    seconds = parse_retry_after(email.utils.formatdate(time.time() + 120, usegmt=True))
    assert 60 < seconds <= 120


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", ["0", "soon", "1.5", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_without_a_wait_leaves_the_usual_wait(
    server, connect, window, status, retry_after
):
    server.faults.add(Fault("status", status, endpoint="overall", times=1, retry_after=retry_after))
    connect(server).results(OVERALL, ASSESSMENT, window)
    assert len(requests_to(server)) == 2


def test_every_thread_waits_as_long_as_retry_after_says(server, connect, window, until):
    """Seen by the server's clock: nothing arrives during the second that it asked to wait."""
    server.faults.add(
        Fault("status", 429, endpoint="overall", assessment_id="1", times=1, retry_after="1")
    )
    client = connect(server)
    client.count_assessments()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.results, OVERALL, "1", window)
        until(lambda: client.counts.snapshot()["retries"])
        others = [pool.submit(client.results, OVERALL, str(n), window) for n in range(2, 9)]
        for each in [first, *others]:
            assert each.result(20).rows.is_empty()
    refused, *later = requests_to(server)
    assert refused.status == 429
    assert len(later) == 8
    assert min(entry.time for entry in later) - refused.time >= 1.0


def test_what_is_requested_once_waits_as_long_as_the_server_asked(server, connect, window):
    """It is not repeated by itself, but what follows, also a second attempt, comes later."""
    server.faults.add(Fault("status", 429, endpoint="overall", times=1, retry_after="1"))
    client = connect(server, tries=1)
    with pytest.raises(TransientError, match="429"):
        client.count_results(OVERALL, window)
    assert client.count_results(OVERALL, window) > 0
    refused, later = requests_to(server)
    assert later.time - refused.time >= 1.0
    server.faults.add(Fault("status", 429, endpoint="overall", retry_after="301"))
    sent = len(server.log)
    for _ in range(2):
        with pytest.raises(OutageError, match="asked to wait 301 s"):
            client.count_results(OVERALL, window)
    assert len(server.log) == sent + 1


@pytest.mark.parametrize(
    ("retry_after", "shown"),
    [
        ("301", "301 s"),
        ("3600", "3,600 s"),
        ("86400", "86,400 s"),
        ("9" * 20, "until the far future"),
    ],
)
def test_a_retry_after_longer_than_a_run_may_wait_ends_the_run(
    server, connect, window, retry_after, shown
):
    server.faults.add(Fault("status", 429, endpoint="overall", retry_after=retry_after))
    with pytest.raises(OutageError, match=shown):
        connect(server, tries=1, max_retry_after=300.0).results(OVERALL, ASSESSMENT, window)
    assert len(requests_to(server)) == 1


def test_a_retry_after_of_ten_years_ends_the_run(server, connect, window):
    then = email.utils.formatdate(time.time() + 10 * 365 * 86_400, usegmt=True)
    server.faults.add(Fault("status", 503, endpoint="overall", retry_after=then))
    with pytest.raises(OutageError):
        connect(server, tries=1).results(OVERALL, ASSESSMENT, window)


def test_the_longest_pause_itself_is_still_waited_for():
    cooldown = Cooldown(threading.Event(), 5.0)
    cooldown.extend(5.0)
    with pytest.raises(OutageError):
        cooldown.extend(5.001)


def test_a_shorter_pause_does_not_end_a_longer_one():
    stop = RecordedWaits()
    cooldown = Cooldown(stop, 300.0)
    cooldown.extend(200.0)
    cooldown.extend(1.0)
    stop.set()
    with pytest.raises(StoppedError):
        cooldown.wait()
    assert stop.waits[0] > 100


# Stop.


def test_stop_ends_a_pause_at_once(server, connect, window, until):
    server.faults.add(Fault("status", 429, endpoint="overall", times=1, retry_after="250"))
    stop = threading.Event()
    client = connect(server, stop=stop)
    ended = []

    def fetch():
        try:
            client.results(OVERALL, ASSESSMENT, window)
        except StoppedError as error:
            ended.append(error)

    threads = [threading.Thread(target=fetch, daemon=True) for _ in range(4)]
    threads[0].start()
    until(lambda: client.counts.snapshot()["retries"])
    for thread in threads[1:]:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 4
    assert len(requests_to(server)) == 1


def test_stop_between_two_attempts_is_the_last_of_them():
    stop = threading.Event()
    attempts = Attempts(9)
    with pytest.raises(StoppedError):
        retrying(stop, on_retry=stop.set).call(attempts)
    assert attempts.calls == 1


def test_nothing_is_requested_after_stop(server, connect, window):
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        connect(server, stop=stop).results(OVERALL, ASSESSMENT, window)
    assert server.log == []


def test_stop_ends_the_wait_for_the_request_rate(server, connect, window):
    stop = threading.Event()
    client = connect(server, stop=stop, max_requests_per_second=1)
    client.count_assessments()
    server.clear_log()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.results, OVERALL, ASSESSMENT, window)
        assert not waiting.done()
        stop.set()
        assert isinstance(waiting.exception(20), StoppedError)
    assert server.log == []


# The retry budget of a run.


def alternate(calls, bad, times):
    """Make a call that fails in every attempt, then one that succeeds, so many times."""
    for _ in range(times):
        with pytest.raises(TransientError):
            calls.call(bad)
        calls.call(Attempts(0))


def test_requests_to_a_server_that_is_down_are_not_each_retried_in_full():
    """Ten retries are free; then each thing wanted costs one request, until 50 failed in a row."""
    calls = retrying(tries=5)
    down = Attempts(10**6)
    for _ in range(39):
        with pytest.raises(TransientError):
            calls.call(down)
    with pytest.raises(OutageError, match="broken"):
        calls.call(down)
    assert down.calls == 50


def test_a_few_bad_assessments_are_retried_in_full_and_end_nothing():
    calls = retrying(tries=5)
    for _ in range(200):
        bad = Attempts(10**6)
        with pytest.raises(TransientError):
            calls.call(bad)
        assert bad.calls == 5
        for _ in range(41):
            assert calls.call(Attempts(0)) == "good"


def test_retries_are_spent_when_every_other_request_fails():
    calls = retrying(tries=5)
    bad = Attempts(10**6)
    alternate(calls, bad, 205)
    before = bad.calls
    with pytest.raises(TransientError):
        calls.call(bad)
    assert bad.calls == before + 1


def test_successes_give_retries_back():
    calls = retrying(tries=5)
    bad = Attempts(10**6)
    alternate(calls, bad, 60)
    for _ in range(50):
        calls.call(Attempts(0))
    again = Attempts(4)
    assert calls.call(again) == "good"
    assert again.calls == 5


def test_a_bad_beginning_takes_the_retries_of_all_requests_that_are_expected():
    """Forty replies are broken; one request in ten may be a retry, before any has succeeded."""
    calls = retrying(tries=5)
    calls.budget.expect(300)
    for _ in range(10):
        assert calls.call(Attempts(4)) == "good"
    with pytest.raises(TransientError):
        calls.call(Attempts(4))


def test_requests_that_were_expected_and_succeeded_give_their_retries_once():
    calls = retrying(tries=5)
    calls.budget.expect(100)
    for _ in range(100):
        calls.call(Attempts(0))
    bad = Attempts(10**6)
    for _ in range(8):
        with pytest.raises(TransientError):
            calls.call(bad)
    assert bad.calls == 8 + 10 + 10
