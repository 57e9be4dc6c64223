"""Publish all tables of a run together, or none.

Every file is staged beside its destination under a hidden name, and so is the publication manifest,
which names every file of the set with its checksum; then all are renamed together, the manifest
last. A reader who finds that the manifest matches its files has one run's tables.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import SettingsError
from pipeline.illuminate.address import Address
from pipeline.publish.guards import RowCounts
from pipeline.storage import files
from pipeline.storage.paths import ALL_YEARS
from pipeline.storage.replacement import intent_path, recover, relative_name, replace_together
from pipeline.years import UNKNOWN_DAY

UNKNOWN_SOURCE = "unknown"
"""The source of tables whose manifest does not say it, is missing or cannot be read."""


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

    @property
    def partition(self) -> str:
        """The school year; `all` also where an earlier version did not say it."""
        return str(self.metadata.get("year", ALL_YEARS))

    @property
    def source(self) -> str:
        """The district that they are of, in the spelling of today."""
        written = str(self.metadata.get("source", UNKNOWN_SOURCE))
        try:
            return Address.parse(written).source
        except SettingsError:
            return written

    @property
    def years(self) -> tuple[str, ...]:
        """The school years that the run built, of which these are the tables."""
        own = () if self.partition == ALL_YEARS else (self.partition,)
        return tuple(self.metadata.get("years", own))

    @property
    def fetched_on(self) -> str:
        """The day on which its data were fetched; manifests of earlier versions do not say it."""
        return str(self.metadata.get("fetched_on", UNKNOWN_DAY))

    @classmethod
    def read(cls, path: Path) -> "Publication | None":
        """Return the manifest at `path`; None where nothing is published."""
        return files.read_json(path, cls)

    @property
    def withdrawn(self) -> list[str]:
        """The views of SQL files that its run removed, because they have none any more."""
        return list(self.metadata.get("withdrawn", ()))

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
    check: Callable[[], None] = lambda: None,
) -> None:
    """Publish built files, and remove those of the previous set that are not among them.

    Args:
        built: the destination of each built file.
        manifest: the path of the publication manifest.
        build: the digest of everything that the files were built from.
        run: the run that publishes.
        metadata: what else the manifest says of the set.
        row_counts: what the guards of the next run compare with.
        known: stamps of built files, which are read again only where linking them failed.
        check: called when all is staged; if it raises an error, nothing is published.

    Raises:
        StorageError: a file cannot be written.
    """
    known = known or {}
    recover(manifest)
    earlier = Publication.read(manifest)
    staged = {path: files.temp_path(path) for path in built.values()}
    written = files.temp_path(manifest)
    try:
        _stage(built, staged)
        published = {
            relative_name(path, manifest.parent): files.FileStamp.of(staged[path], known.get(file))
            for file, path in built.items()
        }
        files.write_json(written, Publication(build, run, metadata, published, row_counts))
        removed = _no_longer_published(earlier, published, manifest.parent)
        check()
        replace_together({**staged, manifest: written}, removed, manifest)
    finally:
        for temporary in (*staged.values(), written):
            with suppress(OSError):  # the next run removes it by its name
                temporary.unlink(missing_ok=True)


def restate(manifest: Path, now: Publication) -> bool:
    """Replace the manifest only, where readers see the files of this build, as they may see them.

    Args:
        manifest: the path of the publication manifest.
        now: what it is to say; its files are taken from the earlier one.

    Returns:
        Whether they do; if not, nothing was changed.

    Raises:
        StorageError: it cannot be written.
    """
    earlier, folder = Publication.read(manifest), manifest.parent
    if earlier is None or earlier.build != now.build or not earlier.matches(folder):
        return False
    if not all(files.has_mode(folder / name) for name in earlier.files):
        return False
    files.write_json(manifest, msgspec.structs.replace(now, files=earlier.files))
    return True


def find_damaged(manifest: Path, names: Collection[str] | None = None) -> list[str]:
    """Return the published files that are missing or not byte for byte as they were published.

    The next run publishes them again, even where their sizes and times are the same.

    Args:
        manifest: the path of the publication manifest.
        names: the files to read, as the manifest names them; all by default.
    """
    publication = Publication.read(manifest)
    stamps = publication.files if publication else {}
    damaged = [
        name
        for name, stamp in stamps.items()
        if (names is None or name in names) and not stamp.has_content(manifest.parent / name)
    ]
    is_ours = Publication.read(manifest) == publication and not intent_path(manifest).exists()
    if publication and damaged and is_ours:
        # A stamp without its time is compared by content, so the next run finds the damage.
        doubted = {name: stamps[name]._replace(mtime_ns=-1) for name in damaged}
        files.write_json(manifest, msgspec.structs.replace(publication, files=stamps | doubted))
    return damaged


def _no_longer_published(
    earlier: Publication | None, published: Mapping[str, Any], folder: Path
) -> list[Path]:
    """Return the files of the earlier set that are not published now, however they were named."""
    paths = [folder / name for name in (earlier.files if earlier else ())]
    there = [path for path in paths if path.is_file() or path.is_symlink()]
    return [path for path in there if relative_name(path, folder) not in published]


def _stage(built: Mapping[Path, Path], staged: Mapping[Path, Path]) -> None:
    """Give each built file a hidden name beside its destination."""
    for file, path in built.items():
        files.make_folder(path.parent)
        with files.wrap_os_errors(path):
            _link_or_copy(file, staged[path])


def _link_or_copy(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:  # another file system, or one without links
        with file.open("rb") as original, copy.open("xb") as written:
            files.restrict_mode(written.fileno())
            shutil.copyfileobj(original, written)
            written.flush()
            os.fsync(written.fileno())
