"""What the server counts: what changed since, what no year reaches, and what cannot be right."""

from concurrent.futures import Future

import pytest

from pipeline.errors import ResponseError, StoppedError
from pipeline.extract.result_counts import (
    EVERY_DATE,
    SCHOOL_YEARS,
    ResultCounts,
    compare_counts,
)

FETCHED = {"overall": 90, "standard": 300}


def counted(value: int | Exception) -> "Future[int]":
    future: Future[int] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def compare(
    before: ResultCounts | None = None, *, again: bool = True, **counts: int | Exception
) -> ResultCounts:
    all_dates = {EVERY_DATE: counts.pop("every", 500), SCHOOL_YEARS: counts.pop("years", 480)}
    all_dates = all_dates if again else {}
    begun = {name: counted(value) for name, value in (all_dates | counts).items()}
    return compare_counts(begun, FETCHED, before)


def test_the_first_counts_are_what_later_ones_are_compared_with():
    first = compare(overall=100, standard=300)
    assert first == ResultCounts({"overall": 100, "standard": 300}, first.first, 20, not_fetched=10)
    assert not first.changed
    later = compare(first, overall=101, standard=300, every=503)
    assert later.first == first.first
    assert later.changed == {"overall": (100, 101)}
    assert later.unreached == 23
    last = compare(later, again=False, overall=101, standard=300)
    assert last.unreached == 23
    assert not last.problem


def test_fewer_results_than_at_first_are_a_change():
    assert compare(ResultCounts({"overall": 95}, {}, 0), overall=60).changed == {
        "overall": (95, 60)
    }


def test_a_year_that_is_not_settled_has_no_counts_of_its_own():
    assert compare() == ResultCounts({}, {}, 20)


def test_a_server_that_counts_less_than_it_delivers_is_not_compared_with():
    found = compare(overall=0, standard=0)
    assert (found.first, found.now, found.unreached) == ({}, {}, 20)
    assert found.problem == "it counts fewer results of the year than it delivers by assessment"
    assert not compare(found, overall=0, standard=0).changed
    assert compare(found, overall=95, standard=300).first == {"overall": 95, "standard": 300}


@pytest.mark.parametrize(("every", "years"), [(470, 480), (0, 0), (89, 80)])
def test_all_dates_cannot_have_fewer_results_than_some(every, years):
    """Those of the school years, and those that were fetched: a server may count none at all."""
    found = compare(every=every, years=years)
    assert found.unreached is None
    assert found.problem == "it counts fewer results of all dates than of some"


def test_what_could_not_be_counted_at_first_is_compared_with_the_next_count():
    first = compare(overall=100, standard=ResponseError("it said no"))
    second = compare(first, overall=101, standard=310)
    assert second.first == {"overall": 100, "standard": 310}
    third = compare(second, overall=100, standard=311)
    assert third.changed == {"standard": (310, 311)}
    too_few = compare(first, overall=101, standard=299)
    assert (too_few.first, too_few.now) == ({"overall": 100}, {"overall": 101})
    assert too_few.problem == "it counts fewer results of the year than it delivers by assessment"


@pytest.mark.parametrize("failed", ["overall", "every", "years"])
def test_a_count_that_fails_is_not_known_and_the_reason_is(failed):
    found = compare(**{"overall": 100, "standard": 300, failed: ResponseError("it said no")})
    assert found.problem == "it said no"
    assert (found.unreached is None) is (failed != "overall")
    assert ("overall" in found.now) is (failed != "overall")
    assert found.now["standard"] == 300


def test_a_run_that_is_stopped_writes_no_counts():
    with pytest.raises(StoppedError):
        compare(overall=StoppedError("stopped"))


def test_results_that_were_not_fetched_are_counted():
    first = compare(overall=100, standard=320)
    assert first.not_fetched == 30
    assert compare(first, overall=140, standard=300).not_fetched == 30
    assert compare(overall=0, standard=0).not_fetched == 0
