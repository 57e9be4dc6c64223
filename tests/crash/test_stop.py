"""A run ends within ten seconds of a signal, whatever its threads are waiting for."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline.simulator import District, Fault, Server, serving
from tests.crash.helpers import YEAR, all_shards, command, tiny_district, tree_digest, valid_shards
from tests.crash.launch import tool
from tests.functional.conftest import Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import request_counts, requested_shards

THREADS = 16
_SECONDS = 10
_SAYS = "Stopping: what was fetched is kept; run the same command to continue."
_SYN_SENT = "02"


@pytest.fixture(scope="module")
def wide_district() -> District:
    """Return a district with more assessments than there are threads."""
    district = tiny_district()
    for number in range(THREADS):
        district.add_assessment(
            f"Gr 6 Math Unit {number} Quiz",
            year=YEAR,
            students=2,
            standards=1,
            assessment_id=str(200 + number),
        )
    return district


@pytest.fixture
def server(wide_district: District) -> Iterator[Server]:
    with serving(wide_district) as server:
        yield server


def start(place: Workplace, *before: str) -> "subprocess.Popen[str]":
    return place.start(*before, *command("--illuminate-threads", str(THREADS)))


def end_in_time(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Send a signal; return the exit code and the output, after ten seconds at most."""
    try:
        out, err = process.communicate(timeout=_SECONDS)
    finally:
        process.kill()
    return process.returncode, out + err


def check_rerun(place: Workplace, server: Server) -> None:
    """Check that a rerun reuses what was finished and requests the rest."""
    there = valid_shards(place, server)
    server.clear_log()
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert requested_shards(server) == all_shards(server) - there
    assert place.leftovers() == []


WAITS = {
    "silence": Fault("silence", endpoint="overall"),
    "dripping headers": Fault("drip_headers", endpoint="overall", value=0.5),
    "a dripping body": Fault("drip_body", endpoint="overall", value=0.5),
}


@pytest.mark.parametrize("fault", WAITS.values(), ids=WAITS.keys())
def test_stop_while_every_thread_waits_for_a_response(
    place: Workplace, server: Server, fault: Fault
) -> None:
    server.faults.add(fault)
    process = start(place)
    wait_until(lambda: request_counts(server)["overall"] >= THREADS)
    process.terminate()
    code, said = end_in_time(process)
    assert code == -signal.SIGTERM
    assert _SAYS in said
    assert "Traceback" not in said
    server.faults.clear()
    check_rerun(place, server)


def test_stop_while_all_threads_wait_for_the_token(place: Workplace, server: Server) -> None:
    """One thread requests it, and the others wait for that thread."""
    assert place.run().returncode == 0
    for shard in place.work.glob("shards/*/*.parquet"):
        shard.unlink()
    server.clear_log()
    server.faults.add(Fault("silence", endpoint="token"))
    process = start(place)
    wait_until(lambda: request_counts(server)["token"] >= 1 and threads_of(process) > THREADS)
    process.terminate()
    code, said = end_in_time(process)
    assert code == -signal.SIGTERM
    assert _SAYS in said


@pytest.mark.parametrize("signing", ["OAuth 1", "OAuth 2"])
def test_stop_while_every_thread_is_connecting(
    place: Workplace, server: Server, signing: str
) -> None:
    """With OAuth 1 all of them connect; with OAuth 2 one does, for the token."""
    if signing == "OAuth 1":
        use_oauth1(place, server)
    fetch_only_the_catalogue(place, server)
    server.stop_listening()
    with full_queue(server.port):
        process = start(place)
        wanted = THREADS if signing == "OAuth 1" else 1
        wait_until(lambda: connecting_to(server.port) >= wanted and threads_of(process) > THREADS)
        process.terminate()
        code, said = end_in_time(process)
    assert code == -signal.SIGTERM
    assert _SAYS in said
    server.resume_listening()
    check_rerun(place, server)


def use_oauth1(place: Workplace, server: Server) -> None:
    known = server.credentials
    for name in ("ILLUMINATE_CLIENT_ID", "ILLUMINATE_CLIENT_SECRET"):
        del place.environment[name]
    place.environment |= {
        "ILLUMINATE_CONSUMER_KEY": known.consumer_key,
        "ILLUMINATE_CONSUMER_SECRET": known.consumer_secret,
        "ILLUMINATE_ACCESS_TOKEN": known.access_token,
        "ILLUMINATE_ACCESS_TOKEN_SECRET": known.access_token_secret,
    }


def fetch_only_the_catalogue(place: Workplace, server: Server) -> None:
    """Run with all results refused, which leaves the catalogue for the next run."""
    for endpoint in ("overall", "standard", "group"):
        server.faults.add(Fault("status", endpoint=endpoint, value=403))
    assert place.run().returncode == 30
    assert (place.work / "metadata.json").exists()
    server.faults.clear()
    server.clear_log()


@contextmanager
def full_queue(port: int) -> Iterator[None]:
    """Fill the queue of a port, so that further connections to it wait."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(0)
        fill(stack, port)
        yield


def fill(stack: ExitStack, port: int) -> None:
    """Connect until an attempt has to wait; give that one up."""
    for _ in range(8):
        waiting = stack.enter_context(socket.socket())
        waiting.settimeout(0.3)
        try:
            waiting.connect(("127.0.0.1", port))
        except TimeoutError:
            waiting.close()
            return
    pytest.skip("on this machine a full queue keeps nobody waiting")


def connecting_to(port: int) -> int:
    """Return the number of connections to a port that are not yet accepted."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(
        remote.endswith(f":{port:04X}") and state == _SYN_SENT for _, _, remote, state, *_ in fields
    )


def threads_of(process: "subprocess.Popen[str]") -> int:
    """Return the number of threads of a process."""
    tasks = Path(f"/proc/{process.pid}/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 0


def test_stop_as_process_1_of_a_container(place: Workplace, server: Server) -> None:
    """The kernel ignores signals to process 1 that have no handler; the run has one."""
    alone = (tool("unshare"), "--pid", "--fork", "--mount-proc")
    if subprocess.run((*alone, "true"), check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine lets us make no namespace of processes")
    server.faults.add(WAITS["silence"])
    process = start(place, *alone)
    wait_until(lambda: request_counts(server)["overall"] >= THREADS)
    os.kill(child_of(process), signal.SIGTERM)
    code, said = end_in_time(process)
    assert code == 128 + signal.SIGTERM
    assert _SAYS in said
    server.faults.clear()
    check_rerun(place, server)


def child_of(process: "subprocess.Popen[str]") -> int:
    """Return the only child process of a process."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    (child,) = children.read_text(encoding="ascii").split()
    return int(child)


OTHER_ARGUMENTS = {
    "the same": (),
    "another year": ("--year", "22-23"),
    "another day": ("--as-of", "2024-01-31"),
    "the same folder by another name": ("--paths-data-dir", "../{name}/data"),
}


@pytest.fixture
def busy(place: Workplace, server: Server) -> Iterator["subprocess.Popen[str]"]:
    """Start a run in the folder that gets no response."""
    server.faults.add(WAITS["silence"])
    process = start(place)
    wait_until(lambda: request_counts(server)["overall"] >= THREADS)
    yield process
    process.kill()
    place.finish(process)


@pytest.mark.parametrize("arguments", OTHER_ARGUMENTS.values(), ids=OTHER_ARGUMENTS.keys())
def test_a_second_run_changes_nothing(
    place: Workplace,
    server: Server,
    busy: "subprocess.Popen[str]",
    arguments: tuple[str, ...],
) -> None:
    """It says which run is active, and requests nothing."""
    # The active run renews its claim every two seconds.
    before = tree_digest(place.data, besides=".lock.*")
    server.clear_log()
    options = [option.format(name=place.folder.name) for option in arguments]
    done = place.finish(place.start(*command(*options)))
    assert done.returncode == 10
    assert f"process {busy.pid}" in done.stderr
    assert "nothing was changed" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert server.log == []
    assert tree_digest(place.data, besides=".lock.*") == before


def test_the_lock_dies_with_its_owner(
    place: Workplace, server: Server, busy: "subprocess.Popen[str]"
) -> None:
    busy.kill()
    busy.wait()
    server.faults.clear()
    check_rerun(place, server)
