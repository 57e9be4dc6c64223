"""Receipts: what a step's files were built from, and what they were when they were built.

Luigi takes a target that exists for complete. Here a step leaves a receipt beside its files, and
is complete only while the receipt matches what would be built now.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline.storage import files


def digest_of(contents: Mapping[str, Any]) -> str:
    """Return the SHA-256 digest of a mapping, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(contents, order="sorted")).hexdigest()


class BuildKey(msgspec.Struct, frozen=True):
    """What a step's files follow from: equal keys make equal files."""

    step: str
    version: int
    parameters: dict[str, Any]
    inputs: dict[str, str]

    @property
    def digest(self) -> str:
        """A digest of all of it."""
        return digest_of(msgspec.to_builtins(self))


class Receipt(msgspec.Struct, frozen=True):
    """The key of a build, the files it made by name, its counts, and the id of its run."""

    key: BuildKey
    outputs: dict[str, files.FileStamp]
    stats: dict[str, Any]
    run: str

    @classmethod
    def read(cls, path: Path) -> "Receipt | None":
        """Return the receipt at `path`; None if it is missing or damaged."""
        return files.read_json(path, cls)

    @property
    def digest(self) -> str:
        """A digest of the contents of all its files."""
        return digest_of({name: stamp.sha256 for name, stamp in self.outputs.items()})
