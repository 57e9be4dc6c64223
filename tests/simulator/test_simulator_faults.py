"""Every kind of fault, as a client sees it."""

import gzip
import json
import zlib

import pytest
import requests

from pipeline.simulator import Fault
from pipeline.simulator.district import schools
from pipeline.simulator.faults.fault_injector import KINDS

STANDARD = "AssessmentAggregateStudentResponsesStandard/"
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


@pytest.fixture
def params(longest, window):
    """Return the parameters of a query with several pages of results."""
    return {"assessment_id": longest, "limit": 300, **window}


@pytest.fixture
def pages(client, params):
    """Return the pages as they are without faults."""
    return {number: client.fetch(STANDARD, page=number, **params) for number in (1, 2)}


@pytest.fixture
def faulty(client, params):
    """Return a function that injects a fault and requests a page again."""

    def call(fault, page=1):
        client.server.faults.add(fault)
        return client.call(STANDARD, page=page, **params)

    return call


TRIED_HERE = set()


def tries(*kinds):
    TRIED_HERE.update(kinds)
    return pytest.mark.parametrize("kind", kinds) if len(kinds) > 1 else lambda test: test


@tries("reset_before", "reset_inside", "short_body")
def test_broken_connections(faulty, client, kind):
    with pytest.raises(BROKEN):
        faulty(Fault(kind))
    client.server.faults.clear()
    assert client.call("Sites").status_code == 200


@tries("silence", "drip_headers")
def test_no_response_in_time(faulty, client, params, kind):
    client.server.faults.add(Fault(kind))
    with pytest.raises(requests.ReadTimeout):
        client.get(client.server.api_url + STANDARD, params=params, timeout=0.05)


@tries("drip_body")
def test_a_dripping_body_arrives_byte_by_byte(faulty, client, params):
    client.server.faults.add(Fault("drip_body", 0.001))
    reply = client.get(client.server.api_url + STANDARD, params=params, timeout=5, stream=True)
    assert reply.status_code == 200
    first = [reply.raw.read1(1000) for _ in range(3)]
    assert b"".join(first).startswith(b'{"p'[: len(b"".join(first))])
    reply.close()


@tries("drip_headers")
def test_dripping_headers_are_complete_in_the_end(client):
    client.server.faults.add(Fault("drip_headers", 0.0))
    assert client.call("Sites").status_code == 200


@tries("informational")
def test_an_informational_reply_comes_before_the_response(faulty, pages):
    assert faulty(Fault("informational", 100)).json() == pages[1]


@tries("unframed_body")
def test_an_unframed_body_is_cut_silently(faulty):
    reply = faulty(Fault("unframed_body"))
    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()


@tries("truncated_json")
@pytest.mark.parametrize("keep", [None, 0, 1, 77])
def test_truncated_json_has_its_declared_length(faulty, keep):
    reply = faulty(Fault("truncated_json", keep))
    assert int(reply.headers["Content-Length"]) == len(reply.content)
    assert keep in {None, len(reply.content)}
    with pytest.raises(json.JSONDecodeError):
        reply.json()


@tries("html")
def test_a_login_page_in_place_of_json(faulty):
    reply = faulty(Fault("html"))
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("text/html")


@tries("redirect")
@pytest.mark.parametrize("target", [None, "http://127.0.0.1:9/elsewhere"])
def test_a_redirect(faulty, target):
    reply = faulty(Fault("redirect", target))
    assert (reply.status_code, reply.headers["Location"]) == (302, target or "/live/")


@tries("gzip_garbage")
def test_gzip_garbage_cannot_be_decompressed(faulty):
    with pytest.raises(requests.exceptions.ContentDecodingError):
        faulty(Fault("gzip_garbage"))


@tries("gzip_truncated")
def test_truncated_gzip_gives_a_short_text(faulty, pages):
    reply = faulty(Fault("gzip_truncated"))
    assert 0 < len(reply.content) < len(json.dumps(pages[1]))


@tries("gzip_bomb")
def test_a_gzip_bomb_is_small_until_it_is_decompressed(client, params):
    client.server.faults.add(Fault("gzip_bomb", 3))
    reply = client.get(client.server.api_url + STANDARD, params=params, timeout=5, stream=True)
    packed = reply.raw.read(decode_content=False)
    assert len(packed) < 10_000
    assert len(gzip.decompress(packed)) == 3 * 2**20
    assert zlib.decompressobj(31).decompress(packed)


@tries("latin1")
def test_latin1_is_not_utf8(faulty):
    reply = faulty(Fault("latin1"))
    with pytest.raises(UnicodeDecodeError):
        reply.content.decode()
    assert json.loads(reply.content.decode("latin-1"))["page"] == 1


@tries("utf8_bom")
def test_a_byte_order_mark(faulty, pages):
    content = faulty(Fault("utf8_bom")).content
    assert json.loads(content.decode("utf-8-sig")) == pages[1]
    assert content.startswith(b"\xef\xbb\xbf")


@tries("nan")
def test_nan_is_a_bare_word(faulty):
    assert b":NaN" in faulty(Fault("nan")).content


@tries("list_instead_of_object")
def test_a_list_instead_of_an_object(faulty):
    assert faulty(Fault("list_instead_of_object")).json() == []


@tries("no_results_key")
def test_no_results_key(faulty):
    assert faulty(Fault("no_results_key")).json().keys() == {"page", "num_pages", "num_results"}


@tries("missing_field")
def test_a_missing_field(faulty):
    *others, last = faulty(Fault("missing_field", "points")).json()["results"]
    assert "points" not in last
    assert all("points" in row for row in others)


@tries("bad_numbers")
def test_bad_numbers(faulty, client, params):
    rows = faulty(Fault("bad_numbers")).json()["results"]
    assert {row["points"] for row in rows} >= {"", "NaN", "1e400", "infinity", "1,5"}
    client.server.faults.clear()
    rows = faulty(Fault("bad_numbers", True)).json()["results"]
    assert {row["percent_correct"] for row in rows} == {True}


@tries("status")
@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(401, None), (403, None), (404, None), (429, "3"), (429, "soon"), (500, None), (503, "0")],
)
def test_a_status(faulty, status, retry_after):
    reply = faulty(Fault("status", status, retry_after=retry_after))
    assert reply.status_code == status
    assert reply.headers.get("Retry-After") == retry_after


@tries("count_up", "count_down")
def test_wrong_counts_are_on_every_row(faulty, pages, kind):
    page = faulty(Fault(kind, 2)).json()
    difference = {"count_up": 2, "count_down": -2}[kind]
    assert page["num_results"] == pages[1]["num_results"] + difference
    assert {row["__count"] for row in page["results"]} == {str(page["num_results"])}
    assert len(page["results"]) == len(pages[1]["results"])


@tries("count_changes")
def test_counts_change_between_pages(faulty, client, params, pages):
    assert faulty(Fault("count_changes")).json() == pages[1]
    page = client.fetch(STANDARD, page=2, **params)
    assert page["num_results"] == pages[2]["num_results"] + 1


@tries("repeat_page")
def test_a_page_is_served_twice(faulty, client, pages):
    assert faulty(Fault("repeat_page"), page=2).json() == {**pages[1], "page": 2}
    client.server.faults.clear()
    assert faulty(Fault("repeat_page", "honest"), page=2).json() == pages[1]


@tries("moved_row")
def test_a_row_moves_to_the_next_page(faulty, client, params, pages):
    page = faulty(Fault("moved_row"), page=2).json()
    assert page["results"] == [pages[1]["results"][-1], *pages[2]["results"][1:]]
    assert page["num_results"] == pages[2]["num_results"]
    assert client.fetch(STANDARD, page=1, **params) == pages[1]


@tries("wrong_page_number")
def test_another_page_number(faulty, pages):
    assert faulty(Fault("wrong_page_number")).json() == {**pages[1], "page": 2}


@tries("empty_catalogue")
def test_an_empty_catalogue(client):
    client.server.faults.add(Fault("empty_catalogue", endpoint="catalogue"))
    assert client.fetch("Assessments") == {
        "page": 1,
        "num_pages": 0,
        "num_results": 0,
        "results": [],
    }


@tries("wrong_assessment")
def test_rows_of_another_assessment(faulty, client, params, small, year):
    rows = faulty(Fault("wrong_assessment")).json()["results"]
    assert {row["assessment_id"] for row in rows}.isdisjoint({params["assessment_id"]})
    client.server.faults.clear()
    another = small.unlisted_ids(year)[0]
    rows = faulty(Fault("wrong_assessment", another)).json()["results"]
    assert {row["assessment_id"] for row in rows} == {another}


@tries("ignores_dates")
def test_dates_are_ignored(faulty, pages):
    assert faulty(Fault("ignores_dates")).json()["num_results"] > pages[1]["num_results"]


@tries("set_fields")
def test_any_field_of_a_page(faulty):
    page = faulty(Fault("set_fields", {"num_pages": "2", "results": None})).json()
    assert (page["num_pages"], page["results"]) == ("2", None)


@tries("set_row_fields")
def test_any_field_of_a_row(faulty):
    row = faulty(Fault("set_row_fields", {"title": "\x00", "new": [1]})).json()["results"][0]
    assert (row["title"], row["new"]) == ("\x00", [1])


@tries("rewrite_fields")
def test_fields_of_all_rows_in_another_form(faulty, pages):
    before = [row["date_taken"] for row in pages[1]["results"]]
    rows = faulty(Fault("rewrite_fields", {"date_taken": "{}T", "points": None})).json()["results"]
    assert [row["date_taken"] for row in rows] == [f"{date}T" for date in before]
    assert {row["points"] for row in rows} == {None}


def test_every_kind_has_a_test():
    assert TRIED_HERE == KINDS


def test_page_faults_do_not_change_other_responses(client, small):
    client.server.faults.add(Fault("count_up"))
    assert client.fetch("Sites") == schools.sites()


def test_result_faults_do_not_change_the_catalogue(client, small):
    before = client.fetch("Assessments")
    client.server.faults.add(Fault("wrong_assessment"))
    assert client.fetch("Assessments") == before


def test_an_unknown_kind_is_refused(server):
    with pytest.raises(ValueError, match="no fault called 'sielnce'"):
        server.faults.add(Fault("sielnce"))


def statuses(client, count, method="Sites", **params):
    return [client.call(method, **params).status_code for _ in range(count)]


def test_a_fault_can_be_limited_to_a_number_of_hits(client):
    client.server.faults.add(Fault("status", 500, times=2))
    assert statuses(client, 4) == [500, 500, 200, 200]


def test_a_fault_can_hit_every_nth_request(client):
    client.server.faults.add(Fault("status", 500, every=3, times=2))
    assert statuses(client, 10) == [200, 200, 500, 200, 200, 500, 200, 200, 200, 200]


def test_the_next_fault_takes_over_after_the_first(client):
    client.server.faults.add(Fault("status", 500, times=1), Fault("status", 502))
    assert statuses(client, 3) == [500, 502, 502]


def test_a_fault_hits_only_its_endpoint_assessment_and_page(client, params):
    faults = client.server.faults
    faults.add(Fault("status", 500, endpoint="standard", page=2))
    assert client.call(STANDARD, page=1, **params).status_code == 200
    assert client.call(STANDARD, page=2, **params).status_code == 500
    assert client.call("Assessments", page=2).status_code == 200
    faults.clear()
    faults.add(Fault("status", 500, assessment_id="12"))
    assert client.call(STANDARD, **params).status_code == 200
    assert client.call(STANDARD, assessment_id="12").status_code == 500
    assert client.call("Sites").status_code == 200


def test_a_fault_can_hit_the_last_page(client, params, pages):
    client.server.faults.add(Fault("status", 500, last_page=True))
    last = pages[1]["num_pages"]
    assert client.call(STANDARD, page=last - 1, **params).status_code == 200
    assert client.call(STANDARD, page=last, **params).status_code == 500
    assert client.call(STANDARD, assessment_id="no results").status_code == 500


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (Fault("set_fields", {"expires_in": "60"}), lambda r: r.json()["expires_in"] == "60"),
        (Fault("missing_field"), lambda r: "access_token" not in r.json()),
        (Fault("html"), lambda r: r.headers["Content-Type"].startswith("text/html")),
        (Fault("status", 503), lambda r: r.status_code == 503),
        (Fault("nan"), lambda r: b"NaN" in r.content),
        (Fault("repeat_page"), lambda r: "access_token" in r.json()),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_token_requests_can_be_hit(client, fault, seen):
    server, credentials = client.server, client.server.credentials
    server.faults.add(Fault(**{**vars(fault), "endpoint": "token"}))
    form = {
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "grant_type": "client_credentials",
    }
    assert seen(client.post(server.token_url, data=form, timeout=5))
    assert client.call("Sites").status_code == 200
