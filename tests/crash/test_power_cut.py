"""Power cuts after every file operation: no torn file is trusted, and nothing published is lost.

Two runs are recorded: one as of a day in winter, and one of the whole year, which publishes over
the first. For each operation of both, the folder is rebuilt as a power cut just after it would
leave it, several times, with different losses of what was not yet safe; so for shards requested one
by one, and for shards made of ranges of dates. The environment variable CRASH_ROUNDS sets how many
of these losses are random.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest
from pipeline.publish.commit import Publication
from pipeline.simulator import District, Server, serving
from pipeline.storage import files
from pipeline.storage.receipts import Receipt
from pipeline.storage.replacement import recover
from tests.crash import forked
from tests.crash.disk_model import HARSH_LOSSES, RANDOM_LOSS, Disk, Operation, Remains, rebuild
from tests.crash.helpers import (
    EARLIER,
    all_shards,
    make_workplace,
    number_from_environment,
    valid_shards,
)
from tests.functional import oracle
from tests.functional.conftest import BY_ASSESSMENT, Workplace
from tests.functional.test_by_page import kept_ranges, requested_again
from tests.functional.test_reruns import requested_shards

ROUNDS = number_from_environment("CRASH_ROUNDS", 1)
"""The number of random losses at each operation, in addition to the harsh ones."""

RESUMED = 20 * ROUNDS
"""The number of folders after a power cut in which another run is started."""

BY_PAGE = ("--illuminate-strategy", "by_page", "--illuminate-page-limit", "2")
"""With two rows on a page, the year needs more than one range of dates."""

Contents = dict[str, bytes]


@dataclass
class History:
    """The operations of two consecutive runs, and what was published after each."""

    server: Server
    place: Workplace
    options: tuple[str, ...] = ()
    operations: list[Operation] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    published: list[Contents] = field(default_factory=list)

    def add_run(self, *options: str) -> None:
        code, operations = forked.record(self.place, *self.options, *options)
        assert code == 0, forked.output(self.place)
        self.operations += operations
        self.ends.append(len(self.operations))
        self.published.append(self.place.published())


@pytest.fixture(scope="module", params=[BY_ASSESSMENT, BY_PAGE], ids=["assessments", "pages"])
def history(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    district: District,
    roster: Path,
) -> Iterator[History]:
    place = make_workplace(tmp_path_factory.mktemp("recorded"), roster)
    with serving(district) as server:
        place.point_at(server)
        history = History(server, place, request.param)
        history.add_run(*EARLIER)
        history.add_run()
        yield history


@dataclass
class Knowledge:
    """What may be and what must be on disk at some point of a history."""

    complete: dict[str, list[bytes]] = field(default_factory=dict)
    durable: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, Manifest] = field(default_factory=dict)

    def follow(self, operation: Operation, disk: Disk) -> None:
        """Note which files were put in place, and which a sync of their folder made durable."""
        # A hidden file may disappear again.
        if operation.kind == "rename" and not Path(operation.to).name.startswith("."):
            node = disk.names[operation.to]
            self.complete.setdefault(operation.to, []).append(node.content)
        if operation.kind == "unlink" and "/ranges/" in operation.path:
            # Once all shards are noted, the ranges that they are made of are not needed any more.
            *_, endpoint, name = Path(operation.path).parts
            if name.endswith(".parquet"):
                noted = Path(operation.path).parents[2] / f"scores-{endpoint}.jsonl"
                assert str(noted) in self.complete
            self.durable.pop(operation.path, None)
            self.acknowledged.pop(str(Path(operation.path).with_name("parts.jsonl")), None)
        if operation.kind == "sync":
            for path, versions in self.complete.items():
                newest = len(versions) - 1
                is_there = str(Path(path).parent) == operation.path and path in disk.names
                if is_there and self.durable.get(path) != newest:
                    self.durable[path] = newest
                    self._follow_manifest(path, versions[-1])
            self._follow_entries(operation.path, disk)

    def _follow_manifest(self, path: str, content: bytes) -> None:
        """Note the entries that a manifest had when it was put in place."""
        manifest = Manifest.parse(content) if path.endswith(".jsonl") else None
        if manifest:
            self.acknowledged[path] = manifest

    def _follow_entries(self, folder: str, disk: Disk) -> None:
        """Note the entries whose manifest was synced, and then the folder of their files."""
        files_of = Path(folder)
        manifests = {
            "shards": files_of.parent.parent / f"scores-{files_of.name}.jsonl",
            "ranges": files_of / "parts.jsonl",
        }
        if (kind := files_of.parent.name) not in manifests:
            return
        path = str(manifests[kind])
        node = disk.names.get(path)
        manifest = Manifest.parse(node.synced[0]) if node and node.synced else None
        if manifest:
            self.acknowledged[path] = manifest

    def faults_of(self, left: Remains) -> Iterator[str]:
        """Yield the visible files that are torn or older than their durable version."""
        for path, (content, _) in left.files.items():
            grows = path.endswith(".jsonl")  # its lines have checksums of their own
            is_visible = not Path(path).name.startswith(".") and not grows
            if is_visible and content not in self.complete.get(path, []):
                yield f"{path} is torn"
        for path, version in self.durable.items():
            content, _ = left.files.get(path, (b"", 0))
            whole = self.complete[path][version:]
            grown = path.endswith(".jsonl") and any(map(content.startswith, whole))
            if path not in left.files or not (content in whole or grown):
                yield f"{path} was safe and is lost"
        for path, manifest in self.acknowledged.items():
            yield from lost_shards(path, manifest, left)


def lost_shards(path: str, manifest: Manifest, left: Remains) -> Iterator[str]:
    """Yield the acknowledged shards that are lost and would be fetched again."""
    content, _ = left.files.get(path, (b"", 0))
    found = Manifest.parse(content)
    folder = folder_of(Path(path), manifest)
    for assessment_id, entry in manifest.shards.items():
        shard, _ = left.files.get(str(folder / shards.file_name(assessment_id)), (b"", 0))
        is_there = not entry.file or hashlib.sha256(shard).hexdigest() == entry.file.sha256
        if found is None or found.shards.get(assessment_id) != entry or not is_there:
            yield f"the shard {assessment_id} of {path} was acknowledged and is lost"


def folder_of(path: Path, manifest: Manifest) -> Path:
    """Return where the files of a manifest are: ranges are beside it."""
    if path.name == "parts.jsonl":
        return path.parent
    return path.parent / "shards" / manifest.request.endpoint


@dataclass
class PowerCut:
    """What remains of a folder, and after how many operations the power failed."""

    point: int
    left: Remains
    knowledge: Knowledge


def power_cuts(history: History, rounds: int) -> Iterator[PowerCut]:
    """Yield a power cut after each operation with each loss."""
    disk, knowledge, rng = Disk(), Knowledge(), Random(3)
    for point, operation in enumerate(history.operations, start=1):
        disk.do(operation)
        knowledge.follow(operation, disk)
        for loss in (*HARSH_LOSSES, *[RANDOM_LOSS] * rounds):
            yield PowerCut(point, disk.after_power_cut(loss, rng), knowledge)


def published_in(left: Remains) -> Contents:
    """Return the published files among the remains."""
    visible = {
        path.removeprefix("data/"): content
        for path, (content, _) in left.files.items()
        if not Path(path).name.startswith(".")
    }
    return oracle.published(visible)


def acknowledged_faults(history: History, cut: PowerCut) -> Iterator[str]:
    """Yield what is missing although a run exited 0: its tables or its manifest."""
    found = published_in(cut.left)
    marker = found.pop("23-24/published.json", None)
    if cut.point >= history.ends[0] and marker is None:
        yield "the manifest is lost"
    for end, published in zip(history.ends, history.published, strict=True):
        if cut.point == end and found != published:
            yield "the published tables are lost"


def marker_faults(place: Workplace, history: History) -> Iterator[str]:
    """Yield an error if the manifest claims a complete set that no run published."""
    folder = place.data / "illuminate/23-24"
    marker = Publication.read(folder / "published.json")
    seen = {name: data for name, data in place.published().items() if "/." not in name}
    if marker is not None and marker.matches(folder) and seen not in history.published:
        yield "the manifest claims a set that no run published"


def recovery_faults(place: Workplace, history: History) -> Iterator[str]:
    """Yield an error if the next command leaves readers with a mixture of two sets."""
    folder = place.data / "illuminate/23-24"
    recover(folder / "published.json")
    seen = {name: data for name, data in place.published().items() if "/." not in name}
    if seen not in ({}, *history.published):
        yield "readers find a mixture"
    if any(folder.glob(".*.previous")) or any(folder.glob(".*.intent")):
        yield "something is left of a publication"


def receipt_faults(place: Workplace) -> Iterator[str]:
    """Yield the files that a receipt or manifest trusts although their content changed."""
    for path in place.data.glob("work/*/*/receipts/[!.]*.json"):
        receipt = Receipt.read(path)
        for name, made in receipt.outputs.items() if receipt else ():
            found = [path.parents[1] / name, path.parents[1] / "results" / name]
            yield from (f"{each} is trusted wrongly" for each in found if is_misjudged(made, each))
    for path in place.data.glob("work/*/*/**/*.jsonl"):
        manifest = Manifest.read(path)
        for assessment_id, entry in manifest.shards.items() if manifest else ():
            shard = folder_of(path, manifest) / shards.file_name(assessment_id)
            is_wrong = entry.file and is_misjudged(entry.file, shard)
            yield from [f"{shard} is trusted wrongly"] if is_wrong else []


def is_misjudged(made: files.FileStamp, path: Path) -> bool:
    return made.matches(path) and files.sha256(path) != made.sha256


def faults_on_disk(history: History, place: Workplace) -> list[str]:
    """Return everything in the folder that the pipeline would trust but must not."""
    return [
        *marker_faults(place, history),
        *receipt_faults(place),
        *recovery_faults(place, history),
    ]


def rebuilt(history: History, left: Remains) -> Workplace:
    """Rebuild what a power cut left, in the folder where it was recorded."""
    shutil.rmtree(history.place.folder)
    rebuild(left, history.place.folder)
    return history.place


def test_no_power_cut_tears_or_loses_a_file(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    found, tried, checked = [], 0, set()
    for cut in power_cuts(history, ROUNDS):
        wrong = [*cut.knowledge.faults_of(cut.left), *acknowledged_faults(history, cut)]
        if (state := cut.left.digest) not in checked:
            checked.add(state)
            wrong += faults_on_disk(history, rebuilt(history, cut.left))
        found += [f"after {history.operations[cut.point - 1]}: {fault}" for fault in wrong]
        tried += 1
    with capsys.disabled():
        print(
            f"\n{len(history.operations)} crash points, {tried} losses tested, "
            f"which left {len(checked)} different folders"
        )
    assert found == []


def test_a_resumed_run_publishes_the_same_bytes(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    """It requests no valid shard or range again, and leaves no temporary file."""
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
    there, server = valid_shards(place, history.server), history.server
    parts = {path.parent.name: kept_ranges(path) for path in place.work.glob("ranges/*/*.jsonl")}
    server.clear_log()
    assert forked.run(place, *history.options) == 0, forked.output(place)
    missing = all_shards(server) - there
    if history.options == BY_ASSESSMENT:
        assert requested_shards(server) == missing
    else:
        requested = {endpoint for endpoint, _ in requested_shards(server)}
        assert requested == {endpoint for endpoint, _ in missing}
        for endpoint in requested:
            assert not requested_again(server, endpoint, parts.get(endpoint, []))
    assert place.published() == history.published[-1]


def test_the_model_notices_runs_that_sync_nothing(history: History) -> None:
    """Without syncs the same run tears files and loses what it published."""
    end = sum(operation.kind != "sync" for operation in history.operations[: history.ends[0]])
    unsynced = [operation for operation in history.operations if operation.kind != "sync"][:end]
    unsynced_history = replace(
        history, operations=unsynced, ends=[end], published=history.published[:1]
    )
    found = [
        fault
        for cut in power_cuts(unsynced_history, 0)
        for fault in (
            *cut.knowledge.faults_of(cut.left),
            *acknowledged_faults(unsynced_history, cut),
        )
    ]
    assert any("is torn" in fault for fault in found)
    assert "the manifest is lost" in found
    assert "the published tables are lost" in found
