"""Old snapshots and run records are removed once a set is published, and never what is in use."""

import json
from pathlib import Path

import pytest

from pipeline.simulator import Fault, Server
from tests.functional.conftest import Workplace

DAY = "2024-03-05"
OLDER = ("2024-03-04", "2024-03-03", "2024-03-02", "2024-03-01")


@pytest.fixture
def year(place: Workplace) -> Path:
    """The folder of a year that has snapshots of days before and after."""
    folder = place.data / "work" / "23-24"
    for name in (*OLDER, "2024-03-09"):
        (folder / name).mkdir(parents=True)
        (folder / name / "metadata.json").write_bytes(b"x" * (1 << 20))
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_once_a_set_is_published_older_snapshots_are_removed(place: Workplace, year: Path) -> None:
    """So is what a killed run left of one; a newer snapshot may be resumed."""
    (year / ".2024-02-28.removed" / "shards").mkdir(parents=True)
    (place.data / "work" / "22-23" / "2023-06-30").mkdir(parents=True)
    done = place.run("--today", DAY)
    assert done.returncode == 0
    assert names(year) == {"2024-03-09", DAY, "2024-03-04", "2024-03-03"}
    assert "23-24: removed old snapshots: 2024-03-02, 2024-03-01" in done.stderr
    assert names(place.data / "work" / "22-23") == {"2023-06-30"}, "only of a year that is run"

    assert place.run("--today", DAY, "--years-keep-snapshots", "1").returncode == 0
    assert names(year) == {"2024-03-09", DAY}, "also where nothing new was published"


def test_a_run_that_publishes_nothing_removes_nothing(
    place: Workplace, year: Path, server: Server
) -> None:
    server.faults.add(Fault("status", endpoint="overall", value=403))
    assert place.run("--today", DAY).returncode == 30
    assert names(year) == {"2024-03-09", DAY, *OLDER}


def test_a_snapshot_that_cannot_be_removed_fails_nothing(place: Workplace, year: Path) -> None:
    (year / "2024-02-28").write_text("no folder", encoding="utf-8")
    (year / "2024-02-27").mkdir()
    done = place.run("--today", DAY)
    assert done.returncode == 0
    assert "2024-02-28.removed cannot be removed: Not a directory" in done.stderr
    assert names(year) == {"2024-03-09", DAY, *OLDER[:2], ".2024-02-28.removed"}


def test_the_newest_records_of_each_year_are_kept(place: Workplace) -> None:
    runs = place.data / "runs"
    runs.mkdir(parents=True)
    of_year = [f"2024010{n}T000000.000000Z-7-23-24.json" for n in range(1, 6)]
    others = {"20240101T000000.000000Z-7-22-23.json", "20240101T000000.000000Z-7-all.json"}
    for name in (*of_year, *others, "notes-23-24.json"):
        (runs / name).write_text("{}", encoding="utf-8")
    assert place.run("--today", DAY, "--runs-keep", "3").returncode == 0
    own = json.loads((runs / "latest.json").read_bytes())["run"]
    kept = {f"{own}-23-24.json", *of_year[-2:]}
    assert names(runs) == {*kept, *others, "notes-23-24.json", "latest.json", "acknowledged.json"}


@pytest.mark.parametrize(
    ("option", "setting"),
    [("--years-keep-snapshots", "[years] keep_snapshots"), ("--runs-keep", "[runs] keep")],
)
def test_keeping_nothing_is_refused_before_any_request(
    place: Workplace, server: Server, option: str, setting: str
) -> None:
    done = place.run(option, "0")
    assert done.returncode == 30
    assert f"{setting} cannot be read (0 is less than 1); " in done.stderr
    assert server.log == []


def test_clean_snapshots_removes_all_but_those_that_are_published(
    place: Workplace, year: Path
) -> None:
    """That of an older day, too, if it is what was published last."""
    assert place.run("--today", "2024-07-02").returncode == 0
    finished = "2024-06-30-on-2024-07-02"
    assert finished in names(year)
    assert place.look("clean-snapshots", "--year", "22-23").returncode == 0
    before = names(year)
    done = place.look("clean-snapshots")
    assert done.returncode == 0, done.stderr
    assert names(year) == {finished}
    assert f"{len(before) - 1} snapshots removed" in done.stdout

    for name in OLDER:
        (year / name).mkdir()
    assert place.run("--as-of", "2024-02-29", "--checks-shrink-tolerance", "1").returncode == 0
    assert place.look("clean-snapshots", "--year", "23-24").returncode == 0
    assert names(year) == {"2024-02-29"}
    assert place.look("status", "--year", "23-24", "--as-of", "2024-02-29").returncode == 0


def test_status_and_doctor_show_the_size_of_work(place: Workplace, year: Path) -> None:
    text = place.look("status", "--year", "23-24").stdout
    assert "  work/                 5.0 MiB, all years and days together" in text
    state = json.loads(place.look("status", "--year", "23-24", "--json").stdout)
    assert state["work_size"] == "5.0 MiB"
    assert "whose work/ has 5.0 MiB" in place.look("doctor").stdout
