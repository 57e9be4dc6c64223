"""The pool: so many threads and no more, and none that waits for work that nobody does."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.pool import Pool

PATIENCE = 20


@given(st.integers(1, 4), st.integers(0, 200), st.integers(0, 50))
def test_map_gives_what_the_builtin_gives_from_any_thread(threads, start, count):
    numbers = range(start, start + count)
    with Pool(threads) as pool:
        assert list(pool.map(str, numbers)) == list(map(str, numbers))
        inside = pool.submit(lambda: list(pool.map(str, numbers)))
        assert inside.result(PATIENCE) == list(map(str, numbers))


def test_threads_that_are_free_help():
    """Two calls wait for each other: one thread alone would wait for ever."""
    meet = threading.Barrier(2, timeout=PATIENCE)
    with Pool(2) as pool:
        inside = pool.submit(lambda: list(pool.map(lambda _: meet.wait() in {0, 1}, range(1, 3))))
        assert inside.result(PATIENCE) == [True, True]


def test_all_threads_may_share_at_once():
    """Each does its own then, and nobody waits for ever."""
    everybody = threading.Barrier(3, timeout=PATIENCE)
    with Pool(3) as pool:

        def share(of):
            everybody.wait()
            return list(pool.map(lambda number: (of, number), range(1, 9)))

        for of, future in enumerate([pool.submit(share, of) for of in range(3)]):
            assert future.result(PATIENCE) == [(of, number) for number in range(1, 9)]


def test_never_more_threads_than_requested():
    seen = set()
    with Pool(3) as pool:

        def share(_):
            return list(pool.map(lambda _: seen.add(threading.get_ident()), range(20)))

        for future in [pool.submit(share, number) for number in range(20)]:
            future.result(PATIENCE)
    assert len(seen) <= 3


def test_an_error_is_raised_and_what_was_not_begun_is_left():
    begun = []

    def fail_at_three(number):
        begun.append(number)
        if number == 3:
            raise LookupError(number)
        return number

    with Pool(1) as pool:
        inside = pool.submit(lambda: list(pool.map(fail_at_three, range(1, 1000))))
        with pytest.raises(LookupError):
            inside.result(PATIENCE)
    assert begun == [1, 2, 3]


def test_a_reader_that_stops_leaves_the_rest_undone():
    """However many pages a server says that it has."""
    begun = []
    with Pool(1) as pool:

        def look_at_two():
            results = pool.map(lambda number: begun.append(number) or number, range(10**12))
            return next(results), next(results)

        assert pool.submit(look_at_two).result(PATIENCE) == (0, 1)
    assert len(begun) < 100


def test_nothing_is_running_once_an_error_is_raised():
    """A request that nobody waits for would outlive the run's client."""
    began, go, ended = threading.Event(), threading.Event(), []

    def fail_at_two(number):
        if number == 2:
            began.wait(PATIENCE)
            threading.Timer(0.05, go.set).start()
            raise LookupError(number)
        began.set()
        go.wait(PATIENCE)
        ended.append(number)

    with Pool(2) as pool:
        inside = pool.submit(lambda: list(pool.map(fail_at_two, range(1, 3))))
        with pytest.raises(LookupError):
            inside.result(PATIENCE)
        assert ended == [1]


def test_the_end_drops_what_was_not_begun():
    go = threading.Event()
    with Pool(1) as pool:
        first = pool.submit(go.wait, PATIENCE)
        rest = [pool.submit(str, number) for number in range(50)]
        go.set()
    assert first.result(PATIENCE)
    assert all(future.done() for future in rest)
