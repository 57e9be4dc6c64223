"""Early requests: used once where they came in time, and never missed where they did not."""

import threading
from concurrent.futures import wait

import pytest

from pipeline.errors import TransientError
from pipeline.extract.pool import Pool
from tests.helpers import begin_early

PATIENCE = 20


def test_what_came_is_given_once_and_then_requested_again():
    requested = []

    def call(key):
        requested.append(key)
        return key * 2

    with Pool(2) as pool, begin_early(pool, call, [1, 2]) as early:
        assert (early.take(1), early.take(1), early.take(3)) == (2, None, None)
        assert (early.get(2), early.get(2), early.get(3)) == (4, 4, 6)
    assert sorted(requested) == [1, 2, 2, 3]


def test_what_came_can_still_be_taken_at_the_end():
    with Pool(2) as pool:
        with begin_early(pool, str, [1, 2]) as early:
            pass
        assert (early.take(1), early.take(2)) == ("1", "2")


def test_an_error_is_met_where_the_request_is_needed():
    errors = [TransientError("early"), TransientError("when needed"), TransientError("early")]

    def call(_):
        raise errors.pop(0)

    with Pool(1) as pool, begin_early(pool, call, ["a"]) as early:
        with pytest.raises(TransientError, match="when needed"):
            early.get("a")
        with begin_early(pool, call, ["b"]) as other:
            assert other.take("b") is None


def test_what_is_still_to_come_is_waited_for_and_requested_once():
    requested = []

    def call(key):
        requested.append(key)
        return key

    with Pool(1) as pool, begin_early(pool, call, ["a"]) as early:
        early.begin(["a", "b", "c"])
        assert [early.take(key) for key in "abc"] == ["a", "b", "c"]
        early.begin(["d", "e"])  # on a thread of the pool, too
        assert pool.submit(early.get, "e").result(PATIENCE) == "e"
    assert requested == ["a", "b", "c", "d", "e"]


def test_when_the_block_ends_nothing_is_running_and_nothing_begins(monkeypatch):
    free, done = threading.Event(), []

    def call(key):
        assert free.wait(PATIENCE)
        done.append(key)

    def let_go_and_wait(calls):
        free.set()
        return wait(calls)

    monkeypatch.setattr("pipeline.extract.early.wait", let_go_and_wait)
    with Pool(1) as pool:
        with begin_early(pool, call, ["a"]) as early:
            early.begin(["b", "c"])
        assert done == ["a"]
        assert early.take("b") is None
        pool.submit(done.append, "the end").result(PATIENCE)
    assert done == ["a", "the end"]
