"""Files that count as there only while they are what would be built now.

Luigi calls a file done as soon as it exists. Here a step leaves a receipt beside its files: the
step's version, its parameters, digests of its inputs, and digests of what it made. If any of them
differs from what would be built now, the step is not done, and exactly what depends on it follows.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import luigi
import msgspec

from pipeline.extract import shards
from pipeline.storage import files


def _digest(contents: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(contents, order="sorted")).hexdigest()


class Recipe(msgspec.Struct, frozen=True):
    """What a step's output follows from: equal recipes make equal files."""

    step: str
    version: int
    parameters: dict[str, Any]
    inputs: dict[str, str]

    @property
    def digest(self) -> str:
        """A digest of all of it."""
        return _digest(msgspec.to_builtins(self))


class Receipt(msgspec.Struct, frozen=True):
    """Out of what a step made which files, in which run, and what it counted meanwhile."""

    recipe: Recipe
    made: dict[str, files.Fingerprint]
    facts: dict[str, Any]
    run: str

    @classmethod
    def read(cls, path: Path) -> "Receipt | None":
        """The receipt at `path`; None where there is none that can be read."""
        return files.read_json(path, cls)

    @property
    def digest(self) -> str:
        """A digest of the contents of all the files that were made."""
        return _digest({name: file.sha256 for name, file in self.made.items()})


class Manifest(msgspec.Struct, frozen=True):
    """Every shard of one endpoint, in the order of the assessment ids, and how they were got."""

    origin: shards.Origin
    shards: dict[str, shards.Entry]
    facts: dict[str, Any]
    run: str

    @property
    def digest(self) -> str:
        """A digest of the contents of all the shards."""
        return _digest({key: entry.file.sha256 for key, entry in self.shards.items()})

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """The manifest at `path`; None where there is none that can be read."""
        return files.read_json(path, cls)


class BuiltTarget(luigi.Target):
    """The files of one step, complete while its receipt holds.

    `recipe` is asked each time, because the inputs of a step may change within a run.
    """

    def __init__(
        self, receipt: Path, paths: Sequence[Path], recipe: Callable[[], Recipe | None]
    ) -> None:
        self.receipt_path = receipt
        self.paths = list(paths)
        self._recipe = recipe

    def exists(self) -> bool:
        """Whether every file is there, unchanged, and made by the recipe of now."""
        receipt = self.receipt
        return (
            receipt is not None
            and receipt.recipe == self._recipe()
            and receipt.made.keys() == {path.name for path in self.paths}
            and all(receipt.made[path.name].fits(path) for path in self.paths)
        )

    @property
    def receipt(self) -> Receipt | None:
        """The receipt as it is now."""
        return Receipt.read(self.receipt_path)

    def sign(
        self,
        recipe: Recipe | None,
        facts: Mapping[str, Any],
        run: str,
        known: Mapping[str, files.Fingerprint] | None = None,
    ) -> None:
        """Leave a receipt for the files as they are now, made by `recipe`.

        Files that are `known` by name are not read again.
        """
        if recipe is None:
            raise RuntimeError("a step cannot be signed before its inputs are there")
        known = known or {}
        made = {path.name: files.Fingerprint.of(path, known.get(path.name)) for path in self.paths}
        receipt = Receipt(recipe, made, dict(facts), run)
        files.write_json(self.receipt_path, receipt)


class ShardsTarget(luigi.Target):
    """The shards of one endpoint, complete when the manifest knows all of them, unchanged.

    `expected` gives the assessment ids that must be there, None while the catalogue is missing.
    """

    def __init__(
        self,
        manifest: Path,
        folder: Path,
        origin: shards.Origin,
        expected: Callable[[], list[str] | None],
    ) -> None:
        self.manifest_path = manifest
        self.folder = folder
        self.origin = origin
        self._expected = expected

    def exists(self) -> bool:
        """Whether each expected shard is there, unchanged, and asked of this origin."""
        expected, manifest = self._expected(), self.manifest
        if expected is None or manifest is None or manifest.shards.keys() != set(expected):
            return False
        return all(self._is_intact(*shard) for shard in manifest.shards.items())

    @property
    def manifest(self) -> "Manifest | None":
        """The manifest as it is now, if it is of this origin."""
        manifest = Manifest.read(self.manifest_path)
        return manifest if manifest and manifest.origin == self.origin else None

    def intact(self) -> dict[str, shards.Entry]:
        """The shards of the manifest that are on disk as they were written."""
        known = manifest.shards if (manifest := self.manifest) else {}
        return dict(shard for shard in known.items() if self._is_intact(*shard))

    def _is_intact(self, assessment_id: str, entry: shards.Entry) -> bool:
        return shards.is_intact(self.folder, assessment_id, entry)
