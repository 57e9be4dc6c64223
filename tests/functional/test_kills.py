"""kill -9 at many points: nothing torn, nothing fetched twice, the same bytes at the end."""

import pytest

from pipeline.simulator import District, Protocol, Server, serving
from tests.functional.conftest import Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import requested_shards


@pytest.mark.usefixtures("by_assessment")
@pytest.mark.parametrize("requests", [1, 2, 3, 10, 35, 60, 85, 95, 105])
def test_killed_after_so_many_requests(
    place: Workplace, district: District, undisturbed: dict[str, bytes], requests: int
) -> None:
    """Resuming requests what is missing only, and ends with the bytes of an undisturbed run."""
    with serving(district, Protocol(latency_seconds=0.01)) as server:
        place.point_at(server)
        process = place.start_run("--year", "23-24", "--illuminate-threads", "4")
        wait_until(lambda: len(server.log) >= requests or process.poll() is not None)
        process.kill()
        assert place.finish(process).returncode == -9
        there = place.kept_shards()
        server.clear_log()
        done = place.run()
        assert done.returncode == 0, done.stdout
        assert requested_shards(server).isdisjoint(there)
    assert place.published() == undisturbed
    assert place.leftovers() == []


@pytest.mark.usefixtures("by_assessment")
def test_killed_again_and_again(
    place: Workplace, district: District, undisturbed: dict[str, bytes]
) -> None:
    """Each run gets a little further; no shard is requested again once it is finished."""
    with serving(district, Protocol(latency_seconds=0.005)) as server:
        place.point_at(server)
        for _ in range(6):
            there = place.kept_shards()
            server.clear_log()
            process = place.start_run("--year", "23-24", "--illuminate-threads", "4")
            wait_until(lambda: len(requested_shards(server)) >= 15)
            process.kill()
            place.finish(process)
            assert requested_shards(server).isdisjoint(there)
        assert place.run().returncode == 0
    assert place.published() == undisturbed


@pytest.mark.parametrize("moment", ["results", "receipts", "illuminate", "views"])
def test_killed_while_tables_are_made(
    place: Workplace, district: District, server: Server, undisturbed: dict[str, bytes], moment: str
) -> None:
    """Killed as soon as a folder gets its first file: the rerun needs no request."""
    folder = {
        "results": place.work / "results",
        "receipts": place.work / "receipts",
        "illuminate": place.data / "illuminate" / "23-24",
        "views": place.data / "views" / "23-24",
    }[moment]
    process = place.start_run("--year", "23-24")
    wait_until(lambda: (folder.is_dir() and any(folder.iterdir())) or process.poll() is not None)
    process.kill()
    place.finish(process)
    there = place.kept_shards()
    server.clear_log()
    done = place.run()
    assert done.returncode == 0
    assert done.stderr.count("The run before this one was killed") == 1
    assert requested_shards(server).isdisjoint(there)
    assert place.published() == undisturbed
    assert place.leftovers() == []
    assert "was killed" not in place.run().stderr


def test_what_a_power_cut_brings_back_is_removed_wherever_it_is(place: Workplace) -> None:
    """No note names its folder any more: a file was removed, but not yet durably."""
    assert place.run().returncode == 0
    for folder in (place.data, place.data / "runs"):
        (folder / ".test.12345-2.partial").touch()
    done = place.run()
    assert done.returncode == 0
    assert "was killed" not in done.stderr
    assert place.leftovers() == []
