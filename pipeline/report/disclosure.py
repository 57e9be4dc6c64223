"""What may be told of a group of students, so that no single one of them can be found out.

Four rules, and everything on the page follows them:

1. A group of fewer than `smallest` students is hidden: its size, and everything of its results.
2. Sizes of the others are rounded to multiples of `smallest`, so that no difference of two sizes
   tells one that is hidden.
3. Shares are rounded to steps that stand for at least 2.5 students of the smallest group which has
   that rounded size. So "under" stands for no, one, two or more students, and "over" likewise.
4. Whatever is counted is counted in groups that are shown. Nor does a hidden group decide whether
   something else is shown: that would tell of it as well.

What is said of a load as a whole (`load`) has all rows in it, and is told in steps of a hundred
rows or more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_STEPS = (1, 2, 5, 10, 20, 25, 50)
_COARSE = 5
_STUDENTS_PER_STEP = Fraction(5, 2)
_BEYOND = 5


@dataclass(frozen=True)
class Share:
    """A share as it may be shown: what is read, and the per cent at which it is drawn."""

    text: str
    drawn: float


@dataclass(frozen=True)
class Rule:
    """The rules above for groups of at least `smallest` students."""

    smallest: int

    def hides(self, students: int) -> bool:
        """Whether a group is too small to be shown."""
        return students < self.smallest

    def about(self, students: int) -> int:
        """The size of a group that is shown, to the nearest multiple of `smallest`."""
        return (2 * students + self.smallest) // (2 * self.smallest) * self.smallest

    def step(self, students: int) -> int:
        """The per cents to which shares of a group are rounded; the same for its rounded size."""
        least = self._least(students)
        return next(step for step in _STEPS if Fraction(step * least, 100) >= _STUDENTS_PER_STEP)

    def share(self, part: int, students: int) -> Share:
        """The share of `part` in a group that is shown."""
        step = self.step(students)
        bound = max(_COARSE, step)
        exact = Fraction(100 * part, students)
        if exact < bound:
            return Share(f"under {bound} %", bound / 2)
        if 2 * bound == 100:
            return Share(f"{bound} % or more", 100 - bound / 2)
        if exact > 100 - bound:
            return Share(f"over {100 - bound} %", 100 - bound / 2)
        value = int(exact / step + Fraction(1, 2)) * step
        # The values next to the bounds stand for a whole step, too, not for the half beside it.
        lowest = math.ceil((bound + Fraction(step, 2)) / step) * step
        value = min(max(value, lowest), 100 - lowest)
        return Share(f"{value} %", value)

    def shares(self, parts: Sequence[int]) -> list[Share]:
        """The shares of parts that make up a group, drawn so that they add up to 100.

        Each is rounded up or down to a step; those with the largest remainders go up.
        """
        students = sum(parts)
        step = max(_COARSE, self.step(students))
        exact = [Fraction(100 * part, students * step) for part in parts]
        whole = [int(each) for each in exact]
        by_remainder = sorted(range(len(parts)), key=lambda i: (whole[i] - exact[i], i))
        for i in by_remainder[: 100 // step - sum(whole)]:
            whole[i] += 1
        return [_rounded(steps * step, step) for steps in whole]

    def may_show_quantile(self, students: int, quantile: Fraction) -> bool:
        """Whether enough students lie below and above a quantile of a group."""
        outside = min(quantile, 1 - quantile) * self._least(students)
        return not self.hides(students) and outside >= _BEYOND

    def _least(self, students: int) -> int:
        """The smallest size that is rounded like this one."""
        return max(self.smallest, self.about(students) - self.smallest // 2)


def _rounded(value: int, step: int) -> Share:
    if value == 0:
        return Share(f"under {step} %", 0)
    if value == 100:
        return Share(f"over {100 - step} %", 100)
    return Share(f"{value} %", value)
