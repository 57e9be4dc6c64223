"""The benchmark of many districts: what it compares, and its arithmetic."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bench import RowsError
from benchmarks.state import workers
from benchmarks.state.place import Listed, StatePlace, check_equal
from benchmarks.state.sizing import Figures, Night, computing_of, requests_of
from benchmarks.trial import TrialError

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
FIGURES = Figures(staging=1e-6, folder=500, delta=20, rows=2, overhead=0.01)
NIGHT = Night(300, 10_000, 300_000, 20)

linux = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


def measured(section: str) -> list[list[float]]:
    """The figures of a section of the page, line by line."""
    found = PAGE.partition(f"<!-- {section}: ")[2].partition("<!-- end")[0]
    lines = re.findall(r"^\| ([\d,]+ \|.*) \|$", found, re.MULTILINE)
    return [[float(cell.replace(",", "")) for cell in line.split(" | ")] for line in lines]


def test_the_arithmetic_is_that_of_what_was_measured():
    sizes = [(row[0], row[1], row[2], row[3]) for row in measured("growth")]
    assessments = {999_911: 1_000, 2_999_957: 3_000, 10_000_056: 10_000}
    sizes += [(assessments[int(r[0])], r[0], r[1], r[2] + r[5]) for r in measured("memory")]
    assert len(sizes) == 6
    for listed, rows, requests, seconds in sizes:
        assert requests_of(int(listed), int(rows)) == pytest.approx(requests, rel=0.12)
        assert computing_of(int(listed), int(rows)) == pytest.approx(seconds, rel=0.2)


def test_a_night_is_as_long_as_what_its_workers_do_in_a_row():
    district = NIGHT.waiting + NIGHT.computing + 0.3
    assert NIGHT.waiting == pytest.approx(NIGHT.requests * 0.3 / 10)
    assert NIGHT.hours(FIGURES) * 3600 == pytest.approx(15 * district + 300 * 0.01)
    assert replace(NIGHT, districts=301).hours(FIGURES) * 3600 > 16 * district
    assert NIGHT.limit(FIGURES) == "latency"
    assert replace(NIGHT, latency=0.01).limit(FIGURES) == "processors"


def test_a_rate_of_requests_is_waited_for_where_it_is_the_slowest():
    slow = replace(NIGHT, rate=5)
    assert slow.waiting == NIGHT.requests / 5
    assert slow.limit(FIGURES) == "the rate of requests"
    assert replace(NIGHT, rate=1000).waiting == NIGHT.waiting


@pytest.mark.parametrize(
    "found", [{}, {"a": "1"}, {"a": "1", "b": "3"}, {"a": "1", "b": "2", "c": "1"}]
)
def test_other_tables_end_the_benchmark(found):
    wanted = {"a": "1", "b": "2"}
    check_equal("somebody", wanted, wanted)
    with pytest.raises(RowsError, match="somebody published others: "):
        check_equal("somebody", found, wanted)
    with pytest.raises(RowsError, match="has published nothing"):
        check_equal("somebody", {}, {})


@linux
def test_what_was_started_ends_with_the_block_and_says_why_it_failed(tmp_path):
    place = StatePlace.make(tmp_path, [Listed("one", "http://127.0.0.1:9/live", tmp_path / "r")])
    with workers.Processes(place) as processes:
        sleeping = processes.start(sys.executable, "-c", "import time; time.sleep(60)")
        assert workers.children_of(os.getpid()).count(sleeping.pid) == 1
        assert workers.memory(sleeping) > 0
        processes.finish(processes.start(sys.executable, "-c", "raise SystemExit(25)"))
        with pytest.raises(TrialError, match="ended with 3:\nlast words"):
            processes.finish(
                processes.start(sys.executable, "-c", "print('last words'); raise SystemExit(3)")
            )
    assert sleeping.returncode == -9
    assert not workers.is_alive(sleeping.pid)


@linux
def test_districts_in_turn_on_dask_and_on_luigid_publish_the_same(tmp_path):
    """With a worker killed; and the arithmetic is printed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "state", "--short", "--folder", tmp_path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    for words in (
        "one after the other",
        "Dask, 2 workers",
        "luigid, 2 workers",
        "A killed worker",
        "A district of 2,001 results in a state run",
        "idle scheduler, MB",
        "300 districts of 10,000 assessments on 10 hosts",
    ):
        assert words in done.stdout
    text = (tmp_path / "results" / "results.json").read_text(encoding="utf-8")
    trials = json.loads(text)["sections"]["state"]["trials"]
    (killed,) = (trial for trial in trials if "killed" in trial)
    assert killed["finished"] >= 20
    assert killed["again"] == 0
