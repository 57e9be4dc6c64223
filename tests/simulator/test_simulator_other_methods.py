"""What other public clients call and the pipeline does not: people, classes, definitions."""

import datetime as dt
import itertools
from collections import Counter, defaultdict

import pytest
import requests

from pipeline.simulator import SMALL, District, Fault, write_inputs
from pipeline.simulator.faults.content import CONTENT
from pipeline.simulator.faults.response import RESPONSE
from pipeline.simulator.inputs import roster_path

FIELDS = {
    "Enrollment": {
        *("student_id", "district_student_id", "state_student_id", "grade_level_id"),
        *("site_id", "school", "district"),
    },
    "Roster": {
        *("district_student_id", "grade_level_id", "site_id"),
        *("section_id", "course_id", "user_id"),
    },
    "Users": {"user_id", "first_name", "last_name", "job_title"},
}
LISTS = pytest.mark.parametrize("method", FIELDS)


def rows_of(client, method):
    """Return the rows of every page."""
    pages = (client.fetch(method, page=number, limit=100) for number in itertools.count(1))
    return [
        row
        for page in itertools.takewhile(lambda p: p["results"], pages)
        for row in page["results"]
    ]


@LISTS
def test_lists_come_in_pages_like_results(client, method):
    page = client.fetch(method, page=2, limit=7)
    total = page["num_results"]
    assert {**page, "results": len(page["results"])} == {
        "page": 2,
        "num_pages": -(-total // 7),
        "num_results": total,
        "results": 7,
    }
    rows = rows_of(client, method)
    assert rows[7:14] == page["results"]
    assert len({tuple(row.items()) for row in rows}) == len(rows) == total
    assert {frozenset(row) for row in rows} == {frozenset(FIELDS[method]) | {"__count"}}
    assert {type(value) for row in rows for value in row.values()} <= {str, type(None)}
    assert client.fetch(method, limit=5000)["results"] == rows[:1000]


@pytest.mark.parametrize("method", [*FIELDS, "Assessment/1/View"])
def test_they_need_a_token_like_results(client, method):
    assert requests.get(client.server.api_url + method, timeout=5).status_code == 401


@pytest.mark.parametrize("today", [dt.date(2025, 6, 30), dt.date(2025, 7, 1)])
def test_who_is_enrolled_is_who_is_on_the_roster_or_tested(serve, tmp_path, today):
    """In the school year of today; a grade's id is the grade plus one."""
    district = District.make(1, SMALL, today)
    enrolled = rows_of(serve(district=district), "Enrollment")
    year = district.years[-1]
    by_number = {row["district_student_id"]: row for row in enrolled}
    tested = {
        row["local_student_id"]
        for row in district.results("overall", None, year.first_day, year.last_day)
    }
    on_roster = dict(district.roster(year))
    assert len(by_number) == len(enrolled)
    assert on_roster.keys() | tested <= by_number.keys()
    write_inputs(district, tmp_path)
    header, *lines = roster_path(tmp_path, year).read_text(encoding="utf-8").splitlines()
    school, grade = (header.split("\t").index(f"STUDENTS.{n}") for n in ("SchoolID", "Grade_Level"))
    for line in lines:
        cells = line.split("\t")
        row = by_number[cells[0]]
        assert (row["site_id"], row["grade_level_id"]) == (
            cells[school],
            str(int(cells[grade]) + 1),
        )


def test_schools_are_those_of_sites(client):
    names = {site["site_id"]: site["site_name"] for site in client.fetch("Sites")}
    enrolled = rows_of(client, "Enrollment")
    assert {(row["site_id"], row["school"]) for row in enrolled} == names.items() - {
        ("9999999", names["9999999"])
    }
    assert {row["district"] for row in enrolled} == {names["9999999"]}


def test_each_student_has_classes_with_teachers(client):
    """One teacher in elementary school, later another one in each subject."""
    enrolled = {row["district_student_id"]: row for row in rows_of(client, "Enrollment")}
    users = {row["user_id"]: row for row in rows_of(client, "Users")}
    classes, of_section = defaultdict(list), defaultdict(set)
    for row in rows_of(client, "Roster"):
        classes[row["district_student_id"]].append(row)
        of_section[row["section_id"]].add((row["course_id"], row["user_id"], row["site_id"]))
    assert classes.keys() == enrolled.keys()
    assert {len(known) for known in of_section.values()} == {1}
    for number, rows in classes.items():
        student = enrolled[number]
        same = ("grade_level_id", "site_id")
        assert all(row[name] == student[name] for row in rows for name in same)
        assert len({row["course_id"] for row in rows}) == len(rows) == 4
        teachers = {row["user_id"] for row in rows}
        assert len(teachers) == (1 if int(student["grade_level_id"]) <= 6 else 4)
        assert {users[teacher]["job_title"] for teacher in teachers} == {"Teacher"}


def test_authors_of_assessments_are_users(client, small):
    users = {
        row["user_id"]: (row["first_name"], row["last_name"]) for row in rows_of(client, "Users")
    }
    for row in small.catalogue:
        assert users[row["author_id"]] == (row["author_first"], row["author_last"])


def view(client, assessment_id):
    reply = client.fetch(f"Assessment/{assessment_id}/View/")
    assert set(reply) == {"export_version", "assessment"}
    return reply["assessment"]


def test_a_view_begins_like_the_catalogue(client, small):
    for row in small.catalogue:
        assert view(client, row["assessment_id"]).items() >= row.items()


def test_a_view_defines_what_results_were_scored_by(client, small):
    """The questions of a standard are worth its points; a percent reaches the least of its band."""
    year = small.years[-1]
    for assessment_id in small.ids_with_results(year):
        defined = view(client, assessment_id)
        worth = Counter()
        for question in defined["questions"]:
            worth[question["standard_code"]] += int(question["points_possible"])
        standards = {
            tuple(row[name] for name in ("academic_benchmark_guid", "standard_code"))
            for row in defined["standards"]
        }
        for row in small.results("standard", assessment_id, year.first_day, year.last_day):
            assert (row["academic_benchmark_guid"], row["standard_code"]) in standards
            assert int(row["points_possible"]) in {0, worth[row["standard_code"]]}
        groups = {row["reporting_group_id"] for row in defined["reporting_groups"]}
        for row in small.results("group", assessment_id, year.first_day, year.last_day):
            assert row["reporting_group_id"] in groups
        bands = [
            (float(row["minimum_value"]), row["performance_band_level"])
            for row in defined["performance_bands"]
        ]
        for row in small.results("overall", assessment_id, year.first_day, year.last_day):
            if (row["percent_correct"] or "NaN") != "NaN" and row["performance_band_level"]:
                reached = max(b for b in bands if b[0] <= float(row["percent_correct"]))
                assert row["performance_band_level"] == reached[1]


def test_views_of_unlisted_and_never_given_assessments(client, small):
    (unlisted, *_) = small.unlisted_ids(small.years[-1])
    assert view(client, unlisted)["questions"]
    given = {i for year in small.years for i in small.ids_with_results(year)}
    never = next(row for row in small.catalogue if row["assessment_id"] not in given)
    parts = ("questions", "standards", "reporting_groups", "performance_bands")
    defined = view(client, never["assessment_id"])
    assert [defined[part] for part in parts] == [[], [], [], []]


@pytest.mark.parametrize("wanted", ["1", "no such id", "../x"])
def test_an_unknown_assessment_has_no_view(client, wanted):
    reply = client.call(f"Assessment/{wanted.replace('/', '%2F')}/View")
    assert (reply.status_code, reply.content) == (404, b"")


def test_an_id_may_have_a_slash(serve, year):
    district = District.make(1, SMALL)
    district.add_assessment("Slash", year=year, students=1, standards=1, assessment_id="../x")
    assert view(serve(district=district), "..%2Fx")["title"] == "Slash"


@LISTS
def test_faults_hit_one_page_of_a_list(client, method):
    client.server.faults.add(Fault("status", 503, endpoint=method.lower(), page=2, times=1))
    statuses = [client.call(method, page=n, limit=7).status_code for n in (1, 2, 2)]
    assert statuses == [200, 503, 200]


def test_faults_hit_the_view_of_one_assessment(client, small):
    one, other = small.ids_with_results(small.years[-1])[:2]
    client.server.faults.add(Fault("status", 500, endpoint="view", assessment_id=one))
    statuses = [client.call(f"Assessment/{i}/View").status_code for i in (one, other)]
    assert statuses == [500, 200]
    entry = client.server.log[-1]
    assert (entry.endpoint, entry.assessment_id) == ("view", other)


@pytest.mark.parametrize("kind", [*CONTENT, *RESPONSE])
def test_every_fault_of_a_body_can_hit_them(client, small, kind):
    """As it hits results; none of them breaks the server."""
    (one, *_) = small.ids_with_results(small.years[-1])
    client.server.faults.add(Fault(kind, 503 if kind == "status" else None, last_page=True))
    for method in (*FIELDS, f"Assessment/{one}/View"):
        url = f"{client.server.api_url}{method}?limit=1000"
        with client.get(url, timeout=5, stream=True, allow_redirects=False) as reply:
            assert reply.status_code == {"status": 503, "redirect": 302}.get(kind, 200)
        assert client.server.log[-1].fault == kind
