"""Luigi's own tools, long-lived hosts and schedulers: a run has a beginning and an end."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from pipeline.simulator import District, Fault, Server, serving
from tests.crash.helpers import tree_digest
from tests.functional.conftest import LUIGI, REPOSITORY, YEAR, Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_last_run import latest
from tests.functional.test_reruns import request_counts
from tests.receiver import receiving

TOOLS = ("luigi-deps-tree", "luigi-deps")


def script(place: Workplace, code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code that imports the pipeline, as a host of tasks does."""
    head = (
        "import datetime as dt, luigi, signal\nfrom pathlib import Path\nfrom pipeline import *\n"
    )
    return place.finish(place.start(sys.executable, "-c", head + code, **variables))


# Whether a task is complete is a question.


def test_complete_in_a_script_leaves_no_trace(place: Workplace, server: Server) -> None:
    done = script(
        place,
        "before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)\n"
        f"print(RunAll(year='{YEAR}').complete())\n"
        "assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))\n",
        ILLUMINATE_BASE_URL="",
        ILLUMINATE_CLIENT_ID="",
        ILLUMINATE_CLIENT_SECRET="",
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    assert list(place.folder.iterdir()) == []
    assert server.log == []


@pytest.mark.parametrize("published", [False, True])
def test_luigis_tools_change_nothing_and_notify_nobody(place: Workplace, published: bool) -> None:
    if published:
        assert place.run().returncode == 0
    before = tree_digest(place.folder)
    with receiving() as receiver:
        place.environment["PIPELINE_WEBHOOK_URL"] = receiver.url
        for tool in TOOLS:
            command = (LUIGI.with_name(tool), "--module", "pipeline", "RunAll", "--year", YEAR)
            done = place.finish(place.start(*command))
            assert done.returncode == 0, done.stderr
            assert "FetchMetadata" in done.stdout
        assert receiver.got == []
    assert tree_digest(place.folder) == before


# A process that builds more than once.

TWICE = f"""
def build():
    return luigi.build([RunAll(year="{YEAR}")], local_scheduler=True, log_level="WARNING")
"""


def test_a_second_build_in_one_process_restores_a_deleted_file(place: Workplace) -> None:
    done = script(
        place,
        TWICE + "assert build()\n"
        "view = next(Path('data/views/23-24').glob('*results*.csv'))\n"
        "text = view.read_bytes()\n"
        "view.unlink()\n"
        "assert build()\n"
        "assert view.read_bytes() == text\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_build_in_another_data_folder_builds_there(place: Workplace) -> None:
    done = script(
        place,
        TWICE + "config = luigi.configuration.get_config()\n"
        "config.set('paths', 'data_dir', 'first')\n"
        "assert build()\n"
        "config.set('paths', 'data_dir', 'second')\n"
        "assert build()\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("first", "second"):
        assert (place.folder / name / "illuminate" / YEAR / "published.json").exists()


def test_after_a_build_the_folder_is_free_and_signals_are_as_before(place: Workplace) -> None:
    """Ctrl-C is the host's own again, and another process may run, while the host goes on."""
    host = place.start(
        sys.executable,
        "-c",
        "import luigi, signal, sys\nfrom pipeline import RunAll\n"
        "before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        f"assert luigi.build([RunAll(year='{YEAR}')], local_scheduler=True, log_level='WARNING')\n"
        "assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        "print('built', flush=True)\n"
        "signal.pause()\n",
    )
    assert host.stdout is not None
    wait_until(lambda: host.stdout.readline() in {"built\n", ""})  # type: ignore[union-attr]
    assert host.poll() is None, host.communicate()
    assert place.run().returncode == 0
    host.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in place.finish(host).stderr


def test_a_step_called_by_hand_is_a_run_of_its_own(place: Workplace) -> None:
    """Which ends with it, so that the host, a build and another process can go on."""
    done = script(
        place,
        "before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        f"ReadRoster(year='{YEAR}').run()\n"
        "assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        "assert len(list(Path('data/runs').glob('2*.json'))) == 1\n"
        f"assert luigi.build([RunAll(year='{YEAR}')], local_scheduler=True, log_level='WARNING')\n"
        "assert len(list(Path('data/runs').glob('2*.json'))) == 2\n"
        f"page = Path('data/reports/{YEAR}.html')\n"
        "page.unlink()\n"
        f"Report(year='{YEAR}').run()\n"
        "assert page.exists()\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = latest(place)
    assert (result["outcome"], result["succeeded"]) == ("up to date", True)


def test_a_step_called_by_hand_that_fails_says_so(place: Workplace) -> None:
    done = script(
        place,
        "from pipeline.errors import InputFileError\n"
        "luigi.configuration.get_config().set('paths', 'rosters', 'missing.csv')\n"
        "try:\n"
        f"    ReadRoster(year='{YEAR}').run()\n"
        "except InputFileError:\n"
        "    print('refused')\n",
    )
    assert (done.returncode, "refused" in done.stdout) == (0, True), done.stdout + done.stderr
    result = latest(place)
    assert (result["outcome"], result["failures"][0]["step"]) == ("failed", "ReadRoster")


def test_a_folder_that_could_not_be_taken_is_free_again(place: Workplace) -> None:
    """Also while the host keeps the error."""
    done = script(
        place,
        "from pipeline.errors import StorageError\n"
        "from pipeline.runs.lock import Lock\n"
        f"task, note = RunAll(year='{YEAR}'), Lock.note\n"
        "def fail(*_):\n"
        "    raise StorageError('the disk is full')\n"
        "Lock.note = fail\n"
        "try:\n"
        "    luigi.build([task], local_scheduler=True, log_level='WARNING')\n"
        "except StorageError as error:\n"
        "    kept = error\n"
        "Lock.note = note\n"
        "assert luigi.build([task], local_scheduler=True, log_level='WARNING')\n"
        "print(kept)\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the disk is full" in done.stdout


def test_a_second_interrupt_is_the_hosts_own(place: Workplace, server: Server) -> None:
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=600))
    host = place.start(
        sys.executable,
        "-c",
        "import luigi, os, signal\nfrom pipeline import RunAll\n"
        "from pipeline.runs.signals import StopSignals\n"
        "first = StopSignals._on_signal\n"
        "def twice(self, *signal_):\n"
        "    first(self, *signal_)\n"
        "    first(self, *signal_)\n"
        "StopSignals._on_signal = twice\n"
        "config = luigi.configuration.get_config()\n"
        "config.set('illuminate', 'read_timeout', '600')\n"
        "config.set('illuminate', 'deadline', '600')\n"
        "try:\n"
        f"    luigi.build([RunAll(year='{YEAR}')], local_scheduler=True, log_level='WARNING')\n"
        "except KeyboardInterrupt:\n"
        "    print('the host goes on')\n",
    )
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    host.send_signal(signal.SIGINT)
    done = place.finish(host)
    assert (done.returncode, "the host goes on" in done.stdout) == (0, True), done.stderr
    assert latest(place)["outcome"] == "stopped"


def test_a_host_that_runs_past_midnight_builds_the_new_day(place: Workplace) -> None:
    """Yesterday does not count as up to date for ever."""
    done = script(
        place,
        "from pipeline.tasks import parameters\n"
        "days = []\n"
        "for day in (30, 31):\n"
        "    parameters.today = lambda: dt.date(2024, 1, day)\n"
        f"    task = RunAll(year='{YEAR}')\n"
        "    days.append(str(task.as_of))\n"
        "    assert luigi.build([task], local_scheduler=True, log_level='WARNING')\n"
        "print(days)\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "['2024-01-30', '2024-01-31']" in done.stdout
    snapshots = [path for path in (place.data / "work" / YEAR).iterdir() if path.is_dir()]
    assert {path.name for path in snapshots} == {
        "2024-01-30",
        "2024-01-31",
    }


def test_no_step_reads_the_clock_again(place: Workplace) -> None:
    """A run that begins on the last day of a year goes on past midnight in one snapshot."""
    done = place.run("--as-of", "2024-06-30", "--today", "2024-06-30")
    assert done.returncode == 0, done.stdout
    days = [path.name for path in (place.data / "work" / YEAR).iterdir()]
    assert days == ["2024-06-30-on-2024-06-30"]


# Workers, retries, single tasks.


@pytest.mark.parametrize("step", ["RunAll", "ReadRoster"])
@pytest.mark.parametrize("option", [("--workers", "2"), ("--worker-timeout", "600")])
def test_steps_in_processes_are_refused_in_one_sentence(
    place: Workplace, server: Server, option: tuple[str, str], step: str
) -> None:
    done = place.finish(place.start(LUIGI, "--module", "pipeline", step, "--year", YEAR, *option))
    assert done.returncode == 30
    assert (done.stdout + done.stderr).count("--workers must be 1") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert server.log == []
    result = latest(place)
    assert (result["outcome"], result["succeeded"]) == ("failed", False)
    assert "--workers must be 1" in result["failures"][0]["reason"]


def test_a_failure_that_luigi_retried_is_no_failure(place: Workplace, server: Server) -> None:
    server.faults.add(Fault("status", endpoint="catalogue", value=403, times=1))
    done = place.run(
        *("--worker-keep-alive", "--scheduler-retry-delay", "0", "--worker-wait-interval", "0.1"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"School year {YEAR} as of 2024-06-30: published." in done.stdout
    assert "FAILED" not in done.stdout
    result = latest(place)
    assert (result["outcome"], result["succeeded"]) == ("published", True)
    assert (result["published"], result["failures"]) == ([YEAR], [])


def test_a_single_task_that_succeeds_is_a_success(place: Workplace) -> None:
    command = (LUIGI, "--module", "pipeline", "FetchScores", "--endpoint", "overall")
    done = place.finish(place.start(*command, "--year", YEAR))
    assert done.returncode == 0, done.stderr
    assert f"School year {YEAR} as of 2024-06-30: done." in done.stdout
    result = latest(place)
    assert (result["outcome"], result["succeeded"], result["published"]) == ("done", True, [])


# What is new since the last success.


def run_for_scheduler(place: Workplace, *options: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-m", "pipeline", "run", "RunAll", "--year", YEAR)
    return place.finish(place.start(*command, *options))


def test_what_a_killed_run_published_is_still_new(place: Workplace) -> None:
    command = (sys.executable, "-m", "pipeline", "run", "RunAll", "--year", YEAR)
    process = place.start(*command)
    published = place.data / "illuminate" / YEAR / "published.json"
    wait_until(lambda: published.exists() or process.poll() is not None)
    process.kill()
    place.finish(process)
    assert published.exists()
    done = run_for_scheduler(place)
    assert done.returncode == 0, done.stdout
    assert latest(place)["published"] == [YEAR]
    assert run_for_scheduler(place).returncode == 99


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_run_published_that_ended_while_it_notified_is_still_new(
    place: Workplace, end: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as webhook:  # which never answers
        place.environment["PIPELINE_WEBHOOK_URL"] = f"http://127.0.0.1:{webhook.getsockname()[1]}"
        process = place.start(sys.executable, "-m", "pipeline", "run", "RunAll", "--year", YEAR)
        connection, _ = webhook.accept()
        process.send_signal(end)
        place.finish(process)
        connection.close()
    assert process.returncode not in {0, 99}
    del place.environment["PIPELINE_WEBHOOK_URL"]
    assert run_for_scheduler(place).returncode == 0
    assert latest(place)["published"] == [YEAR]
    assert run_for_scheduler(place).returncode == 99


def test_what_was_published_with_a_failed_report_is_still_new(place: Workplace) -> None:
    (place.data / "reports" / f"{YEAR}.html").mkdir(parents=True)
    assert run_for_scheduler(place).returncode == 30
    assert latest(place)["outcome"] == "not reported"
    (place.data / "reports" / f"{YEAR}.html").rmdir()
    assert run_for_scheduler(place).returncode == 0
    assert latest(place)["published"] == [YEAR]
    assert run_for_scheduler(place).returncode == 99


def test_another_spelling_of_the_data_folder_is_nothing_new(place: Workplace) -> None:
    assert run_for_scheduler(place, "--paths-data-dir", "data").returncode == 0
    before = (place.data / "illuminate" / YEAR / "published.json").read_bytes()
    done = run_for_scheduler(place, "--paths-data-dir", str(place.data))
    assert done.returncode == 99, done.stdout
    assert (place.data / "illuminate" / YEAR / "published.json").read_bytes() == before


# A central scheduler.


@pytest.fixture
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a scheduler with the settings of docker/scheduler.cfg."""
    folder = tmp_path_factory.mktemp("luigid")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [LUIGI.with_name("luigid"), "--address", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        env={"LUIGI_CONFIG_PATH": str(REPOSITORY / "docker" / "scheduler.cfg"), "PATH": "/usr/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_open(port))
        yield port
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def workers_known_to(port: int) -> list[object]:
    reply = requests.get(
        f"http://127.0.0.1:{port}/api/worker_list", params={"data": "{}"}, timeout=9
    )
    workers: list[object] = reply.json()["response"]
    return workers


def central(port: int) -> tuple[str, ...]:
    return ("--scheduler-host", "127.0.0.1", "--scheduler-port", str(port))


@pytest.mark.parametrize("step", ["RunAll", "ReadRoster"])
def test_an_unreachable_scheduler_is_one_sentence_within_seconds(
    place: Workplace, server: Server, step: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = (LUIGI, "--module", "pipeline", step, "--year", YEAR, *central(port))
    done = place.finish(place.start(*command))
    assert done.returncode == 35
    shown = done.stdout + done.stderr
    assert shown.count("central scheduler") == 1
    assert f"http://127.0.0.1:{port} cannot be reached" in shown
    if step == "RunAll":  # Luigi has no event for a task that requires nothing
        first = f"School year {YEAR} as of 2024-06-30: FAILED; what was published before is unch"
        assert first in done.stdout
        assert "  Schedule: Luigi's central scheduler" in done.stdout
        assert latest(place)["tables"][0]["outcome"] == "failed"
    assert "Traceback" not in shown
    assert "NoneType" not in shown
    assert latest(place)["outcome"] == "failed"
    assert latest(place)["seconds"] < 30
    assert server.log == []


def test_two_districts_share_a_scheduler(
    place: Workplace, luigid: int, tmp_path_factory: pytest.TempPathFactory, district: District
) -> None:
    """At the same time, and one right after the other."""
    other = Workplace(tmp_path_factory.mktemp("other"), dict(place.environment))
    with serving(district) as second:
        other.point_at(second)
        both = [each.start_run("--year", YEAR, *central(luigid)) for each in (place, other)]
        ends = [each.finish(run) for each, run in zip((place, other), both, strict=True)]
        assert [end.returncode for end in ends] == [0, 0], [end.stdout + end.stderr for end in ends]
        for each in (place, other):
            assert latest(each)["published"] == [YEAR]
            assert each.run(*central(luigid)).returncode == 0
            assert latest(each)["outcome"] == "up to date"
        grep = (LUIGI.with_name("luigi-grep"), *central(luigid), "--prefix", "RunAll")
        found = place.finish(place.start(*grep)).stdout
        ended = [line for line in found.splitlines() if line.startswith("RunAll")]
        assert len(ended) == 2, found
        assert all(": DONE" in line for line in ended), found


def test_what_another_worker_holds_is_said(place: Workplace, server: Server, luigid: int) -> None:
    """The same district from a second data folder; after kill -9, one rerun is enough."""
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    holder = place.start_run("--year", YEAR, *central(luigid))
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    other = Workplace(place.folder / "other", dict(place.environment))
    other.folder.mkdir()
    done = other.run(*central(luigid))
    assert done.returncode in {10, 25}
    assert "It was not run: another worker" in done.stdout
    assert latest(other)["succeeded"] is False
    holder.kill()
    place.finish(holder)
    server.faults.clear()
    wait_until(lambda: not workers_known_to(luigid))  # which forgets a killed one after a while
    assert other.run(*central(luigid)).returncode == 0
    assert latest(other)["published"] == [YEAR]
