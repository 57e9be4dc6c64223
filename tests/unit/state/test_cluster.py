"""Work on two workers of this machine: an outcome for every item, and no data in what Dask says."""

import logging
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from pipeline.errors import StateError, StoppedError, StorageError, UnexpectedError
from pipeline.state import cluster as cluster_module
from pipeline.state.cluster import (
    Cluster,
    LostSchedulerError,
    LostWorkersError,
    on_this_machine,
)
from pipeline.storage import files
from tests.functional.test_failures import wait_until

LOSSES = 1


def double(number: int) -> int:
    time.sleep(0.1 if number == 1 else 0)
    return 2 * number


def fail(text: str) -> str:
    if text == "expected":
        raise StorageError("The disk is full.")
    if text == "unexpected":
        raise ValueError("Ada Lovelace")
    return text


def die(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def log_of(_: str) -> list[str]:
    import distributed

    return [line for _, line in distributed.get_worker().get_logs()]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The scheduler of two workers."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": LOSSES}),
        on_this_machine(2) as found,
    ):
        yield found


@pytest.fixture
def cluster(address: str, tmp_path: Path) -> Iterator[Cluster]:
    """The workers, which see the folder of the test."""
    found = Cluster(address, "", tmp_path)
    yield found
    found.close()


def test_results_are_in_the_order_of_the_items(cluster: Cluster) -> None:
    assert list(cluster.map(double, range(5))) == [0, 2, 4, 6, 8]
    assert list(cluster.map(double, [])) == []


def test_every_item_has_an_outcome_and_errors_are_told_without_data(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ("fine", "expected", "unexpected", "fine too")
    works = [cluster.start(fail, text, name=text, key=f"key-{text}") for text in texts]
    assert works[0].result() == "fine"
    with pytest.raises(StorageError, match=r"^The disk is full\.$"):
        works[1].result()
    with pytest.raises(UnexpectedError, match=r"^ValueError$") as unexpected:
        works[2].result()
    assert works[3].result() == "fine too"
    assert works[3].wait(0)
    assert "Lovelace" not in repr(unexpected.value.__dict__) + repr(unexpected.value.__cause__)
    logged = "\n".join(line for lines in cluster.map(log_of, "12345678") for line in lines)
    assert "Lovelace" not in logged + caplog.text


def test_the_first_error_of_a_map_is_raised(cluster: Cluster) -> None:
    with pytest.raises(StorageError):
        list(cluster.map(fail, ["a", "expected", "b"]))


def test_work_that_kills_its_workers_is_given_up_and_other_work_is_not(cluster: Cluster) -> None:
    lethal = cluster.start(die, "", name="north 23-24", key="lethal")
    other = cluster.start(double, 3, name="other", key="other")
    with pytest.raises(LostWorkersError, match=r"^north 23-24 was given up: each of the 2 workers"):
        lethal.result()
    assert other.result() == 6


def test_a_scheduler_of_another_version_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_versions = Client.get_versions

    def older(client: Client) -> dict[str, Any]:
        found: dict[str, Any] = get_versions(client)
        found["scheduler"]["packages"]["distributed"] = "2020.1"
        return found

    monkeypatch.setattr(Client, "get_versions", older)
    with pytest.raises(StateError, match=r"has .*distributed 2020\.1.*nothing was requested"):
        Cluster(address, "", tmp_path)


def test_work_that_is_under_way_is_waited_for_no_longer_than_asked(cluster: Cluster) -> None:
    work = cluster.start(time.sleep, 1, name="sleep", key="sleep")
    assert not work.wait(0.01)


def test_a_worker_that_does_not_see_the_folder_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="Every worker needs the state folder"):
        Cluster(address, "", tmp_path / "elsewhere" / "file")


def test_a_scheduler_without_workers_is_refused(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster_module, "_WORKER_SECONDS", 0.1)
    with on_this_machine(0) as empty, pytest.raises(StateError, match="has no workers"):
        Cluster(empty, "", tmp_path)


def test_a_worker_that_came_later_and_differs_does_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = cluster._host._replace(code="another")
    monkeypatch.setattr(cluster, "_host", other)
    with pytest.raises(StateError, match="has another state of the pipeline's code"):
        cluster.start(double, 1, name="double", key="differs").result()


def panic(_: str) -> None:
    class PanicError(BaseException):
        pass

    raise PanicError("Ada Lovelace")


def test_a_panic_is_told_without_data(cluster: Cluster) -> None:
    with pytest.raises(UnexpectedError, match=r"^PanicError$"):
        list(cluster.map(panic, "1"))
    assert list(cluster.map(double, [4])) == [8]


def mode_of(path: Path) -> int:
    files.write_text(path, "")
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("group_readable", "mode"), [(True, 0o640), (False, 0o600)])
def test_workers_let_the_group_read_what_this_host_does(
    address: str, tmp_path: Path, group_readable: bool, mode: int
) -> None:
    cluster = Cluster(address, "", tmp_path, group_readable=group_readable)
    assert list(cluster.map(mode_of, [tmp_path / "file"])) == [mode]
    cluster.close()


def test_a_map_ends_soon_when_it_is_asked_to_stop(cluster: Cluster) -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(StoppedError):
        list(cluster.map(time.sleep, [2], stop))


def test_a_cluster_that_has_lost_its_workers_is_not_waited_for(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster_module, "_WORKER_SECONDS", 3.0)
    monkeypatch.setattr(cluster_module, "_LOOK_SECONDS", 0.1)
    # A worker that is a process has a nanny, which may start another one.
    here = {"processes": False, "protocol": "tcp://", "host": "127.0.0.1"}
    with LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0", **here) as workers:
        alone = Cluster(workers.scheduler_address, "", tmp_path)
        assert list(alone.map(double, [1])) == [2]
        workers.sync(workers.workers[0].close)
        wait_until(lambda: not alone._client.nthreads())
        with pytest.raises(LostSchedulerError, match="All workers of"):
            list(alone.map(double, [1]))
        alone.close()
        with pytest.raises(LostSchedulerError, match="is lost"):
            list(alone.map(double, [1]))


def test_what_dask_logs_of_a_loss_is_not_printed(cluster: Cluster) -> None:
    assert logging.getLogger("distributed.client").level == logging.CRITICAL
