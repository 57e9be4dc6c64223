"""The server's responses to correct requests."""

import gzip
import json

import pytest
import requests

from pipeline.simulator import SMALL, District, Protocol
from pipeline.simulator.district import schools

OVERALL = "AssessmentAggregateStudentResponses/"
STANDARD = "AssessmentAggregateStudentResponsesStandard/"
GROUP = "AssessmentAggregateStudentResponsesGroup/"
EMPTY = {"page": 1, "num_pages": 0, "num_results": 0, "results": []}


def test_the_catalogue_is_complete_and_ordered(client, small):
    page = client.fetch("Assessments/", limit=1000)
    assert {name: type(page[name]) for name in ("page", "num_pages", "num_results")} == {
        "page": int,
        "num_pages": int,
        "num_results": int,
    }
    count = str(page["num_results"])
    assert page["results"] == [{**row, "__count": count} for row in small.catalogue]


@pytest.mark.parametrize(
    ("method", "endpoint"), [(OVERALL, "overall"), (STANDARD, "standard"), (GROUP, "group")]
)
def test_results_are_those_of_the_district(client, small, year, window, method, endpoint):
    for assessment_id in small.ids_with_results(year):
        rows = small.results(endpoint, assessment_id, year.first_day, year.last_day)[:1000]
        page = client.fetch(method, assessment_id=assessment_id, limit=1000, **window)
        assert [{**row, "__count": str(page["num_results"])} for row in rows] == page["results"]


def test_the_pages_add_up_to_all_results(client, small, year, window, longest):
    rows = small.results("standard", longest, year.first_day, year.last_day)
    params = {"assessment_id": longest, "limit": 100, **window}
    pages = [client.fetch(STANDARD, page=number, **params) for number in range(1, 15)]
    assert {page["num_pages"] for page in pages} == {-(-len(rows) // 100)}
    assert [page["page"] for page in pages] == list(range(1, 15))
    received = [row for page in pages for row in page["results"]]
    assert [row | {"__count": None} for row in received] == [
        row | {"__count": None} for row in rows
    ]


def test_scalars_of_rows_are_text_or_null(client, longest):
    (row,) = client.fetch(STANDARD, assessment_id=longest, limit=1)["results"]
    assert {type(value) for value in row.values()} <= {str, type(None)}


def test_a_large_limit_is_silently_lowered(client, longest, window):
    page = client.fetch(STANDARD, assessment_id=longest, limit=5000, **window)
    assert len(page["results"]) == 1000
    assert page["num_pages"] == 2


@pytest.mark.parametrize("limit", [None, "0", "-3", "many", ""])
def test_an_invalid_limit_means_the_default(serve, longest, limit):
    client = serve(Protocol(default_limit=7))
    assert len(client.fetch(STANDARD, assessment_id=longest, limit=limit)["results"]) == 7


def test_the_cap_is_a_setting(serve, longest):
    client = serve(Protocol(cap=20))
    assert len(client.fetch(STANDARD, assessment_id=longest, limit=1000)["results"]) == 20


def test_an_unknown_assessment_has_an_empty_page(client):
    assert client.fetch(OVERALL, assessment_id="1") == EMPTY


def test_dates_filter(client, longest, window):
    params = {"assessment_id": longest, "limit": 1}
    everything = client.fetch(OVERALL, **params)["num_results"]
    in_year = client.fetch(OVERALL, **params, **window)["num_results"]
    assert 0 < in_year < everything
    assert client.fetch(OVERALL, **params, date_taken_start="2031-01-01")["num_results"] == 0


def test_an_invalid_date_is_ignored(client, longest):
    params = {"assessment_id": longest, "limit": 1}
    assert client.fetch(OVERALL, **params, date_taken_start="soon") == client.fetch(
        OVERALL, **params
    )


def test_start_date_filters_only_if_the_server_honours_it(serve, longest):
    params = {"assessment_id": longest, "limit": 1}
    for honours in (False, True):
        client = serve(Protocol(honour_start_date=honours))
        found = client.fetch(OVERALL, **params, start_date="2031-01-01")["num_results"]
        assert (found == 0) is honours


def test_without_an_assessment_all_results_are_returned(client, small, year, window):
    page = client.fetch(GROUP, limit=1000, **window)
    assert page["num_results"] == len(small.results("group", None, year.first_day, year.last_day))


@pytest.mark.parametrize("method", ["Assessments", "Sites", "GradeLevels", OVERALL.rstrip("/")])
@pytest.mark.parametrize("family", ["live", "dna"])
def test_trailing_slashes_and_both_path_prefixes_are_equivalent(client, method, family):
    base = client.server.api_url.replace("/live/", f"/{family}/")
    one, other = client.get(base + method), client.get(base + method + "/")
    assert one.status_code == other.status_code == 200
    assert one.content == other.content


def test_sites_and_grade_levels_are_bare_lists(client, small):
    assert client.fetch("Sites", limit=200) == schools.sites()
    assert client.fetch("GradeLevels/")[0]["short_name"] == "K"
    assert client.fetch("GradeLevels/")[0]["grade_level_id"] == "1"


@pytest.mark.parametrize("method", ["Standards/", "Assessments/12345", "", "assessments/"])
def test_unknown_methods_are_not_found(client, method):
    reply = client.call(method)
    assert (reply.status_code, reply.content) == (404, b"")


@pytest.mark.parametrize(
    "path", ["/live/api/v2/Assessments/", "/api/v2/x", "/live/", "/live/?ApiDocumentation", "/"]
)
def test_any_other_address_shows_the_login_page(client, path):
    reply = client.get(client.server.base_url.removesuffix("/live") + path)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("text/html")
    assert "Login" in reply.text


def test_posting_anything_but_a_token_request_shows_the_login_page(client):
    reply = client.post(client.server.base_url + "/?Login", data={"username": "x"}, timeout=5)
    assert (reply.status_code, "Login" in reply.text) == (200, True)


def test_beyond_the_end(serve, longest, window):
    params = {"assessment_id": longest, "limit": 1000, **window}
    client = serve()
    assert client.fetch(STANDARD, page=3, **params) == {**EMPTY, "page": 3}
    client = serve(Protocol(beyond_end="repeat_last"))
    last = client.fetch(STANDARD, page=2, **params)
    assert client.fetch(STANDARD, page=9, **params) == {**last, "page": 9}
    assert serve(Protocol(beyond_end="404")).call(STANDARD, page=3, **params).status_code == 404


def test_group_fields_are_settings(serve):
    client = serve(Protocol(group_id_field="rg_id", group_label_field="label"))
    (row,) = client.fetch(GROUP, limit=1)["results"]
    assert row["rg_id"].isdecimal()
    assert "reporting_group" not in row
    assert row["label"]


def test_numbers_can_be_json_numbers_with_the_same_digits(serve, client, longest, window):
    params = {"assessment_id": longest, "limit": 1000, **window}
    texts = client.fetch(OVERALL, **params)["results"]
    numbers = serve(Protocol(numbers_as_json=True)).fetch(OVERALL, **params)["results"]
    assert isinstance(numbers[0]["points"], int | float)
    assert isinstance(numbers[0]["__count"], int)
    assert [row["local_student_id"] for row in numbers] == [
        row["local_student_id"] for row in texts
    ]
    assert [json.dumps(row["percent_correct"]).strip('"') for row in numbers] == [
        row["percent_correct"] or "null" for row in texts
    ]


def test_row_order_is_a_setting(serve, client, longest):
    params = {"assessment_id": longest, "limit": 1000}
    delivered = client.fetch(OVERALL, **params)["results"]
    assert (
        serve(Protocol(row_order="reversed")).fetch(OVERALL, **params)["results"] == delivered[::-1]
    )
    by_student = serve(Protocol(row_order="student")).fetch(OVERALL, **params)["results"]
    students = [row["local_student_id"] for row in by_student]
    assert students == sorted(row["local_student_id"] for row in delivered)


def test_letters_beyond_ascii_are_utf8_or_escapes(serve, client):
    raw = client.call("Assessments", limit=1000).content
    escaped = serve(Protocol(ascii_json=True)).call("Assessments", limit=1000).content
    assert "Español".encode() in raw
    assert escaped.isascii()
    assert json.loads(raw) == json.loads(escaped)


def test_bodies_are_compressed_on_request_if_the_server_supports_it(serve, client):
    assert "Content-Encoding" not in client.call("Assessments").headers
    packing = serve(Protocol(gzip=True))
    reply = packing.get(packing.server.api_url + "Assessments", stream=True)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.raw.read())) == client.fetch("Assessments")
    plain = packing.get(packing.server.api_url + "Sites", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


def test_an_assessment_added_later_is_served(serve, year, window):
    district = District.make(1, SMALL)
    client = serve(district=district)
    before = client.fetch("Assessments", limit=1)["num_results"]
    new_id = district.add_assessment("Late Quiz", year=year, students=20, standards=3)
    assert client.fetch("Assessments", limit=1)["num_results"] == before + 1
    assert client.fetch(STANDARD, assessment_id=new_id, limit=1, **window)["num_results"] == 60


def test_connections_are_kept_alive(client):
    for _ in range(3):
        client.fetch("Sites")
    assert len({entry.connection for entry in client.server.log}) == 1


def test_errors_can_have_a_body(serve):
    client = serve(Protocol(error_body="denied"))
    assert requests.get(client.server.api_url + "Sites", timeout=5).text == "denied"
