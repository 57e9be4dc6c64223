"""A state run on a Dask cluster: the same result, whatever is lost meanwhile."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.state.workers import children_of, is_alive
from pipeline.runs.lock import Lock
from pipeline.simulator import Fault
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import request_counts, requested_shards
from tests.state.conftest import YEAR, State
from tests.state.dask_processes import Dask, dask, environment_of
from tests.state.test_state_run import only_counted

FOUR = {"north": 1, "south": 2, "east": 3, "west": 4}


@pytest.fixture
def cluster(state: State) -> Iterator[Dask]:
    """A scheduler and two workers."""
    with dask(state.folder) as found:
        yield found


def openssl(folder: Path, *command: str) -> None:
    subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> Path:
    """Return a folder with certificates made as docs/state-hosts.md says."""
    folder.mkdir()
    year, key = ("-days", "365", "-batch"), ("-newkey", "rsa:2048", "-nodes")
    authority = ("-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=state")
    openssl(folder, "req", "-x509", *key, *authority, *year)
    openssl(folder, "req", *key, "-keyout", "key.pem", "-out", "cert.csr", "-subj", "/CN=host")
    signed = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-out", "cert.pem")
    openssl(folder, "x509", "-req", "-in", "cert.csr", *signed, "-days", "365")
    return folder


def test_districts_run_on_workers_over_tls_as_they_do_here(state: State) -> None:
    """No secret passes the scheduler, and no value of a student is in what Dask prints."""
    tls = certificates(state.folder / "certificates")
    with dask(state.folder, certificates=tls, nanny=True) as cluster:
        assert cluster.address.startswith("tls://")
        state.environment["PIPELINE_TLS_FOLDER"] = str(tls)
        done = state.run_state("--scheduler", cluster.address)
        assert done.returncode == 0, done.stderr
        assert "2 of 2 published, 2 with something new." in done.stdout
        assert done.stderr.count("\n") <= 4, "a line for each district, and one for the tables"
        again = state.run_luigi("--state-scheduler", cluster.address)
        assert again.returncode == 0, again.stderr
        assert state.latest()["outcome"] == "up to date"
        rebuild = ("state", "rebuild", "--year", YEAR, "--scheduler", cluster.address)
        rebuilt = state.look(*rebuild)
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert "2 of 2 published, 2 with something new." in rebuilt.stdout
        printed = cluster.output() + done.stdout + done.stderr + rebuilt.stderr
    assert {p.name for p in state.folders.root.glob(".*")} == {".lock"}
    for name, server in state.servers.items():
        assert server.credentials.client_secret not in printed
        assert state.of(name).published() == state.run_alone(name).published()
        roster = (state.folder / name / f"Student_Rosters_{YEAR}.txt").read_text("utf-8")
        ids = {line.split("\t")[0] for line in roster.splitlines()[1:]}
        assert min(map(len, ids)) > 4
        assert not re.findall(rf"\b(?:{'|'.join(ids)})\b", printed)
    assert state.status().stdout == "School year 23-24: 2 published\n"


@pytest.mark.parametrize("strategy", ["by_assessment"])
@pytest.mark.parametrize("seeds", [FOUR])
def test_what_a_killed_worker_ran_is_taken_over(state: State, cluster: Dask) -> None:
    """Its process ends with it; nothing is requested again that was finished."""
    for server in state.servers.values():
        server.faults.add(Fault("silence", endpoint="group", times=1, value=60))
    process = state.start_state("--scheduler", cluster.address)
    wait_until(lambda: sum(len(requested_shards(s)) >= 20 for s in state.servers.values()) == 2)
    victim, other = cluster.workers
    (child,) = children_of(victim.pid)
    (name,) = (name for name in state.servers if f"/{name}\0".encode() in environment_of(child))
    victim.kill()
    wait_until(lambda: not is_alive(child))
    there = state.of(name).kept_shards()
    assert there
    for server in state.servers.values():
        server.faults.clear()
    state.servers[name].clear_log()
    done = state.finish(process)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 published, 4 with something new." in done.stdout
    assert other.poll() is None
    assert requested_shards(state.servers[name]).isdisjoint(there)
    for each in FOUR:
        assert state.of(each).published() == state.run_alone(each).published()


@pytest.mark.parametrize("strategy", ["by_assessment"])
def test_a_lost_scheduler_is_one_sentence_and_the_rerun_does_what_is_missing(
    state: State,
) -> None:
    for server in state.servers.values():
        server.faults.add(Fault("silence", endpoint="group", times=1, value=60))
    with dask(state.folder) as cluster:
        process = state.start_state("--scheduler", cluster.address)
        servers = state.servers.values()
        wait_until(lambda: all(len(requested_shards(server)) >= 20 for server in servers))
        children = [child for worker in cluster.workers for child in children_of(worker.pid)]
        assert len(children) == 2
        cluster.scheduler.kill()
        done = state.finish(process)
        assert done.returncode == 30
        assert done.stderr.count(f"Dask's scheduler at {cluster.address} is lost;") == 1
        assert "Traceback" not in done.stderr + done.stdout
        assert not state.folders.marker.exists()
        assert state.latest()["outcome"] == "failed"
        wait_until(lambda: not any(map(is_alive, children)))
    there = {name: state.of(name).kept_shards() for name in state.servers}
    assert all(there.values())
    for server in servers:
        server.faults.clear()
        server.clear_log()
    with dask(state.folder) as cluster:
        again = state.run_state("--scheduler", cluster.address)
    assert again.returncode == 0, again.stderr
    for name, server in state.servers.items():
        assert requested_shards(server).isdisjoint(there[name])


@pytest.mark.parametrize("strategy", ["by_assessment"])
def test_workers_let_their_districts_end_well_when_the_run_is_asked_to_stop(
    state: State, cluster: Dask
) -> None:
    servers = state.servers.values()
    for server in servers:
        server.faults.add(Fault("silence", endpoint="standard"))
    process = state.start_state("--scheduler", cluster.address)
    wait_until(lambda: all(request_counts(server)["standard"] for server in servers))
    process.send_signal(signal.SIGTERM)
    assert state.finish(process).returncode == -signal.SIGTERM
    assert state.latest()["outcome"] == "stopped"
    for name in state.servers:
        log = state.folders.log(name, YEAR).read_text(encoding="utf-8")
        assert "Stopping: what was fetched is kept" in log
    assert state.status().stdout.startswith("School year 23-24: 2 stopped\n")
    assert not any(children_of(worker.pid) for worker in cluster.workers)
    assert only_counted(state.servers["north"]) is False


def test_a_worker_with_other_settings_is_refused(state: State) -> None:
    """Its districts would be run with these."""
    other = state.folder / "other"
    other.mkdir()
    (other / "luigi.cfg").write_text("[illuminate]\nthreads=1\n", encoding="utf-8")
    with dask(state.folder, workers=1) as cluster:
        cluster.add_worker(other)
        wait_until(lambda: cluster.output().count("Starting established connection") >= 4)
        done = state.run_state("--scheduler", cluster.address)
    assert done.returncode == 30
    assert done.stderr.count(" has another luigi.cfg.") == 1
    assert "Traceback" not in done.stderr
    assert not any(server.log for server in state.servers.values())


@pytest.mark.parametrize(
    ("address", "tls_folder", "words"),
    [
        ("tcp://head:8786", "", "it must be like tls://head:8786"),
        ("head:8786", "", "it must be like tls://head:8786"),
        ("tls://head:8786", "", "[state] tls_folder must name a folder"),
        ("tls://head:8786", "none", "none/ca.pem is not there"),
        ("tcp://127.0.0.1:9", "", "Dask's scheduler at tcp://127.0.0.1:9 cannot be reached"),
    ],
)
def test_a_scheduler_that_cannot_be_used_is_one_sentence(
    state: State, address: str, tls_folder: str, words: str
) -> None:
    state.environment |= {"PIPELINE_SCHEDULER": address, "PIPELINE_TLS_FOLDER": tls_folder}
    done = state.run_state()
    assert done.returncode == 30
    assert done.stderr.count(words) == 1
    assert "Traceback" not in done.stderr
    assert not any(server.log for server in state.servers.values())


def test_a_client_without_a_certificate_of_the_state_is_refused(state: State) -> None:
    tls, others = (certificates(state.folder / name) for name in ("ours", "theirs"))
    state.environment["PIPELINE_TLS_FOLDER"] = str(others)
    with dask(state.folder, certificates=tls) as cluster:
        done = state.run_state("--scheduler", cluster.address)
    assert done.returncode == 30
    assert done.stderr.count("cannot be reached") == 1
    assert not any(server.log for server in state.servers.values())


def test_an_orchestrator_can_run_each_district_by_itself(state: State) -> None:
    """Then a state run of the same id publishes all of them together, and runs none again."""

    def run(name: str) -> "subprocess.CompletedProcess[str]":
        options = ("--district", name, "--year", YEAR, "--run-id", "night-1")
        return state.look("run", "RunDistrict", *options)

    state.write_secret("south", "not the secret")
    failed = run("south")
    assert failed.returncode == 30
    assert failed.stderr.count("south 23-24 failed: ") == 2, "as it ends, and in the end"
    state.write_secret("south", state.servers["south"].credentials.client_secret)
    with Lock(state.folders.lock) as held:  # another district's run is no obstacle
        held.note([])
        assert run("north").returncode == 0
    for server in state.servers.values():
        server.clear_log()
    done = state.run_luigi("--run-id", "night-1")
    assert done.returncode == 30
    assert "State run night-1: 1 of 2 published, 1 with something new." in done.stdout
    assert not any(server.log for server in state.servers.values())
    assert run("south").returncode == 0, "a retry of a district that failed tries it again"
    assert run("north").returncode == 0
    assert not state.servers["north"].log, "a retry of one that is published does nothing"
    done = state.run_state("--run-id", "night-1")
    assert done.returncode == 0, done.stderr
    assert "State run night-1: 2 of 2 published, " in done.stdout
    again = state.run_state("--run-id", "night-1")
    assert (again.returncode, again.stderr) == (99, "")
    assert again.stdout == "State run night-1: all that it would publish is published.\n"


def test_an_orchestrator_is_told_the_districts_without_their_secrets(state: State) -> None:
    shutil.rmtree(state.folder / "secrets")
    assert state.look("state", "districts").stdout == "north\nsouth\n"
    assert state.look("state", "districts", "--json").stdout == '["north", "south"]\n'
    missing = state.look("state", "districts", "--districts", "other.csv")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "other.csv" in missing.stderr
