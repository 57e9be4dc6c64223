"""kill -9 of the real command, repeatedly, at random points of its progress.

Only delivered kills count, not runs that ended before. The environment variable KILLS sets their
number.
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from pipeline.publish.commit import Publication
from pipeline.simulator import District, Protocol, Server, serving
from tests.crash.helpers import (
    Shard,
    all_shards,
    claimed_shards,
    number_from_environment,
    valid_shards,
)
from tests.functional.conftest import AUTO, BY_ASSESSMENT, Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import requested_shards

KILLS = number_from_environment("KILLS", 12)
_LATENCY = 0.005
_MOST_REQUESTS, _MOST_FILES = 11, 52
_LONGEST_DELAY = 0.02


@dataclass
class Moment:
    """When to kill: after so many requests or new files, and a little later."""

    name: str
    happened: Callable[[], bool]
    delay: float


def random_moment(place: Workplace, server: Server, rng: Random) -> Moment:
    """Return a random point in the progress of the next run."""
    delay = rng.uniform(0, _LONGEST_DELAY)
    if rng.random() < 0.3:
        requests = rng.randint(1, _MOST_REQUESTS)
        return Moment(f"{requests} requests", lambda: len(server.log) >= requests, delay)
    there = len(names_in(place))
    files = there + rng.randint(1, max(1, _MOST_FILES - there))
    return Moment(f"{files} files", lambda: len(names_in(place)) >= files, delay)


def names_in(place: Workplace) -> set[str]:
    """Return the names of all finished files."""
    # os.walk leaves out folders that are removed meanwhile; Path.rglob fails.
    found = (Path(folder, name) for folder, _, names in os.walk(place.data) for name in names)
    return {str(path) for path in found if path.suffix and not path.name.startswith(".")}


def run_and_kill(place: Workplace, moment: Moment, how: tuple[str, ...]) -> int:
    """Run, kill the run at a moment unless it has ended, and return its exit code."""
    process = place.start_run("--year", "23-24", "--illuminate-threads", "3", *how)
    wait_until(lambda: moment.happened() or process.poll() is not None)
    time.sleep(moment.delay)
    process.kill()
    return place.finish(process).returncode


def check_what_is_left(place: Workplace, server: Server, undisturbed: dict[str, bytes]) -> None:
    """Check that no file is torn and that visible files belong to a complete set."""
    assert claimed_shards(place) == valid_shards(place, server)
    seen = {name: data for name, data in place.published().items() if "/." not in name}
    for name, content in seen.items():
        assert content == undisturbed[name], f"{name} is torn"
    folder = place.data / "illuminate/23-24"
    marker = Publication.read(folder / "published.json")
    assert marker is not None or not (folder / "published.json").exists()
    if marker is not None:
        assert marker.matches(folder)
        assert seen == undisturbed


def check_requests(server: Server, there: set[Shard]) -> None:
    """Check that what was finished before the run was not requested."""
    assert requested_shards(server).isdisjoint(there)


@pytest.mark.parametrize("how", [BY_ASSESSMENT, AUTO], ids=["by_assessment", "auto"])
def test_kill_nine_at_random_moments(
    how: tuple[str, ...],
    place: Workplace,
    district: District,
    undisturbed: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng, delivered, completed = Random(9), 0, 0
    with serving(district, Protocol(latency_seconds=_LATENCY)) as server:
        place.point_at(server)
        while delivered < KILLS:
            there = valid_shards(place, server)
            server.clear_log()
            code = run_and_kill(place, random_moment(place, server, rng), how)
            assert code in {-9, 0}
            check_what_is_left(place, server, undisturbed)
            check_requests(server, there)
            assert there <= valid_shards(place, server)
            delivered += code == -9
            if code == 0:
                assert place.published() == undisturbed
                assert place.leftovers() == []
                completed += 1
                shutil.rmtree(place.data)
        finish(place, server, undisturbed, how)
    with capsys.disabled():
        print(f"\n{delivered} kills delivered, {completed} runs ended before their kill")


def finish(
    place: Workplace, server: Server, undisturbed: dict[str, bytes], how: tuple[str, ...]
) -> None:
    """Check that a last run requests what is missing and leaves no temporary file."""
    there = valid_shards(place, server)
    server.clear_log()
    done = place.run(*how)
    assert done.returncode == 0, done.stdout
    missing, requested = all_shards(server) - there, requested_shards(server)
    if how == BY_ASSESSMENT:
        assert requested == missing
    assert {endpoint for endpoint, _ in requested} == {endpoint for endpoint, _ in missing}
    assert place.published() == undisturbed
    assert place.leftovers() == []
