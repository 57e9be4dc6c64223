"""Every statement about a group of students is compatible with several true counts."""

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.disclosure import Rule
from pipeline.schema import SMALLEST_GROUP

RULES = st.builds(Rule, st.integers(SMALLEST_GROUP, 20))


@st.composite
def groups(draw):
    """Draw a rule, a group that it shows, and a part of that group."""
    rule = draw(RULES)
    students = draw(st.integers(rule.smallest, 600))
    return rule, students, draw(st.integers(0, students))


def alike(rule, students):
    """Return the sizes that are rounded like this one."""
    near = range(max(rule.smallest, students - rule.smallest), students + rule.smallest + 1)
    return [size for size in near if rule.rounded_size(size) == rule.rounded_size(students)]


@given(groups())
def test_every_share_stands_for_at_least_three_counts(case):
    rule, students, part = case
    shown = rule.share(part, students)
    counts = {
        other
        for size in alike(rule, students)
        for other in range(size + 1)
        if rule.share(other, size) == shown
    }
    assert len(counts) >= 3


@given(groups())
def test_none_and_all_look_like_one_or_two_students_off(case):
    rule, students, _ = case
    assert rule.share(0, students) == rule.share(1, students) == rule.share(2, students)
    everybody = rule.share(students, students)
    assert everybody == rule.share(students - 1, students) == rule.share(students - 2, students)
    assert not any(word in everybody.text + rule.share(0, students).text for word in ("100", " 0 "))


@given(groups())
def test_every_share_is_true(case):
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
        assert abs(exact - number) <= rule.share_step(students)


@given(RULES, st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_the_shares_of_a_bar_are_true_and_add_up(rule, parts):
    students = sum(parts)
    if rule.suppressed(students):
        return
    step = max(5, rule.share_step(students))
    shown = rule.shares(parts)
    assert sum(share.plot_value for share in shown) == 100
    for part, share in zip(parts, shown, strict=True):
        assert abs(share.plot_value - Fraction(100 * part, students)) < step
        assert share.plot_value or share.text == f"under {step} %"
        assert share.plot_value < 100 or share.text == f"over {100 - step} %"


@given(RULES, st.integers(0, 10_000))
def test_sizes_are_rounded_to_the_nearest_multiple(rule, students):
    size = rule.rounded_size(students)
    assert size % rule.smallest == 0
    assert 2 * abs(size - students) <= rule.smallest
    assert rule.suppressed(students) or size >= rule.smallest


@given(groups())
def test_sizes_that_are_rounded_alike_have_the_same_step(case):
    rule, students, _ = case
    assert {rule.share_step(size) for size in alike(rule, students)} == {rule.share_step(students)}


def test_five_students_lie_beyond_every_quantile_that_is_shown():
    rule = Rule(10)
    for students, quantile in itertools.product(range(200), (Fraction(1, 10), Fraction(3, 4))):
        if rule.shows_quantile(students, quantile):
            assert min(quantile, 1 - quantile) * students >= 5
    assert not rule.shows_quantile(9, Fraction(1, 2))
    assert rule.shows_quantile(10, Fraction(1, 2))
