"""Copies a published set to any place that fsspec knows, all of it or nothing to be seen.

An object store has no rename. So the files of a set go into a folder that is named after their
digests, and the marker beside it, one object, comes last: a reader who follows the marker has one
run's files. The set before stays for one copy more, for readers who are still at it.
"""

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import msgspec

from pipeline.errors import CopyError, SettingsError
from pipeline.publish.commit import Marker
from pipeline.storage.files import Fingerprint, replacing, sha256

MARKER = "published.json"

_SET = re.compile(r"[0-9a-f]{16}")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
# What the libraries behind fsspec raise beside OSError; they are there only if they are at work.
_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
}


@dataclass(frozen=True)
class Copied:
    """What a copy did: where it lies, and how many files were sent and were there before."""

    place: str
    sent: int
    kept: int


class Store:
    """A folder anywhere.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        if any(mark in url for mark in ("@", "::", "?", "#")):
            raise SettingsError(
                "[paths] copy_to holds more than a place; credentials belong into the environment "
                "(for s3://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."
            )
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        scheme = urlsplit(url).scheme
        try:
            self.fs, self.root = url_to_fs(url, use_listings_cache=False)
        except ImportError:
            extra = _EXTRAS.get(scheme)
            todo = f"type make {extra}" if extra else "install what fsspec needs for it"
            raise SettingsError(
                f"[paths] copy_to is a {scheme}:// address, and the library for it is not "
                f"installed: {todo}, then copy again."
            ) from None
        except ValueError:
            raise SettingsError(
                "[paths] copy_to must be like s3://bucket/folder, gs://bucket/folder, or a folder."
            ) from None
        self._is_local = isinstance(self.fs, LocalFileSystem)

    def has(self, path: str, known: Fingerprint) -> bool:
        """Whether a file is there whole, asked of the place itself.

        An object is there whole or not at all, and nobody else writes under a digest; a file of a
        disk is read.
        """
        return self.size(path) == known.size and (
            not self._is_local or sha256(Path(path)) == known.sha256
        )

    def size(self, path: str) -> int | None:
        """The size of a file; None where there is none."""
        self.fs.invalidate_cache()
        try:
            return int(self.fs.info(path)["size"])
        except FileNotFoundError:
            return None

    def marker(self, path: str) -> Marker | None:
        """The marker at a path; None where there is none.

        Raises:
            CopyError: it is another program's file, or of another version.
        """
        try:
            return msgspec.json.decode(self.fs.cat_file(path), type=Marker)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            raise CopyError(
                f"{MARKER} at [paths] copy_to cannot be read, so nobody can tell what it names. "
                "Nothing was changed there; look at it, remove it, and copy again."
            ) from None

    def put(self, file: Path, path: str) -> None:
        """Let a file appear at a path, whole; folders are made on disks, and buckets never."""
        if self._is_local:
            with replacing(Path(path)) as temporary:
                shutil.copyfile(file, temporary)
        else:
            self.fs.put_file(str(file), path)

    def write(self, path: str, content: bytes) -> None:
        """Let a small file have a new content at once: a reader sees the old one or the new."""
        if self._is_local:
            with replacing(Path(path)) as temporary:
                temporary.write_bytes(content)
        else:
            self.fs.pipe_file(path, content)

    def remove_sets(self, root: str, kept: set[str]) -> None:
        """Remove the sets of a folder but for those that are `kept`."""
        self.fs.invalidate_cache()
        for path in self.fs.ls(root, detail=False):
            name = path.rstrip("/").rpartition("/")[2]
            if _SET.fullmatch(name) and name not in kept:
                self.fs.rm(path, recursive=True)


def copy(place: Path, url: str, folder: str) -> Copied:
    """Copy a published set; nothing is sent where its marker is there already.

    Args:
        place: the marker of the set on this machine.
        url: where copies lie.
        folder: the set's folder in it, like 23-24.

    Raises:
        CopyError: there is nothing to copy, or a file did not arrive; the old copy stands.
        SettingsError: the URL cannot be used.
    """
    marker = _read(place)
    names = _remote_names(marker)
    with _explained("What [paths] copy_to names"):
        store = Store(url)
    root = f"{store.root.rstrip('/')}/{folder}"
    wanted = msgspec.structs.replace(
        marker, files={names[name]: print_ for name, print_ in marker.files.items()}
    )
    with _explained(f"The marker {folder}/{MARKER}"):
        before = store.marker(f"{root}/{MARKER}")
    sent = 0
    for name, print_ in marker.files.items():
        with _explained(f"{folder}/{names[name]}"):
            sent += _send(store, place.parent / name, f"{root}/{names[name]}", print_)
    if before != wanted:
        if _read(place) != marker:
            raise CopyError(
                f"A run published {folder} anew while it was being copied; the old copy stands. "
                "Copy again."
            )
        with _explained(f"The marker {folder}/{MARKER}"):
            store.write(f"{root}/{MARKER}", msgspec.json.encode(wanted))
            if store.marker(f"{root}/{MARKER}") != wanted:
                raise CopyError(
                    f"{folder}/{MARKER} is not what was just written there; copy again."
                )
    # A copy that found all there knows of no set before it, and leaves what may be one.
    if before and before != wanted:
        _tidy(store, root, {_set_of(before), _set_of(wanted)})
    return Copied(f"{url.rstrip('/')}/{folder}", sent, len(names) - sent)


def _read(place: Path) -> Marker:
    marker = Marker.read(place)
    if marker is None or not marker.fits(place.parent):
        raise CopyError(
            f"{place} is missing or its files are not those that it names: nothing is published "
            "yet, one was changed, or a run is publishing now. No copy was changed; run make run, "
            "then copy again."
        )
    return marker


def _remote_names(marker: Marker) -> dict[str, str]:
    """Where each file goes, relative to the marker: in a folder that the digests name."""
    all_of_it = sorted((name, print_.sha256) for name, print_ in marker.files.items())
    folder = hashlib.sha256(msgspec.json.encode(all_of_it)).hexdigest()[:16]
    names = {name: f"{folder}/{PurePosixPath(name).name}" for name in marker.files}
    if len(set(names.values())) < len(names):
        raise CopyError("Two published files have one name; no copy was changed. Rename one.")
    return names


def _send(store: Store, file: Path, target: str, known: Fingerprint) -> bool:
    """Send a file unless it is there whole; whether it was sent."""
    if store.has(target, known):
        return False
    store.put(file, target)
    if not known.fits(file):
        store.fs.rm_file(target)  # of two sets, so the next copy must not take it for whole
        raise CopyError(f"{file.name} was changed while it was being copied; copy again.")
    arrived = store.size(target)
    if arrived != known.size:
        raise CopyError(
            f"{file.name} has {known.size:,} bytes and {arrived or 0:,} arrived; the old copy "
            "stands. Copy again."
        )
    return True


def _set_of(marker: Marker) -> str:
    return next(iter(marker.files), "").partition("/")[0]


def _tidy(store: Store, root: str, kept: set[str]) -> None:
    try:
        store.remove_sets(root, kept)
    except _errors() as error:
        raise CopyError(
            f"The new copy is whole, but older ones could not be removed ({type(error).__name__}); "
            "the next copy of another set tries again."
        ) from None


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Tell an error of the place by its kind: its text may hold a key or a signed address."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, _errors()):
            raise
        raise CopyError(
            f"{what} could not be copied ({_kind(error)}). The copy that readers see is "
            "whole; what has arrived is not sent again. Look at [paths] copy_to, the credentials "
            "and the network, then copy again."
        ) from None


def _kind(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or folder"
    return type(error).__name__


def _errors() -> tuple[type[BaseException], ...]:
    found: list[type[BaseException]] = [OSError]
    for module, names in _ERRORS.items():
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    return tuple(found)
