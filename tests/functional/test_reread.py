"""With `reread_days`, a night reads again what is recent, what changed, and a part of the rest."""

import datetime as dt
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.extract.manifest import Manifest
from pipeline.schema import ENDPOINTS
from pipeline.simulator import SMALL, District, Protocol, Server, serving
from tests.functional.conftest import Workplace
from tests.functional.test_by_page import kept_ranges, results, step, use_inputs
from tests.functional.test_failures import wait_until
from tests.functional.test_nights import FIRST, SECOND, THIRD, night, start_night, work
from tests.functional.test_reruns import damage_without_trace
from tests.helpers import read_csv

DAYS = 14
# Pages of five rows make many ranges of a small district.
ALL = ("--illuminate-strategy", "by_page", "--illuminate-page-limit", "5")
SOME = (*ALL, "--illuminate-reread-days", str(DAYS))
OLD = dt.date(2023, 10, 1), dt.date(2024, 3, 1)
"""Days that no night reads as recent."""


@pytest.fixture
def own(place: Workplace) -> Iterator[Server]:
    """A district of its own, which may change, and whose catalogue lists every assessment."""
    district = District.make(size=replace(SMALL, unlisted=0))
    use_inputs(place, district)
    with serving(district) as server:
        place.point_at(server)
        yield server


def succeeded(done: "subprocess.CompletedProcess[str]") -> "subprocess.CompletedProcess[str]":
    assert done.returncode in {0, 99}, done.stdout + done.stderr
    return done


def parts(place: Workplace, day: str, endpoint: str = "standard") -> Path:
    return work(place, day) / "ranges" / endpoint


def linked(place: Workplace, day: str, before: str, endpoint: str = "standard") -> set[str]:
    """Return the ranges that two days share on the disk."""
    here, there = parts(place, day, endpoint), parts(place, before, endpoint)
    found = (path for path in here.glob("*.parquet") if (there / path.name).exists())
    return {path.stem for path in found if path.samefile(there / path.name)}


def pages(server: Server, endpoint: str) -> list[tuple[str, str]]:
    """Return the dates of all pages that were requested of all assessments together."""
    return [
        (request.params["date_taken_start"], request.params["date_taken_end"])
        for request in results(server)
        if request.endpoint == endpoint and not request.assessment_id
        if request.params["limit"] != "1"
    ]


def was_read(server: Server, day: str) -> bool:
    return any(first <= day <= last for first, last in pages(server, "overall"))


def old_row(district: District) -> Any:
    """Return an overall result of long ago."""
    return district.results("overall", None, *OLD)[-1]


def change(district: District, edit: Callable[[list[Any]], list[Any]]) -> None:
    """Let an edit be made to the overall results that the server has."""
    before = district.results

    def edited(endpoint: Any, assessment_id: Any = None, *dates: Any) -> list[Any]:
        rows = before(endpoint, assessment_id, *dates)
        return edit(rows) if endpoint == "overall" else rows

    district.results = edited  # type: ignore[method-assign]
    district.version += 1


def correct(district: District, row: Any) -> None:
    """Change the points of one result, and no count."""
    change(district, lambda rows: [{**r, "points": "0.125"} if r == row else r for r in rows])


def has_correction(place: Workplace) -> bool:
    (path,) = (place.data / "illuminate/23-24").glob("assessment_results_combined*.csv")
    return any("0.125" in row for row in read_csv(path)[1])


def test_a_night_reads_few_ranges_and_publishes_the_same_as_by_assessment(
    place: Workplace, own: Server
) -> None:
    first = succeeded(night(place, FIRST, *SOME))
    assert "not reread" not in first.stdout
    before = {endpoint: len(pages(own, endpoint)) for endpoint in ENDPOINTS}
    own.clear_log()
    done = night(place, SECOND, *SOME)
    assert done.returncode == 99, done.stdout
    for endpoint in ENDPOINTS:
        ranges = len(kept_ranges(parts(place, SECOND, endpoint) / "parts.jsonl"))
        facts = step(place, endpoint)["not reread"]
        assert facts == {"ranges": facts["ranges"], "of": ranges, "since": FIRST}
        text = f"{facts['ranges']} of {ranges} ranges of dates, last read on {FIRST} or later"
        assert f"  not reread  {endpoint}: {text}" in done.stdout
        assert linked(place, SECOND, FIRST, endpoint)
        assert 0 < len(pages(own, endpoint)) < before[endpoint]
    assert sum(len(pages(own, endpoint)) for endpoint in ENDPOINTS) < sum(before.values()) / 2
    published = place.published()
    (place.data / "work").rename(place.data / "before")
    succeeded(night(place, SECOND, "--illuminate-strategy", "by_assessment"))
    assert place.published() == published


def test_a_range_whose_count_changed_is_read_the_same_night(place: Workplace, own: Server) -> None:
    succeeded(night(place, FIRST, *SOME))
    row = old_row(own.district)
    change(own.district, lambda rows: rows + [{**row, "points": "0.125"}] * (row in rows))
    own.clear_log()
    succeeded(night(place, SECOND, *SOME))
    assert was_read(own, row["date_taken"])
    assert has_correction(place)
    assert "not reread" in step(place, "overall")


def test_a_correction_that_changes_no_count_is_seen_within_a_week(
    place: Workplace, own: Server
) -> None:
    succeeded(night(place, FIRST, *SOME))
    correct(own.district, old_row(own.district))
    day, seen = dt.date.fromisoformat(FIRST), []
    for _ in range(7):
        day += dt.timedelta(days=1)
        succeeded(night(place, str(day), *SOME))
        seen.append(has_correction(place))
    assert seen[-1]
    assert seen == sorted(seen)


def test_without_the_setting_it_is_seen_the_same_night_and_from_then_on(
    place: Workplace, own: Server
) -> None:
    """No range is kept that night, and the next takes none from the night before it."""
    succeeded(night(place, FIRST, *SOME))
    correct(own.district, old_row(own.district))
    succeeded(night(place, SECOND, *ALL))
    assert has_correction(place)
    assert not [*work(place, SECOND).rglob("parts.jsonl")]
    succeeded(night(place, THIRD, *SOME, "--years-keep-snapshots", "1"))
    assert has_correction(place)
    assert "not reread" not in step(place, "overall")
    found = {*(place.data / "work").rglob("parts.jsonl")}
    assert found == {parts(place, THIRD, endpoint) / "parts.jsonl" for endpoint in ENDPOINTS}


def test_a_correction_that_the_comparison_finds_makes_everything_be_read(
    place: Workplace, own: Server
) -> None:
    """The server is not to blame: neither is it fetched by assessment, nor does the run stop."""
    succeeded(night(place, FIRST, *SOME))
    row = old_row(own.district)
    correct(own.district, row)
    done = succeeded(night(place, SECOND, *SOME, "--illuminate-sample", "1"))
    assert has_correction(place)
    assert (
        f"overall: all ranges are read again: assessment {row['assessment_id']} has" in done.stderr
    )
    assert not linked(place, SECOND, FIRST, "overall")
    assert "not reread" not in step(place, "overall")
    assert "not reread" in step(place, "standard")


def test_a_damaged_range_is_read_again(place: Workplace, own: Server) -> None:
    succeeded(night(place, FIRST, *SOME))
    published = place.published()
    victim = max(parts(place, FIRST).glob("*.parquet"), key=lambda path: path.stem < str(OLD[1]))
    damage_without_trace(victim)
    assert night(place, SECOND, *SOME).returncode == 99
    assert linked(place, SECOND, FIRST)
    assert victim.stem not in linked(place, SECOND, FIRST)
    assert place.published() == published


def test_a_night_that_was_killed_goes_on(place: Workplace, own: Server) -> None:
    manifest = parts(place, SECOND) / "parts.jsonl"

    def read_tonight() -> set[str]:
        found = Manifest.read(manifest)
        entries = found.shards.items() if found else ()
        return {name for name, entry in entries if str(entry.read_on) == SECOND}

    with serving(own.district, Protocol(latency_seconds=0.01)) as slow:
        place.point_at(slow)
        succeeded(night(place, FIRST, *SOME))
        published = place.published()
        process = start_night(place, SECOND, *SOME)
        wait_until(lambda: bool(read_tonight()))
        process.kill()
        place.finish(process)
        before, kept = read_tonight(), linked(place, SECOND, FIRST)
        slow.clear_log()
        succeeded(night(place, SECOND, *SOME))
    assert kept
    assert linked(place, SECOND, FIRST) == kept
    assert not before & {"_".join(dates) for dates in pages(slow, "standard")}
    assert step(place, "standard")["not reread"]["since"] == FIRST
    assert place.published() == published
    assert not place.leftovers()


def test_after_a_shard_was_fetched_alone_everything_is_read(place: Workplace, own: Server) -> None:
    """It may have a correction that its range has not, and that must not be lost again."""
    succeeded(night(place, FIRST, *SOME))
    succeeded(night(place, SECOND, *SOME))
    facts = step(place, "overall")["not reread"]
    row = old_row(own.district)
    correct(own.district, row)
    (work(place, SECOND) / "shards" / "overall" / f"{row['assessment_id']}.parquet").unlink()
    succeeded(night(place, SECOND, *SOME))
    assert step(place, "overall")["not reread"] == facts
    assert has_correction(place)
    succeeded(night(place, THIRD, *SOME))
    assert has_correction(place)
    assert "not reread" not in step(place, "overall")
    assert "not reread" in step(place, "standard")


def test_a_year_that_is_forgotten_is_read_again(place: Workplace, own: Server) -> None:
    """Nothing is taken from the snapshots that stay."""
    succeeded(night(place, FIRST, *SOME))
    succeeded(night(place, SECOND, *SOME))
    assert place.look("forget", "--year", "23-24", "--as-of", SECOND).returncode == 0
    assert "not reread" not in succeeded(night(place, SECOND, *SOME)).stdout
    assert not any("not reread" in step(place, endpoint) for endpoint in ENDPOINTS)


def test_a_settled_year_keeps_no_range(place: Workplace, own: Server) -> None:
    succeeded(night(place, "2024-07-02", *SOME, "--as-of", "2024-06-30"))
    assert [*place.work.parent.rglob("parts.jsonl")]
    succeeded(place.run(*SOME))
    assert "not reread" not in step(place, "overall")
    assert not [*place.work.rglob("parts.jsonl")]


def test_days_below_none_are_refused_before_any_request(place: Workplace, own: Server) -> None:
    done = night(place, FIRST, *ALL, "--illuminate-reread-days", "-1")
    assert done.returncode == 30
    assert "[illuminate] reread_days cannot be read (-1 is less than 0); " in done.stderr
    assert own.log == []
