"""By page, trouble in one night is said and not carried into the next."""

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.schema import ENDPOINTS
from pipeline.simulator import SMALL, District, Fault, Protocol, Server, WithoutAssessment, serving
from tests.functional.conftest import BY_ASSESSMENT, Workplace
from tests.functional.test_by_page import BY_PAGE, YEAR, results, step, succeeded, use_inputs
from tests.functional.test_nights import FIRST, SECOND, night, shards, work
from tests.functional.test_reruns import damage_without_trace

HALF_A_YEAR = dt.timedelta(days=183)


@pytest.fixture
def own(place: Workplace) -> Iterator[Server]:
    """A district of its own, which may change."""
    district = District.make(size=SMALL)
    use_inputs(place, district)
    with serving(district) as server:
        place.point_at(server)
        yield server


def change(district: District, edit: Any) -> None:
    """Let an edit be made to the results that the server has."""
    before = district.results

    def edited(endpoint: Any, assessment_id: Any = None, *dates: Any) -> list[Any]:
        return edit(before(endpoint, assessment_id, *dates), assessment_id)  # type: ignore[no-any-return]

    district.results = edited  # type: ignore[method-assign]
    district.version += 1


def test_an_unlisted_assessment_that_is_gone_is_named_by_the_guard(place: Workplace) -> None:
    """Where overall is fetched by page, and standard is not."""
    district = District.make(size=SMALL)
    use_inputs(place, district)
    protocol = Protocol(without_assessment=WithoutAssessment(endpoints=("overall",)))
    with serving(district, protocol) as server:
        place.point_at(server)
        succeeded(night(place, FIRST))
        gone = step(place, "overall")["unlisted"][0]
        change(district, lambda rows, _: [row for row in rows if row["assessment_id"] != gone])
        done = night(place, SECOND)
    assert done.returncode == 30
    assert f"(assessment {gone} had " in done.stdout
    assert "--publish-allow-shrink combined=" in done.stdout


def test_what_was_found_by_page_is_not_lost_where_by_assessment_is_chosen(
    place: Workplace, own: Server
) -> None:
    succeeded(night(place, FIRST))
    unlisted, published = step(place, "overall")["unlisted"], place.published()
    assert unlisted
    done = night(place, SECOND, *BY_ASSESSMENT)
    assert done.returncode in {0, 99}, done.stdout
    assert step(place, "overall")["unlisted"] == unlisted
    assert "not by page" not in done.stdout
    assert place.published().keys() == published.keys()


def test_a_damaged_overall_shard_heals_before_others_follow_its_days(
    place: Workplace, own: Server
) -> None:
    succeeded(night(place, FIRST))
    (work(place, FIRST) / "scores-standard.jsonl").unlink()
    overall = {n: p for n, p in shards(place, FIRST).items() if n.startswith("overall/")}
    damage_without_trace(max(overall.values(), key=lambda path: path.stat().st_size))
    done = night(place, FIRST, "--illuminate-page-limit", "5")  # so that there are several ranges
    assert done.returncode == 30
    assert "The overall shard of assessment" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert night(place, FIRST).returncode in {0, 99}


def test_a_correction_while_a_year_is_read_stops_no_later_run(place: Workplace) -> None:
    district = District.make(size=replace(SMALL, unlisted=0))
    use_inputs(place, district)
    overall = district.results("overall", None, YEAR.first_day, YEAR.first_day + HALF_A_YEAR)
    ((largest, _),) = Counter(row["assessment_id"] for row in overall).most_common(1)
    old = next(row for row in overall if row["assessment_id"] == largest)
    corrected = False

    def correct(rows: list[Any], assessment_id: str | None) -> list[Any]:
        """By assessment, which is requested after the ranges, the new score is there."""
        nonlocal corrected
        if assessment_id and not corrected:
            corrected, district.version = True, district.version + 1
        return [{**row, "points": "0.125"} if corrected and row == old else row for row in rows]

    change(district, correct)
    everything = (*BY_PAGE, "--illuminate-sample", "1")
    with serving(district) as server:
        place.point_at(server)
        done = night(place, FIRST, *everything)
        assert done.returncode == 30
        assert "other rows by page" in done.stdout
        succeeded(night(place, FIRST, *everything))


def test_a_server_that_is_away_is_not_called_one_that_cannot_do_this(
    place: Workplace, own: Server
) -> None:
    requested = itertools.count(1)

    def go_away(rows: list[Any], _: str | None) -> list[Any]:
        """After each endpoint was counted, while the catalogue was read."""
        if next(requested) > len(ENDPOINTS):
            own.faults.add(Fault("status", 503))
        return rows

    change(own.district, go_away)
    done = night(place, FIRST)
    assert done.returncode == 30
    assert "overall could not be read: the server answered 503" in done.stdout
    assert "by assessment, not by page" not in done.stderr
    assert not [request for request in results(own) if request.assessment_id]
    assert f"  requests    {len(own.log)}, " in done.stdout
