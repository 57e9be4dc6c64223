"""As few requests as possible: assessments without overall results are skipped, but for a few."""

from collections import Counter, defaultdict

import pytest

from pipeline.extract.request_plan import LEAST_SAMPLE
from pipeline.simulator import District, Fault, Protocol, Server, serving
from pipeline.years import SchoolYear
from tests.functional import oracle
from tests.functional.conftest import Workplace
from tests.functional.test_reruns import requested_shards
from tests.helpers import is_count, read_csv

pytestmark = pytest.mark.usefixtures("by_assessment")

YEAR = SchoolYear(2023)
OTHERS = ("standard", "group")


@pytest.fixture
def with_results(district: District) -> set[str]:
    """The assessments of the catalogue that have overall results."""
    known = set(oracle.catalogue_ids(district))
    dates = (YEAR.first_day, YEAR.last_day)
    return {i for i in known if district.results("overall", i, *dates)}


def by_endpoint(server: Server) -> dict[str, set[str]]:
    found = defaultdict(set)
    for endpoint, assessment_id in requested_shards(server):
        found[endpoint].add(assessment_id or "")
    return found


def combined_rows(place: Workplace) -> list[list[str]]:
    (path,) = place.data.glob("illuminate/23-24/assessment_results_combined*.csv")
    return read_csv(path)[1]


def test_standard_and_group_are_fetched_where_overall_has_rows_and_for_a_sample(
    place: Workplace, server: Server, district: District, with_results: set[str]
) -> None:
    done = place.run()
    assert done.returncode == 0
    ids, found = set(oracle.catalogue_ids(district)), by_endpoint(server)
    assert found["overall"] == ids
    for endpoint in OTHERS:
        assert found[endpoint] >= with_results
        assert len(found[endpoint] - with_results) == LEAST_SAMPLE
    spared = 2 * (len(ids - with_results) - LEAST_SAMPLE)
    assert spared > 0
    assert f"skipped     {spared} standard or group shards" in done.stdout
    assert found["standard"] != found["group"]  # not always the same ones


def test_the_same_sample_is_taken_again(place: Workplace, server: Server) -> None:
    assert place.run().returncode == 0
    first = by_endpoint(server)
    for endpoint in ("overall", *OTHERS):
        place.manifest(endpoint).unlink()
    server.clear_log()
    assert place.run().returncode == 0
    assert by_endpoint(server) == first


@pytest.mark.parametrize("endpoint", OTHERS)
def test_a_sample_that_has_rows_stops_the_run_and_everything_can_be_fetched(
    place: Workplace,
    server: Server,
    with_results: set[str],
    undisturbed: dict[str, bytes],
    endpoint: str,
) -> None:
    """An assessment is in the sample although it has rows: overall is made to deny them."""
    rows = server.district.results
    victims = sorted(i for i in with_results if rows(endpoint, i, YEAR.first_day, YEAR.last_day))
    for victim in victims:
        server.faults.add(Fault("empty_catalogue", endpoint="overall", assessment_id=victim))
    done = place.run()
    assert done.returncode == 30
    assert f"assessments without overall rows have none by {endpoint}" in done.stdout
    assert "set [illuminate] fetch_all=true, then run the same command again" in done.stdout
    assert any(victim in done.stdout for victim in victims)
    assert place.published() == {}

    server.clear_log()
    done = place.run("--illuminate-fetch-all")
    assert done.returncode == 0, done.stdout
    assert by_endpoint(server)["overall"] == set()
    assert "skipped" not in done.stdout
    group = "23-24/assessment_results_group_historical.csv"
    assert place.published()[group] == undisturbed[group]


def test_fetch_all_skips_nothing(
    place: Workplace, server: Server, district: District, undisturbed: dict[str, bytes]
) -> None:
    assert place.run("--illuminate-fetch-all").returncode == 0
    every = set(oracle.catalogue_ids(district))
    assert by_endpoint(server) == dict.fromkeys(("overall", *OTHERS), every)
    assert place.published() == undisturbed


def test_a_larger_sample_can_be_taken(
    place: Workplace, server: Server, district: District, undisturbed: dict[str, bytes]
) -> None:
    assert place.run("--illuminate-sample", "1").returncode == 0
    every = set(oracle.catalogue_ids(district))
    assert by_endpoint(server) == dict.fromkeys(("overall", *OTHERS), every)
    assert place.published() == undisturbed


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan"])
def test_a_sample_that_is_no_part_is_refused(place: Workplace, server: Server, share: str) -> None:
    done = place.run(f"--illuminate-sample={share}")
    assert done.returncode == 30
    assert "sample" in done.stderr
    assert by_endpoint(server).keys() <= {"overall"}


def test_the_largest_are_fetched_first(place: Workplace, server: Server) -> None:
    """By standard in the order of what overall had."""
    assert place.run("--illuminate-threads", "1").returncode == 0
    overall = Counter(row[2] for row in combined_rows(place) if row[1] == "overall")
    in_turn = dict.fromkeys(
        r.assessment_id for r in server.log if r.endpoint == "standard" and not is_count(r)
    )
    sizes = [overall[assessment_id or ""] for assessment_id in in_turn]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] == 0


def test_the_largest_of_last_time_are_fetched_first(place: Workplace, server: Server) -> None:
    assert place.run("--as-of", "2024-01-31").returncode == 0
    before = Counter(row[2] for row in combined_rows(place))
    server.clear_log()
    assert place.run("--illuminate-threads", "1").returncode == 0
    sizes = [
        before[r.assessment_id or ""]
        for r in server.log
        if r.endpoint == "overall" and not is_count(r)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] == 0


def test_one_connection_per_thread_and_no_more(place: Workplace, district: District) -> None:
    """They are kept from the catalogue to the last shard."""
    with serving(district, Protocol(latency_seconds=0.002)) as server:
        place.point_at(server)
        assert place.run("--illuminate-threads", "3").returncode == 0
        assert len({request.connection for request in server.log}) <= 3
        assert len(server.log) > 60
