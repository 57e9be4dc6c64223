"""What others can read of a run: its arguments while it lasts, and Luigi's web page for good."""

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
from tests.functional.conftest import REPOSITORY, Workplace
from tests.functional.faults import town
from tests.functional.faults.stage import Stage
from tests.functional.faults.test_leaks import mistaken
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import asked

THREADS = 4


# The arguments of processes.

shows_arguments = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="only Linux shows arguments in /proc"
)


def arguments_of(pid: int) -> str:
    """The arguments of a process and the names of its threads, and of all that it has started."""
    shown, children = [], []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end
            shown += [(thread / name).read_text("utf-8") for name in ("cmdline", "comm")]
            children += (thread / "children").read_text("ascii").split()
    return "\n".join([*shown, *(arguments_of(int(child)) for child in children)])


@shows_arguments
def test_the_arguments_of_a_run(tmp_path: Path) -> None:
    """Looked at while it has a token and the catalogue, and all its threads wait for results."""
    place = Workplace(tmp_path)
    with serving(town.make_town(), town.PROTOCOL, town.CREDENTIALS) as server:
        place.point_at(server)
        server.faults.add(Fault("silence", endpoint="overall"))
        process = place.start_run("--year", "23-24", "--illuminate-threads", str(THREADS))
        wait_until(lambda: asked(server)["overall"] >= THREADS)
        shown = arguments_of(process.pid)
        process.kill()
        place.finish(process)
        secrets = town.SECRETS | set(server.authority._tokens)
    assert "RunAll" in shown
    assert canaries.found(secrets | town.STUDENTS, shown) == set()


@shows_arguments
def test_the_arguments_of_the_demo(tmp_path: Path) -> None:
    """The district that the run has started, and has the catalogue of, is looked at as well."""
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


# Luigi's web page.

# Luigi's own server, on any free port; it keeps to itself which, so that is printed here.
_LUIGID = """
import tornado.netutil

bind = tornado.netutil.bind_sockets

def bind_and_tell(*what, **how):
    sockets = bind(*what, **how)
    print(sockets[0].getsockname()[1], flush=True)
    return sockets

tornado.netutil.bind_sockets = bind_and_tell

from luigi.cmdline import luigid

luigid()
"""


@dataclass
class Luigid:
    """Luigi's central scheduler, whose web page draws on what its API tells."""

    folder: Path
    url: str
    process: "subprocess.Popen[str]"

    def ask(self, method: str, **what: str) -> str:
        reply = requests.get(f"{self.url}/api/{method}", {"data": json.dumps(what)}, timeout=10)
        assert reply.status_code == 200, method
        return reply.text

    def page(self) -> str:
        """Everything that it tells about all tasks and workers."""
        lists = [self.ask(each) for each in ("task_list", "graph", "worker_list", "resource_list")]
        found = self.ask("task_search", task_str="_")
        tasks = json.loads(lists[0])["response"]
        about = ("fetch_error", "get_task_status_message", "dep_graph", "inverse_dep_graph")
        return "\n".join(
            [*lists, found, *(self.ask(each, task_id=task) for each in about for task in tasks)]
        )

    def left(self) -> str:
        """What it leaves on disk when it ends: its state and its log."""
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
    luigid: Luigid, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[int, str]]:
    """Run as with `[core] local_scheduler=false`; the exit code, and all that luigid shows."""
    monkeypatch.setitem(get_config()["core"], "local_scheduler", "false")

    def run() -> tuple[int, str]:
        code = stage.run("--scheduler-url", luigid.url).code
        page, left = luigid.page(), luigid.left()
        secrets = town.SECRETS | set(stage.server.authority._tokens)
        assert canaries.found(secrets | town.STUDENTS, page + left) == set()
        assert "RunAll" in left
        return code, page

    return run


def test_luigis_page_of_a_good_run(run_and_look: Callable[[], tuple[int, str]]) -> None:
    code, page = run_and_look()
    assert code == 0
    assert '"status": "DONE"' in page
    assert '"status": "FAILED"' not in page


def test_luigis_page_of_a_run_that_fails(
    stage: Stage, run_and_look: Callable[[], tuple[int, str]]
) -> None:
    """It tells what failed and why, in the words of the run."""
    stage.server.faults.add(
        Fault("status", 500, "standard", town.LONG),
        Fault("truncated_json", endpoint="standard"),
        Fault("missing_field", "percent_correct", "group"),
    )
    code, page = run_and_look()
    assert code == 30
    assert "the server answered 500" in page
    assert "not complete JSON" in page
    assert "lack the field percent_correct" in page


def test_luigis_page_of_a_mistake_in_the_code(
    run_and_look: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "decode", mistaken)
    code, page = run_and_look()
    assert code == 30
    assert "UnforeseenError: LookupError" in page
