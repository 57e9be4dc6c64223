"""Guards notice lost rows and rosters that do not match, whatever hides them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CheckError, SettingsError
from pipeline.publish.guards import (
    GuardResult,
    RowCounts,
    check_no_shrink,
    check_readable,
    check_roster_match_rate,
    guarded_rows,
    parse_allowed_shrink,
    raise_on_failure,
)
from pipeline.words import counted
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)
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
    assert f"combined lost {counted(lost, 'row')}" in result.note


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
        ("combined.percent_correct=9,group=3", {"combined.percent_correct": 9, "group": 3}),
    ],
)
def test_an_allowance_names_tables_and_rows(text, allowed):
    assert parse_allowed_shrink(text) == allowed


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "combined", "combined=", "combined=-1", "all=9", "120"),
        *("combined.title=9", "combined.=9", "points=9", "catalogue.points=9"),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(SettingsError, match="combined=120"):
        parse_allowed_shrink(text)


TYPED = ("points", "points_possible", "percent_correct", "date_taken")
TEXT = ("local_student_id", "performance_band_level", "performance_band_label", "mastered")
BANDS = TEXT[1:]


def counts(rows: int, **readable: int) -> RowCounts:
    """Counts of a group table of one assessment; columns that are not given are all readable."""
    columns = dict.fromkeys((*TYPED, *TEXT), rows)
    return RowCounts({"group": {"7": rows}}, readable={"group": columns | readable})


def unreadable(now, before, drop=0.02, **allowed):
    """The columns of the group table for which a set is not published."""
    allowed = {f"group.{name}": values for name, values in allowed.items()}
    results = check_readable("group", now, before, drop=drop, allowed=allowed)
    return {result.what.removeprefix("group."): result.lost for result in results if not result.ok}


@pytest.mark.parametrize("column", [*TYPED, *TEXT])
def test_a_column_that_cannot_be_read_any_more_is_noticed(column):
    assert unreadable(counts(1000, **{column: 0}), counts(900)) == {column: 1000}


@pytest.mark.parametrize(
    ("readable", "before", "ok"),
    [
        (980, 1000, True),
        (979, 1000, False),
        (99_999, 100_000, True),
        (600, 610, True),
        (400, 410, True),
        (1000, 400, True),
    ],
)
def test_a_readable_share_may_drop_by_as_much_as_the_setting_says(readable, before, ok):
    """Whatever it is: a column that was hardly readable before is no reason to stop."""
    rows = 100_000 if before > 1000 else 1000
    known = counts(rows, points=before)
    assert (unreadable(counts(rows, points=readable), known) == {}) is ok


@pytest.mark.parametrize(
    ("rows", "readable", "ok"),
    [
        *[(500, 490, True), (500, 489, False), (40, 30, True), (40, 29, False)],
        *[(6, 3, True), (6, 2, False), (1, 0, False)],
    ],
)
def test_a_few_values_of_a_small_table_are_no_reason_to_stop(rows, readable, ok):
    assert (unreadable(counts(rows, points=readable), counts(rows)) == {}) is ok


def test_more_rows_do_not_hide_that_new_values_are_unreadable():
    assert unreadable(counts(2000, points=1000), counts(1000)) == {"points": 1000}


@pytest.mark.parametrize("before", [None, RowCounts({"group": {"7": 9}}), counts(0)])
@pytest.mark.parametrize(("readable", "ok"), [(500, True), (499, False)])
def test_half_of_the_rows_must_be_readable_where_nothing_is_known_yet(before, readable, ok):
    """In the first run, after one of an earlier version, and after a set without rows."""
    assert (unreadable(counts(1000, date_taken=readable), before) == {}) is ok


def test_readable_values_that_are_gone_do_not_count_as_unreadable():
    """As when a large assessment is excluded."""
    before = counts(4000, points=3960)
    assert unreadable(counts(400, points=350), before) == {}
    assert unreadable(counts(400, points=349), before) == {"points": 51}
    assert unreadable(counts(40, points=19), before) == {"points": 21}


def test_text_may_be_empty_where_nothing_is_known_yet():
    """But not where nobody knows whose results they are."""
    assert unreadable(counts(1000, **dict.fromkeys(BANDS, 0)), None) == {}
    assert unreadable(counts(1000, local_student_id=500), None) == {}
    found = unreadable(counts(1000, local_student_id=499), None)
    assert found == {"local_student_id": 501}


def test_an_assessment_without_performance_bands_may_be_added():
    """But no band that was there may be lost, and every row has a student."""
    added = dict.fromkeys(BANDS, 1000)
    assert unreadable(counts(1500, **added), counts(1000)) == {}
    lost = dict.fromkeys(BANDS, 960)
    assert unreadable(counts(1500, **lost), counts(1000)) == dict.fromkeys(BANDS, 540)
    assert unreadable(counts(1500, local_student_id=1000), counts(1000)) == {
        "local_student_id": 500
    }


def test_a_table_without_rows_has_no_columns_that_cannot_be_read():
    assert unreadable(counts(0), counts(100)) == {}
    assert unreadable(RowCounts({"group": {}}), None) == {}


def test_exactly_the_unreadable_values_must_be_allowed():
    now = counts(1000, points=100, date_taken=0)
    assert unreadable(now, counts(900), points=900) == {"date_taken": 1000}
    assert unreadable(now, counts(900), points=899, date_taken=1000) == {"points": 900}


def test_a_column_that_is_not_there_any_more_is_not_readable():
    there = dict.fromkeys((*TYPED[1:], *TEXT), 10)
    now = RowCounts({"group": {"7": 10}}, readable={"group": there})
    assert unreadable(now, counts(9)) == {TYPED[0]: 10}


def test_a_failure_gives_the_shares_of_a_column_before_and_now_and_the_flag_that_allows_it():
    now = counts(1000, percent_correct=120)
    results = check_readable("group", now, counts(10, percent_correct=9), drop=0.02, allowed={})
    with pytest.raises(CheckError) as error:
        raise_on_failure(results, YEAR)
    assert "group.percent_correct is readable in 12.0% of 1,000 rows (90.0% of what is" in str(
        error.value
    )
    assert "--publish-allow-shrink group.percent_correct=880." in str(error.value)
    assert "roster" not in str(error.value)


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


def test_without_students_there_is_nothing_to_compare():
    now = RowCounts({}, students=0, matched=0)
    assert check_roster_match_rate(now, 0.9, floor=0.5, drop=0.1).ok


@pytest.mark.parametrize(
    ("before", "drop", "ok"),
    [(None, 0.1, True), (0.0, 0.0, True), (0.9, 0.1, False), (0.9, 1.0, True)],
)
def test_a_district_may_do_without_a_roster_but_not_lose_it(before, drop, ok):
    found = check_roster_match_rate(RowCounts({}), before, floor=0.5, drop=drop)
    assert found.ok is ok
    assert found.note.startswith("no roster is configured")


def test_a_failure_says_what_is_wrong_and_what_is_kept():
    passed = check({"7": 1}, {"7": 1})
    lost = check({"7": 10}, {"7": 3})
    counts = RowCounts({}, students=100, matched=2)
    roster = check_roster_match_rate(counts, None, floor=0.5, drop=0.1)
    raise_on_failure([passed], YEAR)
    with pytest.raises(CheckError) as error:
        raise_on_failure([passed, lost, roster], YEAR)
    message = str(error.value)
    assert "check failed: combined lost 7 rows (assessment 7 had 10, has 3)" in message
    assert "check failed: the roster does not match this year: 2 of 100 students" in message
    assert "all shards are kept" in message
    assert message.count("check failed") == 2
    assert "run make refresh YEAR=23-24, which fetches the year again" in message
    assert "--publish-allow-shrink combined=7." in message
    assert "Configure the roster of this year" in message


def test_a_failure_gives_the_one_flag_that_allows_every_loss():
    group = check_no_shrink("group", {"7": 3}, {}, excluded_ids=(), tolerance=0.0, allowed=0)
    with pytest.raises(CheckError, match=r"--publish-allow-shrink combined=7,group=3\.$"):
        raise_on_failure([check({"7": 10}, {"7": 3}), group], YEAR)


def test_a_failure_names_the_years_that_rows_may_have_moved_to():
    lost = check({"7": 10}, {"7": 3})
    with pytest.raises(CheckError) as error:
        raise_on_failure([lost], YEAR, {"22-23": "2023-10-02", "21-22": "2023-10-03"})
    assert str(error.value).endswith(
        "If rows were re-dated into another year, fetch that first: make refresh YEAR=22-23 "
        "(fetched on 2023-10-02), make refresh YEAR=21-22 (fetched on 2023-10-03)."
    )


def test_values_that_cannot_be_read_have_not_moved_to_another_year():
    unreadable = GuardResult(False, "note", "combined.points", 7)
    with pytest.raises(CheckError, match=r"--publish-allow-shrink combined\.points=7\.$"):
        raise_on_failure([unreadable], {"22-23": "2023-10-02"})


def test_an_assessment_without_results_may_leave_the_catalogue():
    before = RowCounts(
        {"combined": {"7": 2}, "group": {"8": 1}, "catalogue": {"7": 1, "8": 1, "9": 1}}
    )
    assert guarded_rows(before, "catalogue") == {"7": 1, "8": 1}
    assert guarded_rows(before, "combined") == {"7": 2}
    assert guarded_rows(RowCounts({}), "catalogue") == {}
