"""The schools of the made-up district: its sites and grades, and who learns and teaches there.

`enrollment`, `roster` and `users` have the fields that public clients read. ASSUMPTIONS: they have
no others; their order is this one; they are of the current school year, as the vendor's page says
of requests without dates, and ignore dates.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.simulator.district.administrations import Row
from pipeline.simulator.district.people import (
    FIRST_NAMES,
    KINDERGARTEN,
    LAST_GRADE,
    LAST_NAMES,
    Student,
    grade_label,
)
from pipeline.simulator.district.rng import seeded
from pipeline.years import SchoolYear

AUTHORS = (
    ("5120", "Ada", "Quinn"),
    ("5133", "Renée", "O'Dell"),
    ("6044", "Tomás", "Park"),
    ("6101", "Priya", "Van Horn"),
)
"""User id and name of those who write assessments."""

SUBJECTS = ("ELA", "Math", "Science", "Social_Studies")
"""What every student is taught, in the order of the numbers of courses."""

_DISTRICT_ID, _DISTRICT = "9999999", "Made-Up Unified School District"
_STUDENTS_PER_CLASS = 25


@dataclass(frozen=True)
class _School:
    site_id: str
    name: str
    kind: str
    grades: range


_SCHOOLS = (
    _School("11", "Willow Creek Elementary", "ELEMENTARY", range(6)),
    _School("12", "Peñasco Middle School", "MIDDLE", range(6, 9)),
    _School("13", "St. Elmo's High School", "HIGH", range(9, 13)),
)
_ELEMENTARY = _SCHOOLS[0]


@dataclass(frozen=True)
class _Enrolled:
    """A student in a school year; `student_id` is the server's own, which results do not have."""

    student_id: int
    student: Student
    grade: int
    class_number: int

    @property
    def where(self) -> Row:
        return {"site_id": site_id(self.grade), "grade_level_id": _grade_level_id(self.grade)}

    def section(self, year: SchoolYear, subject: int) -> Row:
        course, number = f"3{self.grade:02}{subject}", f"{self.class_number:03}"
        teaches = 0 if self.grade in _ELEMENTARY.grades else subject
        return {
            "section_id": f"{year.start % 100}{course}{number}",
            "course_id": course,
            "user_id": f"7{self.grade:02}{number}{teaches}",
        }


def sites() -> list[Row]:
    """Return the schools, after the district itself, which is a site too."""
    district = _School(_DISTRICT_ID, _DISTRICT, "DISTRICT", range(KINDERGARTEN, LAST_GRADE + 1))
    return [_site(school) for school in (district, *_SCHOOLS)]


def site_id(grade: int) -> str:
    """Return the school of a grade."""
    return _school(grade).site_id


def grade_levels() -> list[Row]:
    """Return the grades; an id is the grade plus one, because kindergarten has the id 1."""
    return [
        {
            "grade_level_id": _grade_level_id(grade),
            "short_name": grade_label(grade),
            "long_name": "Kindergarten" if grade == KINDERGARTEN else f"Grade {grade}",
            "standard_age": str(grade + 5),
            "state_id": f"{grade:02}",
            "sort_order": str(grade + 1),
        }
        for grade in range(KINDERGARTEN, LAST_GRADE + 1)
    ]


def enrollment(students: Iterable[Student], year: SchoolYear) -> list[Row]:
    """Return who is at which school in a year, whether on the district's roster or not."""
    return [
        {
            "student_id": str(each.student_id),
            "district_student_id": each.student.number,
            "state_student_id": f"90{each.student_id:08}",
            **each.where,
            "school": _school(each.grade).name,
            "district": _DISTRICT,
        }
        for each in _enrolled(students, year)
    ]


def roster(students: Iterable[Student], year: SchoolYear) -> list[Row]:
    """Return each student's classes: one for each subject, all with one teacher until grade 5."""
    return [
        {
            "district_student_id": each.student.number,
            **each.where,
            **each.section(year, subject),
        }
        for each in _enrolled(students, year)
        for subject in range(len(SUBJECTS))
    ]


def placements(students: Iterable[Student], year: SchoolYear) -> dict[str, tuple[str, ...]]:
    """Return the school of each student in a year, and the teacher of each of SUBJECTS, by number.

    Teachers are those of `roster` and `users`, with their last names first.
    """
    rows = roster(students, year)
    names = {
        user_id: "{last_name}, {first_name}".format(**_teacher(user_id))
        for user_id in {row["user_id"] or "" for row in rows}
    }
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        number, grade = row["district_student_id"] or "", int(row["grade_level_id"] or 0) - 1
        found.setdefault(number, (_school(grade).name,))
        found[number] += (names[row["user_id"] or ""],)
    return found


def users(students: Iterable[Student], year: SchoolYear) -> list[Row]:
    """Return the authors of assessments, and the teachers of a year."""
    teachers = dict.fromkeys(row["user_id"] or "" for row in roster(students, year))
    authors = [_user(*author, "Curriculum Specialist") for author in AUTHORS]
    return authors + [_teacher(user_id) for user_id in teachers]


def _enrolled(students: Iterable[Student], year: SchoolYear) -> Iterator[_Enrolled]:
    in_grade: Counter[int] = Counter()
    for student_id, student in enumerate(students, start=40_001):
        grade = student.grade(year)
        if grade is not None:
            yield _Enrolled(student_id, student, grade, in_grade[grade] // _STUDENTS_PER_CLASS)
            in_grade[grade] += 1


def _school(grade: int) -> _School:
    return next(school for school in _SCHOOLS if grade in school.grades)


def _grade_level_id(grade: int) -> str:
    return str(grade + 1)


def _teacher(user_id: str) -> Row:
    rng = seeded(user_id, "teacher")
    return _user(user_id, rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES), "Teacher")


def _user(user_id: str, first_name: str, last_name: str, job_title: str) -> Row:
    return {
        "user_id": user_id,
        "first_name": first_name,
        "last_name": last_name,
        "job_title": job_title,
    }


def _site(school: _School) -> Row:
    return {
        "site_id": school.site_id,
        "site_name": school.name,
        "state_school_id": f"0{school.site_id}",
        "start_grade_level_id": _grade_level_id(school.grades[0]),
        "end_grade_level_id": _grade_level_id(school.grades[-1]),
        "site_type_name": school.kind,
        "address": "1 Nowhere Road",
        "address2": None,
        "city": "Made-Up",
        "state": "CA",
        "zip": "00000",
        "local_site_code": school.site_id[:3],
        "num_hours": None,
        "num_weeks": None,
        "parent_site_id": None if school.kind == "DISTRICT" else _DISTRICT_ID,
    }
