"""Requests for the results of all assessments, answered in every way a server might."""

import datetime as dt
import itertools
from collections import Counter

import pytest

from pipeline.simulator import SMALL, District, Protocol, WithoutAssessment

METHOD = "AssessmentAggregateStudentResponses"
METHODS = {"overall": METHOD, "standard": f"{METHOD}Standard", "group": f"{METHOD}Group"}


@pytest.fixture
def answering(serve):
    """Return a client of a server that answers such requests as the arguments say."""
    return lambda **how: serve(Protocol(without_assessment=WithoutAssessment(**how)))


def count(client, endpoint="overall", **params):
    return client.fetch(METHODS[endpoint], limit=1, **params)["num_results"]


def walk(client, **params):
    """Return the rows of every page."""
    pages = (client.fetch(METHOD, page=number, **params) for number in itertools.count(1))
    return [
        row
        for page in itertools.takewhile(lambda p: p["results"], pages)
        for row in page["results"]
    ]


def ids(rows):
    return [row["assessment_id"] for row in rows]


@pytest.mark.parametrize("endpoint", METHODS)
def test_the_results_of_all_assessments_are_those_of_each(client, small, year, window, endpoint):
    each = (
        count(client, endpoint, assessment_id=i, **window) for i in small.ids_with_results(year)
    )
    assert count(client, endpoint, **window) == sum(each)


def test_unlisted_assessments_are_among_them(client, small, year, window):
    assert {*small.unlisted_ids(year)} < {*ids(walk(client, limit=1000, **window))}


@pytest.mark.parametrize("status", ["400", "401", "404"])
def test_they_can_be_refused(answering, small, year, status):
    client = answering(answer=status)
    assert client.call(METHOD, limit=1).status_code == int(status)
    (listed, *_) = small.ids_with_results(year)
    assert client.call(METHOD, assessment_id=listed).status_code == 200
    assert client.call("Assessments").status_code == 200


def test_a_login_page_can_come_instead(answering):
    reply = answering(answer="html").call(METHOD, limit=1)
    assert (reply.status_code, reply.headers["Content-Type"][:9]) == (200, "text/html")


def test_they_can_be_empty(answering, longest):
    client = answering(answer="none")
    assert count(client) == 0
    assert count(client, assessment_id=longest) > 0


def test_one_endpoint_alone_can_have_them(answering):
    client = answering(endpoints=("standard",))
    assert [count(client, endpoint) > 0 for endpoint in METHODS] == [False, True, False]


def test_dates_can_be_ignored(answering, client, longest, window):
    ignoring = answering(dates="ignored")
    assert count(ignoring, **window) == count(ignoring) == count(client) > count(client, **window)
    of_one = {"assessment_id": longest, **window}
    assert count(ignoring, **of_one) == count(client, **of_one)


def test_dates_can_select_from_the_current_year_only(answering, client, small, window):
    limited = answering(dates="current_year")
    assert count(limited, **window) == 0
    last = {"date_taken_start": "2024-07-01", "date_taken_end": small.today.isoformat()}
    assert count(limited, **last) == count(client, **last) > 0
    assert count(limited) == count(client)


def test_the_current_year_can_be_the_default(answering, client, small, window):
    limited = answering(without_dates="current_year")
    assert count(limited) == len(small.results("overall", None, *current_year(small)))
    assert count(limited) < count(client)
    assert count(limited, **window) == count(client, **window)


def current_year(district):
    first = dt.date(district.years[-1].start, 7, 1)
    return first, dt.date(first.year + 1, 6, 30)


def test_the_cap_can_be_lower(answering, longest):
    client = answering(cap=30)
    assert len(client.fetch(METHOD, limit=1000)["results"]) == 30
    assert len(client.fetch(METHODS["standard"], limit=50, assessment_id=longest)["results"]) == 50


@pytest.mark.parametrize(
    ("order", "field"), [("standard", "standard_code"), ("student", "local_student_id")]
)
def test_they_can_be_ordered_across_assessments(answering, client, window, order, field):
    params = {"limit": 1000, **window}
    rows = answering(order=order).fetch(METHODS["standard"], **params)["results"]
    keys = [row[field] or "" for row in rows]
    assert keys == sorted(keys)
    assert len({*ids(rows)}) > 1
    assert rows != client.fetch(METHODS["standard"], **params)["results"]


def test_the_order_can_differ_from_page_to_page(answering, window):
    client = answering(order="unstable")
    params = {"limit": 100, **window}
    assert client.fetch(METHOD, page=2, **params) == client.fetch(METHOD, page=2, **params)
    rows = walk(client, **params)
    assert len(rows) == count(client, **window)
    copies = Counter(tuple(row.values()) for row in rows)
    assert len(copies) < 0.9 * len(rows)
    by_one = client.fetch(METHOD, assessment_id=rows[0]["assessment_id"], **params)
    assert ids(by_one["results"]) == [rows[0]["assessment_id"]] * len(by_one["results"])


def test_undated_results_can_be_sent_for_any_dates(answering, client, longest, window):
    small = District.make(1, SMALL)
    undated = [row for row in small.results("overall") if row["date_taken"] is None]
    assert undated
    passing = answering(undated_pass=True)
    assert count(passing, **window) == count(client, **window) + len(undated)
    of_one = {"assessment_id": undated[0]["assessment_id"], **window}
    assert count(passing, **of_one) == count(client, **of_one)
