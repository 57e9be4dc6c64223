"""What the page says of students: every value here may be shown, and nothing else reaches it.

Whatever is said of results is made of groups (grade and curriculum) that are shown. A hidden group
is in no sum, no median and no standard, so that no difference brings it back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from pipeline.report import aggregates
from pipeline.report.aggregates import (
    ALL_GRADES,
    BANDS,
    BANDS_BELOW,
    QUANTILES,
    Group,
    Scores,
    Standing,
)
from pipeline.report.disclosure import Rule, Share

_RETEACH = 5
_ROUND_SCORES = 5

Key = TypeVar("Key")


@dataclass(frozen=True)
class Counted:
    """The true counts of a school year, as `aggregates` makes them."""

    bands: Mapping[Group, list[int]]
    standards: Mapping[tuple[int, str], Standing]
    scores: Mapping[int, Scores]
    tested: Mapping[int, int]
    rostered: Mapping[int, int]
    unmapped: Mapping[str, int]
    """How many students have results under each title that says too little."""
    earlier: Mapping[str, Mapping[Group, list[int]]]
    """The bands of earlier school years."""

    @classmethod
    def of(cls, view: Path, roster: Path, earlier: Mapping[str, Path], rule: Rule) -> "Counted":
        """Count a published view; all but the bands are counted in groups that are shown.

        Args:
            view: the Parquet of the view.
            roster: the roster as it was read; it need not be there.
            earlier: the views of earlier school years.
            rule: which groups are shown.
        """
        bands = aggregates.bands(view)
        groups = shown(bands, rule)
        return cls(
            bands=bands,
            standards=aggregates.standards(view, groups),
            scores=aggregates.scores(view, groups),
            tested=aggregates.tested(view, groups),
            rostered=aggregates.rostered(roster) if roster.exists() else {},
            unmapped=aggregates.unmapped(view, groups),
            earlier={year: aggregates.bands(path) for year, path in earlier.items()},
        )


@dataclass(frozen=True)
class Row:
    """Something said of a group: its name, its rounded size, and shares of it."""

    name: str
    students: int
    shares: list[Share]


@dataclass(frozen=True)
class Cell:
    """The share of a grade that met the bar in a curriculum; None where the group is hidden."""

    grade: str
    curriculum: str
    students: int | None
    met: Share | None


@dataclass(frozen=True)
class Standard:
    """A standard with one of the lowest shares of its grade."""

    grade: str
    rank: int
    code: str
    students: int
    mastered: Share


@dataclass(frozen=True)
class Point:
    """A curriculum in a school year."""

    curriculum: str
    year: str
    students: int
    met: Share


@dataclass(frozen=True)
class Spread:
    """The quantiles of a grade's scores; None where too few students lie beyond one."""

    grade: str
    students: int
    at: list[int | None]


@dataclass(frozen=True)
class Findings:
    """All that the page says of students."""

    smallest: int
    year: str
    students: int | None
    met: Share | None
    covered: Share | None
    by_grade: list[Row]
    by_curriculum: list[Row]
    cells: list[Cell]
    standards: list[Standard]
    years: list[Point]
    coverage: list[Row]
    coverage_hidden: list[str]
    spread: list[Spread]
    unmapped: list[str]


def shown(bands: Mapping[Group, list[int]], rule: Rule) -> dict[Group, list[int]]:
    """The groups that are large enough."""
    return {group: parts for group, parts in bands.items() if not rule.hides(sum(parts))}


def find(year: str, counted: Counted, rule: Rule) -> Findings:
    """Turn true counts into what may be shown."""
    groups = shown(counted.bands, rule)
    by_grade = _add_up((grade, parts) for (grade, _), parts in groups.items())
    by_curriculum = _add_up((curriculum, parts) for (_, curriculum), parts in groups.items())
    covered = {
        grade: (counted.tested.get(grade, 0), there)
        for grade, there in sorted(counted.rostered.items())
        if not rule.hides(there)
    }
    tested, there = (
        (sum(each) for each in zip(*covered.values(), strict=True)) if covered else (0, 0)
    )
    every = [sum(each) for each in zip(*groups.values(), strict=True)] or [0]
    return Findings(
        smallest=rule.smallest,
        year=year,
        students=None if rule.hides(tested) else rule.about(tested),
        met=rule.share(sum(every[BANDS_BELOW:]), sum(every)) if sum(every) else None,
        covered=rule.share(min(tested, there), there) if there else None,
        by_grade=[_row(grade_name(grade), parts, rule) for grade, parts in by_grade.items()],
        by_curriculum=_by_share_met(by_curriculum, rule),
        cells=[_cell(group, parts, rule) for group, parts in counted.bands.items()],
        standards=list(_standards(counted.standards, rule)),
        years=list(_years({**counted.earlier, year: counted.bands}, by_curriculum, rule)),
        coverage=[
            Row(grade_name(grade), rule.about(there), [rule.share(min(tested, there), there)])
            for grade, (tested, there) in covered.items()
        ],
        coverage_hidden=[grade_name(g) for g in sorted(counted.rostered) if g not in covered],
        spread=[_spread(grade, of, rule) for grade, of in counted.scores.items()],
        unmapped=sorted(title for title, of in counted.unmapped.items() if not rule.hides(of)),
    )


def grade_name(grade: int) -> str:
    """What people call a grade."""
    return {0: "K", -1: "Pre-K", -2: "Pre-K 3", ALL_GRADES: "all"}.get(grade, str(grade))


def _add_up(groups: Iterable[tuple[Key, list[int]]]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for key, parts in groups:
        before = found.get(key, [0] * len(BANDS))
        found[key] = [sum(each) for each in zip(before, parts, strict=True)]
    return found


def _row(name: str, parts: list[int], rule: Rule) -> Row:
    return Row(name, rule.about(sum(parts)), rule.shares(parts))


def _met(parts: list[int], rule: Rule) -> Share:
    return rule.share(sum(parts[BANDS_BELOW:]), sum(parts))


def _by_share_met(by_curriculum: dict[str, list[int]], rule: Rule) -> list[Row]:
    """Highest first, by what is shown: the order must not tell more than the shares do."""
    rows = [_row(name, parts, rule) for name, parts in by_curriculum.items()]
    drawn = {row.name: sum(share.drawn for share in row.shares[BANDS_BELOW:]) for row in rows}
    return sorted(rows, key=lambda row: (-drawn[row.name], row.name))


def _cell(group: Group, parts: list[int], rule: Rule) -> Cell:
    grade, curriculum = grade_name(group[0]), group[1]
    if rule.hides(sum(parts)):
        return Cell(grade, curriculum, None, None)
    return Cell(grade, curriculum, rule.about(sum(parts)), _met(parts, rule))


def _standards(standards: Mapping[tuple[int, str], Standing], rule: Rule) -> Iterator[Standard]:
    """The standards of each grade with the lowest shares, chosen by what is shown."""
    by_grade: dict[int, list[tuple[float, str, Standing]]] = {}
    for (grade, code), of in standards.items():
        if not rule.hides(of.students):
            drawn = rule.share(of.met, of.students).drawn
            by_grade.setdefault(grade, []).append((drawn, code, of))
    for grade, known in sorted(by_grade.items()):
        lowest = sorted(known, key=lambda each: each[:2])[:_RETEACH]
        for rank, (_, code, of) in enumerate(lowest, 1):
            share = rule.share(of.met, of.students)
            yield Standard(grade_name(grade), rank, code, rule.about(of.students), share)


def _years(
    years: Mapping[str, Mapping[Group, list[int]]], now: Iterable[str], rule: Rule
) -> Iterator[Point]:
    """Each curriculum of this year in every year where it has a group that is shown."""
    wanted = set(now)
    for year, bands in sorted(years.items()):
        groups = shown(bands, rule)
        found = _add_up((curriculum, parts) for (_, curriculum), parts in groups.items())
        for curriculum, parts in sorted(found.items()):
            if curriculum in wanted:
                yield Point(curriculum, year, rule.about(sum(parts)), _met(parts, rule))


def _spread(grade: int, scores: Scores, rule: Rule) -> Spread:
    at = [
        _rounded(score) if rule.may_show_quantile(scores.students, quantile) else None
        for quantile, score in zip(QUANTILES, scores.at, strict=True)
    ]
    size = 0 if rule.hides(scores.students) else rule.about(scores.students)
    return Spread(grade_name(grade), size, at)


def _rounded(score: float) -> int:
    return int(Fraction(score) / _ROUND_SCORES + Fraction(1, 2)) * _ROUND_SCORES
