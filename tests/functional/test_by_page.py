"""Results by page are those by assessment, and those of assessments that no catalogue lists."""

import itertools
import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest
from pipeline.extract.request_plan import LEAST_COMPARED
from pipeline.schema import ENDPOINTS
from pipeline.simulator import (
    SMALL,
    District,
    Fault,
    Protocol,
    Server,
    WithoutAssessment,
    serving,
    write_inputs,
)
from pipeline.years import SchoolYear
from tests.functional.conftest import AUTO, BY_ASSESSMENT, REPOSITORY, Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import newest_record
from tests.helpers import is_count, read_csv

YEAR = SchoolYear(2023)
BY_PAGE = ("--illuminate-strategy", "by_page")


def results(server: Server) -> list[Any]:
    return [request for request in server.log if request.endpoint in ENDPOINTS]


def step(place: Workplace, endpoint: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(newest_record(place))["steps"][f"FetchScores {endpoint}"]
    return facts


def was_by_page(place: Workplace) -> dict[str, bool]:
    return {endpoint: "not by page" not in step(place, endpoint) for endpoint in ENDPOINTS}


def use_inputs(place: Workplace, district: District) -> None:
    inputs = place.folder / "inputs"
    write_inputs(district, inputs)
    place.environment |= {
        "STUDENT_ROSTERS": f"{inputs}/Student_Rosters_{{year}}.txt",
        "TITLE_RULES": f"{inputs}/title_rules.csv",
        "MANUAL_CHANGES": f"{inputs}/overrides.csv",
    }


def succeeded(done: "subprocess.CompletedProcess[str]") -> "subprocess.CompletedProcess[str]":
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    ("seed", "threads", "limit"), [(1, 4, 1000), (2, 1, 200), (3, 16, 37), (4, 4, 37)]
)
def test_every_table_is_byte_for_byte_the_same_as_by_assessment(
    place: Workplace, seed: int, threads: int, limit: int
) -> None:
    district = District.make(seed, replace(SMALL, unlisted=0))
    use_inputs(place, district)
    with serving(district, Protocol(cap=limit)) as server:
        place.point_at(server)
        succeeded(place.run(*BY_ASSESSMENT))
        by_assessment = place.published()
        kept = {endpoint: shard_files(place, endpoint) for endpoint in ENDPOINTS}
        (place.data / "work").rename(place.data / "before")
        server.clear_log()
        succeeded(place.run(*AUTO, "--illuminate-threads", str(threads)))
        assert all(was_by_page(place).values())
        assert place.published() == by_assessment
        assert {endpoint: shard_files(place, endpoint) for endpoint in ENDPOINTS} == kept
    assert not (place.work / "ranges").exists() or not [*(place.work / "ranges").rglob("*.parquet")]


def shard_files(place: Workplace, endpoint: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.shards(endpoint).glob("*.parquet")}


def test_standard_results_are_requested_in_ranges_that_follow_the_days_of_overall(
    home: Workplace, listed: District
) -> None:
    """So no range has so many rows that its first request is wasted."""
    district = District(1, listed.students, ())
    for number in range(12):
        district.add_assessment(
            f"Gr 5 Math Unit {number}",
            year=YEAR,
            students=30,
            standards=3,
            assessment_id=f"{number}",
        )
    home.environment["MANUAL_CHANGES"] = ""
    with serving(district, Protocol(cap=10)) as server:
        home.point_at(server)
        succeeded(home.run(*BY_PAGE, "--illuminate-page-limit", "10"))
        ranges = {
            (r.params["date_taken_start"], r.params["date_taken_end"])
            for r in server.log
            if (r.endpoint, r.assessment_id) == ("standard", None) and r.params["limit"] != "1"
        }
    assert len(ranges) > 5
    assert all(one[1] < other[0] for one, other in itertools.pairwise(sorted(ranges)))


def test_each_endpoint_is_counted_while_the_catalogue_is_read(
    home: Workplace, listed: District, tables: dict[str, bytes]
) -> None:
    """And once more where that fails, when the number is needed."""
    with serving(listed, Protocol(latency_seconds=0.1)) as server:
        home.point_at(server)
        server.faults.add(Fault("status", 502, "standard", times=1))
        succeeded(home.run(*AUTO, "--today", "2024-07-02", "--illuminate-threads", "4"))
        sent = [(request.endpoint, is_count(request)) for request in results(server)]
    assert sorted(sent[:3]) == [(endpoint, True) for endpoint in sorted(ENDPOINTS)]
    counted = Counter(endpoint for endpoint, was_count in sent if was_count)
    assert counted == {"overall": 3, "standard": 2, "group": 1}
    assert was_by_page(home) == dict.fromkeys(ENDPOINTS, True)
    assert home.published() == tables


def test_what_is_compared_in_any_case_is_requested_before_the_next_endpoint_is_read(
    home: Workplace, listed: District
) -> None:
    """And is not requested again; and every request is counted by one step."""
    with serving(listed) as server:
        home.point_at(server)
        done = succeeded(home.run(*BY_PAGE, "--illuminate-sample", "0.3"))
        sent = results(server)
        assert f"requests    {len(server.log)}, " in done.stdout
    for endpoint in ("standard", "group"):
        mine = [r for r in sent if r.endpoint == endpoint and not is_count(r)]
        first_page = next(number for number, r in enumerate(mine) if r.assessment_id is None)
        assert first_page > 5
        ones = Counter(
            (r.assessment_id, r.page, r.params["limit"]) for r in mine if r.assessment_id
        )
        assert set(ones.values()) == {1}


# What servers may do with requests that name no assessment.

UNAVAILABLE = {
    "none": "it counts no results",
    "400": "the server answered 400",
    "401": "the server rejected two new tokens in a row (401)",
    "404": "the server answered 404",
    "html": "the server sent a web page instead of data",
}


@pytest.fixture(scope="module")
def listed() -> District:
    """A district that lists every assessment."""
    return District.make(size=replace(SMALL, unlisted=0))


@pytest.fixture
def home(place: Workplace, listed: District) -> Workplace:
    """The workplace with the inputs of that district."""
    use_inputs(place, listed)
    return place


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, listed: District) -> dict[str, bytes]:
    """What a run by assessment publishes of that district."""
    folder = tmp_path_factory.mktemp("by_assessment")
    workplace = Workplace(folder, {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")})
    use_inputs(workplace, listed)
    with serving(listed) as server:
        workplace.point_at(server)
        succeeded(workplace.run(*BY_ASSESSMENT))
        assert all(request.assessment_id or is_count(request) for request in results(server))
    return workplace.published()


@pytest.mark.parametrize("answer", UNAVAILABLE)
def test_a_server_that_cannot_do_this_is_asked_for_each_assessment(
    home: Workplace, listed: District, tables: dict[str, bytes], answer: Any
) -> None:
    with serving(listed, Protocol(without_assessment=WithoutAssessment(answer))) as server:
        home.point_at(server)
        done = succeeded(home.run(*AUTO))
    assert not any(was_by_page(home).values())
    for endpoint in ENDPOINTS:
        reason = step(home, endpoint)["not by page"]
        assert UNAVAILABLE[answer] in reason
        assert f"{endpoint} is fetched by assessment, not by page: {reason}" in done.stderr
        assert f"not by page {endpoint}: {reason}" in done.stdout
    assert f"requests    {len(server.log)}, " in done.stdout
    assert home.published() == tables


@pytest.mark.parametrize(
    ("how", "by_page"),
    [
        (WithoutAssessment(endpoints=("standard",)), {"standard"}),
        # It says that there are no results by group, and has some of each assessment.
        (WithoutAssessment(endpoints=("overall", "standard")), {"overall", "standard"}),
        (WithoutAssessment(dates="ignored"), set()),
        (WithoutAssessment(dates="current_year"), set()),
        (WithoutAssessment(without_dates="current_year"), {*ENDPOINTS}),
        (WithoutAssessment(cap=30), {*ENDPOINTS}),
        (WithoutAssessment(order="standard"), {*ENDPOINTS}),
        (WithoutAssessment(order="student", cap=50), {*ENDPOINTS}),
        # Of these two there are none without a date.
        (WithoutAssessment(undated_pass=True), {"standard", "group"}),
    ],
    ids=["one", "untrue", "dates", "year", "default", "cap", "standard", "student", "undated"],
)
def test_each_endpoint_is_fetched_by_page_where_the_server_can_do_that(
    home: Workplace,
    listed: District,
    tables: dict[str, bytes],
    how: WithoutAssessment,
    by_page: set[str],
) -> None:
    with serving(listed, Protocol(without_assessment=how)) as server:
        home.point_at(server)
        succeeded(home.run(*AUTO))
    assert {endpoint for endpoint, was in was_by_page(home).items() if was} == by_page
    assert home.published() == tables


def test_an_endpoint_without_results_costs_no_request_for_each_assessment(
    home: Workplace, listed: District
) -> None:
    """A district may have no reporting groups; what it has of some assessments is compared."""
    none = {"results": [], "num_results": 0, "num_pages": 0}
    with serving(listed) as server:
        home.point_at(server)
        server.faults.add(Fault("set_fields", none, "group"))
        succeeded(home.run(*AUTO))
        of_groups = [request for request in results(server) if request.endpoint == "group"]
    assert was_by_page(home) == dict.fromkeys(ENDPOINTS, True)
    assert len({request.assessment_id for request in of_groups}) <= LEAST_COMPARED + 1
    assert step(home, "group")["compared"] == LEAST_COMPARED


def test_results_without_a_date_that_every_range_has_are_published_once(
    home: Workplace, listed: District
) -> None:
    with serving(listed, Protocol(undated_pass=True)) as server:
        home.point_at(server)
        succeeded(home.run(*BY_ASSESSMENT))
        by_assessment = home.published()
        (home.data / "work").rename(home.data / "before")
        server.clear_log()
        succeeded(home.run(*BY_PAGE, "--illuminate-page-limit", "10"))
        assert len(requested_ranges(server, "overall")) > 1
    assert home.published() == by_assessment


def test_pages_in_an_order_of_their_own_publish_nothing_wrong(
    home: Workplace, listed: District, tables: dict[str, bytes]
) -> None:
    how = WithoutAssessment(order="unstable", cap=40)
    with serving(listed, Protocol(without_assessment=how)) as server:
        home.point_at(server)
        succeeded(home.run(*AUTO))
    assert home.published() == tables


def test_by_page_and_nothing_else_stops_the_run_if_the_server_cannot_do_that(
    home: Workplace, listed: District
) -> None:
    with serving(listed, Protocol(without_assessment=WithoutAssessment("404"))) as server:
        home.point_at(server)
        done = home.run(*BY_PAGE)
        assert done.returncode == 30
        assert "Set [illuminate] strategy=auto" in done.stdout
        assert not [request for request in results(server) if request.assessment_id]
    assert home.published() == {}


def test_one_assessment_that_differs_is_enough(
    home: Workplace, listed: District, tables: dict[str, bytes]
) -> None:
    """The largest lacks a row by page; the sample has it."""
    with serving(listed) as server:
        home.point_at(server)
        largest = max(
            listed.ids_with_results(YEAR),
            key=lambda i: len(listed.results("standard", i, YEAR.first_day, YEAR.last_day)),
        )
        point = Fault(
            "set_row_fields", {"points": "77"}, endpoint="standard", assessment_id=largest
        )
        server.faults.add(point)
        succeeded(home.run(*AUTO))
    assert was_by_page(home) == {"overall": True, "standard": False, "group": True}
    assert not (home.work / "ranges/standard").exists()
    assert f"assessment {largest} has" in step(home, "standard")["not by page"]


def test_assessments_that_the_catalogue_does_not_list_are_published(
    place: Workplace, district: District, server: Server
) -> None:
    hidden = district.unlisted_ids(YEAR)
    assert hidden
    done = succeeded(place.run(*AUTO))
    assert step(place, "overall")["unlisted"] == sorted(hidden)
    (path,) = place.data.glob("illuminate/23-24/assessment_results_combined*.csv")
    rows = read_csv(path)[1]
    for endpoint in ("overall", "standard"):
        sent = district.results(endpoint, None, YEAR.first_day, YEAR.last_day)  # type: ignore[arg-type]
        distinct = {tuple(row.items()) for row in sent}
        assert len([row for row in rows if row[1] == endpoint]) == len(distinct)
    named = ", ".join(sorted(hidden, key=int))
    assert (
        f"unlisted    {len(hidden)} assessments with results are not in the catalogue"
        in done.stdout
    )
    assert named in done.stdout
    head, rows = read_csv(path.parent / "assessment_labels.csv")
    assert head[-1] == "in_catalogue"
    assert {row[0]: row[-1] for row in rows if row[-1] != "t"} == dict.fromkeys(hidden, "f")
    labels = {row[0]: row for row in read_csv(path.parent / "assessment_labels.csv")[1]}
    titles = {str(row["assessment_id"]): row["title"] for row in district.results("overall")}
    assert {i: labels[i][1] for i in hidden} == {
        i: " ".join(str(titles[i]).split()) for i in hidden
    }
    server.clear_log()
    assert place.run(*AUTO).returncode in {0, 99}
    assert not results(server)


@pytest.mark.parametrize("today", ["2024-07-02", "2026-07-02"])  # before and after it settles
def test_by_assessment_it_is_said_how_many_results_are_not_fetched(
    place: Workplace, district: District, server: Server, today: str
) -> None:
    hidden, dates = district.unlisted_ids(YEAR), (YEAR.first_day, YEAR.last_day)
    rows = [len(district.results(e, i, *dates)) for e in ENDPOINTS for i in hidden]  # type: ignore[arg-type]
    by_assessment = succeeded(place.run(*BY_ASSESSMENT, "--today", today))
    assert f"not fetched {sum(rows):,} results are of assessments that are" in by_assessment.stdout
    (place.data / "work").rename(place.data / "before")
    assert "not fetched" not in succeeded(place.run(*AUTO, "--today", today)).stdout


def test_what_was_found_by_page_is_not_lost_on_a_day_when_that_does_not_work(
    place: Workplace, district: District, server: Server
) -> None:
    succeeded(place.run(*AUTO, "--today", "2024-07-02"))
    before = place.published()
    server.faults.add(Fault("status", 503, "standard", assessment_id=""))
    succeeded(place.run(*AUTO, "--today", "2024-07-03"))
    assert was_by_page(place) == {"overall": True, "standard": False, "group": True}
    assert step(place, "standard")["unlisted"] == sorted(district.unlisted_ids(YEAR))
    assert place.published() == before


def test_an_unlisted_assessment_can_be_excluded(
    place: Workplace, district: District, server: Server
) -> None:
    hidden = district.unlisted_ids(YEAR)[0]
    succeeded(place.run(*AUTO, "--illuminate-exclude-ids", hidden))
    (path,) = place.data.glob("illuminate/23-24/assessment_results_combined*.csv")
    assert hidden not in {row[2] for row in read_csv(path)[1]}


def test_a_lost_shard_costs_one_request(
    place: Workplace, district: District, server: Server
) -> None:
    succeeded(place.run(*AUTO))
    before = place.published()
    hidden = district.unlisted_ids(YEAR)[0]
    for lost in (hidden, next(i for i in district.ids_with_results(YEAR) if i != hidden)):
        (place.shards("overall") / f"{lost}.parquet").unlink()
        server.clear_log()
        assert place.run(*AUTO).returncode in {0, 99}
        assert {request.assessment_id for request in results(server)} == {lost}
        assert place.published() == before
        assert step(place, "overall")["unlisted"] == sorted(district.unlisted_ids(YEAR))


def test_a_killed_run_loses_only_the_ranges_in_progress(
    home: Workplace, listed: District, tables: dict[str, bytes]
) -> None:
    options = (*AUTO, "--illuminate-page-limit", "10", "--year", "23-24")
    parts = home.work / "ranges/standard/parts.jsonl"
    with serving(listed) as server:
        home.point_at(server)
        server.faults.add(Fault("silence", endpoint="standard", every=9, times=1))
        process = home.start_run(*options)
        wait_until(lambda: len(kept_ranges(parts)) > 3)
        process.kill()
        home.finish(process)
        server.faults.clear()
        kept = kept_ranges(parts)
        server.clear_log()
        succeeded(home.finish(home.start_run(*options)))
    assert requested_ranges(server, "standard")
    assert not requested_again(server, "standard", kept)
    assert not [r for r in results(server) if r.endpoint == "overall" and not is_count(r)]
    assert was_by_page(home) == dict.fromkeys(ENDPOINTS, True)
    assert home.published() == tables
    assert not home.leftovers()


def test_a_stopped_run_says_so_and_is_continued(
    home: Workplace, listed: District, tables: dict[str, bytes]
) -> None:
    options = (*AUTO, "--illuminate-page-limit", "10", "--year", "23-24")
    with serving(listed) as server:
        home.point_at(server)
        server.faults.add(Fault("silence", endpoint="standard", every=9, times=1))
        process = home.start_run(*options)
        wait_until(lambda: len(kept_ranges(home.work / "ranges/standard/parts.jsonl")) > 3)
        process.terminate()
        stopped = home.finish(process)
        server.faults.clear()
        assert "standard stopped; the ranges of dates that were read are kept" in stopped.stdout
        assert "not by page" not in stopped.stdout
        succeeded(home.finish(home.start_run(*options)))
    assert home.published() == tables


def requested_ranges(server: Server, endpoint: str) -> set[tuple[str, str]]:
    """Return the first and last day of each range that was requested."""
    return {
        (request.params["date_taken_start"], request.params["date_taken_end"])
        for request in results(server)
        if request.endpoint == endpoint and not request.assessment_id and not is_count(request)
    }


def requested_again(server: Server, endpoint: str, kept: list[list[str]]) -> set[tuple[str, str]]:
    """Return the ranges that were requested although days of theirs were kept."""
    requested = requested_ranges(server, endpoint)
    return {one for one in requested for start, end in kept if one[0] <= end and start <= one[1]}


def kept_ranges(parts: Path) -> list[list[str]]:
    """Return the first and last day of each range that is there, intact."""
    found = Manifest.read(parts)
    entries = found.shards if found else {}
    damaged = shards.find_damaged(parts.parent, entries)
    return [name.split("_") for name in entries if name not in damaged]


def test_ranges_that_fail_are_read_in_halves(
    home: Workplace, listed: District, tables: dict[str, bytes]
) -> None:
    """Second pages never come, so ranges are cut until each has one page."""
    with serving(listed) as server:
        home.point_at(server)
        server.faults.add(Fault("status", 503, endpoint="group", page=2))
        succeeded(home.run(*BY_PAGE, "--illuminate-page-limit", "150"))
        assert [request for request in results(server) if request.status == 503]
    assert was_by_page(home) == dict.fromkeys(ENDPOINTS, True)
    assert home.published() == tables


def test_a_first_run_of_the_demo_costs_few_requests(place: Workplace) -> None:
    """At most 8 % of three requests for each assessment."""
    district = District.make()
    use_inputs(place, district)
    with serving(district) as server:
        place.point_at(server)
        succeeded(place.run(*AUTO))
    assert was_by_page(place) == dict.fromkeys(ENDPOINTS, True)
    assert len(server.log) <= 0.08 * 3 * len({row["assessment_id"] for row in district.catalogue})
