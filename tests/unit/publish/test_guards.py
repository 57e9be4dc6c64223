"""Guards notice rows that are gone and rosters that do not fit, whatever hides them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.publish.guards import Counted, not_shrunk, parse_allowance, roster_fits

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50))


def verdict(before, now, left_out=(), tolerance=0.0, allowed=0):
    return not_shrunk(
        "combined", before, now, left_out=left_out, tolerance=tolerance, allowed=allowed
    )


@given(COUNTS, COUNTS)
def test_a_row_that_is_gone_is_noticed_whatever_grew(before, now):
    """Whatever another assessment gained, one that has fewer rows stops the run."""
    gone = sum(max(0, count - now.get(i, 0)) for i, count in before.items())
    check = verdict(before, now)
    assert check.ok == (gone == 0)
    assert f"{gone:,} rows gone" in check.note


@given(COUNTS, COUNTS)
def test_exactly_the_rows_that_are_gone_must_be_allowed(before, now):
    gone = sum(max(0, count - now.get(i, 0)) for i, count in before.items())
    assert verdict(before, now, allowed=gone).ok
    assert gone == 0 or not verdict(before, now, allowed=gone - 1).ok


def test_the_assessments_that_lost_most_are_named():
    check = verdict({"7": 10, "8": 5, "9": 1}, {"7": 3, "8": 5})
    assert not check.ok
    assert "assessment 7 had 10, has 3, 9 had 1, has 0" in check.note


def test_an_assessment_left_out_on_purpose_is_no_loss():
    assert verdict({"7": 10, "8": 5}, {"8": 5}, left_out=["7"]).ok


def test_a_tolerance_is_a_part_of_all_published_rows():
    assert verdict({"7": 100}, {"7": 98}, tolerance=0.02).ok
    assert not verdict({"7": 100}, {"7": 97}, tolerance=0.02).ok


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", {}),
        ("combined=120", {"combined": 120}),
        ("combined=120, group=3", {"combined": 120, "group": 3}),
        ("catalogue=1", {"catalogue": 1}),
    ],
)
def test_an_allowance_names_tables_and_rows(text, allowed):
    assert parse_allowance(text) == allowed


@pytest.mark.parametrize("text", ["yes", "combined", "combined=", "combined=-1", "all=9", "120"])
def test_anything_else_is_no_allowance(text):
    with pytest.raises(SettingsError, match="combined=120"):
        parse_allowance(text)


@pytest.mark.parametrize(
    ("matched", "before", "ok"),
    [
        (50, None, True),
        (49, None, False),
        (90, 0.95, True),
        (84, 0.95, False),
        (55, 0.60, True),
        (100, 0.20, True),
    ],
)
def test_the_roster_must_know_enough_students(matched, before, ok):
    now = Counted({}, students=100, matched=matched)
    assert roster_fits(now, before, floor=0.5, drop=0.1).ok is ok


@pytest.mark.parametrize("now", [Counted({}), Counted({}, students=0, matched=0)])
def test_without_a_roster_or_without_students_there_is_nothing_to_compare(now):
    assert roster_fits(now, 0.9, floor=0.5, drop=0.1).ok
