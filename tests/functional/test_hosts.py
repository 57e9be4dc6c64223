"""Runs of several hosts in one data folder, on a volume that passes no locks on."""

import fcntl
from pathlib import Path

import pytest

from pipeline.runs.heartbeat import Host
from pipeline.runs.lock import Lock
from pipeline.simulator import Fault, Server
from tests.functional.conftest import YEAR, Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_graph import script
from tests.functional.test_last_run import latest
from tests.functional.test_reruns import request_counts

OTHER = "77\\nhost-b\\nanother kernel\\n00\\n1\\n"
"""What the claim of a process on another host says."""
TAKEN_OVER = "This run was stalled for so long that another one (process 77 on host-b) took over "


def published(place: Workplace) -> list[Path]:
    return [path for name in ("illuminate", "views") for path in (place.data / name).rglob("*.csv")]


def test_a_run_is_refused_while_one_of_another_host_is_at_work(
    place: Workplace, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: None)
        other = Lock(place.data / ".lock", host=Host("host-b", "another kernel"))
    done = place.run()
    assert done.returncode == 10
    assert " on host-b) is at work in data; nothing was changed." in done.stderr
    assert server.log == []
    other.close()
    assert place.run("--report-enabled", "false").returncode == 0
    assert place.leftovers() == []


def test_a_run_that_was_stalled_stops_once_another_host_took_over(
    place: Workplace, server: Server
) -> None:
    """It says why, and leaves the folder to the other run."""
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    process = place.start_run("--year", YEAR)
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    claim = place.data / ".lock.2"
    claim.write_text(OTHER.replace("\\n", "\n"), encoding="utf-8")
    (place.data / ".lock.1").unlink()
    (place.data / ".lock").write_text("77\n/srv/of the other one\n", encoding="utf-8")
    done = place.finish(process)
    assert done.returncode == 30
    assert TAKEN_OVER in done.stderr
    assert "Traceback" not in done.stderr
    (failure,) = latest(place)["failures"]
    assert failure["reason"].startswith(TAKEN_OVER)
    assert latest(place)["outcome"] == "stopped"
    assert published(place) == []
    assert claim.exists()
    assert "/srv/of the other one" in (place.data / ".lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("last", ["tasks.publish.check_source", "publish.commit._stage"])
def test_a_run_that_was_stalled_before_it_publishes_changes_nothing(
    place: Workplace, last: str
) -> None:
    """It looks once more: between two heartbeats, and right before the first rename."""
    module, _, name = last.rpartition(".")
    done = script(
        place,
        f"from pipeline.{module.rpartition('.')[0]} import {module.rpartition('.')[2]} as module\n"
        f"before = module.{name}\n"
        "def stalled(*arguments):\n"
        "    before(*arguments)\n"
        f"    Path('data/.lock.2').write_text('{OTHER}')\n"
        f"module.{name} = stalled\n"
        "from pipeline.tasks import publish as tasks\n"
        "restate = tasks.restate\n"
        "def looked(*arguments):\n"
        "    assert not Path('data/.lock.2').exists(), 'looked before'\n"
        "    return restate(*arguments)\n"
        "tasks.restate = looked\n"
        f"luigi.build([RunAll(year='{YEAR}')], local_scheduler=True, log_level='WARNING')\n",
    )
    assert TAKEN_OVER in done.stderr
    assert "looked before" not in done.stdout + done.stderr
    assert "AssertionError" not in done.stdout + done.stderr
    assert published(place) == []
    assert not list(place.data.rglob("published.json"))
    assert [path.name for path in place.leftovers()] == []
