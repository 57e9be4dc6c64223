"""How large the work of each section is."""

from dataclasses import dataclass

_SHARE = 0.15
"""The share of assessments that have results in a school year; in real districts much the same."""

_UNLISTED = 0.03
"""How many more have results although the catalogue does not list them, relative to those."""


@dataclass(frozen=True)
class Size:
    """The figures that work is made from.

    Attributes:
        assessments: how many the catalogue lists.
        rows: about how many rows there are, overall, by standard and by group together; a thirtieth
            of them are of assessments that the catalogue does not list.
        students: about how many are at school in the year.
        standards: the least and the most standards of an assessment.
    """

    name: str
    assessments: int
    rows: int
    students: int
    standards: tuple[int, int]

    @property
    def with_results(self) -> int:
        """How many assessments have results."""
        return max(1, round(_SHARE * self.assessments))

    @property
    def unlisted(self) -> int:
        """How many more have results and are not in the catalogue."""
        return max(1, round(_UNLISTED * self.with_results))


TINY = Size("tiny", 40, 2_000, 130, (2, 5))
S = Size("S", 600, 60_000, 2_000, (6, 12))
FEW = Size("1,000 assessments", 1_000, 100_000, 3_000, (6, 12))
M = Size("M", 3_000, 3_000_000, 20_000, (8, 16))

MONTH = Size("a month", 400, 40_000, 2_000, (6, 12))

GROWTH = tuple(
    Size(f"{assessments:,} assessments", assessments, 30 * assessments, 5_000, (3, 6))
    for assessments in (3_000, 10_000, 30_000)
)
TINY_GROWTH = (Size("20 assessments", 20, 600, 130, (2, 5)), TINY)

MEMORY = (
    Size("1 million rows", 1_000, 1_000_000, 20_000, (8, 16)),
    M,
    Size("10 million rows", 10_000, 10_000_000, 60_000, (8, 16)),
)
