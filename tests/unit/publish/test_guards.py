"""Guards notice lost rows and rosters that do not match, whatever hides them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CheckError, SettingsError
from pipeline.publish.guards import (
    RowCounts,
    check_no_shrink,
    check_roster_match_rate,
    guarded_rows,
    parse_allowed_shrink,
    raise_on_failure,
)

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50))


def check(before, now, excluded_ids=(), tolerance=0.0, allowed=0):
    return check_no_shrink(
        "combined", before, now, excluded_ids=excluded_ids, tolerance=tolerance, allowed=allowed
    )


@given(COUNTS, COUNTS)
def test_a_lost_row_is_noticed_whatever_grew(before, now):
    """Whatever another assessment gained, one that has fewer rows stops the run."""
    lost = sum(max(0, count - now.get(i, 0)) for i, count in before.items())
    result = check(before, now)
    assert result.ok == (lost == 0)
    assert f"combined lost {lost:,} rows" in result.note


@given(COUNTS, COUNTS)
def test_exactly_the_lost_rows_must_be_allowed(before, now):
    lost = sum(max(0, count - now.get(i, 0)) for i, count in before.items())
    assert check(before, now, allowed=lost).ok
    assert lost == 0 or not check(before, now, allowed=lost - 1).ok


def test_the_assessments_that_lost_most_are_named():
    result = check({"7": 10, "8": 5, "9": 1}, {"7": 3, "8": 5})
    assert not result.ok
    assert "assessment 7 had 10, has 3, 9 had 1, has 0" in result.note


def test_an_excluded_assessment_is_no_loss():
    assert check({"7": 10, "8": 5}, {"8": 5}, excluded_ids=["7"]).ok


def test_a_tolerance_is_a_share_of_all_published_rows():
    assert check({"7": 100}, {"7": 98}, tolerance=0.02).ok
    assert not check({"7": 100}, {"7": 97}, tolerance=0.02).ok


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
    assert parse_allowed_shrink(text) == allowed


@pytest.mark.parametrize("text", ["yes", "combined", "combined=", "combined=-1", "all=9", "120"])
def test_anything_else_is_refused(text):
    with pytest.raises(SettingsError, match="combined=120"):
        parse_allowed_shrink(text)


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
def test_enough_students_must_be_on_the_roster(matched, before, ok):
    now = RowCounts({}, students=100, matched=matched)
    assert check_roster_match_rate(now, before, floor=0.5, drop=0.1).ok is ok


@pytest.mark.parametrize("matched", [3, 90])
def test_ids_that_are_nearly_on_the_roster_are_counted(matched):
    now = RowCounts({}, students=100, matched=matched)
    found = check_roster_match_rate(now, None, near=7, floor=0.5, drop=0.1)
    assert "7 of the others differ from an id on it only by leading zeros or .0" in found.note
    assert "differ" not in check_roster_match_rate(now, None, floor=0.5, drop=0.1).note


@pytest.mark.parametrize("now", [RowCounts({}), RowCounts({}, students=0, matched=0)])
def test_without_a_roster_or_students_there_is_nothing_to_compare(now):
    assert check_roster_match_rate(now, 0.9, floor=0.5, drop=0.1).ok


def test_a_failure_says_what_is_wrong_and_what_is_kept():
    passed = check({"7": 1}, {"7": 1})
    lost = check({"7": 10}, {"7": 3})
    counts = RowCounts({}, students=100, matched=2)
    roster = check_roster_match_rate(counts, None, floor=0.5, drop=0.1)
    raise_on_failure([passed])
    with pytest.raises(CheckError) as error:
        raise_on_failure([passed, lost, roster])
    message = str(error.value)
    assert "check failed: combined lost 7 rows (assessment 7 had 10, has 3)" in message
    assert "check failed: the roster does not match this year: 2 of 100 students" in message
    assert "all shards are kept" in message
    assert message.count("check failed") == 2
    assert "--publish-allow-shrink combined=7." in message
    assert "Configure the roster of this year" in message


def test_a_failure_gives_the_one_flag_that_allows_every_loss():
    group = check_no_shrink("group", {"7": 3}, {}, excluded_ids=(), tolerance=0.0, allowed=0)
    with pytest.raises(CheckError, match=r"--publish-allow-shrink combined=7,group=3\.$"):
        raise_on_failure([check({"7": 10}, {"7": 3}), group])


def test_a_failure_names_the_years_that_rows_may_have_moved_to():
    lost = check({"7": 10}, {"7": 3})
    with pytest.raises(CheckError) as error:
        raise_on_failure([lost], {"22-23": "2023-10-02", "21-22": "2023-10-03"})
    assert str(error.value).endswith(
        "If they were re-dated into another year, fetch that first: make refresh YEAR=22-23 "
        "(fetched on 2023-10-02), make refresh YEAR=21-22 (fetched on 2023-10-03)."
    )


def test_an_assessment_without_results_may_leave_the_catalogue():
    before = RowCounts(
        {"combined": {"7": 2}, "group": {"8": 1}, "catalogue": {"7": 1, "8": 1, "9": 1}}
    )
    assert guarded_rows(before, "catalogue") == {"7": 1, "8": 1}
    assert guarded_rows(before, "combined") == {"7": 2}
    assert guarded_rows(RowCounts({}), "catalogue") == {}
