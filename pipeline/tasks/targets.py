"""Targets that are complete only while they are what would be built now."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import luigi
import msgspec

from pipeline.errors import ShardError, StorageError
from pipeline.extract import manifest, shards
from pipeline.extract.manifest import Manifest, ManifestEntry, ShardRequest
from pipeline.publish.checks import list_some
from pipeline.publish.commit import Publication
from pipeline.runs import context
from pipeline.storage import files
from pipeline.storage.files import FileStamp
from pipeline.storage.receipts import BuildKey, Receipt


@dataclass
class FilesBuild:
    """A target's files while they are written: what is counted, and stamps that are known by name.

    Files without a stamp are hashed when the receipt is written.
    """

    stats: dict[str, Any] = field(default_factory=dict)
    stamps: dict[str, FileStamp] = field(default_factory=dict)


@dataclass(eq=False)
class FilesTarget(luigi.Target):
    """The files of one task, complete while the receipt at `path` matches them and their key.

    `key` is called each time, because the inputs of a task may change within a run.
    """

    path: Path
    paths: Sequence[Path]
    key: Callable[[], BuildKey | None]

    def exists(self) -> bool:
        """Return True if every file is there, unchanged, and built with the current key."""
        receipt = self.receipt
        return (
            receipt is not None
            and receipt.key == self.key()
            and receipt.outputs.keys() == {path.name for path in self.paths}
            and all(receipt.outputs[path.name].matches(path) for path in self.paths)
        )

    @property
    def receipt(self) -> Receipt | None:
        """The receipt as it is now."""
        return Receipt.read(self.path)

    @contextmanager
    def build(self) -> Iterator[FilesBuild]:
        """Write the receipt of the files that the block writes, unless it fails."""
        key = self.key()  # before the block: what changes meanwhile is noticed by the next run
        if key is None:
            raise RuntimeError("a task is not built before what it requires")
        build = FilesBuild()
        yield build
        self.write_receipt(key, build, context.current().id)

    def write_receipt(self, key: BuildKey, build: FilesBuild, run: str) -> None:
        """Write the receipt of the files as they are now."""
        outputs = {
            path.name: FileStamp.of(path, build.stamps.get(path.name)) for path in self.paths
        }
        files.write_json(self.path, Receipt(key, outputs, build.stats, run))

    def reuse(self, folder: Path, other: Path) -> bool:
        """Take the files from another snapshot, if they are what would be built, and intact.

        Args:
            folder: the snapshot of this target.
            other: the other one.

        Returns:
            Whether they were.
        """
        there = {path: other / path.relative_to(folder) for path in (self.path, *self.paths)}
        receipt = Receipt.read(there.pop(self.path))
        if receipt is None or receipt.key != self.key():
            return False
        if receipt.outputs.keys() != {path.name for path in there}:
            return False
        if not all(receipt.outputs[path.name].has_content(old) for path, old in there.items()):
            return False
        for path, old in there.items():
            files.link_or_copy(old, path)
        build = FilesBuild({**receipt.stats, "reused from": other.name}, receipt.outputs)
        self.write_receipt(receipt.key, build, context.current().id)
        return True

    def verified(self, path: Path) -> Path:
        """Return one of the files, after verifying its checksum.

        Raises:
            StorageError: it is damaged. The receipt is removed, so that the next run builds it
                again.
        """
        receipt = self.receipt
        is_own = receipt is not None and receipt.run == context.current().id
        if receipt and is_own and receipt.outputs[path.name].matches(path):
            return path  # hashed while this run wrote it
        if receipt is None or files.sha256(path) != receipt.outputs[path.name].sha256:
            self.path.unlink(missing_ok=True)
            raise StorageError(
                f"{path} was damaged on disk; nothing was published. Run the same command again: "
                "it is built again."
            )
        return path


@dataclass(eq=False)
class ShardsTarget(luigi.Target):
    """The shards of one request, complete when the manifest at `path` has all that are expected.

    `expected` returns the assessment ids that must be there, None while the catalogue is missing.
    """

    path: Path
    folder: Path
    request: ShardRequest
    expected: Callable[[], list[str] | None]

    def exists(self) -> bool:
        """Return True if there is an entry for each expected shard, all intact."""
        expected, found = self.expected(), self.manifest
        if expected is None or found is None or found.shards.keys() != set(expected):
            return False
        return all(shards.is_intact(self.folder, *shard) for shard in found.shards.items())

    @property
    def manifest(self) -> Manifest | None:
        """The manifest of the expected shards; None if there is none of this request."""
        found, expected = self.stored, self.expected()
        if found is None or expected is None:
            return found
        known = {i: found.shards[i] for i in expected if i in found.shards}
        return msgspec.structs.replace(found, shards=known)

    @property
    def stored(self) -> Manifest | None:
        """The manifest of this request with whatever shards it has; None if there is none."""
        found = Manifest.read(self.path)
        return found if found and found.request == self.request else None

    def intact(self) -> dict[str, ManifestEntry]:
        """Return the entries of shards that are on disk as they were written, expected or not."""
        known = found.shards if (found := self.stored) else {}
        return {i: entry for i, entry in known.items() if shards.is_intact(self.folder, i, entry)}

    def missing(self) -> list[str]:
        """Return the expected assessment ids without an intact shard."""
        intact = self.intact()
        return [i for i in self.expected() or () if i not in intact]

    def verify(self, entries: Mapping[str, ManifestEntry], verified: set[tuple[Path, str]]) -> None:
        """Compare shards with their digests, but for those that this run `verified` before.

        Raises:
            ShardError: some are damaged. Their entries are removed, so that the next run fetches
                these shards again.
        """
        damaged = shards.find_damaged(self.folder, entries, verified)
        if not damaged:
            return
        self.forget(damaged)
        raise ShardError(
            f"The {self.request.endpoint} shard of assessment {list_some(damaged)} was damaged on "
            "disk; nothing was published. Run the same command again: only what was damaged is "
            "fetched again."
        )

    def forget(self, assessment_ids: list[str]) -> None:
        """Remove entries from the manifest, so that the next run fetches these shards again."""
        manifest.forget(self.path, assessment_ids, self.folder)


@dataclass(eq=False)
class PublicationTarget(luigi.Target):
    """A published table set, complete when its manifest names this build and all files match.

    The manifest must say `about` of it: the same tables may be fetched again on a later day.
    """

    path: Path
    build: str | None
    about: Mapping[str, Any] = field(default_factory=dict)

    def exists(self) -> bool:
        """Return True if readers see this build, unchanged."""
        publication = Publication.read(self.path)
        return (
            publication is not None
            and publication.build == self.build
            and all(publication.metadata.get(name) == fact for name, fact in self.about.items())
            and publication.matches(self.path.parent)
        )


@dataclass(eq=False)
class DestinationTarget(luigi.Target):
    """What is delivered to a place outside of the data folder, complete when that place says so."""

    path: str
    is_delivered: Callable[[], bool]

    def exists(self) -> bool:
        """Return True if the destination holds what is published."""
        return self.is_delivered()
