"""The benchmark's work and its server: the simulator's pages, sent as they are."""

import hashlib
import json
import sys
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from benchmarks import work
from benchmarks.server import Answers
from benchmarks.serving import serving
from benchmarks.sizes import TINY
from benchmarks.work import ENDPOINTS, Work
from pipeline.simulator import Protocol
from pipeline.simulator.api import METHODS, Api, Query
from pipeline.simulator.district.district import District

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

API = "/live/rest_server.php/Api"
METHOD_OF = {endpoint: method for method, endpoint in METHODS.items()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Work:
    return work.make(TINY, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def index(tiny):
    return json.loads(tiny.index.read_text(encoding="utf-8"))["assessments"]


def target(endpoint: str, assessment_id: str = "", page: int = 1, **more: str | int) -> str:
    query = {"page": page, "limit": 1000, "assessment_id": assessment_id, **more}
    return f"{API}/{METHOD_OF[endpoint]}/?{urlencode(query)}"


def rows(answers: Answers, endpoint: str, assessment_id: str = "", **more: str | int) -> list[str]:
    """All rows of a reply, in small pages, without what they say of their number."""
    found: list[str] = []
    page = last = 1
    while page <= last:
        reply = json.loads(body(answers, target(endpoint, assessment_id, page, limit=37, **more)))
        last = reply["num_pages"] if page == 1 else last
        assert reply["num_pages"] == last
        assert {row.pop("__count") for row in reply["results"]} <= {str(reply["num_results"])}
        found += [json.dumps(row) for row in reply["results"]]
        page += 1
    assert len(found) == reply["num_results"]
    return found


def body(answers: Answers, requested: str, method: str = "GET") -> bytes:
    return bytes(answers.find(method, requested)).partition(b"\r\n\r\n")[2]


def test_the_same_size_makes_the_same_bytes(tiny, tmp_path):
    again = work.make(TINY, tmp_path)
    for name in ("rows.bin", "offsets.bin", "by_day.bin", "index.json", "roster.txt"):
        first, second = ((made.folder / name).read_bytes() for made in (tiny, again))
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_work_is_made_once(tiny):
    before = tiny.lines.stat()
    assert work.make(TINY, tiny.folder.parent) == tiny
    assert tiny.lines.stat().st_ino == before.st_ino


def test_most_assessments_have_no_results_and_those_have_none_of_any_kind(index):
    assert len(index["overall"]) == TINY.with_results + TINY.unlisted == 6 + 1
    assert set(index["standard"]) <= set(index["overall"])
    assert set(index["group"]) <= set(index["overall"])


def test_some_assessments_with_results_are_not_in_the_catalogue(tiny, index):
    answers = Answers(tiny.folder)
    listed = {json.loads(row)["assessment_id"] for row in rows(answers, "catalogue")}
    unlisted = index["overall"].keys() - listed
    assert len(unlisted) == TINY.unlisted == 1
    beyond = sum(len(rows(answers, "overall", each)) for each in unlisted)
    assert tiny.rows["overall"] - tiny.listed["overall"] == beyond > 0
    assert tiny.wanted["combined"] > tiny.wanted_of_listed["combined"]


def test_names_are_nearly_all_different():
    students = work.make_students(TINY)
    assert len({student.last_name for student in students}) == len(students)
    assert len({student.number for student in students}) == len(students)


def test_pages_are_those_of_the_simulator(tiny, index):
    assessments = work.plan(TINY, work.make_students(TINY))
    api = Api(District(work.SEED, (), assessments), Protocol())
    answers = Answers(tiny.folder)
    for endpoint in ENDPOINTS:
        for assessment_id, (_, count) in index[endpoint].items():
            for page in range(1, 2 + count // 1000):
                query = Query(endpoint, assessment_id, page, 1000, None, None)
                sent = body(answers, target(endpoint, assessment_id, page))
                assert sent == api.body(query)
    listed = json.loads(body(answers, target("catalogue")))
    assert listed["num_results"] == TINY.assessments == len(listed["results"])


def test_every_request_is_answered(tiny):
    answers = Answers(tiny.folder)
    nothing = {"page": 1, "num_pages": 0, "num_results": 0, "results": []}
    assert json.loads(body(answers, target("overall", "1"))) == nothing
    assert json.loads(body(answers, target("standard", "", 7))) == {**nothing, "page": 7}
    assert "access_token" in json.loads(body(answers, "/live/?OAuth2_AccessToken", "POST"))
    assert b"<html>" in body(answers, "/live/api/v2/Assessments")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_rows_by_page_are_those_by_assessment(tiny, index, endpoint):
    """Of any range of dates, and with results until a day only, as the night before had them."""
    day = "2024-01-31"
    ranges = [
        {},
        {"date_taken_start": "2000-07-01", "date_taken_end": "2030-06-30"},
        {"date_taken_start": "2023-07-01", "date_taken_end": day},
        {"date_taken_start": "2024-02-01", "date_taken_end": "2024-06-30"},
    ]
    answers, before = Answers(tiny.folder), Answers(tiny.folder, day)
    found = []
    for dates in ranges:
        together = rows(answers, endpoint, **dates)
        each = [row for name in index[endpoint] for row in rows(answers, endpoint, name, **dates)]
        assert sorted(together) == sorted(each)
        found.append(together)
    assert sorted(found[0]) == sorted(found[1]) == sorted(found[2] + found[3])
    assert len(found[0]) == tiny.rows[endpoint] > len(found[2]) > 0
    assert rows(before, endpoint) == found[2]
    assert not rows(before, endpoint, date_taken_start="2024-02-01")
    assert not rows(answers, endpoint, date_taken_end="2023-06-30")
    one = json.loads(body(answers, target(endpoint, limit=1)))
    assert (one["num_results"], len(one["results"])) == (tiny.rows[endpoint], 1)


def test_a_connection_is_kept_and_the_server_says_what_was_requested(tiny, index, tmp_path):
    log = tmp_path / "targets.txt"
    assessment_id = next(iter(index["overall"]))
    with serving(tiny, 0.05, log) as server, requests.Session() as session:
        path = urlsplit(server.base_url).path
        address = server.base_url.removesuffix(path)
        token = session.post(f"{server.base_url}/?OAuth2_AccessToken", data={"a": "b"}, timeout=5)
        assert token.json()["access_token"]
        for _ in range(2):
            reply = session.get(address + target("overall", assessment_id), timeout=5)
            assert reply.json()["num_results"] > 0
            assert reply.elapsed.total_seconds() >= 0.05
    report = server.report
    assert (report.tokens, report.requests, report.connections) == (1, 2, 1)
    assert report.bytes > 2 * len(reply.content)
    assert server.fetching >= 0.15
    assert log.read_text(encoding="utf-8").splitlines() == 2 * [target("overall", assessment_id)]


def test_the_server_ends_when_its_starter_does(tiny: Work):
    with serving(tiny) as server:
        pass
    with pytest.raises(requests.ConnectionError):
        requests.get(server.base_url, timeout=5)


def test_work_is_read_from_where_it_lies(tiny: Work):
    assert Work.open(Path(tiny.folder)) == tiny
