"""Disclosure control: what may be shown of a group so that no single student can be identified.

Four rules, and everything on the page follows them:

1. A group of fewer than `smallest` students is suppressed: its size and all of its results.
2. Other sizes are rounded to multiples of `smallest`, so that no difference between two sizes
   reveals a suppressed one.
3. Shares are rounded to steps of at least 2.5 students of the smallest group with that
   rounded size. So "under" stands for zero, one, two or more students, and "over" likewise.
4. Only groups that are shown are counted anywhere. Nor does a suppressed group decide whether
   something else is shown, because that would reveal it as well.

What is said of a run as a whole (`run_history`) covers all rows, in steps of a hundred rows or
more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_STEPS = (1, 2, 5, 10, 20, 25, 50)
_COARSE = 5
_STUDENTS_PER_STEP = Fraction(5, 2)
_STUDENTS_BEYOND_QUANTILE = 5


@dataclass(frozen=True)
class Share:
    """A share as it may be shown: its text, and the percentage at which it is plotted."""

    text: str
    plot_value: float


@dataclass(frozen=True)
class Rule:
    """The rules above for groups of at least `smallest` students."""

    smallest: int

    def suppressed(self, students: int) -> bool:
        """Return True if a group is too small to be shown."""
        return students < self.smallest

    def rounded_size(self, students: int) -> int:
        """Return the size of a group that is shown, to the nearest multiple of `smallest`."""
        return (2 * students + self.smallest) // (2 * self.smallest) * self.smallest

    def share_step(self, students: int) -> int:
        """Return the step in percent for the shares of a group; equal for equal rounded sizes."""
        least = self._least(students)
        return next(step for step in _STEPS if Fraction(step * least, 100) >= _STUDENTS_PER_STEP)

    def share(self, part: int, students: int) -> Share:
        """Return the share of `part` in a group that is shown."""
        step = self.share_step(students)
        bound = max(_COARSE, step)
        exact = Fraction(100 * part, students)
        if exact < bound:
            return Share(f"under {bound} %", bound / 2)
        if 2 * bound == 100:
            return Share(f"{bound} % or more", 100 - bound / 2)
        if exact > 100 - bound:
            return Share(f"over {100 - bound} %", 100 - bound / 2)
        value = int(exact / step + Fraction(1, 2)) * step
        # The values next to the bounds cover a whole step too, not for the half beside it.
        lowest = math.ceil((bound + Fraction(step, 2)) / step) * step
        value = min(max(value, lowest), 100 - lowest)
        return Share(f"{value} %", value)

    def shares(self, parts: Sequence[int]) -> list[Share]:
        """Return the shares of the parts of a group; their plotted values add up to 100.

        Each is rounded up or down to a step; those with the largest remainders go up.
        """
        students = sum(parts)
        step = max(_COARSE, self.share_step(students))
        exact = [Fraction(100 * part, students * step) for part in parts]
        whole = [int(each) for each in exact]
        by_remainder = sorted(range(len(parts)), key=lambda i: (whole[i] - exact[i], i))
        for i in by_remainder[: 100 // step - sum(whole)]:
            whole[i] += 1
        return [_rounded(steps * step, step) for steps in whole]

    def shows_quantile(self, students: int, quantile: Fraction) -> bool:
        """Return True if enough students lie below and above a quantile of a group."""
        beyond = min(quantile, 1 - quantile) * self._least(students)
        return not self.suppressed(students) and beyond >= _STUDENTS_BEYOND_QUANTILE

    def _least(self, students: int) -> int:
        """Return the smallest size that is rounded like this one."""
        return max(self.smallest, self.rounded_size(students) - self.smallest // 2)


def _rounded(value: int, step: int) -> Share:
    if value == 0:
        return Share(f"under {step} %", 0)
    if value == 100:
        return Share(f"over {100 - step} %", 100)
    return Share(f"{value} %", value)
