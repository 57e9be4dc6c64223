"""What the pages say of students: all of it computed from the figures that may be shown.

Nothing here has seen a student. A total is the sum of the groups that are shown, and so are the
shares of a grade, a curriculum, a unit or a school; a group without a figure is in none of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter

import polars as pl

from pipeline.report import movement
from pipeline.report.disclosure import Share
from pipeline.report.groups import NO_SCHOOL, grade_name
from pipeline.report.movement import Change, UnitChange
from pipeline.report.totals import Total, add_up, total_of, totals

_LOWEST = 4


@dataclass(frozen=True)
class Row:
    """A curriculum, a grade or a school."""

    name: str
    total: Total


@dataclass(frozen=True)
class Cell:
    """A grade in a curriculum."""

    grade: str
    curriculum: str
    total: Total


@dataclass(frozen=True)
class Point:
    """A curriculum in a school year."""

    curriculum: str
    year: str
    total: Total


@dataclass(frozen=True)
class Assessment:
    """An assessment, with the median day on which it was taken.

    `rostered` is the size of the grades and schools in which it was; None without a roster.
    """

    title: str
    curriculum: str
    unit: str
    grades: str
    day: str
    rostered: int | None
    total: Total


@dataclass(frozen=True)
class Part:
    """A standard, with its wording, or a reporting group, of a curriculum and a grade."""

    curriculum: str
    grade: str
    name: str
    wording: str
    total: Total


@dataclass(frozen=True)
class Findings:
    """Everything that a page says of students."""

    smallest: int
    total: Total | None
    since_last_year: Change | None
    since_last_unit: Change | None
    taken_by: Share | None
    by_curriculum: list[Row]
    by_grade: list[Row]
    cells: list[Cell]
    years: list[Point]
    assessments: list[Assessment]
    units: list[UnitChange]
    standards: list[Part]
    reporting_groups: list[Part]
    schools: list[Row]
    unmapped: list[str]
    unlisted: list[str]


@dataclass(frozen=True)
class Sources:
    """What pages are computed from.

    Args:
        year: the school year.
        figures: its figures, as `disclosure.disclose` returns them.
        earlier: those of earlier school years.
        rostered: the number of students by school and grade, as `disclose_sizes` returns it.
        standards: `normalised_code`, and the `name` and `wording` that readers know it by.
        unlisted: the assessments that the catalogue does not list.
        smallest: the size of the smallest group that is shown.
    """

    year: str
    figures: pl.DataFrame
    earlier: Mapping[str, pl.DataFrame]
    rostered: pl.DataFrame
    standards: pl.DataFrame
    unlisted: Sequence[str]
    smallest: int

    @property
    def schools(self) -> list[str]:
        """The schools that have figures."""
        there = self.figures.filter("is_there")["school"].unique().sort()
        return [school for school in there if school != NO_SCHOOL]

    def of_school(self, school: str) -> "Sources":
        """Return what the page of one school is computed from."""
        years = {year: figures.filter(school=school) for year, figures in self.earlier.items()}
        earlier = {year: figures for year, figures in years.items() if not figures.is_empty()}
        return Sources(
            self.year,
            self.figures.filter(school=school),
            earlier,
            self.rostered,
            self.standards,
            (),
            self.smallest,
        )


def find(sources: Sources) -> Findings:
    """Return what a page says of a school year."""
    known = sources.figures.filter("is_there")
    overall = known.filter(kind="overall")
    mapped = overall.drop_nulls("curriculum")
    earlier = {year: _mapped(figures) for year, figures in sources.earlier.items()}
    units = movement.between_units(mapped)
    assessments = list(_assessments(overall, sources.rostered))
    of_schools = mapped.filter(pl.col("school") != NO_SCHOOL)
    standards = _with_wording(known.filter(kind="standard"), sources.standards)
    reporting_groups = known.filter(kind="group").with_columns(wording=pl.lit(""))
    return Findings(
        smallest=sources.smallest,
        total=next((total for _, total in totals(mapped, "kind")), None),
        since_last_year=movement.since_last_year(mapped, earlier),
        since_last_unit=movement.since_last_unit(units),
        taken_by=_taken_by(assessments),
        by_curriculum=sorted(_rows(mapped, "curriculum"), key=_most_mastered),
        by_grade=[Row(grade_name(of["grade"]), total) for of, total in totals(mapped, "grade")],
        cells=[
            Cell(grade_name(of["grade"]), of["curriculum"], total)
            for of, total in totals(mapped, "grade", "curriculum")
        ],
        years=list(_years({**earlier, sources.year: mapped})),
        assessments=assessments,
        units=units,
        standards=list(_first(_parts(standards))),
        reporting_groups=list(_first(_parts(reporting_groups))),
        schools=sorted(_rows(of_schools, "school"), key=_most_mastered),
        unmapped=_unmapped(overall),
        unlisted=list(_unlisted(sources.unlisted, overall)),
    )


def _mapped(figures: pl.DataFrame) -> pl.DataFrame:
    """Return the figures of assessments that have a curriculum."""
    return figures.filter(pl.col("is_there"), kind="overall").drop_nulls("curriculum")


def _rows(figures: pl.DataFrame, name: str) -> Iterator[Row]:
    for of, total in totals(figures, name):
        yield Row(of[name], total)


def _most_mastered(row: Row) -> tuple[float, str]:
    return -row.total.mastered.value, row.name


def _years(years: Mapping[str, pl.DataFrame]) -> Iterator[Point]:
    """Yield each curriculum of the latest year in every year that has it."""
    curricula = set(years[max(years)]["curriculum"])
    for year, figures in sorted(years.items()):
        for of, total in totals(figures, "curriculum"):
            if of["curriculum"] in curricula:
                yield Point(of["curriculum"], year, total)


def _assessments(figures: pl.DataFrame, rostered: pl.DataFrame) -> Iterator[Assessment]:
    """Yield the assessments, the latest first."""
    on_roster, students = (
        figures.join(rostered, on=("school", "grade"), how="left"),
        pl.col("students"),
    )
    about = on_roster.group_by("assessment_id").agg(
        pl.col("title", "curriculum", "unit").min(),
        pl.col("grade").unique().sort(),
        pl.col("day").median().cast(pl.Date),
        rostered=pl.when(students.is_not_null().all()).then(students.sum()),
    )
    joined = add_up(figures, "assessment_id").join(about, on="assessment_id")
    latest_first = joined.sort("day", "title", "assessment_id", descending=(True, False, False))
    for of in latest_first.iter_rows(named=True):
        yield Assessment(
            title=of["title"] or f"assessment {of['assessment_id']}",
            curriculum=of["curriculum"] or "",
            unit=of["unit"] or "",
            grades=", ".join(map(grade_name, of["grade"])),
            day=str(of["day"] or ""),
            # Students who left are still in the results.
            rostered=None if of["rostered"] is None else max(of["rostered"], of["size"]),
            total=total_of(of),
        )


def _taken_by(assessments: Sequence[Assessment]) -> Share | None:
    """Return the share of the students of a grade who take an assessment given in it."""
    known = [(each.total.results, each.rostered) for each in assessments if each.rostered]
    if not known:
        return None
    took, rostered = map(sum, zip(*known, strict=True))
    return Share.of_several(100 * took / rostered)


def _with_wording(figures: pl.DataFrame, standards: pl.DataFrame) -> pl.DataFrame:
    named = figures.join(standards, left_on="part", right_on="normalised_code", how="left")
    wording = pl.col("wording").fill_null("")
    return named.with_columns(part=pl.coalesce("name", "part"), wording=wording)


def _parts(figures: pl.DataFrame) -> list[Part]:
    """Return the standards or reporting groups by curriculum, the lowest share first."""
    mapped = figures.drop_nulls("curriculum")
    parts = [
        Part(of["curriculum"], grade_name(of["grade"]), _short(of["part"]), of["wording"], total)
        for of, total in totals(mapped, "curriculum", "grade", "part", "wording")
    ]
    return sorted(parts, key=lambda of: (of.curriculum, of.total.mastered.value, of.name))


def _short(code: str) -> str:
    """Return a standard's code without the prefix that all of its kind share."""
    return re.sub(r"^CCSS\.(Math\.Content|ELA-Literacy)\.", "", code)


def _first(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the first parts of each curriculum."""
    for _, of in groupby(parts, key=attrgetter("curriculum")):
        yield from islice(of, _LOWEST)


def _unmapped(figures: pl.DataFrame) -> list[str]:
    """Return the titles of assessments that lack a curriculum or a unit."""
    lacking = pl.col("curriculum").is_null() | pl.col("unit").is_null()
    return sorted(figures.filter(lacking)["title"].drop_nulls().unique())


def _unlisted(assessment_ids: Sequence[str], figures: pl.DataFrame) -> Iterator[str]:
    """Yield each assessment, with the title of its figures, if there are any."""
    titles = dict(figures.drop_nulls("title").select("assessment_id", "title").iter_rows())
    for each in sorted(assessment_ids):
        yield f"{each}: {titles[each]}" if each in titles else each
