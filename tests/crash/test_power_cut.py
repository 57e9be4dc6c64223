"""The power fails after every single file operation: nothing torn is believed, nothing is lost.

Two runs are recorded: one as of a day in winter, and one of the whole year, which publishes over
the first. Then, for each operation of both, the folder is rebuilt as a power cut right after it
would leave it, several times with different losses of what was not yet safe. The environment
variable CRASH_ROUNDS asks for more of them.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pipeline.extract import shards
from pipeline.publish.commit import Marker
from pipeline.simulator import District, Server, serving
from pipeline.storage import files
from pipeline.tasks.targets import Manifest, Receipt
from tests.crash import warm
from tests.crash.disk_model import BY_CHANCE, HARSH_LOSSES, Disk, Left, Operation, rebuild
from tests.crash.helpers import (
    EARLIER,
    all_shards,
    make_place,
    number_from_environment,
    visible_shards,
    whole_shards,
)
from tests.functional.conftest import Workplace
from tests.functional.test_reruns import asked_for

ROUNDS = number_from_environment("CRASH_ROUNDS", 1)
"""How many losses by chance are tried at each operation, beside the harsh ones."""

RESUMED = 20 * ROUNDS
"""How many of the folders found after a power cut are worked on by another run."""

Contents = dict[str, bytes]


@dataclass
class History:
    """All that two runs did, one after the other, and what people saw after each."""

    server: Server
    place: Workplace
    operations: list[Operation] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    published: list[Contents] = field(default_factory=list)

    def add_run(self, *options: str) -> None:
        code, operations = warm.record(self.place, *options)
        assert code == 0, warm.said(self.place)
        self.operations += operations
        self.ends.append(len(self.operations))
        self.published.append(self.place.published())


@pytest.fixture(scope="module")
def history(
    tmp_path_factory: pytest.TempPathFactory, district: District, roster: Path
) -> Iterator[History]:
    place = make_place(tmp_path_factory.mktemp("recorded"), roster)
    with serving(district) as server:
        place.point_at(server)
        history = History(server, place)
        history.add_run(*EARLIER)
        history.add_run()
        yield history


@dataclass
class Knowledge:
    """What may be and what must be on disk at some point of a history."""

    complete: dict[str, list[bytes]] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)

    def follow(self, operation: Operation, disk: Disk) -> None:
        """Learn what was put in place, and what was since made to last by a sync of its folder."""
        if operation.kind == "rename":
            node = disk.names[operation.to]
            self.complete.setdefault(operation.to, []).append(node.content)
        if operation.kind == "sync":
            for path, versions in self.complete.items():
                if str(Path(path).parent) == operation.path:
                    self.promised[path] = len(versions) - 1

    def faults_of(self, left: Left) -> Iterator[str]:
        """Every visible file is whole, and none is older than was promised."""
        for path, (content, _) in left.files.items():
            if not Path(path).name.startswith(".") and content not in self.complete.get(path, []):
                yield f"{path} is torn"
        for path, version in self.promised.items():
            content, _ = left.files.get(path, (None, 0))
            if content not in self.complete[path][version:]:
                yield f"{path} was safe and is lost"


@dataclass
class PowerCut:
    """A folder as it is found, and after how many operations the power went."""

    point: int
    left: Left
    knowledge: Knowledge


def power_cuts(history: History, rounds: int) -> Iterator[PowerCut]:
    """Each operation as the last one, with each loss."""
    disk, knowledge, chance = Disk(), Knowledge(), Random(3)
    for point, operation in enumerate(history.operations, start=1):
        disk.do(operation)
        knowledge.follow(operation, disk)
        for loss in (*HARSH_LOSSES, *[BY_CHANCE] * rounds):
            yield PowerCut(point, disk.after_power_cut(loss, chance), knowledge)


def published_in(left: Left) -> Contents:
    """What people find."""
    places = ("data/illuminate/", "data/views/")
    return {
        path.removeprefix("data/").split("/", 1)[1]: content
        for path, (content, _) in left.files.items()
        if path.startswith(places) and not Path(path).name.startswith(".")
    }


def acknowledged_faults(history: History, cut: PowerCut) -> Iterator[str]:
    """Once a run exited 0, its tables and its marker are there whatever is lost."""
    found = published_in(cut.left)
    marker = found.pop("23-24/published.json", None)
    if cut.point >= history.ends[0] and marker is None:
        yield "the marker is lost"
    for end, published in zip(history.ends, history.published, strict=True):
        if cut.point == end and found != published:
            yield "the published tables are lost"


def marker_faults(place: Workplace, history: History) -> Iterator[str]:
    """If the marker says that its set is complete, then it is one run's set."""
    folder = place.data / "illuminate/23-24"
    marker = Marker.read(folder / "published.json")
    seen = {name: data for name, data in place.published().items() if "/." not in name}
    if marker is not None and marker.fits(folder) and seen not in history.published:
        yield "the marker claims what is no run's set"


def shard_faults(place: Workplace, server: Server) -> Iterator[str]:
    """Each shard that is seen is found to be whole, so none that was finished is asked again."""
    for endpoint, assessment_id in visible_shards(place) - whole_shards(place, server):
        yield f"the {endpoint} shard of {assessment_id} is there and not whole"


def note_faults(place: Workplace) -> Iterator[str]:
    """What a receipt or a manifest takes as good has the very content that it was made with."""
    for path in place.data.glob("work/*/*/receipts/[!.]*.json"):
        receipt = Receipt.read(path)
        for name, made in receipt.made.items() if receipt else ():
            found = [path.parents[1] / name, path.parents[1] / "results" / name]
            yield from (f"{each} is believed" for each in found if is_misjudged(made, each))
    for path in place.data.glob("work/*/*/scores-*.json"):
        manifest = Manifest.read(path)
        for assessment_id, entry in manifest.shards.items() if manifest else ():
            shard = path.parent / "shards" / manifest.origin.endpoint
            shard /= shards.file_name(assessment_id)
            yield from [f"{shard} is believed"] if is_misjudged(entry.file, shard) else []


def is_misjudged(made: files.Fingerprint, path: Path) -> bool:
    return made.fits(path) and files.sha256(path) != made.sha256


def faults_on_disk(history: History, place: Workplace) -> list[str]:
    """All that the pipeline would believe of a folder that was found, and must not."""
    return [
        *marker_faults(place, history),
        *shard_faults(place, history.server),
        *note_faults(place),
    ]


def rebuilt(history: History, left: Left) -> Workplace:
    """What a power cut left, in the very place where it was recorded."""
    shutil.rmtree(history.place.folder)
    rebuild(left, history.place.folder)
    return history.place


def test_nothing_torn_and_nothing_lost(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    found, tried, looked_at = [], 0, set()
    for cut in power_cuts(history, ROUNDS):
        wrong = [*cut.knowledge.faults_of(cut.left), *acknowledged_faults(history, cut)]
        if (state := cut.left.digest) not in looked_at:
            looked_at.add(state)
            wrong += faults_on_disk(history, rebuilt(history, cut.left))
        found += [f"after {history.operations[cut.point - 1]}: {fault}" for fault in wrong]
        tried += 1
    with capsys.disabled():
        print(
            f"\n{len(history.operations)} crash points, {tried} losses tried, "
            f"which left {len(looked_at)} different folders"
        )
    assert found == []


def test_a_resumed_run_ends_with_the_same_bytes(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    """It asks for no shard that was found whole, and leaves no temporary file."""
    everything = len(history.operations) * (len(HARSH_LOSSES) + ROUNDS)
    chosen = set(Random(5).sample(range(everything), RESUMED))
    leftovers = []
    for number, cut in enumerate(power_cuts(history, ROUNDS)):
        if number in chosen:
            place = rebuilt(history, cut.left)
            resume(history, place)
            leftovers += place.leftovers()
    with capsys.disabled():
        print(f"\n{len(chosen)} runs resumed after a power cut")
    assert leftovers == []


def resume(history: History, place: Workplace) -> None:
    there = whole_shards(place, history.server)
    history.server.clear_log()
    assert warm.run(place) == 0, warm.said(place)
    assert asked_for(history.server) == all_shards(history.server) - there
    assert place.published() == history.published[-1]


def test_the_model_notices_runs_that_sync_nothing(history: History) -> None:
    """Without syncs the same run tears files and loses what it promised."""
    end = sum(operation.kind != "sync" for operation in history.operations[: history.ends[0]])
    unsynced = [operation for operation in history.operations if operation.kind != "sync"][:end]
    careless = History(history.server, history.place, unsynced, [end], history.published[:1])
    found = [
        fault
        for cut in power_cuts(careless, 0)
        for fault in (*cut.knowledge.faults_of(cut.left), *acknowledged_faults(careless, cut))
    ]
    assert any("is torn" in fault for fault in found)
    assert "the marker is lost" in found
    assert "the published tables are lost" in found
