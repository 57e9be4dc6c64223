"""What the page says of students: every value here may be shown, and nothing else reaches it.

Everything said of results comes from groups (grade and curriculum) that are shown. A suppressed
group is in no sum, no median and no standard, so that no subtraction recovers it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import polars as pl

from pipeline.report import aggregates
from pipeline.report.aggregates import ALL_GRADES, BANDS_BELOW, QUANTILES, Group
from pipeline.report.disclosure import Rule, Share

_RETEACH = 5
_ROUND_SCORES = 5
_MEDIAN = 2

Key = TypeVar("Key")


@dataclass(frozen=True)
class Row:
    """A group's name, its rounded size, and shares of it."""

    name: str
    students: int
    shares: list[Share]


@dataclass(frozen=True)
class Cell:
    """A grade's share of mastery in a curriculum; None where the group is suppressed."""

    grade: str
    curriculum: str
    students: int | None
    mastered: Share | None


@dataclass(frozen=True)
class Standard:
    """One of the standards with the lowest shares of mastery in a grade."""

    grade: str
    rank: int
    code: str
    students: int
    mastered: Share


@dataclass(frozen=True)
class Point:
    """A curriculum's share of mastery in a school year."""

    curriculum: str
    year: str
    students: int
    mastered: Share


@dataclass(frozen=True)
class ScoreQuantiles:
    """The QUANTILES of a grade's scores in percent; None where too few students lie beyond one."""

    name: str
    students: int
    percents: list[int | None]


@dataclass(frozen=True)
class Findings:
    """Everything that the page says of students."""

    smallest: int
    students: int | None
    mastered: Share | None
    covered: Share | None
    by_grade: list[Row]
    by_curriculum: list[Row]
    cells: list[Cell]
    standards: list[Standard]
    years: list[Point]
    coverage: list[Row]
    coverage_suppressed: list[str]
    scores: list[ScoreQuantiles]
    unmapped: list[str]
    unlisted: list[str]


def shown(bands: Mapping[Group, list[int]], rule: Rule) -> dict[Group, list[int]]:
    """Return the groups that are large enough to be shown."""
    return {group: parts for group, parts in bands.items() if not rule.suppressed(sum(parts))}


def disclose(
    year: str,
    view: Path,
    roster: Path,
    earlier: Mapping[str, Path],
    rule: Rule,
    labels: Path,
    spellings: pl.LazyFrame,
) -> Findings:
    """Return what may be shown of a school year; all but the bands is counted in shown groups.

    Args:
        year: the school year.
        view: its published view, a Parquet file.
        roster: its roster, a CSV file of student and grade; it may be missing.
        earlier: the views of earlier school years.
        rule: which groups are shown, and how.
        labels: its published labels, a CSV file.
        spellings: the spellings of its standards, as `aggregates.standards` takes them.
    """
    bands = aggregates.bands(view)
    groups = shown(bands, rule)
    by_curriculum = _add_up((curriculum, parts) for (_, curriculum), parts in groups.items())
    years = {**{before: aggregates.bands(path) for before, path in earlier.items()}, year: bands}
    rostered = sorted(aggregates.rostered(roster).items()) if roster.exists() else []
    tested = aggregates.tested(view, groups)
    covered = {g: (tested.get(g, 0), of) for g, of in rostered if not rule.suppressed(of)}
    all_tested, all_rostered = _sums(covered.values()) or (0, 0)
    total, unmapped = _sums(groups.values()), aggregates.unmapped(view, groups)
    return Findings(
        smallest=rule.smallest,
        students=None if rule.suppressed(all_tested) else rule.rounded_size(all_tested),
        mastered=_mastered(total, rule) if total else None,
        covered=_covered(all_tested, all_rostered, rule) if all_rostered else None,
        by_grade=_rows(((grade_name(grade), parts) for (grade, _), parts in groups.items()), rule),
        by_curriculum=sorted(_rows(by_curriculum.items(), rule), key=_most_mastered),
        cells=[_cell(group, parts, rule) for group, parts in bands.items()],
        standards=list(_lowest_standards(view, groups, spellings, rule)),
        years=list(_years(years, by_curriculum, rule)),
        coverage=_coverage(covered, rule),
        coverage_suppressed=[grade_name(grade) for grade, _ in rostered if grade not in covered],
        scores=list(_score_quantiles(aggregates.scores(view, groups), rule)),
        unmapped=sorted(title for title, of in unmapped.items() if not rule.suppressed(of)),
        unlisted=list(_unlisted(labels, view, groups, rule)),
    )


def grade_name(grade: int) -> str:
    """Return a grade's usual name: Pre-K, K, 1, 2 ..."""
    return {0: "K", -1: "Pre-K", -2: "Pre-K 3", ALL_GRADES: "all"}.get(grade, str(grade))


def _unlisted(labels: Path, view: Path, groups: Collection[Group], rule: Rule) -> Iterator[str]:
    """Yield each assessment, with the titles under which enough students have results."""
    ids = aggregates.unlisted(labels)
    titles = aggregates.titles(view, ids, groups)
    shown_titles = sorted(key for key, of in titles.items() if not rule.suppressed(of))
    for each in sorted(ids):
        yield ": ".join([each, *(title for of, title in shown_titles if of == each)])


def _sums(rows: Iterable[Iterable[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _add_up(groups: Iterable[tuple[Key, list[int]]]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for key, parts in groups:
        found[key] = _sums([found[key], parts]) if key in found else parts
    return found


def _rows(groups: Iterable[tuple[str, list[int]]], rule: Rule) -> list[Row]:
    """Return a row of bands for each name, of all groups with that name."""
    return [
        Row(name, rule.rounded_size(sum(parts)), rule.shares(parts))
        for name, parts in _add_up(groups).items()
    ]


def _most_mastered(row: Row) -> tuple[float, str]:
    """Sort by what is shown: the order must not reveal more than the shares."""
    return -sum(share.plot_value for share in row.shares[BANDS_BELOW:]), row.name


def _mastered(parts: list[int], rule: Rule) -> Share:
    return rule.share(sum(parts[BANDS_BELOW:]), sum(parts))


def _covered(tested: int, rostered: int, rule: Rule) -> Share:
    return rule.share(min(tested, rostered), rostered)


def _coverage(covered: Mapping[int, tuple[int, int]], rule: Rule) -> list[Row]:
    return [
        Row(grade_name(grade), rule.rounded_size(of), [_covered(having, of, rule)])
        for grade, (having, of) in covered.items()
    ]


def _cell(group: Group, parts: list[int], rule: Rule) -> Cell:
    grade, curriculum = grade_name(group[0]), group[1]
    if rule.suppressed(sum(parts)):
        return Cell(grade, curriculum, None, None)
    return Cell(grade, curriculum, rule.rounded_size(sum(parts)), _mastered(parts, rule))


def _lowest_standards(
    view: Path, groups: Collection[Group], spellings: pl.LazyFrame, rule: Rule
) -> Iterator[Standard]:
    """Yield the standards of each grade with the lowest shares, chosen by what is shown."""
    standards = aggregates.standards(view, groups, spellings)
    names = aggregates.shortest_spellings(spellings)
    shares = {
        key: rule.share(of.mastered, of.students)
        for key, of in standards.items()
        if not rule.suppressed(of.students)
    }
    lowest_first = sorted(shares, key=lambda key: (key[0], shares[key].plot_value, key[1]))
    for grade, keys in groupby(lowest_first, key=itemgetter(0)):
        for rank, key in enumerate(islice(keys, _RETEACH), 1):
            size = rule.rounded_size(standards[key].students)
            yield Standard(grade_name(grade), rank, names[key[1]], size, shares[key])


def _years(
    years: Mapping[str, Mapping[Group, list[int]]], curricula: Collection[str], rule: Rule
) -> Iterator[Point]:
    """Yield each curriculum of this year in every year in which it has a group that is shown."""
    for year, bands in sorted(years.items()):
        groups = shown(bands, rule)
        found = _add_up((curriculum, parts) for (_, curriculum), parts in groups.items())
        for curriculum, parts in sorted(found.items()):
            if curriculum in curricula:
                size = rule.rounded_size(sum(parts))
                yield Point(curriculum, year, size, _mastered(parts, rule))


def _score_quantiles(
    scores: Mapping[int, aggregates.Scores], rule: Rule
) -> Iterator[ScoreQuantiles]:
    """Yield the grades whose median may be shown."""
    for grade, of in scores.items():
        percents = [
            int(Fraction(score) / _ROUND_SCORES + Fraction(1, 2)) * _ROUND_SCORES
            if rule.shows_quantile(of.students, quantile)
            else None
            for quantile, score in zip(QUANTILES, of.quantiles, strict=True)
        ]
        if percents[_MEDIAN] is not None:
            yield ScoreQuantiles(grade_name(grade), rule.rounded_size(of.students), percents)
