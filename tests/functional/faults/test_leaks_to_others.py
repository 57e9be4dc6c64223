"""What others can read of a run: its command line arguments, and Luigi's web page."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from luigi.configuration import get_config

from pipeline.illuminate import pages
from pipeline.simulator import Credentials, Fault, serving
from tests import canaries
from tests.functional.conftest import BY_ASSESSMENT, REPOSITORY, Workplace
from tests.functional.faults import district
from tests.functional.faults.sandbox import Sandbox
from tests.functional.faults.test_leaks import fail_with_secrets
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import request_counts

THREADS = 4


shows_arguments = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="only Linux shows arguments in /proc"
)


def arguments_of(pid: int) -> str:
    """Return the arguments and thread names of a process and of all its descendants."""
    shown, children = [], []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end
            shown += [(thread / name).read_text("utf-8") for name in ("cmdline", "comm")]
            children += (thread / "children").read_text("ascii").split()
    return "\n".join([*shown, *(arguments_of(int(child)) for child in children)])


@shows_arguments
def test_the_arguments_of_a_run(tmp_path: Path) -> None:
    """They are read while the run has a token and all its threads wait for results."""
    place = Workplace(tmp_path)
    with serving(district.make_district(), district.PROTOCOL, district.CREDENTIALS) as server:
        place.point_at(server)
        server.faults.add(Fault("silence", endpoint="overall"))
        threads = ("--illuminate-threads", str(THREADS))
        process = place.start_run("--year", "23-24", *threads, *BY_ASSESSMENT)
        wait_until(lambda: request_counts(server)["overall"] >= THREADS)
        shown = arguments_of(process.pid)
        process.kill()
        place.finish(process)
        secrets = district.SECRETS | set(server.authority._tokens)
    assert "RunAll" in shown
    assert canaries.found(secrets | district.STUDENTS, shown) == set()


@shows_arguments
def test_the_arguments_of_the_demo(tmp_path: Path) -> None:
    """This includes the server of the district that the run has started."""
    place = Workplace(tmp_path)
    process = place.start_run("--year", "23-24", "--illuminate-max-requests-per-second", "5")
    wait_until(lambda: any(place.data.rglob("metadata.json")) or process.poll() is not None)
    shown = arguments_of(process.pid)
    process.kill()
    place.finish(process)
    known = Credentials()
    assert "simulate" in shown
    assert known.client_id not in shown
    assert known.client_secret not in shown


# Luigi's own server on any free port, which is printed because luigid does not report it.
_LUIGID = """
import tornado.netutil

bind = tornado.netutil.bind_sockets

def bind_and_print(*what, **how):
    sockets = bind(*what, **how)
    print(sockets[0].getsockname()[1], flush=True)
    return sockets

tornado.netutil.bind_sockets = bind_and_print

from luigi.cmdline import luigid

luigid()
"""


@dataclass
class Luigid:
    """Luigi's central scheduler; its web page shows what its API returns."""

    folder: Path
    url: str
    process: "subprocess.Popen[str]"

    def call(self, method: str, **what: str) -> str:
        reply = requests.get(f"{self.url}/api/{method}", {"data": json.dumps(what)}, timeout=10)
        assert reply.status_code == 200, method
        return reply.text

    def page(self) -> str:
        """Return everything that it shows about all tasks and workers."""
        lists = [self.call(each) for each in ("task_list", "graph", "worker_list", "resource_list")]
        found = self.call("task_search", task_str="_")
        tasks = json.loads(lists[0])["response"]
        about = ("fetch_error", "get_task_status_message", "dep_graph", "inverse_dep_graph")
        return "\n".join(
            [*lists, found, *(self.call(each, task_id=task) for each in about for task in tasks)]
        )

    def left(self) -> str:
        """Stop it, and return what it leaves on disk: its state and its log."""
        self.process.terminate()
        self.process.wait(60)
        return "\n".join(path.read_text("utf-8", "replace") for path in self.folder.iterdir())


@pytest.fixture
def luigid(tmp_path: Path) -> Iterator[Luigid]:
    folder = tmp_path / "luigid"
    folder.mkdir()
    options = ("--port", "0", "--address", "127.0.0.1", "--state-path", str(folder / "state"))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", _LUIGID, *options],
            cwd=folder,
            env={"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout
        yield Luigid(folder, f"http://127.0.0.1:{process.stdout.readline().strip()}", process)
        process.kill()


@pytest.fixture
def run_and_look(
    luigid: Luigid, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[int, str]]:
    """Return a function that runs with luigid; it returns the exit code and what luigid shows."""
    monkeypatch.setitem(get_config()["core"], "local_scheduler", "false")

    def run() -> tuple[int, str]:
        code = sandbox.run("--scheduler-url", luigid.url).code
        page, left = luigid.page(), luigid.left()
        secrets = district.SECRETS | set(sandbox.server.authority._tokens)
        assert canaries.found(secrets | district.STUDENTS, page + left) == set()
        assert "RunAll" in left
        return code, page

    return run


def test_luigis_page_after_a_successful_run(run_and_look: Callable[[], tuple[int, str]]) -> None:
    code, page = run_and_look()
    assert code == 0
    assert '"status": "DONE"' in page
    assert '"status": "FAILED"' not in page


def test_luigis_page_after_a_failed_run(
    sandbox: Sandbox, run_and_look: Callable[[], tuple[int, str]]
) -> None:
    """It shows what failed and why, in the run's own words."""
    sandbox.server.faults.add(
        Fault("status", 500, "standard", district.LONG),
        Fault("truncated_json", endpoint="standard"),
        Fault("missing_field", "percent_correct", "group"),
    )
    code, page = run_and_look()
    assert code == 30
    assert "the server answered 500" in page
    assert "not complete JSON" in page
    assert "lack the field percent_correct" in page


def test_luigis_page_after_a_programming_error(
    run_and_look: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "decode", fail_with_secrets)
    code, page = run_and_look()
    assert code == 30
    assert "UnexpectedError: LookupError" in page
