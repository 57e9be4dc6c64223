"""How large a made-up district is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The figures that a district is made from.

    Attributes:
        students: about how many are at school in a year.
        assessments: how many the catalogue lists.
        share: the share of them that have results in one school year.
        hidden: how many more are sat in each year though the catalogue does not list them.
        sitting: the least and the most students who sit an ordinary assessment.
        long: students and standards of assessments that fill several pages.
    """

    students: int
    assessments: int
    share: float
    hidden: int
    sitting: tuple[int, int]
    long: tuple[tuple[int, int], ...]


DEMO = Size(
    students=2_000,
    assessments=1_126,
    share=0.13,
    hidden=5,
    sitting=(18, 70),
    long=((245, 10), (150, 11), (140, 9), (145, 12)),
)
SMALL = Size(students=120, assessments=40, share=0.4, hidden=2, sitting=(4, 9), long=((200, 11),))
