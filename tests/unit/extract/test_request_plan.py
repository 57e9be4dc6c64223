"""Which assessments are fetched: all with overall results, and a sample of the others."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.request_plan import (
    LEAST_COMPARED,
    LEAST_SAMPLE,
    largest_first,
    select_assessments,
    select_compared,
    select_early,
)

IDS = [str(number) for number in range(5000)]


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(0, 300)), st.floats(0, 1), st.text())
def test_all_with_results_and_so_many_others_in_the_order_given(every, with_results, share, seed):
    every, with_results = [str(n) for n in every], {str(n) for n in with_results}
    chosen = select_assessments(every, with_results, share, seed)
    assert chosen == [assessment for assessment in every if assessment in set(chosen)]
    others = [assessment for assessment in every if assessment not in with_results]
    assert set(chosen) >= set(every) & with_results
    wanted = max(LEAST_SAMPLE, math.ceil(share * len(others)))
    assert len(set(chosen) - with_results) == min(len(others), wanted)


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another():
    samples = [set(select_assessments(IDS, set(), 0.02, seed)) for seed in ("a", "a", "b")]
    assert samples[0] == samples[1]
    assert len(samples[0] & samples[2]) < len(samples[0]) / 2


def test_a_sample_does_not_depend_on_who_has_results():
    """Who got results since last night leaves the sample of the rest nearly as it was."""
    before = set(select_assessments(IDS, {"1"}, 0.02, "a")) - {"1"}
    after = set(select_assessments(IDS, {"1", "2"}, 0.02, "a")) - {"1", "2"}
    assert len(before ^ after) <= 2


def test_every_assessment_is_in_some_sample():
    """Over the nights, all are looked at."""
    seen = set()
    for night in range(600):
        seen.update(select_assessments(IDS[:1000], set(), 0.02, str(night)))
    assert seen == set(IDS[:1000])


def test_the_largest_come_first_and_the_unknown_last_in_the_order_given():
    assert largest_first(["b", "x", "a", "y"], {"a": 9, "b": 2}) == ["a", "b", "x", "y"]


def test_the_largest_one_some_of_middle_size_and_some_of_each_other_kind_are_compared():
    rows = {i: max(0, int(i) - 3000) for i in IDS}
    found = select_compared(rows, [{"3500"}, {"3600", "no"}], {"77": 900, "78": 5}, 0, "seed")
    assert {"4999", "4998", "4997"} & set(found) == {"4999"}  # the largest, which is dear
    assert {"3999", "4000", "4001"} & set(found)  # the middle of those with rows
    assert {"3500", "3600", "77", "78"} < set(found)
    assert len([i for i in found if not rows[i]]) >= 3
    assert len(found) == len(set(found)) >= LEAST_COMPARED


def test_a_part_of_the_others_is_compared_and_never_fewer_than_ten_in_all():
    rows = dict.fromkeys(IDS, 1)
    assert len(select_compared(rows, [], {}, 0, "seed")) == LEAST_COMPARED
    assert len(select_compared(rows, [], {}, 0.02, "seed")) == 4 + math.ceil(0.02 * 4996)
    assert set(select_compared(rows, [], {}, 1, "seed")) == set(IDS)
    assert set(select_compared({"1": 0, "2": 5}, [], {}, 0, "seed")) == {"1", "2"}


@given(
    st.dictionaries(st.integers(0, 300).map(str), st.integers(0, 5)),
    st.tuples(*2 * [st.sets(st.integers(0, 300).map(str))]),
    st.dictionaries(st.integers(0, 300).map(str), st.integers(0, 5)),
    st.floats(0, 1),
    st.text(),
)
def test_what_is_fetched_early_is_compared_whatever_rows_there_are(rows, kinds, likely, rate, seed):
    early = select_early(rows, len(kinds), rate, seed)
    assert set(early) <= set(select_compared(rows, kinds, likely, rate, seed))
    assert len(early) == len(set(early)) >= rate * (len(rows) - 13)


@pytest.mark.parametrize("seed", [str(number) for number in range(20)])
def test_what_is_fetched_early_is_compared_in_a_large_district(seed):
    rows = {i: max(0, int(i) - 700) for i in IDS[:1000]}
    kinds = ({"1", "2", "3"}, {"4", "5", "6"})
    early = select_early(rows, len(kinds), 0.1, seed)
    assert set(early) <= set(select_compared(rows, kinds, {"7": 9, "8": 8, "9": 7}, 0.1, seed))
    assert len(early) == 99
