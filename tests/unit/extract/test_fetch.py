"""Fetching over threads: every shard has an outcome; an error of all of them ends the fetching."""

import threading

import pytest

from pipeline.errors import (
    AuthError,
    OutageError,
    PaginationError,
    ResponseError,
    ShardError,
    StoppedError,
    StorageError,
    TransientError,
)
from pipeline.extract.fetch import Outcome, Retries, failure, fetch_shards, once_more, stopped
from pipeline.extract.manifest import ManifestEntry
from pipeline.extract.pool import Pool
from pipeline.storage.files import FileStamp

IDS = [str(number) for number in range(40)]


def entry(assessment_id: str) -> ManifestEntry:
    return ManifestEntry(1, 1, 0, 1, ("assessment_id",), FileStamp(assessment_id, 1, 1))


def put_away(assessment_id, reply):
    assert reply.file.sha256 == assessment_id
    return reply


def fetch(
    fetch_one,
    ids=IDS,
    threads=4,
    stop=None,
    on_done=None,
    write=put_away,
    take_retry=lambda: True,
    on_retry=None,
):
    with Pool(threads) as pool:
        return fetch_shards(
            ids,
            fetch_one,
            write,
            pool=pool,
            stop=stop or threading.Event(),
            retries=Retries("23-24 overall", on_retry or (lambda: None), take_retry),
            on_done=on_done or [].append,
        )


def failing(bad, error):
    """Fetches every shard but one, which fails with `error`; remembers what was requested."""
    requested = []

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        if assessment_id == bad:
            raise error
        return entry(assessment_id)

    return fetch_one, requested


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_every_shard_has_one_outcome_and_each_is_announced(threads):
    announced = []
    outcomes = fetch(entry, threads=threads, on_done=announced.append)
    assert sorted(outcome.assessment_id for outcome in outcomes) == sorted(IDS)
    assert all(outcome.entry == entry(outcome.assessment_id) for outcome in outcomes)
    assert announced == outcomes


def test_nothing_to_fetch_has_no_outcome():
    assert fetch(entry, ids=[]) == []


def test_so_many_shards_are_fetched_at_once_and_no_more():
    together = threading.Barrier(4)
    inside, most = set(), []

    def fetch_one(assessment_id):
        inside.add(threading.get_ident())
        together.wait(10)
        most.append(len(inside))
        return entry(assessment_id)

    assert all(outcome.entry for outcome in fetch(fetch_one, threads=4))
    assert max(most) == 4


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (TransientError("x"), ["7"]),
        (PaginationError("x"), ["7"]),
        (ResponseError("x"), []),
        (ShardError("x"), []),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_failed_shard_does_not_stop_the_others(error, again):
    """If its failure may pass, it is requested once more when all others are done."""
    fetch_one, requested = failing("7", error)
    outcomes = {outcome.assessment_id: outcome for outcome in fetch(fetch_one)}
    assert sorted(requested[: len(IDS)]) == sorted(IDS)
    assert requested[len(IDS) :] == again
    assert outcomes.pop("7") == Outcome("7", None, "x")
    assert all(outcome.entry for outcome in outcomes.values())


class Broken:
    """A server whose first replies are broken; remembers what was requested."""

    def __init__(self, replies):
        self.replies = replies
        self.requested = []

    def __call__(self, assessment_id):
        self.requested.append(assessment_id)
        if len(self.requested) <= self.replies:
            raise TransientError(f"broken {len(self.requested)}")
        return entry(assessment_id)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("retries", [0, 100])
def test_what_failed_at_the_start_is_fetched_at_the_end(threads, retries, caplog):
    """Which is logged once, and counted for each."""
    caplog.set_level("INFO")
    server, announced, again = Broken(30), [], []
    taken = iter(range(retries))
    outcomes = fetch(
        server,
        threads=threads,
        on_done=announced.append,
        take_retry=lambda: next(taken, None) is not None,
        on_retry=lambda: again.append(1),
    )
    assert sorted(outcome.assessment_id for outcome in outcomes) == sorted(IDS)
    assert all(outcome.entry for outcome in outcomes)
    assert announced == outcomes
    assert len(server.requested) == len(IDS) + 30
    assert len(again) == 30
    assert caplog.messages == ["23-24 overall: 30 of 40 failed; requesting each of them once more"]
    assert next(taken, None) in {0, None}, "a retry was taken for a request that succeeded"


@pytest.mark.parametrize("retries", [0, 3])
def test_an_outage_costs_few_requests_more_than_there_are_retries(retries):
    """One is without a retry, and another may have begun by then."""
    server, taken, again = Broken(10**6), iter(range(retries)), []
    outcomes = fetch(
        server,
        threads=1,
        take_retry=lambda: next(taken, None) is not None,
        on_retry=lambda: again.append(1),
    )
    assert len(again) == len(server.requested) - len(IDS)
    assert len(server.requested) - len(IDS) - retries in {1, 2}
    assert sorted(outcome.assessment_id for outcome in outcomes) == sorted(IDS)
    assert all(outcome.failed for outcome in outcomes), "each was attempted"


def test_whether_the_server_is_back_is_asked_by_one_request():
    server = Broken(10**6)
    fetch(server, threads=4, take_retry=lambda: False)
    assert len(server.requested) == len(IDS) + 1


def test_nothing_is_requested_once_more_after_an_error_of_every_shard(caplog):
    caplog.set_level("INFO")
    requested = []

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        raise OutageError("down") if assessment_id == "5" else TransientError("broken")

    outcomes = fetch(fetch_one, threads=1)
    assert requested == IDS[:6]
    assert [o.reason for o in outcomes if o.failed] == ["down", *["broken"] * 5]
    assert caplog.messages == []


@pytest.mark.parametrize(
    "error", [AuthError("no entry"), OutageError("no entry"), StoppedError("no entry")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_of_every_shard_ends_the_fetching_and_each_still_has_an_outcome(error):
    fetch_one, requested = failing("3", error)
    outcomes = fetch(fetch_one, threads=1)
    assert requested == ["0", "1", "2", "3"]
    by_id = {outcome.assessment_id: outcome for outcome in outcomes}
    assert sorted(by_id) == sorted(IDS)
    was_attempted = not isinstance(error, StoppedError)
    assert by_id["3"] == Outcome("3", None, "no entry", attempted=was_attempted)
    assert by_id["2"].entry
    rest = [by_id[assessment_id] for assessment_id in IDS[4:]]
    assert {(outcome.entry, outcome.reason) for outcome in rest} == {(None, "no entry")}
    assert not any(outcome.attempted for outcome in rest)


def test_stop_skips_the_rest_and_keeps_what_is_done():
    stop = threading.Event()
    requested = []

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        if assessment_id == "5":
            stop.set()
        return entry(assessment_id)

    outcomes = fetch(fetch_one, threads=1, stop=stop)
    assert requested == IDS[:6]
    assert {outcome.assessment_id for outcome in outcomes if outcome.entry} == {*IDS[:6]}
    assert {outcome.reason for outcome in outcomes if not outcome.entry} == {
        "the run was asked to stop"
    }


@pytest.mark.parametrize("error", [OSError("disk full"), ZeroDivisionError("a mistake")])
def test_an_unexpected_error_is_not_swallowed(error):
    fetch_one, _ = failing("2", error)
    with pytest.raises(type(error)) as raised:
        fetch(fetch_one)
    assert raised.value is error


def test_nothing_is_requested_after_an_unexpected_error():
    fetch_one, requested = failing("2", OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        fetch(fetch_one, threads=1)
    assert requested == ["0", "1", "2"]


def test_an_error_in_on_done_ends_the_run_without_fetching_the_rest():
    requested, released = [], threading.Event()

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        if assessment_id != "0":
            assert released.wait(10)
        return entry(assessment_id)

    def on_done(outcome):
        # By then the pool waits for the one shard that is being fetched.
        threading.Timer(0.2, released.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(fetch_one, threads=1, on_done=on_done)
    assert len(requested) < len(IDS)


def test_fetching_goes_on_while_shards_are_written():
    """A slow disk delays no request."""
    all_but_one_requested = threading.Event()
    requested = []

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        if len(requested) == 3:
            all_but_one_requested.set()
        return entry(assessment_id)

    def write(assessment_id, reply):
        assert all_but_one_requested.wait(20)
        return reply

    outcomes = fetch(fetch_one, ids=IDS[:3], threads=1, write=write)
    assert sorted(outcome.assessment_id for outcome in outcomes if outcome.entry) == IDS[:3]


def test_shards_not_written_yet_delay_requests_before_memory_is_full():
    slow, requested, seen = threading.Event(), [], []

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        return entry(assessment_id)

    def write(assessment_id, reply):
        assert slow.wait(20)
        return reply

    def let_go():
        seen.append(len(requested))
        slow.set()

    threading.Timer(0.5, let_go).start()
    outcomes = fetch(fetch_one, ids=[str(number) for number in range(500)], threads=4, write=write)
    assert len(outcomes) == 500
    assert seen[0] < 50


@pytest.mark.parametrize("threads", [1, 4])
def test_a_shard_that_cannot_be_written_ends_the_fetching(threads):
    requested = []

    def fetch_one(assessment_id):
        requested.append(assessment_id)
        return entry(assessment_id)

    def write(assessment_id, reply):
        raise StorageError("the disk is full")

    outcomes = fetch(
        fetch_one, ids=[str(number) for number in range(500)], threads=threads, write=write
    )
    assert len(outcomes) == 500
    assert {outcome.reason for outcome in outcomes} == {"the disk is full"}
    assert len(requested) < 100
    assert sum(outcome.attempted for outcome in outcomes) == len(requested)


def test_a_mistake_in_writing_is_not_swallowed():
    def write(assessment_id, reply):
        raise ZeroDivisionError("a mistake")

    with pytest.raises(ZeroDivisionError):
        fetch(entry, write=write)


def test_the_failure_names_each_failed_assessment_with_its_reason_and_what_was_kept():
    outcomes = [
        Outcome("9", None, "the server answered 500"),
        Outcome("10", entry("10")),
        Outcome("11", None, "the run was asked to stop", attempted=False),
    ]
    text = str(failure("standard", outcomes))
    assert text.startswith("2 of 3 standard shards")
    assert "standard of assessment 9: the server answered 500" in text
    assert "1 standard shard was not requested: the run was asked to stop" in text
    assert "assessment 10" not in text
    assert "1 was fetched and is kept" in text
    assert "nothing was published" in text


def test_a_stopped_endpoint_says_how_far_it_was_and_blames_no_assessment():
    asked = "the run was asked to stop"
    rest = [Outcome(str(i), None, asked, attempted=False) for i in range(2000)]
    done = [Outcome("a", entry("a")), Outcome("b", entry("b"))]
    assert str(stopped("overall", [*done, *rest])) == (
        "overall stopped; 2 of 2,002 fetched and kept."
    )
    broken = Outcome("c", None, "the server answered 500")
    assert "; 2 of 2,003 fetched and kept, 1 failed." in str(stopped("", [*done, broken, *rest]))


@pytest.mark.parametrize(
    ("errors", "calls"),
    [
        ([], 1),
        ([TransientError("no")], 2),
        ([PaginationError("no"), TransientError("still no")], 2),
        ([ResponseError("never")], 1),
    ],
)
def test_a_call_that_may_pass_is_made_once_more_and_no_more(errors, calls, caplog):
    """Each time that is logged and counted."""
    caplog.set_level("INFO")
    waiting, made, retries = list(errors), [], []
    again = Retries("23-24 catalogue", lambda: retries.append(1), lambda: True)

    def call(number):
        made.append(number)
        if waiting:
            raise waiting.pop(0)
        return number

    if len(errors) == calls:
        with pytest.raises(type(errors[-1]), match=str(errors[-1])):
            once_more(again, call, 7)
    else:
        assert once_more(again, call, 7) == 7
    assert made == [7] * calls
    said = [f"23-24 catalogue: failed, and is requested once more: {error}" for error in errors[:1]]
    assert (len(retries), caplog.messages) == (calls - 1, said if calls > 1 else [])
