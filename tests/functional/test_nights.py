"""A new day reuses what did not change: shards and tables are links, and the exit code says so."""

import json
import stat
import subprocess
import sys
from pathlib import Path

from pipeline.simulator import SMALL, District, Server, serving
from pipeline.years import SchoolYear
from tests.functional.conftest import BY_ASSESSMENT, Workplace
from tests.functional.test_reruns import damage_without_trace, newest_record, requested_shards

FIRST, SECOND, THIRD = "2024-06-10", "2024-06-11", "2024-06-12"
YEAR = SchoolYear(2023)
TABLES = (
    "assessment_results_combined_historical.parquet",
    "illuminate_assessment_results_historical.csv",
    "assessment_labels.csv",
    "assessments_metadata.csv",
)


def night(place: Workplace, day: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return place.finish(start_night(place, day, *options))


def start_night(place: Workplace, day: str, *options: str) -> "subprocess.Popen[str]":
    quick = ("--illuminate-max-backoff", "0.01", "--report-enabled", "false")
    command = (sys.executable, "-m", "pipeline", "run", "RunAll", "--year", str(YEAR))
    return place.start(*command, *quick, "--as-of", day, "--today", day, *options)


def work(place: Workplace, day: str) -> Path:
    return place.data / "work" / "23-24" / day


def shards(place: Workplace, day: str) -> dict[str, Path]:
    folder = work(place, day) / "shards"
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.parquet")}


def everything(place: Workplace, day: str) -> dict[str, Path]:
    """Return the shards and tables of a day."""
    return shards(place, day) | {p.name: p for p in (work(place, day) / "results").iterdir()}


def shared(place: Workplace, one: str, other: str) -> set[str]:
    """Return the shards and tables of two days that are one file."""
    found, others = everything(place, one), everything(place, other)
    return {name for name in found.keys() & others if found[name].samefile(others[name])}


def inode(path: Path) -> int:
    return path.stat().st_ino


def about(place: Workplace) -> dict[str, str]:
    published = json.loads((place.data / "illuminate/23-24/published.json").read_bytes())
    known: dict[str, str] = published["about"]
    return known


def test_a_night_with_nothing_new_links_what_the_day_before_has(
    place: Workplace, own: Server
) -> None:
    """Everything is requested again, no table and no shard is written, and it exits 99."""
    assert night(place, FIRST).returncode == 0
    published = place.published()
    inodes = {path: inode(path) for path in (place.data / "illuminate/23-24").glob("*.csv")}
    own.clear_log()
    done = night(place, SECOND)
    assert done.returncode == 99, done.stdout + done.stderr
    assert "published again; every table is as it was" in done.stdout
    assert f"fetched     on {SECOND}" in done.stdout
    of_all = {kind for kind, i in requested_shards(own) if i is None}
    assert of_all == {"overall", "standard", "group"}
    assert shared(place, FIRST, SECOND) == everything(place, SECOND).keys()
    assert everything(place, SECOND).keys() > set(TABLES)
    written = [s for path in work(place, SECOND).rglob("*") if (s := path.stat()).st_nlink == 1]
    assert sum(s.st_size for s in written if stat.S_ISREG(s.st_mode)) < 200_000
    assert place.published() == published
    assert {path: inode(path) for path in inodes} == inodes
    assert (about(place)["as_of"], about(place)["fetched_on"]) == (SECOND, SECOND)
    assert '"reused from": "2024-06-10"' in newest_record(place)
    own.clear_log()
    assert night(place, SECOND).returncode == 99
    assert not own.log


def test_a_night_by_assessment_links_the_same(place: Workplace, own: Server) -> None:
    assert night(place, FIRST, *BY_ASSESSMENT).returncode == 0
    before = requested_shards(own)
    own.clear_log()
    assert night(place, SECOND, *BY_ASSESSMENT).returncode == 99
    assert {i for kind, i in requested_shards(own) if kind == "overall"} == {
        i for kind, i in before if kind == "overall"
    }
    assert shards(place, SECOND)
    assert shared(place, FIRST, SECOND) == everything(place, SECOND).keys()


def test_after_one_change_only_its_shards_are_new_and_tables_are_built(
    place: Workplace, own: Server
) -> None:
    assert night(place, FIRST).returncode == 0
    added = own.district.add_assessment("Gr 5 Math Unit 1", year=YEAR, students=9, standards=2)
    done = night(place, SECOND)
    assert done.returncode == 0, done.stdout
    assert "published." in done.stdout
    new = shards(place, SECOND).keys() - shared(place, FIRST, SECOND)
    assert new == {f"{kind}/{added}.parquet" for kind in ("overall", "standard", "group")}
    assert not set(TABLES) & shared(place, FIRST, SECOND)
    assert (work(place, SECOND) / "roster.csv").samefile(work(place, FIRST) / "roster.csv")
    assert added in (place.data / "illuminate/23-24/assessment_labels.csv").read_text("utf-8")


def test_what_was_damaged_or_cannot_be_linked_is_written_again(
    place: Workplace, own: Server
) -> None:
    """Also where size and time are as they were: each byte is compared before it is linked."""
    assert night(place, FIRST).returncode == 0
    published = place.published()
    victim = max(shards(place, FIRST).values(), key=lambda path: path.stat().st_size)
    table = work(place, FIRST) / "results" / TABLES[0]
    closed = work(place, FIRST) / "results" / TABLES[2]
    for path in (victim, table):
        damage_without_trace(path)
        path.chmod(0o600)
    closed.chmod(0o666)
    assert night(place, SECOND).returncode == 99
    written = {f"{victim.parent.name}/{victim.name}", TABLES[0], TABLES[2]}
    assert everything(place, SECOND).keys() - shared(place, FIRST, SECOND) >= written
    assert stat.S_IMODE((work(place, SECOND) / "results" / TABLES[2]).stat().st_mode) == 0o600
    assert place.published() == published
    assert place.look("verify", "--year", "23-24", "--as-of", SECOND).returncode == 0


def test_nothing_is_taken_from_another_source(place: Workplace, own: Server) -> None:
    """Not even where it has the same bytes."""
    assert night(place, FIRST).returncode == 0
    with serving(District.make(size=SMALL)) as other:
        place.point_at(other)
        allowed = ("--publish-replace-source", about(place)["source"])
        done = night(place, SECOND, *allowed)
    assert done.returncode in {0, 99}, done.stdout + done.stderr
    assert shards(place, SECOND).keys() == shards(place, FIRST).keys()
    assert shared(place, FIRST, SECOND) == set()


def test_a_night_after_one_that_was_killed_takes_what_either_day_has(
    place: Workplace, own: Server
) -> None:
    """The day between has shards and no tables."""
    assert night(place, FIRST).returncode == 0
    fetch = (sys.executable, "-m", "pipeline", "run", "FetchAllScores", "--year", str(YEAR))
    done = place.finish(place.start(*fetch, "--as-of", SECOND, "--today", SECOND))
    assert done.returncode == 0, done.stdout + done.stderr
    assert night(place, THIRD).returncode == 99
    assert set(TABLES) <= shared(place, FIRST, THIRD)
    assert shards(place, THIRD).keys() <= shared(place, FIRST, THIRD)


def test_the_report_says_from_when_the_data_are_and_what_is_loaded_stays(
    place: Workplace, own: Server
) -> None:
    report = ("--report-enabled", "true")
    assert night(place, FIRST, *report).returncode == 0
    assert place.look("load", "--year", "23-24").returncode == 0
    assert night(place, SECOND, *report).returncode == 99
    assert f"as of {SECOND}" in (place.data / "reports" / "23-24.html").read_text("utf-8")
    assert "is already in" in place.look("load", "--year", "23-24").stdout
