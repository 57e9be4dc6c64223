"""What the report says of a group of students leaves several answers open, always."""

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.disclosure import Rule
from pipeline.schema import SMALLEST_GROUP

RULES = st.builds(Rule, st.integers(SMALLEST_GROUP, 20))


@st.composite
def groups(draw):
    """A rule, a group that it shows, and a part of it."""
    rule = draw(RULES)
    students = draw(st.integers(rule.smallest, 600))
    return rule, students, draw(st.integers(0, students))


def alike(rule, students):
    """The sizes that are told like this one."""
    near = range(max(rule.smallest, students - rule.smallest), students + rule.smallest + 1)
    return [size for size in near if rule.about(size) == rule.about(students)]


@given(groups())
def test_every_share_may_stand_for_three_counts_or_more(case):
    rule, students, part = case
    told = rule.share(part, students)
    counts = {
        other
        for size in alike(rule, students)
        for other in range(size + 1)
        if rule.share(other, size) == told
    }
    assert len(counts) >= 3


@given(groups())
def test_nobody_and_everybody_are_told_like_one_or_two_less(case):
    rule, students, _ = case
    assert rule.share(0, students) == rule.share(1, students) == rule.share(2, students)
    everybody = rule.share(students, students)
    assert everybody == rule.share(students - 1, students) == rule.share(students - 2, students)
    assert not any(word in everybody.text + rule.share(0, students).text for word in ("100", " 0 "))


@given(groups())
def test_what_a_share_says_is_true(case):
    rule, students, part = case
    text, exact = rule.share(part, students).text, Fraction(100 * part, students)
    number = int("".join(filter(str.isdigit, text)))
    if text.startswith("under"):
        assert exact < number
    elif text.startswith("over"):
        assert exact > number
    elif text.endswith("more"):
        assert exact >= number
    else:
        assert abs(exact - number) <= rule.step(students)


@given(RULES, st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_the_shares_of_a_bar_fill_it_and_are_true(rule, parts):
    students = sum(parts)
    if rule.hides(students):
        return
    step = max(5, rule.step(students))
    told = rule.shares(parts)
    assert sum(share.drawn for share in told) == 100
    for part, share in zip(parts, told, strict=True):
        assert abs(share.drawn - Fraction(100 * part, students)) < step
        assert share.drawn or share.text == f"under {step} %"
        assert share.drawn < 100 or share.text == f"over {100 - step} %"


@given(RULES, st.integers(0, 10_000))
def test_a_size_is_told_to_the_nearest_multiple(rule, students):
    about = rule.about(students)
    assert about % rule.smallest == 0
    assert 2 * abs(about - students) <= rule.smallest
    assert rule.hides(students) or about >= rule.smallest


@given(groups())
def test_sizes_that_are_told_alike_have_the_same_steps(case):
    rule, students, _ = case
    assert {rule.step(size) for size in alike(rule, students)} == {rule.step(students)}


def test_five_students_lie_beyond_every_quantile_that_is_shown():
    rule = Rule(10)
    for students, quantile in itertools.product(range(200), (Fraction(1, 10), Fraction(3, 4))):
        if rule.may_show_quantile(students, quantile):
            assert min(quantile, 1 - quantile) * students >= 5
    assert not rule.may_show_quantile(9, Fraction(1, 2))
    assert rule.may_show_quantile(10, Fraction(1, 2))
