"""Publish all tables of a run together, or none.

First every file is staged beside its destination under a hidden name; only then do renames begin,
and the publication manifest, which names every file of the set with its checksum, comes last. A
reader who finds that the manifest matches its files has one run's tables. A crash between renames
leaves the manifest of the old set, so the next run publishes again.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline.publish.guards import RowCounts
from pipeline.storage import files


class Publication(
    msgspec.Struct, frozen=True, rename={"metadata": "about", "row_counts": "counted"}
):
    """A publication manifest: the published files, the build and run they are from, their counts.

    Files are named by their paths relative to the manifest's folder.
    """

    build: str
    run: str
    metadata: dict[str, Any]
    files: dict[str, files.FileStamp]
    row_counts: RowCounts | None = None

    @classmethod
    def read(cls, path: Path) -> "Publication | None":
        """Return the manifest at `path`; None where nothing is published."""
        return files.read_json(path, cls)

    def matches(self, folder: Path) -> bool:
        """Return True if all files are as they were published; `folder` is the manifest's."""
        return all(file.matches(folder / name) for name, file in self.files.items())

    def content_digest(self) -> str:
        """Return the SHA-256 of the sorted names and checksums: the same files, the same digest."""
        named = sorted((name, file.sha256) for name, file in self.files.items())
        return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def publish(
    built: Mapping[Path, Path],
    manifest: Path,
    *,
    build: str,
    run: str,
    metadata: dict[str, Any],
    row_counts: RowCounts | None = None,
    known: Mapping[Path, files.FileStamp] | None = None,
) -> None:
    """Publish built files, and remove those of the previous set that are not among them.

    Args:
        built: the destination of each built file.
        manifest: the path of the publication manifest.
        build: the digest of everything that the files were built from.
        run: the run that publishes.
        metadata: what else the manifest says of the set.
        row_counts: what the guards of the next run compare with.
        known: fingerprints of built files; these are read again only where linking failed and
            they were copied.

    Raises:
        StorageError: a file cannot be written.
    """
    before = Publication.read(manifest)
    _rename_into_place(built)
    known = known or {}
    published = {
        published_name(path, manifest): files.FileStamp.of(path, known.get(file))
        for file, path in built.items()
    }
    for name in before.files if before else ():
        path = manifest.parent / name
        if published_name(path, manifest) not in published:
            path.unlink(missing_ok=True)
    files.write_json(manifest, Publication(build, run, metadata, published, row_counts))


def published_name(path: Path, manifest: Path) -> str:
    """Return a file's name in a manifest, the same however the two folders are spelled."""
    return os.path.relpath(path.parent.resolve() / path.name, manifest.parent.resolve())


def _rename_into_place(built: Mapping[Path, Path]) -> None:
    """Stage every file beside its destination, and rename none before all are staged."""
    folders = {path.parent for path in built.values()}
    for folder in folders:
        files.make_folder(folder)
    staged = {path: files.temp_path(path) for path in built.values()}
    try:
        for file, path in built.items():
            with files.wrap_os_errors(path):
                _link_or_copy(file, staged[path])
        for path, temporary in staged.items():
            with files.wrap_os_errors(path):
                temporary.replace(path)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
    for folder in folders:
        files.fsync(folder)


def _link_or_copy(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:  # another file system, or one without links
        with file.open("rb") as original, copy.open("xb") as written:
            files.restrict_mode(written.fileno())
            shutil.copyfileobj(original, written)
            written.flush()
            os.fsync(written.fileno())
