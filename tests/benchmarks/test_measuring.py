"""What the benchmark measures with: processes, rows, and the page that it writes on."""

import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import machine, trial
from benchmarks.__main__ import SECTIONS
from benchmarks.bench import Bench, RowsError, check_rows
from benchmarks.counting import count
from benchmarks.report import TARGETS, Results, Section, Table, Target
from benchmarks.trial import Trial, TrialError

REPOSITORY = Path(__file__).parents[2]
SETTING = {
    "date": "2026-01-01",
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "load": 0.1,
    "system": "Linux",
    "rounds": "3 rounds",
    "versions": {"Python": "3.11"},
}

linux = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


def python(code: str) -> Trial:
    return trial.run([sys.executable, "-S", "-c", code])


@linux
def test_the_memory_of_a_trial_is_its_own():
    big = bytearray(200_000_000)
    assert python("pass").whole.peak < 100
    del big
    assert 200 < python("x = bytearray(200_000_000)").whole.peak < 300


@linux
def test_the_processor_time_of_children_counts():
    spin = "import time\nwhile time.process_time() < 0.5: pass"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', {spin!r}])"
    cost = python(code).whole
    assert cost.processor >= 0.5
    assert cost.wall >= 0.5


@linux
def test_waiting_costs_no_processor_time_and_costs_grow_with_time():
    done = python("import time\ntime.sleep(0.3)\nx = bytearray(100_000_000)\ntime.sleep(0.3)")
    early, late = (done.until(done.samples[moment][0]) for moment in (0, -1))
    assert early.peak < 50 < 100 < late.peak
    assert late.processor <= done.whole.processor + 0.02
    assert done.until(done.began + 60) == done.whole


@linux
def test_a_failed_program_is_reported_with_its_last_words():
    with pytest.raises(TrialError, match=r"ended with 3:\nlast words"):
        python("import sys\nprint('last words')\nsys.exit(3)")


@linux
def test_who_takes_too_long_is_ended():
    with pytest.raises(TrialError, match="ended with -9"):
        trial.run([sys.executable, "-c", "import time; time.sleep(60)"], longest=0.2)


def test_what_the_host_takes_for_others_is_reported(monkeypatch):
    ticks = "cpu  100 10 50 {idle} 5 1 4 {steal} 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    texts = [ticks.format(idle=830, steal=0), ticks.format(idle=880, steal=150)]
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: texts.pop(0))
    before = machine.processor_times()
    assert before == (0, 1000)
    assert machine.taken_since(before) == 0.75


def test_other_rows_end_the_benchmark():
    check_rows("somebody", {"combined": 2, "view": 5}, {"combined": 2})
    with pytest.raises(RowsError, match="somebody brought"):
        check_rows("somebody", {"combined": 1}, {"combined": 2})
    with pytest.raises(RowsError, match="somebody brought"):
        check_rows("somebody", {}, {"combined": 2})


def test_rows_are_counted_from_the_files(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n", encoding="utf-8")
    assert count(tmp_path / "a.csv") == 2


def test_results_go_to_their_place_on_the_page(tmp_path):
    page = tmp_path / "page.md"
    begin, end = "<!-- fetch: written by make bench -->", "<!-- end of fetch -->"
    page.write_text(f"by hand\n{begin}\nold\n{end}\nby hand, too\n", encoding="utf-8")
    table = Table("Title", ("", "seconds"), [("pipeline", "1.0")], ["a note"])
    results = Results(SETTING, [Section("fetch", [table], [], taken=0.234)])
    results.document(page, with_targets=False)
    results.document(page, with_targets=False)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"by hand\n{begin}\n")
    assert text.endswith(f"\n{end}\nby hand, too\n")
    assert text.count("| pipeline | 1.0 |") == 1
    assert text.count("Meanwhile its host gave 23% of its processors to others.") == 1
    assert "old" not in text


def test_targets_stand_in_one_table_with_what_was_measured(tmp_path):
    page = tmp_path / "page.md"
    places = "".join(
        f"<!-- {name}: written by make bench -->\n<!-- end of {name} -->\n"
        for name in ("targets", "one", "two")
    )
    page.write_text(places, encoding="utf-8")
    sections = [
        Section("one", [], [], targets=[Target("memory", 600, 431.7, "MB")]),
        Section(
            "two", [], [], targets=[Target("share", 0.2, 0.206), Target("new", 25, 0.14, "MB")]
        ),
    ]
    Results(SETTING, sections).document(page, with_targets=True)
    text = page.read_text(encoding="utf-8")
    for line in (
        "| memory | at most 600 MB | 432 MB |",
        "| share | at most 0.2 | 0.21 (missed) |",
        "| new | at most 25 MB | 0.14 MB |",
    ):
        assert text.count(line) == 1
    assert Target("rows", 100, 99.9, "%", least=True).row()[2] == "99.9 % (missed)"


def test_every_section_has_its_place_in_the_documentation():
    text = (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
    written = re.findall(
        r"<!-- (\w+): written by make bench -->\n.*?<!-- end of \1 -->", text, re.DOTALL
    )
    assert sorted(written) == sorted([*SECTIONS, TARGETS])


def test_locks_of_the_benchmark_have_hashes_and_no_address():
    for name in ("requirements/bench.txt", "requirements/dlt.txt"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
        assert all("==" in pin and pin.endswith("\\") for pin in pins)
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_the_benchmark_runs_the_versions_that_people_run():
    def pins(name: str) -> set[str]:
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        return {line for line in text.splitlines() if re.match(r"[a-z0-9]", line)}

    assert pins("requirements.txt") <= pins("requirements/bench.txt")


def test_what_a_trial_left_takes_no_room_and_is_removed_at_the_end(tmp_path):
    """Not before: removing many files makes the next trial slow."""
    bench = Bench(tmp_path, 1, short=True, console=Console(quiet=True))
    with bench.room() as room:
        assert not list(room.iterdir())
        (room / "data").mkdir()
        (room / "data" / "shard").write_bytes(b"x" * 1000)
    with bench.room() as another:
        assert another != room
    assert (room / "data" / "shard").stat().st_size == 0
    bench.clear()
    assert not room.exists()
