"""Copy a published set to any place that fsspec knows, completely or not at all.

An object store has no rename. So the files of a set go into a folder that is named by their
checksums, and the manifest beside it, one object, is written last: a reader who follows the
manifest has one run's files. The previous set is kept until the next copy, for readers who are
still reading it.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

import msgspec

from pipeline.errors import CopyError, SettingsError
from pipeline.publish.commit import Publication, find_damaged
from pipeline.storage.files import FileStamp, atomic_write, sha256
from pipeline.storage.paths import DESCRIPTOR

MANIFEST = "published.json"

_BLOCK = 1 << 20
_SET = re.compile(r"[0-9a-f]{16}")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "azure", "abfss": "azure"}
_AZURE = re.compile(r"(abfss?://[a-z0-9-]+)@([a-z0-9]+)(?:\.dfs\.core\.windows\.net)?((?:/[^@]*)?)")
_AZURE_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
# What the libraries behind fsspec raise beside OSError, looked up only where they are loaded.
_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "azure.core.exceptions": ("AzureError",),
}
_NO_SUCH_PLACE = ("FileNotFoundError", "ResourceNotFoundError")


@dataclass(frozen=True)
class CopyResult:
    """Where a copy is, and how many files were uploaded and how many reused."""

    place: str
    uploaded: int
    reused: int


class Store:
    """The folder of a URL, on a disk or in an object store.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        scheme, (url, options) = urlsplit(url).scheme, _azure_options(url)
        if any(mark in url for mark in ("@", "::", "?", "#")):
            raise SettingsError(
                "[paths] copy_to must hold nothing but a place; put credentials into the "
                "environment (for s3://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."
            )
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        try:
            self.fs, self.root = url_to_fs(url, use_listings_cache=False, **options)
        except ImportError:
            extra = _EXTRAS.get(scheme)
            todo = f"run make {extra}" if extra else "install what fsspec needs for it"
            raise SettingsError(
                f"[paths] copy_to is a {scheme}:// address, and the library for it is not "
                f"installed: {todo}, then copy again."
            ) from None
        except ValueError:
            raise SettingsError(
                "[paths] copy_to must be like s3://bucket/folder, gs://bucket/folder, "
                "abfss://container@account/folder, or a folder; for Azure, with credentials in "
                "the environment (AZURE_STORAGE_ACCOUNT_KEY)."
            ) from None
        self._is_local = isinstance(self.fs, LocalFileSystem)

    def has(self, path: str, known: FileStamp) -> bool:
        """Return True if a file is there completely.

        An object is uploaded completely or not at all, and nobody else writes under a checksum;
        a file on a disk is read.
        """
        return self.size(path) == known.size and (
            not self._is_local or sha256(Path(path)) == known.sha256
        )

    def size(self, path: str) -> int | None:
        """Return the size of a file; None where there is none."""
        self.fs.invalidate_cache()
        try:
            return int(self.fs.info(path)["size"])
        except FileNotFoundError:
            return None

    def read_manifest(self, path: str) -> Publication | None:
        """Return the manifest at a path; None where there is none.

        Raises:
            CopyError: it is another program's file, or of another version.
        """
        try:
            return msgspec.json.decode(self.fs.cat_file(path), type=Publication)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            raise CopyError(
                f"{MANIFEST} at [paths] copy_to cannot be read, so its files are unknown. Nothing "
                "was changed there; check whose it is and remove it, then copy again."
            ) from None

    def upload(self, file: Path, path: str) -> str:
        """Write a file completely; folders are created on disks, buckets never.

        Returns:
            The SHA-256 of what was written.
        """
        if self._is_local:
            with atomic_write(Path(path)) as temporary, temporary.open("wb") as target:
                return _copy(file, target)
        with self.fs.open(path, "wb") as target:
            return _copy(file, target)

    def write(self, path: str, content: bytes) -> None:
        """Write a small file in one step: a reader sees the old content or the new."""
        if self._is_local:
            with atomic_write(Path(path)) as temporary:
                temporary.write_bytes(content)
        else:
            self.fs.pipe_file(path, content)


def is_copied(manifest: Path, url: str, folder: str) -> bool:
    """Return True if the copy is exactly what is published, with all its files; change nothing.

    The arguments are those of `copy`.

    Raises:
        CopyError: the place cannot be reached, or the manifest there is another program's.
        SettingsError: the URL cannot be used.
    """
    publication = Publication.read(manifest)
    if publication is None:
        return False
    wanted = _remote_publication(publication)
    with _plain_errors(f"The copy of {folder} could not be checked"):
        store = Store(url)
        root = _root(store, folder)
        return store.read_manifest(f"{root}/{MANIFEST}") == wanted and all(
            store.has(f"{root}/{name}", file) for name, file in wanted.files.items()
        )


def copy(manifest: Path, url: str, folder: str) -> CopyResult:
    """Copy a published set; files that are there already are not uploaded again.

    Args:
        manifest: the publication manifest on this machine.
        url: where copies are.
        folder: the set's folder there, like 23-24.

    Raises:
        CopyError: there is nothing to copy, or a file did not arrive; readers keep the old copy.
        SettingsError: the URL cannot be used.
    """
    publication = _read(manifest)
    wanted = _remote_publication(publication)
    with _plain_errors(f"{folder}/{MANIFEST} could not be read"):
        store = Store(url)
        root = _root(store, folder)
        before = store.read_manifest(f"{root}/{MANIFEST}")
    uploaded = 0
    for name, remote in zip(publication.files, wanted.files, strict=True):
        with _plain_errors(f"{folder}/{remote} could not be copied"):
            uploaded += _upload(store, manifest, name, f"{root}/{remote}", publication.files[name])
    if before != wanted:
        if _read(manifest) != publication:
            raise CopyError(
                f"Other tables of {folder} were published while these were copied; readers keep "
                "the old copy. Copy again."
            )
        with _plain_errors(f"{folder}/{MANIFEST} could not be copied"):
            _replace_manifest(store, f"{root}/{MANIFEST}", wanted)
        if before:
            _remove_old_sets(store, root, {_set_name(before), _set_name(wanted)})
    return CopyResult(f"{url.rstrip('/')}/{folder}", uploaded, len(wanted.files) - uploaded)


def _azure_options(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without the account that it names, and the account as adlfs's options.

    Raises:
        SettingsError: the connection string in the environment is of another account.
    """
    azure = _AZURE.fullmatch(url)
    if not azure:
        return url, {}
    place, account = azure[1] + azure[3], azure[2]
    connection = os.environ.get(_AZURE_CONNECTION)
    if not connection:
        return place, {"account_name": account}
    # adlfs reads it by itself, but ignores it where it is given an account.
    if f"AccountName={account}" not in connection.split(";"):
        raise SettingsError(
            f"{_AZURE_CONNECTION} is not of the account {account}, which [paths] copy_to names; "
            "nothing was copied. Make them agree, then copy again."
        )
    return place, {}


def _read(manifest: Path) -> Publication:
    publication = Publication.read(manifest)
    if publication is None or not publication.matches(manifest.parent):
        raise CopyError(
            f"{manifest} is missing or its files are not those that it names: nothing is published "
            "yet, a file was changed, or a run is publishing now. No copy was changed; run make "
            "run, then copy again."
        )
    return publication


def _root(store: Store, folder: str) -> str:
    return f"{store.root.rstrip('/')}/{folder}"


def _remote_publication(publication: Publication) -> Publication:
    """Return the manifest of the copy: all files in one folder, named by their checksums."""
    folder = publication.content_digest()[:16]
    files = {f"{folder}/{_remote_name(n)}": file for n, file in publication.files.items()}
    if len(files) < len(publication.files):
        raise CopyError(
            "Two published files have the same name; no copy was changed. Rename one of the views, "
            "then publish and copy again."
        )
    return msgspec.structs.replace(publication, files=files)


def _remote_name(name: str) -> str:
    """Return a file's name in the copy, where both descriptors are in one folder."""
    path = PurePosixPath(name)
    return f"views.{DESCRIPTOR}" if path.name == DESCRIPTOR and name != DESCRIPTOR else path.name


def _set_name(remote: Publication) -> str:
    return next(iter(remote.files), "").partition("/")[0]


def _upload(store: Store, manifest: Path, name: str, target: str, known: FileStamp) -> bool:
    """Upload a file unless it is there completely; return True if it was uploaded."""
    if store.has(target, known):
        return False
    file = manifest.parent / name
    # Before it is sent, because a store that refuses to remove it would keep it; and while it is.
    is_intact = known.has_content(file)
    if not is_intact or store.upload(file, target) != known.sha256:
        find_damaged(manifest, [name])
        if is_intact:
            store.fs.rm_file(target)  # half of another set, which the next copy must not reuse
        raise CopyError(
            f"{file.name} was changed after it was published; readers keep the old copy. Run make "
            "run, which publishes it again, then copy again."
        )
    arrived = store.size(target)
    if arrived != known.size:
        raise CopyError(
            f"{file.name} has {known.size:,} bytes, of which {arrived or 0:,} arrived; readers "
            "keep the old copy. Copy again."
        )
    return True


def _copy(file: Path, target: BinaryIO) -> str:
    """Write the bytes of a file and return their SHA-256."""
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _replace_manifest(store: Store, path: str, wanted: Publication) -> None:
    store.write(path, msgspec.json.encode(wanted))
    if store.read_manifest(path) != wanted:
        raise CopyError(f"{path} is not what was just written there. Copy again.")


def _remove_old_sets(store: Store, root: str, keep: set[str]) -> None:
    try:
        store.fs.invalidate_cache()
        for path in store.fs.ls(root, detail=False):
            name = path.rstrip("/").rpartition("/")[2]
            if _SET.fullmatch(name) and name not in keep:
                store.fs.rm(path, recursive=True)
    except _errors() as error:
        raise CopyError(
            f"The new copy is complete, but older sets could not be removed "
            f"({type(error).__name__}); the next copy of another set tries again."
        ) from None


@contextmanager
def _plain_errors(problem: str) -> Iterator[None]:
    """Re-raise an error of the store as CopyError, without its text: it may hold a signed URL."""
    try:
        yield
    except _errors() as error:
        # adlfs wraps an error of the service in one that says nothing.
        reason = type(error.__cause__ if type(error) is RuntimeError else error).__name__
        if reason in _NO_SUCH_PLACE:
            reason = "there is no such bucket or folder"
        raise CopyError(
            f"{problem} ({reason}). Readers still see a complete copy, and files that have arrived "
            "are not uploaded again. Check [paths] copy_to, the credentials and the network, then "
            "run the same command again."
        ) from None


def _errors() -> tuple[type[BaseException], ...]:
    """Return what a store may raise; called when an error has occurred, so its library is there."""
    found: list[type[BaseException]] = [OSError]
    for module, names in _ERRORS.items():
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    if "adlfs" in sys.modules:
        found.append(RuntimeError)
    return tuple(found)
