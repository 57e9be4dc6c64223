"""What does not fit into the table: expiring tokens, pages past the end, waits and outages."""

import dataclasses
import itertools

import pytest

from pipeline.simulator import Fault, Protocol, serving
from tests.functional.faults import district
from tests.functional.faults.sandbox import Sandbox
from tests.functional.faults.table import (
    COMBINATIONS,
    ENDPOINTS,
    ENDS,
    LONG,
    Combination,
    FaultCase,
    Place,
)
from tests.functional.faults.test_faults import Tables, check_rerun, run_combination
from tests.helpers import COUNTS_OF_A_SETTLED_YEAR

PAGES_IN_ALL = district.PAGES + len(ENDPOINTS) * (district.PAGES + len(district.IDS) - 1)
ONE_THREAD = ("--illuminate-threads", "1")
OAUTH_1 = {
    "ILLUMINATE_CONSUMER_KEY": district.CREDENTIALS.consumer_key,
    "ILLUMINATE_CONSUMER_SECRET": district.CREDENTIALS.consumer_secret,
    "ILLUMINATE_ACCESS_TOKEN": district.CREDENTIALS.access_token,
    "ILLUMINATE_ACCESS_TOKEN_SECRET": district.CREDENTIALS.access_token_secret,
}
A_PLACE = Place("group", 3, LONG)
A_401 = FaultCase("401", "status", (A_PLACE,), value=401, message="check ILLUMINATE_CONSUMER_KEY")
WITH_OAUTH_1 = [
    *(each for each in COMBINATIONS if each.place == A_PLACE and each.fault.value != 401),
    Combination(A_401, A_PLACE, 1, ENDS),
]


@pytest.mark.parametrize("kth", range(1, PAGES_IN_ALL + 1))
def test_a_401_at_the_kth_request(kth: int, sandbox: Sandbox, undisturbed: Tables) -> None:
    """It costs a new token and the same request again, nothing else."""
    after_the_token = kth + 1
    sandbox.server.faults.add(Fault("status", 401, every=after_the_token, times=1))
    done = sandbox.run(*ONE_THREAD)
    sandbox.server.faults.clear()
    assert done.code == 0, done.output
    assert sandbox.tables() == undisturbed
    assert sum(request.status == 401 for request in sandbox.server.log) == 1
    assert sum(sandbox.requested().values()) == PAGES_IN_ALL + 1
    assert len(sandbox.server.log) == PAGES_IN_ALL + COUNTS_OF_A_SETTLED_YEAR + 1 + 2


@pytest.mark.parametrize(("requests", "threads"), [(1, 1), (2, 1), (5, 4), (9, 4), (9, 16)])
def test_a_token_that_expires_after_some_requests(
    requests: int,
    threads: int,
    sandbox: Sandbox,
    undisturbed: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each expiry costs one token request, for any number of threads."""
    lasting = Protocol(token_requests_limit=requests)
    monkeypatch.setattr(sandbox.server.authority, "_protocol", lasting)
    done = sandbox.run("--illuminate-threads", str(threads))
    assert done.code == 0, done.output
    assert sandbox.tables() == undisturbed
    tokens = sum(request.endpoint == "token" for request in sandbox.server.log)
    assert tokens == -(-(PAGES_IN_ALL + COUNTS_OF_A_SETTLED_YEAR) // requests)


@pytest.mark.parametrize("endpoint", ["catalogue", *ENDPOINTS])
@pytest.mark.parametrize("beyond_end", ["empty", "repeat_last", "404"])
def test_a_page_beyond_the_end(
    beyond_end: str, endpoint: str, sandbox: Sandbox, undisturbed: Tables
) -> None:
    """Page 4 of 3 is requested, because it was declared; the response is not trusted."""
    before, first = sandbox.published(), sandbox.server.base_url
    protocol = dataclasses.replace(district.PROTOCOL, beyond_end=beyond_end)
    with serving(district.make_district(), protocol, district.CREDENTIALS) as server:
        sandbox.server, sandbox.options = server, ("--publish-replace-source", first)
        assessment_id = None if endpoint == "catalogue" else LONG
        for page in range(1, district.PAGES + 1):
            server.faults.add(Fault("set_fields", {"num_pages": 4}, endpoint, assessment_id, page))
        done = sandbox.run()
        assert done.code == 30, done.output
        assert sandbox.published() == before
        assert max(request.page or 0 for request in server.log) == district.PAGES + 1
        words = f"{endpoint} of assessment {LONG}:" if assessment_id else "catalogue"
        assert words in done.stdout
        server.faults.clear()
        check_rerun(sandbox, undisturbed)


@pytest.mark.parametrize("endpoint", ["token", "catalogue", *ENDPOINTS])
def test_every_thread_obeys_retry_after(
    endpoint: str, sandbox: Sandbox, undisturbed: Tables
) -> None:
    """No request arrives before the time is over, except those under way."""
    sandbox.server.faults.add(Fault("status", 429, endpoint, times=1, retry_after="1"))
    done = sandbox.run()
    sandbox.server.faults.clear()
    assert done.code == 0, done.output
    assert sandbox.tables() == undisturbed
    log = sandbox.server.log
    refused = next(request for request in log if request.status == 429)
    times = [request.time for request in log if request.time >= refused.time]
    assert max(late - early for early, late in itertools.pairwise(times)) > 0.9
    early = [time for time in times if 0.1 < time - refused.time < 0.95]
    assert early == []


def test_a_server_that_is_down(sandbox: Sandbox, undisturbed: Tables) -> None:
    """Yesterday's tables stay, and the next run does everything."""
    before = sandbox.published()
    sandbox.server.stop_listening()
    try:
        done = sandbox.run()
    finally:
        sandbox.server.resume_listening()
    assert done.code == 30, done.output
    assert sandbox.published() == before
    assert "the connection failed" in done.stdout
    check_rerun(sandbox, undisturbed)


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_costs_little_more_than_a_good_run(
    status: int, sandbox: Sandbox, undisturbed: Tables
) -> None:
    """If all results fail, the retries of all threads share one budget."""
    for endpoint in ENDPOINTS:
        sandbox.server.faults.add(Fault("status", status, endpoint))
    done = sandbox.run("--illuminate-tries", "5")
    sandbox.server.faults.clear()
    assert done.code == 30, done.output
    shards = len(ENDPOINTS) * len(district.IDS)
    assert sum(sandbox.requested().values()) <= district.PAGES + shards + 10 + 0.1 * shards
    check_rerun(sandbox, undisturbed)


@pytest.mark.parametrize("combination", WITH_OAUTH_1, ids=str)
def test_with_oauth_1(
    combination: Combination,
    sandbox: Sandbox,
    undisturbed: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The older scheme, with its own secrets, behaves alike; only a 401 is final."""
    for name in ("ILLUMINATE_CLIENT_ID", "ILLUMINATE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    for name, value in OAUTH_1.items():
        monkeypatch.setenv(name, value)
    run_combination(combination, sandbox, undisturbed)
    assert not sandbox.server.authority._tokens, "a token was requested"
