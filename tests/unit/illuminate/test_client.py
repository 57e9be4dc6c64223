"""The client: what it fetches is complete and checked, and it sends few requests."""

import logging
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple

import pytest

from pipeline.errors import (
    IlluminateError,
    OutageError,
    PaginationError,
    PipelineError,
    ResponseError,
    TooManyPagesError,
    TransientError,
)
from pipeline.extract.pool import Pool
from pipeline.illuminate.auth import OAuth1Credentials, OAuth2Credentials
from pipeline.illuminate.endpoints import OVERALL, STANDARD, group
from pipeline.simulator import Credentials, District, Fault, Protocol, WithoutAssessment
from pipeline.simulator.district.people import Student
from pipeline.simulator.faults.fault_injector import KINDS
from pipeline.years import SchoolYear
from tests import canaries

YEAR = SchoolYear(2023)
ENDPOINTS = {"overall": OVERALL, "standard": STANDARD, "group": group()}


def as_set(rows):
    return {tuple(sorted(row.items())) for row in rows}


def rows_of(result):
    return as_set(result.rows.to_dicts())


def requests_to(server, endpoint):
    return [entry for entry in server.log if entry.endpoint == endpoint]


@pytest.fixture(scope="session")
def busy(district, window):
    """The assessment with the most standard results in the window."""
    return max(
        district.ids_with_results(YEAR),
        key=lambda i: len(district.results("standard", i, window.start, window.end)),
    )


@pytest.fixture(scope="session")
def small(district, window):
    """An assessment with few results in the window, and more outside of it."""
    return next(
        i
        for i in district.ids_with_results(YEAR)
        if len(district.results("overall", i))
        > len(district.results("overall", i, window.start, window.end))
        > 3
    )


# What comes back.


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("limit", [7, 400, 1000])
def test_all_rows_of_the_window_come_back_whatever_the_page_limit(
    server, connect, district, window, busy, endpoint, limit
):
    result = connect(server, page_limit=limit).results(ENDPOINTS[endpoint], busy, window)
    sent = district.results(endpoint, busy, window.start, window.end)
    assert rows_of(result) == as_set(sent)
    assert len(result.rows) == len(as_set(sent))
    assert (result.declared, result.declared - result.duplicates) == (len(sent), len(result.rows))
    assert result.pages == -(-len(sent) // limit)


def test_the_pages_after_the_first_are_requested_by_all_threads(server, connect, window, busy):
    with Pool(4) as pool:
        client = connect(server, map_pages=pool.map, page_limit=10)
        result = pool.submit(client.results, STANDARD, busy, window).result()
    assert len({entry.connection for entry in requests_to(server, "standard")}) > 1
    sent = server.district.results("standard", busy, window.start, window.end)
    assert rows_of(result) == as_set(sent)


def test_pages_are_as_long_as_the_server_likes(serve, connect, window, busy):
    server = serve(protocol=Protocol(cap=300))
    result = connect(server, page_limit=1000).results(STANDARD, busy, window)
    sent = server.district.results("standard", busy, window.start, window.end)
    assert (result.declared, result.pages) == (len(sent), -(-len(sent) // 300))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("limit", [37, 1000])
def test_all_rows_of_all_assessments_come_back_as_often_as_they_were_sent(
    server, connect, district, window, endpoint, limit
):
    client = connect(server, page_limit=limit)
    result = client.all_results(ENDPOINTS[endpoint], window, None)
    sent = district.results(endpoint, None, window.start, window.end)
    assert len(result.rows) == result.declared == len(sent)
    assert rows_of(result) == as_set(sent)


def test_more_pages_than_wanted_are_not_read(server, connect, window):
    client = connect(server, page_limit=10)
    with pytest.raises(TooManyPagesError):
        client.all_results(OVERALL, window, 20)
    assert len(requests_to(server, "overall")) == 1


@pytest.mark.parametrize("nothing", [None, "", " \u3000"])
def test_a_row_of_no_assessment_is_refused(server, connect, window, nothing):
    server.faults.add(Fault("rewrite_fields", endpoint="overall", value={"assessment_id": nothing}))
    with pytest.raises(ResponseError, match="rows without an assessment"):
        connect(server).all_results(OVERALL, window, None)


def test_rows_of_all_assessments_dated_outside_the_window_are_refused(serve, connect, window):
    server = serve(protocol=Protocol(without_assessment=WithoutAssessment(dates="ignored")))
    with pytest.raises(ResponseError, match="rows dated outside 2023-07-01 to 2024-06-30"):
        connect(server).all_results(OVERALL, window, None)


def test_rows_in_another_order_on_each_page_are_refused(serve, connect, window):
    server = serve(protocol=Protocol(without_assessment=WithoutAssessment(order="unstable")))
    with pytest.raises(PaginationError, match="moved between pages"):
        connect(server, page_limit=100).all_results(OVERALL, window, None)


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(numbers_as_json=True),
        Protocol(ascii_json=True),
        Protocol(gzip=True),
        Protocol(row_order="reversed"),
        Protocol(beyond_end="404"),
    ],
    ids=["numbers", "ascii", "gzip", "reversed", "beyond"],
)
def test_what_is_unknown_of_the_api_makes_no_difference(serve, connect, window, busy, protocol):
    server = serve(protocol=protocol)
    result = connect(server).results(STANDARD, busy, window)
    sent = server.district.results("standard", busy, window.start, window.end)
    assert rows_of(result) == as_set(sent)


def test_the_fields_of_groups_are_called_as_the_settings_say(serve, connect, window, busy):
    server = serve(protocol=Protocol(group_id_field="rg_id", group_label_field="rg"))
    client = connect(server)
    rows = client.results(group("rg_id", "rg"), busy, window).rows
    assert not rows.is_empty()
    assert {*rows.columns} > {"reporting_group_id", "reporting_group"}
    with pytest.raises(TransientError, match="reporting_group"):
        client.results(group(), busy, window)


def test_the_catalogue_has_each_assessment_once(server, connect, district):
    result = connect(server, page_limit=10).catalogue()
    assert rows_of(result) == as_set(district.catalogue)
    ids = result.rows["assessment_id"].to_list()
    assert len(ids) == len(set(ids))
    assert result.declared == len(district.catalogue)


def test_an_empty_catalogue_is_a_catalogue(server, connect):
    server.faults.add(Fault("empty_catalogue", endpoint="catalogue"))
    assert connect(server).catalogue().rows.is_empty()


def test_an_assessment_that_the_catalogue_describes_in_two_ways_is_refused(server, connect):
    server.faults.add(
        Fault("set_row_fields", {"assessment_id": "1"}, endpoint="catalogue", page=1),
        Fault("set_row_fields", {"assessment_id": "1"}, endpoint="catalogue", page=2),
    )
    with pytest.raises(PaginationError):
        connect(server, page_limit=30).catalogue()


def test_two_ids_of_the_catalogue_that_differ_in_white_space_only_are_refused(server, connect):
    known = max(row["assessment_id"] for row in server.district.catalogue)
    padded = Fault("set_row_fields", {"assessment_id": f" {known}"}, endpoint="catalogue", page=1)
    server.faults.add(padded)
    with pytest.raises(ResponseError, match=f"' {known}' and '{known}'"):
        connect(server, page_limit=len(server.district.catalogue) // 2).catalogue()


@pytest.mark.parametrize("nothing", [None, "", " ", "\x1c"])
def test_an_assessment_without_an_id_is_refused(server, connect, nothing):
    server.faults.add(Fault("set_row_fields", {"assessment_id": nothing}, endpoint="catalogue"))
    with pytest.raises(IlluminateError):
        connect(server).catalogue()


def test_assessments_are_counted_by_one_request(server, connect, district):
    assert connect(server).count_assessments() == len(district.catalogue)
    assert [entry.endpoint for entry in server.log] == ["token", "catalogue"]


def test_an_unknown_field_comes_along(server, connect, window, small):
    server.faults.add(Fault("set_row_fields", {"mood": "good"}, endpoint="overall"))
    result = connect(server).results(OVERALL, small, window)
    assert result.rows.columns[-1] == "mood"
    assert result.rows["mood"].to_list().count("good") == 1


# What is requested.


def test_dates_and_assessment_are_named_in_every_request(server, connect, window, busy):
    client = connect(server, page_limit=400)
    for endpoint in ENDPOINTS.values():
        client.results(endpoint, busy, window)
    entries = [entry for entry in server.log if entry.endpoint != "token"]
    assert len(entries) > len(ENDPOINTS)
    for entry in entries:
        assert entry.params["date_taken_start"] == "2023-07-01"
        assert entry.params["date_taken_end"] == "2024-06-30"
        assert entry.params["assessment_id"] == busy
        assert entry.params["limit"] == "400"


def test_each_page_is_requested_once(server, connect, window, busy):
    pages = connect(server, page_limit=400).results(STANDARD, busy, window).pages
    assert [entry.page for entry in requests_to(server, "standard")] == list(range(1, pages + 1))


@pytest.mark.parametrize("assessment_id", ["../x", "a b&page=2", "é", "1'--", "x" * 300])
def test_any_id_reaches_the_server_as_it_is(server, connect, window, assessment_id):
    connect(server).results(OVERALL, assessment_id, window)
    assert requests_to(server, "overall")[0].assessment_id == assessment_id


def test_connections_are_used_again(server, connect, window, district):
    ids = district.ids_with_results(YEAR) * 3
    client = connect(server, page_limit=200)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: client.results(OVERALL, i, window), ids))
    entries = requests_to(server, "overall")
    assert len(entries) >= len(ids)
    assert len({entry.connection for entry in entries}) <= 4


def test_the_request_rate_is_kept_by_all_threads_together(server, connect, window):
    client = connect(server, max_requests_per_second=50)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.results(OVERALL, str(n), window), range(16)))
    times = sorted(entry.time for entry in requests_to(server, "overall"))
    assert len(times) == 16
    for start in times:
        assert sum(start <= time < start + 0.1 for time in times) <= 8


def test_requests_are_counted(server, connect, window, busy):
    client = connect(server, page_limit=400)
    client.results(STANDARD, busy, window)
    requests = len(requests_to(server, "standard"))
    assert client.counts.snapshot() == {"requests": requests, "retries": 0, "tokens": 1}


def test_a_retry_names_its_request(server, connect, window, busy, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    client = connect(server, page_limit=400)
    for endpoint, page in (("token", None), ("catalogue", 1), ("standard", 2), ("overall", 1)):
        server.faults.add(Fault("status", 503, endpoint=endpoint, page=page, times=1))
    client.catalogue()
    client.results(STANDARD, busy, window)
    client.all_results(OVERALL, window, None)
    failed = "attempt 1 failed, retrying: the server answered 503"
    assert [record.getMessage() for record in caplog.records] == [
        "catalogue, page 1: attempt 1 failed, retrying: the token request was answered with 503",
        f"catalogue, page 1: {failed.replace('attempt 1', 'attempt 2')}",
        f"standard of assessment {busy}, page 2: {failed}",
        f"overall of 2023-07-01 to 2024-06-30, page 1: {failed}",
    ]


# What is refused.


def test_rows_of_another_assessment_are_refused(server, connect, window, small):
    server.faults.add(Fault("wrong_assessment", endpoint="overall"))
    with pytest.raises(ResponseError, match="another assessment"):
        connect(server).results(OVERALL, small, window)


def test_white_space_around_the_id_of_an_assessment_makes_no_other(server, connect, window, small):
    server.faults.add(Fault("set_row_fields", {"assessment_id": f" {small}"}, endpoint="overall"))
    rows = connect(server).results(OVERALL, small, window).rows
    assert {*rows["assessment_id"]} == {small, f" {small}"}


def test_rows_outside_of_the_window_are_refused(server, connect, window, small):
    server.faults.add(Fault("ignores_dates", endpoint="overall"))
    with pytest.raises(ResponseError, match="2023-07-01 to 2024-06-30"):
        connect(server).results(OVERALL, small, window)


@pytest.mark.parametrize(
    ("date", "fits"),
    [
        ("2023-07-01", True),
        ("2024-06-30", True),
        ("2023-06-30", False),
        ("2024-07-01", False),
        ("2000-01-01", False),
        ("9999-12-31", False),
        ("2024-06-30 00:00:00", True),
        ("2024-07-01 00:00:00", False),
        ("2023-06-30T00:00:00Z", False),
        ("2024-07-01 13:45:00", True),
        (None, True),
        ("infinity", True),
        ("", True),
    ],
)
def test_the_window_has_its_first_and_last_day_and_what_is_no_date_is_not_outside(
    server, connect, window, small, date, fits
):
    server.faults.add(Fault("set_row_fields", {"date_taken": date}, endpoint="overall"))
    client = connect(server)
    if fits:
        assert not client.results(OVERALL, small, window).rows.is_empty()
    else:
        with pytest.raises(ResponseError):
            client.results(OVERALL, small, window)


@pytest.mark.parametrize("elsewhere", ["/live/elsewhere", "http://127.0.0.1:9/", ""])
def test_redirects_are_not_followed(server, connect, window, elsewhere):
    server.faults.add(Fault("redirect", elsewhere, endpoint="overall"))
    with pytest.raises(ResponseError, match="ILLUMINATE_BASE_URL"):
        connect(server).results(OVERALL, "1", window)
    assert [entry.endpoint for entry in server.log] == ["token", "overall"]


@pytest.mark.parametrize(("endpoint", "token_lasts"), [("overall", None), ("token", 1)])
def test_a_web_page_after_data_came_is_retried(serve, connect, window, endpoint, token_lasts):
    """The address is right: somebody's maintenance page or firewall passed by."""
    server = serve(protocol=Protocol(token_requests_limit=token_lasts))
    client = connect(server)
    client.count_assessments()
    server.faults.add(Fault("html", endpoint=endpoint, times=2))
    client.results(OVERALL, "1", window)
    assert client.counts.snapshot()["retries"] == 2
    server.faults.add(Fault("html", endpoint=endpoint))
    with pytest.raises(TransientError, match="sent a web page instead of data"):
        client.results(OVERALL, "1", window)


def test_a_web_page_ends_the_run_with_a_hint(server, connect, window):
    server.faults.add(Fault("html", endpoint="overall"))
    with pytest.raises(OutageError, match="ILLUMINATE_BASE_URL must be like"):
        connect(server).results(OVERALL, "1", window)
    assert len(requests_to(server, "overall")) == 1


LIES = [
    Fault("count_up", page=2),
    Fault("count_down", page=2),
    Fault("count_up"),
    Fault("count_down"),
    Fault("count_changes"),
    Fault("repeat_page", page=2),
    Fault("repeat_page", "honest", page=2),
    Fault("repeat_page", page=3),
    Fault("wrong_page_number", page=2),
    Fault("wrong_page_number", -1, page=3),
    Fault("set_fields", {"num_pages": 2}),
    Fault("set_fields", {"num_pages": 4}),
    Fault("set_fields", {"num_pages": 0}),
    Fault("set_fields", {"num_pages": "3"}),
    Fault("set_fields", {"num_pages": None}),
    Fault("set_fields", {"num_pages": -1}),
    Fault("set_fields", {"results": []}, page=2),
    Fault("set_fields", {"results": None}, page=3),
    Fault("set_fields", {"num_results": 0, "num_pages": 0, "results": []}, page=2),
    Fault("set_row_fields", {"__count": "1"}, page=2),
    Fault("empty_catalogue", last_page=True),
    Fault("no_results_key", page=2),
    Fault("missing_field", "points", page=3),
    Fault("nan", page=2),
    Fault("latin1", page=2),
    Fault("truncated_json", last_page=True),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: f"{lie.kind}-{lie.value}-{lie.page}")
def test_every_lie_on_any_page_is_refused(server, connect, window, busy, lie):
    server.faults.add(lie)
    client = connect(server, tries=2, page_limit=500)
    with pytest.raises(IlluminateError):
        client.results(STANDARD, busy, window)


@pytest.mark.parametrize("beyond_end", ["empty", "repeat_last", "404"])
def test_a_page_too_many_is_refused_whatever_comes_beyond_the_end(
    serve, connect, window, busy, beyond_end
):
    server = serve(protocol=Protocol(beyond_end=beyond_end))
    server.faults.add(Fault("set_fields", {"num_pages": 4}))
    with pytest.raises(IlluminateError):
        connect(server, page_limit=500).results(STANDARD, busy, window)
    assert requests_to(server, "standard")[3].page == 4


def test_a_walk_that_contradicts_itself_is_walked_again(server, connect, window, busy):
    server.faults.add(Fault("count_up", endpoint="standard", page=2, times=2))
    result = connect(server, page_limit=500).results(STANDARD, busy, window)
    assert result.pages == 3
    assert [entry.page for entry in requests_to(server, "standard")] == [1, 2, 1, 2, 1, 2, 3]


def test_a_row_that_moved_between_pages_once_is_put_right(server, connect, window, busy):
    server.faults.add(Fault("moved_row", endpoint="standard", page=2, times=1))
    result = connect(server).results(STANDARD, busy, window)
    sent = server.district.results("standard", busy, window.start, window.end)
    assert rows_of(result) == as_set(sent)


def test_data_that_keeps_changing_is_given_up(server, connect, window, busy):
    server.faults.add(
        Fault("moved_row", endpoint="standard", page=2, times=1),
        Fault("moved_row", endpoint="standard", page=2, every=2),
    )
    with pytest.raises(PaginationError):
        connect(server).results(STANDARD, busy, window)


# What is never said.

STUDENT = Student("7340918265", "Canaryfirst", "Canarymiddle", "Canarylast", 2015, 0.5, True)
SECRETS = Credentials(*[f"c4nary{letter}9f2c+/=%Zz" for letter in "abcdef"])
ASSESSMENT = "700001"
TITLE = "Canarytitle"
CANARIES = {STUDENT.number, "Canaryfirst", "Canarymiddle", "Canarylast", TITLE, *astuple(SECRETS)}


@pytest.fixture(scope="session")
def canary_district():
    """One student sat one assessment; nothing of them may be seen in an error."""
    district = District(1, [STUDENT], [])
    district.add_assessment(
        TITLE, year=YEAR, students=1, standards=3, groups=2, assessment_id=ASSESSMENT
    )
    return district


def credentials_of(scheme):
    if scheme == "oauth2":
        return OAuth2Credentials(SECRETS.client_id, SECRETS.client_secret)
    return OAuth1Credentials(
        SECRETS.consumer_key,
        SECRETS.consumer_secret,
        SECRETS.access_token,
        SECRETS.access_token_secret,
    )


@pytest.mark.parametrize(
    ("place", "scheme"), [("token", "oauth2"), ("standard", "oauth2"), ("standard", "oauth1")]
)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_error_or_log_holds_a_secret_or_a_value_of_a_student(
    serve, connect, canary_district, window, caplog, kind, place, scheme
):
    caplog.set_level(logging.DEBUG)
    server = serve(district=canary_district, credentials=SECRETS)
    values = {"gzip_bomb": 2, "drip_body": 0.002, "drip_headers": 0.002}
    server.faults.add(Fault(kind, values.get(kind), endpoint=place))
    seconds = 0.5 if kind in {"drip_body", "drip_headers", "silence"} else 10.0
    limits = {
        "deadline": seconds,
        "read_timeout": seconds,
        "max_response_bytes": 1 << 20,
        "tries": 1,
    }
    client = connect(server, credentials_of(scheme), **limits)
    shown = ""
    try:
        client.results(STANDARD, ASSESSMENT, window)
    except PipelineError as error:
        shown = f"{error!r} {error} {''.join(traceback.format_exception(error))}"
    assert server.log
    assert canaries.found(CANARIES, shown + caplog.text) == set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_the_body_of_an_error_is_never_shown(serve, connect, canary_district, window, status):
    body = "Canarybody of Canarylast"
    server = serve(
        district=canary_district, credentials=SECRETS, protocol=Protocol(error_body=body)
    )
    server.faults.add(Fault("status", status, endpoint="standard"))
    client = connect(server, credentials_of("oauth2"), tries=1)
    with pytest.raises(PipelineError) as error:
        client.results(STANDARD, ASSESSMENT, window)
    assert "Canary" not in "".join(traceback.format_exception(error.value))


def test_closing_a_client_ends_its_watch(server, connect):
    before = threading.active_count()
    client = connect(server)
    client.close()
    client.close()
    for thread in threading.enumerate():
        if thread.name == "deadlines":
            thread.join(10)
    assert threading.active_count() <= before
