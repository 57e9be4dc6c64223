"""What does not fit into the table: tokens that end, pages past the end, waits, and outages."""

import dataclasses
import itertools

import pytest

from pipeline.simulator import Fault, serving
from tests.functional.faults import town
from tests.functional.faults.stage import Stage
from tests.functional.faults.table import (
    COMBINATIONS,
    ENDPOINTS,
    ENDS,
    LONG,
    Combination,
    Place,
    Trouble,
)
from tests.functional.faults.test_faults import Tables, check_rerun, play

PAGES_IN_ALL = town.PAGES + len(ENDPOINTS) * (town.PAGES + len(town.IDS) - 1)
ONE_THREAD = ("--illuminate-threads", "1")
OAUTH_1 = {
    "ILLUMINATE_CONSUMER_KEY": town.CREDENTIALS.consumer_key,
    "ILLUMINATE_CONSUMER_SECRET": town.CREDENTIALS.consumer_secret,
    "ILLUMINATE_ACCESS_TOKEN": town.CREDENTIALS.access_token,
    "ILLUMINATE_ACCESS_TOKEN_SECRET": town.CREDENTIALS.access_token_secret,
}
A_PLACE = Place("group", 3, LONG)
A_401 = Trouble("401", "status", (A_PLACE,), value=401, says="check ILLUMINATE_CONSUMER_KEY")
WITH_OAUTH_1 = [
    *(each for each in COMBINATIONS if each.place == A_PLACE and each.trouble.value != 401),
    Combination(A_401, A_PLACE, 1, ENDS),
]


@pytest.mark.parametrize("kth", range(1, PAGES_IN_ALL + 1))
def test_401_at_the_kth_request(kth: int, stage: Stage, undisturbed: Tables) -> None:
    """One more token, the same request again, and nothing else."""
    after_the_token = kth + 1
    stage.server.faults.add(Fault("status", 401, every=after_the_token, times=1))
    done = stage.run(*ONE_THREAD)
    stage.server.faults.clear()
    assert done.code == 0, done.shown
    assert stage.tables() == undisturbed
    assert sum(request.status == 401 for request in stage.server.log) == 1
    assert sum(stage.asked().values()) == PAGES_IN_ALL + 1
    assert len(stage.server.log) == PAGES_IN_ALL + 1 + 2


@pytest.mark.parametrize(("requests", "threads"), [(1, 1), (2, 1), (5, 4), (9, 4), (9, 16)])
def test_a_token_that_lasts_for_some_requests(
    requests: int,
    threads: int,
    stage: Stage,
    undisturbed: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each end of a token costs one token request, whatever the threads."""
    monkeypatch.setattr(stage.server.authority, "_requests", requests)
    done = stage.run("--illuminate-threads", str(threads))
    assert done.code == 0, done.shown
    assert stage.tables() == undisturbed
    tokens = sum(request.endpoint == "token" for request in stage.server.log)
    assert tokens == -(-PAGES_IN_ALL // requests)


@pytest.mark.parametrize("endpoint", ["catalogue", *ENDPOINTS])
@pytest.mark.parametrize("beyond_end", ["empty", "repeat_last", "404"])
def test_a_page_beyond_the_end(
    beyond_end: str, endpoint: str, stage: Stage, undisturbed: Tables
) -> None:
    """Page 4 of 3 is asked for, because it was promised: nothing of the reply is believed."""
    before = stage.published()
    protocol = dataclasses.replace(town.PROTOCOL, beyond_end=beyond_end)
    with serving(town.make_town(), protocol, town.CREDENTIALS) as server:
        stage.server = server
        assessment_id = None if endpoint == "catalogue" else LONG
        for page in range(1, town.PAGES + 1):
            server.faults.add(Fault("set_fields", {"num_pages": 4}, endpoint, assessment_id, page))
        done = stage.run()
        assert done.code == 30, done.shown
        assert stage.published() == before
        assert max(request.page or 0 for request in server.log) == town.PAGES + 1
        words = f"{endpoint} of assessment {LONG}:" if assessment_id else "catalogue"
        assert words in done.said
        server.faults.clear()
        check_rerun(stage, undisturbed)


@pytest.mark.parametrize("endpoint", ["token", "catalogue", *ENDPOINTS])
def test_retry_after_is_obeyed_by_every_thread(
    endpoint: str, stage: Stage, undisturbed: Tables
) -> None:
    """Nothing arrives before the time is over, but for what was on its way."""
    stage.server.faults.add(Fault("status", 429, endpoint, times=1, retry_after="1"))
    done = stage.run()
    stage.server.faults.clear()
    assert done.code == 0, done.shown
    assert stage.tables() == undisturbed
    log = stage.server.log
    refused = next(request for request in log if request.status == 429)
    times = [request.time for request in log if request.time >= refused.time]
    assert max(late - early for early, late in itertools.pairwise(times)) > 0.9
    early = [time for time in times if 0.1 < time - refused.time < 0.95]
    assert early == []


def test_a_server_that_is_down(stage: Stage, undisturbed: Tables) -> None:
    """Nobody listens: yesterday's tables stay, and the next run does it all."""
    before = stage.published()
    stage.server.stop_listening()
    try:
        done = stage.run()
    finally:
        stage.server.resume_listening()
    assert done.code == 30, done.shown
    assert stage.published() == before
    assert "the connection failed" in done.said
    check_rerun(stage, undisturbed)


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_costs_little_more_than_a_good_run(
    status: int, stage: Stage, undisturbed: Tables
) -> None:
    """Where all results fail, retries of all threads share one budget."""
    for endpoint in ENDPOINTS:
        stage.server.faults.add(Fault("status", status, endpoint))
    done = stage.run("--illuminate-tries", "5")
    stage.server.faults.clear()
    assert done.code == 30, done.shown
    shards = len(ENDPOINTS) * len(town.IDS)
    assert sum(stage.asked().values()) <= town.PAGES + shards + 10 + 0.1 * shards
    check_rerun(stage, undisturbed)


@pytest.mark.parametrize("combination", WITH_OAUTH_1, ids=str)
def test_with_oauth_1(
    combination: Combination,
    stage: Stage,
    undisturbed: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The older scheme, with secrets of its own, does the same; only a 401 is final."""
    for name in ("ILLUMINATE_CLIENT_ID", "ILLUMINATE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    for name, value in OAUTH_1.items():
        monkeypatch.setenv(name, value)
    play(combination, stage, undisturbed)
    assert not stage.server.authority._tokens, "a token was asked for"
