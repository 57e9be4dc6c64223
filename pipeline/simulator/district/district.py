"""A made-up school district: its schools, students, assessments and results.

The same seed and size make the same district, value for value, on every machine. Nobody in it
exists. It goes on until today: on another day more is known, and nothing that was known before
is different.
"""

import datetime as dt
from collections.abc import Iterable

from pipeline.simulator.district import administrations, definitions
from pipeline.simulator.district.administrations import Administration, Endpoint, Row
from pipeline.simulator.district.definitions import View
from pipeline.simulator.district.people import Student, enrol, grade_label
from pipeline.simulator.district.planning import (
    DEMO,
    YEARS,
    Assessment,
    Size,
    catalogue_row,
    plan,
    years_until,
)
from pipeline.simulator.district.rng import seeded
from pipeline.simulator.district.standards import choose_groups, choose_standards
from pipeline.simulator.district.titles import MATH, Design
from pipeline.years import SchoolYear

_GRADE_OF_ADDED = 5
_END = YEARS[-1].last_day


class District:
    """What a district's server knows. Use `make` to make one; do not change the rows it returns."""

    def __init__(
        self,
        seed: int,
        students: Iterable[Student],
        assessments: Iterable[Assessment],
        today: dt.date = _END,
    ) -> None:
        self.seed = seed
        self.today = today
        self.years = years_until(today)
        self.students = tuple(students)
        self.version = 0
        self._assessments = {a.assessment_id: a for a in assessments}
        self._results: dict[tuple[str, SchoolYear], dict[Endpoint, list[Row]]] = {}

    @classmethod
    def make(cls, seed: int = 1, size: Size = DEMO, today: dt.date = _END) -> "District":
        """Return the district of this seed and size, with its results until a day."""
        years = years_until(today)
        students = enrol(seed, size.students, YEARS, years[len(YEARS) :])
        return cls(seed, students, plan(seed, size, students, years), today)

    @property
    def catalogue(self) -> list[Row]:
        """Return the assessments that the server lists, by title; one is listed twice."""
        listed = [
            row for a in self._assessments.values() for row in [catalogue_row(a)] * a.times_listed
        ]
        return sorted(listed, key=lambda row: (row["title"] or "", row["assessment_id"] or ""))

    def results(
        self,
        endpoint: Endpoint,
        assessment_id: str | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> list[Row]:
        """Return the results from `start` to `end`, of one assessment or of all, as sent.

        With a start or an end, rows without a valid date are left out.
        """
        known = self._assessments
        wanted = known if assessment_id is None else {assessment_id} & known.keys()
        window = start or dt.date.min, end or dt.date.max
        rows = [row for each in wanted for row in self._results_of(known[each], endpoint, *window)]
        if start is None and end is None:
            return rows
        first, last = (day.isoformat() for day in window)
        # ISO dates compare as text; "infinity" sorts after all of them.
        return [row for row in rows if (date := row["date_taken"]) and first <= date <= last]

    def ids_with_results(self, year: SchoolYear) -> list[str]:
        """Return the assessments that are given in a year, on whatever day, listed or not."""
        return [
            a.assessment_id
            for a in self._assessments.values()
            if any(given.year == year for given in a.administrations)
        ]

    def unlisted_ids(self, year: SchoolYear) -> list[str]:
        """Return the assessments with results in a year that the catalogue does not list."""
        return [i for i in self.ids_with_results(year) if not self._assessments[i].times_listed]

    def roster(self, year: SchoolYear) -> list[tuple[str, str]]:
        """Return number and grade of the students on the roster; some tested students are not."""
        return [
            (student.number, grade_label(grade))
            for student in self.students
            if student.on_roster and (grade := student.grade(year)) is not None
        ]

    def add_assessment(
        self,
        title: str,
        *,
        year: SchoolYear,
        students: int,
        standards: int,
        groups: int = 1,
        in_catalogue: bool = True,
        assessment_id: str | None = None,
    ) -> str:
        """Add an assessment taken by so many students, without anomalies, and return its id."""
        new_id = assessment_id or self._next_id()
        enrolled = [s for s in self.students if s.grade(year) is not None]
        given = Administration(
            year,
            tuple(seeded(self.seed, new_id, "added").sample(enrolled, students)),
            tuple(choose_standards(self.seed, new_id, MATH, _GRADE_OF_ADDED, standards)),
            tuple(choose_groups(self.seed, new_id, MATH, groups)),
        )
        self._assessments[new_id] = Assessment(
            new_id,
            Design(title, MATH, (_GRADE_OF_ADDED,)),
            dt.datetime.combine(year.first_day, dt.time(9)),
            int(in_catalogue),
            (given,),
        )
        self._results.pop((new_id, year), None)
        self.version += 1
        return new_id

    def view(self, assessment_id: str) -> View | None:
        """Return an assessment's definition, listed or not; None if there is no such assessment."""
        of = self._assessments.get(assessment_id)
        return None if of is None else definitions.view(self.seed, of)

    def _next_id(self) -> str:
        return str(1 + max(int(i) for i in self._assessments if i.isdecimal() and len(i) < 9))

    def _results_of(
        self, of: Assessment, endpoint: Endpoint, start: dt.date, end: dt.date
    ) -> list[Row]:
        """Return all results of an assessment in the years that `start` to `end` touches."""
        rows = [
            row
            for given in of.administrations
            if start <= given.year.last_day and given.year.first_day <= end
            for row in self._generate(of, given)[endpoint]
        ]
        return sorted(rows, key=_standard_code) if endpoint == "standard" else rows

    def _generate(self, of: Assessment, given: Administration) -> dict[Endpoint, list[Row]]:
        """Return the results of an administration until today, generated on first use."""
        key = of.assessment_id, given.year
        if key not in self._results:
            rng = seeded(self.seed, *key)
            rows = administrations.generate_results(of.assessment_id, of.design.title, given, rng)
            self._results[key] = {
                endpoint: [row for row in some if not self._is_to_come(row)]
                for endpoint, some in rows.items()
            }
        return self._results[key]

    def _is_to_come(self, row: Row) -> bool:
        date = row["date_taken"] or ""
        return date != "infinity" and date > self.today.isoformat()


def _standard_code(row: Row) -> str:
    return row["standard_code"] or ""
