"""What is said of a group is true, coarse, and held until enough of its results are new."""

import datetime as dt
import itertools
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import disclosure
from pipeline.report.disclosure import Rule, Share
from pipeline.report.groups import BANDS, CUTS, KEY, LABELS, MASTERED
from pipeline.schema import SMALLEST_GROUP

THRESHOLDS = st.integers(SMALLEST_GROUP, 20)
RULE = Rule(10)
SHARES = (*CUTS, "least", "most")


def figures(rule: Rule, students: int) -> pl.DataFrame:
    """Return the figure for each part of a group."""
    rows = pl.DataFrame({"students": students, **dict.fromkeys(CUTS, range(students + 1))})
    return rows.with_columns(pl.col(MASTERED).alias("part")).with_columns(rule.figure())


@given(THRESHOLDS, st.integers(5, 3000))
def test_every_share_stands_for_six_numbers_of_students_or_three_at_the_ends(smallest, students):
    of = figures(Rule(smallest), students)
    alike = of.group_by(SHARES).agg(pl.len(), pl.col("part").min(), last=pl.col("part").max())
    for count, first, last in alike.select("len", "part", "last").iter_rows():
        assert count == last - first + 1
        assert count >= (3 if first == 0 or last == students else 6)


@given(THRESHOLDS, st.integers(7, 3000), st.data())
def test_every_share_is_true(smallest, students, data):
    part = data.draw(st.integers(0, students))
    of = figures(Rule(smallest), students).filter(part=part).row(0, named=True)
    text, exact = Share.of_figure(of[MASTERED], of["least"], of["most"]).text, 100 * part / students
    number = float(text.replace("under ", "").split(" %")[0]) if text != "not known" else exact
    if text.startswith("under"):
        assert exact < number
    elif text.endswith("more"):
        assert exact >= number
    else:
        assert abs(exact - number) <= 300 / students + (2.5 if students < 120 else 0.5)


@given(THRESHOLDS, st.integers(5, 3000))
def test_a_larger_part_never_has_a_smaller_share(smallest, students):
    """So no band has less than nothing."""
    shares = figures(Rule(smallest), students)[MASTERED].to_list()
    assert shares == sorted(shares)
    assert min(shares) >= 0
    assert max(shares) <= 100


def test_of_few_students_nothing_is_known():
    of = figures(Rule(5), 5).row(0, named=True)
    assert Share.of_figure(of[MASTERED], of["least"], of["most"]).text == "not known"


@given(THRESHOLDS, st.integers(0, 10_000))
def test_sizes_are_rounded_to_the_nearest_multiple(smallest, students):
    rule, column = Rule(smallest), pl.col("students")
    of = pl.DataFrame({"students": [students]})
    size, is_shown = of.select(rule.size(column).alias("size"), shown=rule.shows(column)).row(0)
    assert size % smallest == 0
    assert 2 * abs(size - students) <= smallest
    assert is_shown == (students >= smallest)
    assert not is_shown or size >= smallest
    assert disclosure.disclose_sizes(of, rule).rows() == ([(size,)] if is_shown else [])


def counts(*groups: dict[str, object]) -> pl.DataFrame:
    """Return true counts of groups, each given with its `bands` and what differs from a default."""
    rows = []
    for group in groups:
        bands = list(group["bands"])
        beyond = [sum(bands[band:]) for band in range(1, len(BANDS))]
        key = {"kind": "overall", "school": "", "grade": 3, "assessment_id": "1", "part": ""}
        labels = {"curriculum": "Math", "unit": "Unit 1", "unit_labels": "01 Unit", "title": "Test"}
        numbers = {
            "students": sum(bands),
            "titled": sum(bands),
            **dict(zip(CUTS, beyond, strict=True)),
        }
        others = {"day": dt.date(2024, 1, 31), "is_only": False}
        given_ = {name: value for name, value in group.items() if name != "bands"}
        rows.append({**key, **labels, **numbers, **others, **given_})
    texts = dict.fromkeys((*KEY, *LABELS), pl.String) | {"grade": pl.Int64, "day": pl.Date}
    return pl.DataFrame(rows, schema_overrides=texts)


def bands(students: int, band: int = 0) -> list[int]:
    """Return the bands of a group of which all students are in one."""
    return [students if each == band else 0 for each in range(len(BANDS))]


def show(*nights: pl.DataFrame, rule: Rule = RULE) -> pl.DataFrame:
    """Return the figures after some nights."""
    shown = disclosure.no_figures()
    for night in nights:
        shown = disclosure.disclose(night, shown, rule)
    return shown


def test_a_figure_is_held_until_enough_results_are_new():
    first = show(counts({"bands": bands(20)}))
    one_more = show(counts({"bands": bands(20)}), counts({"bands": [20, 0, 0, 0, 9, 0]}))
    assert one_more.equals(first)
    ten_more = show(counts({"bands": bands(20)}), counts({"bands": [20, 0, 0, 0, 10, 0]}))
    assert ten_more.select("sizes", "size", MASTERED).row(0) == ([20, 30], 30, 30.0)


def test_a_size_near_an_earlier_one_is_not_shown_even_after_another():
    """From 20 students to 31 and back to 21: the first and the last differ by one."""
    nights = [counts({"bands": bands(size)}) for size in (20, 31, 21)]
    assert show(*nights).equals(show(*nights[:2]))


def test_a_group_that_shrinks_below_the_smallest_or_vanishes_shows_nothing_new():
    before = show(counts({"bands": bands(20)}))
    fewer = disclosure.disclose(counts({"bands": bands(9)}), before, RULE)
    assert fewer.equals(before)
    other = counts({"assessment_id": "2", "bands": bands(20)})
    gone = disclosure.disclose(other, before, RULE)
    assert gone.select("assessment_id", "is_there").rows() == [("1", False), ("2", True)]
    back = disclosure.disclose(counts({"bands": bands(21, 4)}), gone, RULE)
    assert back.filter(assessment_id="1").drop("is_there").equals(before.drop("is_there"))


def test_small_groups_are_not_remembered():
    assert show(counts({"bands": bands(9)})).is_empty()


@pytest.mark.parametrize(("titled", "title"), [(9, None), (10, "Test")])
def test_a_title_is_given_if_enough_students_have_it(titled, title):
    assert show(counts({"bands": bands(20), "titled": titled}))["title"].to_list() == [title]


def test_the_only_standard_of_an_assessment_has_the_figure_of_the_assessment():
    """It has the same results, so two figures would be two roundings of one group."""
    overall = {"bands": [5, 5, 5, 5, 5, 5]}
    standard = {"kind": "standard", "part": "3.OA.1", "bands": bands(29, 5)}
    for is_only in (True, False):
        shown = show(counts(overall, {**standard, "is_only": is_only}))
        assert (shown["sizes"].to_list() == [[30], [30]]) == is_only
        assert (shown[MASTERED].n_unique() == 1) == is_only


def night(groups: dict[str, dict[int, int]]) -> pl.DataFrame:
    """Return the counts of groups, each with the band of each student."""
    bands_of = {
        name: [list(students.values()).count(band) for band in range(len(BANDS))]
        for name, students in groups.items()
    }
    return counts(*({"assessment_id": name, "bands": of} for name, of in bands_of.items()))


def change(students: dict[int, int], random: Random) -> dict[int, int]:
    """Return a group after a night on which some arrive, get another band, or (below 0) leave."""
    touched = random.sample(range(60), random.randint(1, random.choice((2, 12, 30))))
    lowest = random.choice((-1, -9))  # on some nights most of them leave
    after = students | {student: random.randint(lowest, 5) for student in touched}
    return {student: band for student, band in after.items() if band >= 0}


@pytest.mark.parametrize("smallest", [SMALLEST_GROUP, 10, 17])
def test_no_two_nights_differ_by_fewer_students_than_the_smallest_group(smallest):
    """Random nights of many groups: any two figures of a group are compared."""
    rule, random = Rule(smallest), Random(smallest)
    now: dict[str, dict[int, int]] = {str(number): {} for number in range(200)}
    seen: dict[str, list[dict[int, int]]] = {name: [] for name in now}
    shown = disclosure.no_figures()
    for _ in range(30):
        now = {name: change(students, random) for name, students in now.items()}
        of = night(now)
        after = disclosure.disclose(of, shown, rule)
        assert disclosure.disclose(of, after, rule).equals(after), "a night twice changes nothing"
        held = after.join(shown, on=after.columns, how="semi", nulls_equal=True)
        new = after.join(held, on="assessment_id", how="anti").drop("sizes")
        fresh = show(of, rule=rule).drop("sizes")
        assert new.join(fresh, on=new.columns, how="anti", nulls_equal=True).is_empty()
        for name in new["assessment_id"]:
            seen[name].append(now[name])
        shown = after
    pairs = [pair for figures_ in seen.values() for pair in itertools.combinations(figures_, 2)]
    assert len(pairs) > 100
    for one, other in pairs:
        assert len({student for student, _ in one.items() ^ other.items()}) >= smallest
