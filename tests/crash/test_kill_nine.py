"""kill -9 of the real command, again and again, at points of its progress chosen by chance.

Only kills that were delivered count: a run that ended by itself before is another try. The
environment variable KILLS says how many there are to be.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from pipeline.publish.commit import Marker
from pipeline.simulator import District, Protocol, Server, serving
from tests.crash.helpers import (
    Shard,
    all_shards,
    number_from_environment,
    visible_shards,
    whole_shards,
)
from tests.functional.conftest import Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import asked_for

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


def some_moment(place: Workplace, server: Server, chance: Random) -> Moment:
    """A point of progress of the run that is about to be started."""
    delay = chance.uniform(0, _LONGEST_DELAY)
    if chance.random() < 0.3:
        requests = chance.randint(1, _MOST_REQUESTS)
        return Moment(f"{requests} requests", lambda: len(server.log) >= requests, delay)
    there = len(names_in(place))
    files = there + chance.randint(1, max(1, _MOST_FILES - there))
    return Moment(f"{files} files", lambda: len(names_in(place)) >= files, delay)


def names_in(place: Workplace) -> set[str]:
    """Every file that is done, by name."""
    return {str(path) for path in place.data.rglob("[!.]*.*") if not path.name.startswith(".")}


def run_and_kill(place: Workplace, moment: Moment) -> int:
    """The exit code of a run that was killed at a moment, if it lived to see it."""
    process = place.start_run("--year", "23-24", "--illuminate-threads", "3")
    wait_until(lambda: moment.happened() or process.poll() is not None)
    time.sleep(moment.delay)
    process.kill()
    return place.finish(process).returncode


def check_what_is_left(place: Workplace, server: Server, undisturbed: dict[str, bytes]) -> None:
    """Nothing is torn, and what can be seen is of a finished set."""
    assert visible_shards(place) == whole_shards(place, server)
    seen = {name: data for name, data in place.published().items() if "/." not in name}
    for name, content in seen.items():
        assert content == undisturbed[name], f"{name} is torn"
    folder = place.data / "illuminate/23-24"
    marker = Marker.read(folder / "published.json")
    assert marker is not None or not (folder / "published.json").exists()
    if marker is not None:
        assert marker.fits(folder)
        assert seen == undisturbed


def check_requests(server: Server, there: set[Shard]) -> None:
    """What was finished before the run began was not asked for."""
    assert asked_for(server).isdisjoint(there)


def test_killed_until_all_kills_were_delivered(
    place: Workplace,
    district: District,
    undisturbed: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    chance, delivered, completed = Random(9), 0, 0
    with serving(district, Protocol(latency_seconds=_LATENCY)) as server:
        place.point_at(server)
        while delivered < KILLS:
            there = whole_shards(place, server)
            server.clear_log()
            code = run_and_kill(place, some_moment(place, server, chance))
            assert code in {-9, 0}
            check_what_is_left(place, server, undisturbed)
            check_requests(server, there)
            assert there <= whole_shards(place, server)
            delivered += code == -9
            if code == 0:
                assert place.published() == undisturbed
                assert place.leftovers() == []
                completed += 1
                shutil.rmtree(place.data)
        finish(place, server, undisturbed)
    with capsys.disabled():
        print(f"\n{delivered} kills delivered, {completed} runs were quicker than their kill")


def finish(place: Workplace, server: Server, undisturbed: dict[str, bytes]) -> None:
    """The last run asks for what is missing, and no temporary file is left."""
    there = whole_shards(place, server)
    server.clear_log()
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert asked_for(server) == all_shards(server) - there
    assert place.published() == undisturbed
    assert place.leftovers() == []
