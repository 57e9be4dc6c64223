"""A folder at any place that fsspec knows: a disk, or an object store."""

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from pipeline import network
from pipeline.errors import SettingsError
from pipeline.storage.files import FileStamp, atomic_write, sha256

_BLOCK = 1 << 20
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
_REASONS = {
    "FileNotFoundError": "there is no such bucket or folder",
    "ResourceNotFoundError": "there is no such bucket or folder",
    "PermissionError": "permission denied",
    "NoCredentialsError": "no credentials are set",
    "PartialCredentialsError": "some of the credentials are not set",
    "DefaultCredentialsError": "no credentials are set",
    "ClientAuthenticationError": "the credentials were rejected",
}
"""What errors mean that have no number of the system, by the names of their types."""


class Store:
    """The folder of a URL, on a disk or in an object store.

    Args:
        url: the folder.
        setting: the name of the setting that holds it, for errors.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(self, url: str, setting: str) -> None:
        scheme, (url, options) = urlsplit(url).scheme, _azure_options(url, setting)
        if any(mark in url for mark in ("@", "::", "?", "#")):
            raise SettingsError(
                f"{setting} must be a place without credentials; put credentials into the "
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
                f"{setting} is a {scheme}:// address, and the library for it is not "
                f"installed: {todo}, then run the same command again."
            ) from None
        except ValueError:
            raise SettingsError(
                f"{setting} must be like s3://bucket/folder, gs://bucket/folder, "
                "abfss://container@account/folder, or a folder; for Azure, with credentials in "
                "the environment (AZURE_STORAGE_ACCOUNT_KEY)."
            ) from None
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def has(self, path: str, known: FileStamp) -> bool:
        """Return True if a file is there completely.

        An object is uploaded completely or not at all, and nobody else writes under a checksum;
        a file on a disk is read.
        """
        return self.size(path) == known.size and (
            not self.is_local or sha256(Path(path)) == known.sha256
        )

    def size(self, path: str) -> int | None:
        """Return the size of a file; None where there is none."""
        self.fs.invalidate_cache()
        try:
            return int(self.fs.info(path)["size"])
        except FileNotFoundError:
            return None

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None where there is none."""
        try:
            return bytes(self.fs.cat_file(path))
        except FileNotFoundError:
            return None

    def upload(self, file: Path, path: str) -> str:
        """Write a file completely; folders are created on disks, buckets never.

        Returns:
            The SHA-256 of what was written.
        """
        if self.is_local:
            with atomic_write(Path(path)) as temporary, temporary.open("wb") as target:
                return _copy(file, target)
        with self.fs.open(path, "wb") as target:
            return _copy(file, target)

    def write(self, path: str, content: bytes) -> None:
        """Write a small file in one step: a reader sees the old content or the new."""
        if self.is_local:
            with atomic_write(Path(path)) as temporary:
                temporary.write_bytes(content)
        else:
            self.fs.pipe_file(path, content)


def store_errors(*others: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Return what a store may raise, and what a caller adds.

    It is called when an error has occurred, so that the library is loaded.
    """
    found: list[type[BaseException]] = [OSError, *others]
    for module, names in _ERRORS.items():
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    if "adlfs" in sys.modules:
        found.append(RuntimeError)
    return tuple(found)


def store_reason(error: BaseException) -> str:
    """Return why a store refused something, without its text: it may hold a signed URL."""
    if said := network.describe(error):
        return f"{network.host_in(error) or 'the host of the store'} {said}"
    # adlfs wraps an error of the service in one that says nothing.
    if type(error) is RuntimeError and error.__cause__:
        error = error.__cause__
    kind = type(error).__name__
    number = getattr(error, "errno", None)
    return _REASONS.get(kind) or (os.strerror(number) if isinstance(number, int) else kind)


def _azure_options(url: str, setting: str) -> tuple[str, dict[str, str]]:
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
            f"{_AZURE_CONNECTION} is not of the account {account}, which {setting} names; "
            "nothing was written. Make them agree, then run the same command again."
        )
    return place, {}


def _copy(file: Path, target: BinaryIO) -> str:
    """Write the bytes of a file and return their SHA-256."""
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()
