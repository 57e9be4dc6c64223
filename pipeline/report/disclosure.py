"""Disclosure control: what may be shown of a group so that no single student can be identified.

Five rules, and everything on a page follows them:

1. A group of fewer than `smallest` students is suppressed: its size and all of its results.
2. Other sizes are rounded to multiples of `smallest`.
3. Of its results, only the share of students from each band upwards is given, and that number of
   students only as one of six or more that follow each other, three or more at the ends. What is
   said of a single band is a difference of two of them.
4. A group has one figure. It is replaced only when the size of the group differs by `smallest` or
   more from its size at every earlier figure, so no two figures differ by fewer students.
5. Everything else is computed from figures, not from students: there is no second path to a number.

Whether a figure is shown or replaced depends on sizes alone, never on results.

Where the numbers that look alike begin matters when a group is shown twice. If of ten students
"four or more" mastered something, and of eleven "four or fewer", the newcomer did not. Here that
cannot happen, because of n students the ranges begin at 4n modulo 6: counted from below, each
begins at an even number and ends at an odd one, and counted from above, it begins after a multiple
of three and ends at one. So the end of one never is the beginning of another, and whoever arrives
or leaves may be on either side of any cut. `tests/unit/report/test_enumeration.py` tries all
results of groups of up to 40 students.
"""

from dataclasses import dataclass

import polars as pl

from pipeline.report.groups import CUTS, KEY, LABELS, MASTERED

_ALIKE = 6
_ALIKE_AT_ENDS = 3
_LARGE = 120
"""From this size on, shares are rounded to one percent in place of five."""

FIGURE = ("sizes", "size", *CUTS, "least", "most", "day")
"""What is remembered of a group: its size at each figure so far, and the figure that is shown.

That is a percentage for each cut, and the bounds of the one for mastery.
"""


@dataclass(frozen=True)
class Share:
    """A share as it may be shown: its text, and the percentage that charts show for it."""

    text: str
    value: float

    @classmethod
    def of_figure(cls, percent: float, least: int, most: int) -> "Share":
        """Return a share of one figure; of its bounds, those at the ends of the scale are said."""
        if least == 0:
            return cls(f"under {most} %" if most < 100 else "not known", percent)
        return cls(f"{least} % or more" if most == 100 else f"{percent:g} %", percent)

    @property
    def short(self) -> str:
        """Return the text for a small place, without the percent sign."""
        short = self.text.replace("under ", "<").removesuffix(" %")
        return f"≥{short.removesuffix(' % or more')}" if short.endswith("more") else short

    @classmethod
    def of_several(cls, percent: float) -> "Share":
        """Return a share computed from several figures."""
        return cls(f"{percent:.0f} %", percent)


@dataclass(frozen=True)
class Rule:
    """The rules above for groups of at least `smallest` students."""

    smallest: int

    def shows(self, students: pl.Expr) -> pl.Expr:
        """Return whether a group is large enough to be shown."""
        return students >= self.smallest

    def size(self, students: pl.Expr) -> pl.Expr:
        """Return the size of a group that is shown, to the nearest multiple of `smallest`."""
        return (2 * students + self.smallest) // (2 * self.smallest) * self.smallest

    def figure(self) -> list[pl.Expr]:
        """Return the figure of a group, from its `students` and those from each cut."""
        students = pl.col("students")
        step = pl.when(students < _LARGE).then(5).otherwise(1)
        cuts = [
            ((first + last) * 50 / students / step).round() * step
            for first, last in (_alike(pl.col(cut), students) for cut in CUTS)
        ]
        first, last = _alike(pl.col(MASTERED), students)
        return [
            self.size(students).alias("size"),
            *(percent.alias(cut) for percent, cut in zip(cuts, CUTS, strict=True)),
            (100 * first // (students * step) * step).alias("least"),
            (-(-100 * (last + 1) // (students * step)) * step).clip(0, 100).alias("most"),
        ]


def _alike(part: pl.Expr, students: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Return the first and the last of the numbers of students that look like `part` of a group."""
    offset = 4 * students % _ALIKE
    lowest = pl.when(offset < _ALIKE_AT_ENDS).then(1).otherwise(0)
    highest = (students - offset - (_ALIKE_AT_ENDS - 1)) // _ALIKE
    place = (part - offset) // _ALIKE
    first = pl.when((place < lowest) | (highest < lowest)).then(0)
    last = pl.when((place >= highest) | (highest < lowest)).then(students)
    start = offset + _ALIKE * pl.min_horizontal(place, highest)
    end = offset + _ALIKE * (pl.max_horizontal(place, lowest - 1) + 1) - 1
    return first.otherwise(start), last.otherwise(end)


def no_figures() -> pl.DataFrame:
    """Return the figures of a year of which nothing has been shown."""
    texts = dict.fromkeys((*KEY, *LABELS), pl.String())
    numbers = dict.fromkeys(("size", "least", "most"), pl.Int64()) | dict.fromkeys(
        CUTS, pl.Float64()
    )
    others = {"grade": pl.Int64(), "sizes": pl.List(pl.Int64), "day": pl.Date()}
    kinds = {**texts, **numbers, **others, "is_there": pl.Boolean()}
    return pl.DataFrame(schema={name: kinds[name] for name in (*KEY, *FIGURE, *LABELS, "is_there")})


def disclose(counts: pl.DataFrame, shown: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Return the figures of all groups, given those that were shown before.

    The same counts a second time change nothing.

    Args:
        counts: the true counts of each group now, as `aggregates.count` returns them.
        shown: what this function returned last, or `no_figures()`.
        rule: which groups are shown, and how.

    Returns:
        A row for each group that is or was shown: KEY, FIGURE, LABELS, and whether it `is_there`.
    """
    known = counts.join(shown, on=KEY, how="semi")
    large = counts.filter(rule.shows(pl.col("students"))).join(known, on=KEY, how="anti")
    now = pl.concat([known, large]).with_columns(*rule.figure())
    rows = now.join(
        shown.drop(LABELS[:-1], "is_there"), on=KEY, how="full", coalesce=True, suffix="_shown"
    )
    students, sizes = pl.col("students"), pl.col("sizes")
    nearest = (sizes - students).list.eval(pl.element().abs()).list.min()
    is_new = rule.shows(students) & (sizes.is_null() | (nearest >= rule.smallest))
    figure = [
        pl.when(is_new).then(pl.col(name)).otherwise(pl.col(f"{name}_shown")).alias(name)
        for name in FIGURE[1:]
    ]
    all_sizes = pl.concat_list(sizes.fill_null([]), students)
    updated = rows.with_columns(
        *figure,
        pl.when(rule.shows(pl.col("titled"))).then("title").otherwise("title_shown").alias("title"),
        sizes=pl.when(is_new).then(all_sizes).otherwise(sizes),
        is_there=students.is_not_null(),
    )
    return (
        _share_figures(updated)
        .drop_nulls("sizes")
        .select(*KEY, *FIGURE, *LABELS, "is_there")
        .sort(KEY)
    )


def disclose_sizes(counts: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Return the rows of `counts` with enough `students`, and these rounded."""
    students = pl.col("students")
    return counts.filter(rule.shows(students)).with_columns(students=rule.size(students))


def _share_figures(rows: pl.DataFrame) -> pl.DataFrame:
    """Give the only standard or reporting group of an assessment the assessment's own figure.

    They have the same results, which must not be shown twice.
    """
    own = rows.filter(part="").select(*KEY[1:4], *FIGURE)
    is_only = pl.col("is_only").fill_null(value=False)
    only = rows.filter(is_only).drop(FIGURE).join(own, on=KEY[1:4], how="left")
    return pl.concat([rows.filter(~is_only), only.select(rows.columns)])
