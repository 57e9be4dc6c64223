"""A state run: every district by itself; one that fails is named and keeps no other back."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.runs import lock
from pipeline.runs.lock import Lock
from pipeline.simulator import Fault, Server
from tests.functional.conftest import LUIGI
from tests.functional.test_failures import wait_until
from tests.functional.test_limits import NOTHING_EXECUTABLE
from tests.functional.test_reruns import request_counts, requested_shards
from tests.helpers import is_count
from tests.state.conftest import YEAR, State


def only_counted(server: Server) -> bool:
    """Return whether nothing was requested but counts, and what is needed to request them."""
    return all(is_count(r) or r.endpoint == "token" for r in server.log)


def test_a_district_that_fails_is_named_and_keeps_no_other_back(state: State) -> None:
    state.write_secret("north", "not the secret")
    done = state.run_state()
    assert done.returncode == 30
    assert "1 of 2 published, 1 with something new." in done.stdout
    assert "north 23-24 failed: " in done.stdout
    assert "Traceback" not in done.stderr
    result = state.latest()
    assert (result["outcome"], result["tried"], result["published"]) == ("failed", 2, 1)
    assert [each["district"] for each in result["failed"]] == ["north"]
    assert result["failed"][0]["reason"] in done.stdout
    assert state.of("south").published()
    assert not state.of("north").published()
    shown = state.status()
    assert shown.returncode == 1
    assert shown.stdout.startswith("School year 23-24: 1 ")
    assert "1 published" in shown.stdout
    assert "  north failed: " in shown.stdout

    state.write_secret("north", state.servers["north"].credentials.client_secret)
    state.servers["south"].clear_log()
    again = state.run_state()
    assert again.returncode == 0, again.stderr
    assert "2 of 2 published, 1 with something new." in again.stdout
    assert only_counted(state.servers["south"])
    assert state.status().stdout == "School year 23-24: 2 published\n"
    assert state.run_state().returncode == 99
    assert state.latest()["outcome"] == "up to date"
    assert state.of("south").published() == state.run_alone("south").published()
    for path in [*state.folders.outcomes.rglob("*.json"), state.folders.latest]:
        assert "secret" not in path.read_text(encoding="utf-8")


def test_a_first_run_in_which_nothing_is_published_names_the_district_only(state: State) -> None:
    state.keep_only("north")
    state.write_secret("north", "not the secret")
    done = state.run_state()
    assert done.returncode == 30
    assert "0 of 1 published, 0 with something new." in done.stdout
    assert "north 23-24 failed: " in done.stdout
    assert "unexpected" not in done.stdout + done.stderr
    assert state.latest()["failures"] == []


def test_a_state_run_needs_no_executable_memory(state: State) -> None:
    """Neither do its districts, nor the tables of all of them."""
    state.keep_only("north")
    command = (*NOTHING_EXECUTABLE, str(LUIGI), "--module", "pipeline", "RunState", "--years", YEAR)
    lakehouse = state.folder / "all"
    done = state.finish(state.start(*command, PIPELINE_LAKEHOUSE=str(lakehouse)))
    if done.returncode == 77:
        pytest.skip("this kernel cannot refuse executable memory")
    assert done.returncode == 0, done.stderr
    assert [*lakehouse.iterdir()]


@pytest.mark.parametrize("strategy", ["by_assessment"])
def test_a_killed_state_run_takes_the_district_with_it(state: State) -> None:
    """While it waits for a reply; the next run requests nothing again that is there."""
    state.keep_only("north")
    lock_file, server = state.folders.folders("north").lock, state.servers["north"]
    server.faults.add(Fault("silence", endpoint="group", times=1, value=60))
    process = state.start_state()
    wait_until(lambda: len(requested_shards(server)) >= 20)
    assert state.status().stdout.startswith("School year 23-24: 1 running\n")
    child = int(lock_file.read_text(encoding="utf-8").splitlines()[0])
    process.kill()
    state.finish(process)
    wait_until(lambda: not Path(f"/proc/{child}").exists())
    assert not lock.is_held(lock_file)
    assert not state.of("north").published()
    there = state.of("north").kept_shards()
    assert there
    server.clear_log()
    server.faults.clear()
    done = state.run_state()
    assert done.returncode == 0, done.stderr
    assert requested_shards(server).isdisjoint(there)


@pytest.mark.parametrize("strategy", ["by_assessment"])
def test_a_state_run_that_is_asked_to_stop_lets_the_district_end_well(state: State) -> None:
    """And begins no other."""
    servers = state.servers
    for server in servers.values():
        server.faults.add(Fault("silence", endpoint="standard"))
    process = state.start_state()
    wait_until(lambda: any(request_counts(each)["standard"] for each in servers.values()))
    process.send_signal(signal.SIGTERM)
    assert state.finish(process).returncode == -signal.SIGTERM
    (name,) = (name for name in servers if state.folders.log(name, YEAR).exists())
    log = state.folders.log(name, YEAR).read_text(encoding="utf-8")
    assert "Stopping: what was fetched is kept" in log
    assert name == "north", "it comes first in the file"
    assert "  north stopped: It was asked to stop. (" in state.status().stdout
    assert (state.latest()["outcome"], state.latest()["succeeded"]) == ("stopped", False)


def test_two_state_runs_in_one_folder(state: State) -> None:
    with Lock(state.folders.lock) as held:
        held.note([])
        for run in (state.run_state, state.run_luigi):
            done = run()
            assert done.returncode == 10
            assert done.stderr.count(f"Another run (process {os.getpid()}) is at work") == 1
    assert not any(server.log for server in state.servers.values())


def test_another_run_of_a_district_is_waited_for(state: State) -> None:
    state.keep_only("north")
    folders, log = state.folders.folders("north"), state.folders.log("north", YEAR)
    with Lock(folders.lock) as held:
        held.note([])
        process = state.start_state()
        wait_until(lambda: log.exists() and "is at work in" in log.read_text(encoding="utf-8"))
        assert process.poll() is None
    assert state.finish(process).returncode == 0
    with Lock(folders.lock) as held:
        held.note([])
        done = state.run_luigi("--state-longest-wait", "0")
    assert done.returncode == 30
    assert "north 23-24 failed: Another run was at work in" in done.stdout


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("paths", "rosters", "north.txt"), ("illuminate", "exclude_ids", "83078")],
)
def test_settings_that_would_mix_up_districts_are_refused(
    state: State, section: str, name: str, value: str
) -> None:
    config = state.folder / "luigi.cfg"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(f"\n{name}=\n", f"\n{name}={value}\n"), encoding="utf-8")
    done = state.run_state()
    assert done.returncode == 30
    assert done.stderr.count(f"[{section}] {name} is in luigi.cfg") == 1
    assert not any(server.log for server in state.servers.values())


def test_several_districts_at_once_are_refused(state: State) -> None:
    done = state.run_luigi("--workers", "2")
    assert done.returncode == 30
    assert done.stderr.count("--workers must be 1") == 1
    assert "Traceback" not in done.stderr
    assert not any(server.log for server in state.servers.values())


def test_a_fault_in_districts_csv_is_named_before_anything_is_requested(state: State) -> None:
    with state.file.open("a", encoding="utf-8") as file:
        file.write("west,https://west.example/live,,,,secrets/west\n")
    state.refuses("districts.csv, line 4: there is no folder")
