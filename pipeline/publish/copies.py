"""Copy a published set to any place that fsspec knows, completely or not at all.

An object store has no rename. So the files of a set go into a folder that is named by their
checksums, and the manifest beside it, one object, is written last: a reader who follows the
manifest has one run's files. The previous set is kept until the next copy, for readers who are
still reading it.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from pipeline.errors import CopyError, StorageError
from pipeline.publish.commit import Publication, find_damaged
from pipeline.publish.store import Store, store_errors, store_reason
from pipeline.storage import files
from pipeline.storage.files import FileStamp
from pipeline.storage.paths import DESCRIPTOR
from pipeline.words import counted

MANIFEST = "published.json"
TEST_FILE = ".illuminate-pipeline-test"
"""What is written to see whether copies can be; always the same, so that no more than one stays."""

_SET = re.compile(r"[0-9a-f]{16}")
_SETTING = "[paths] copy_to"


@dataclass(frozen=True)
class CopyResult:
    """Where a copy is, and how many files were uploaded and how many reused."""

    place: str
    uploaded: int
    reused: int


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
        store = Store(url, _SETTING)
        root = _root(store, folder)
        return _read_manifest(store, f"{root}/{MANIFEST}") == wanted and all(
            store.has(f"{root}/{name}", file) for name, file in wanted.files.items()
        )


def check_copy_destination(url: str) -> str:
    """Write a small file where copies are to be, read it and remove it.

    Returns:
        The reason why it may not be removed, and stays there; else nothing. A copy is complete
        without that.

    Raises:
        CopyError: it cannot be written or read.
        SettingsError: the URL cannot be used.
    """
    content = secrets.token_hex(4).encode()  # not what an earlier check may have left there
    with _plain_errors(f"{_SETTING} cannot be used"):
        store = Store(url, _SETTING)
        if store.is_local:
            _try_folder(Path(store.root))
            return ""
        path = f"{store.root.rstrip('/')}/{TEST_FILE}"
        store.write(path, content)
        try:
            came = store.read(path)
        finally:
            kept = _remove(store, path)
    if came != content:
        raise CopyError(
            f"A file that was written to {_SETTING} cannot be read there. Check that no "
            "other program writes there."
        )
    return kept


def _remove(store: Store, path: str) -> str:
    try:
        store.fs.rm_file(path)
    except store_errors() as error:
        return store_reason(error)
    return ""


def _try_folder(folder: Path) -> None:
    try:
        files.try_folder(folder)
    except StorageError as error:
        raise CopyError(
            f"Files cannot be written in {folder}, which {_SETTING} names: {files.reason(error)}. "
            "Make it writable, or name another folder."
        ) from None


def copy(manifest: Path, url: str, folder: str) -> CopyResult:
    """Copy a published set; files that are there already are not uploaded again.

    Args:
        manifest: the publication manifest on this machine.
        url: where copies are.
        folder: the set's folder there, like 23-24.

    Raises:
        CopyError: there is nothing to copy, or a file did not arrive; readers keep the old copy. Or
            what is there is another district's copy, or no copy.
        SettingsError: the URL cannot be used.
    """
    publication = _read(manifest)
    wanted = _remote_publication(publication)
    with _plain_errors(f"{folder}/{MANIFEST} could not be read"):
        store = Store(url, _SETTING)
        root = _root(store, folder)
        before = _read_manifest(store, f"{root}/{MANIFEST}")
    _check_is_own(before, publication, root)
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


def _read(manifest: Path) -> Publication:
    publication = Publication.read(manifest)
    if publication is None or not publication.matches(manifest.parent):
        raise CopyError(
            f"{manifest} is missing or its files are not those that it names: nothing is published "
            "yet, a file was changed, or a run is publishing now. No copy was changed; run make "
            "run, then copy again."
        )
    return publication


def _read_manifest(store: Store, path: str) -> Publication | None:
    """Return the manifest at a path; None where there is none.

    Raises:
        CopyError: it is another program's file, or of another version.
    """
    content = store.read(path)
    try:
        return msgspec.json.decode(content, type=Publication) if content is not None else None
    except msgspec.DecodeError:
        raise CopyError(
            f"{MANIFEST} at {_SETTING} cannot be read, so its files are unknown. Nothing was "
            "changed there; check whose it is and remove it, then copy again."
        ) from None


def _check_is_own(before: Publication | None, publication: Publication, root: str) -> None:
    """Check that what would be replaced is an earlier copy of the same district.

    Raises:
        CopyError: it is not.
    """
    if before is None:
        return
    if any("/" not in name for name in before.files):
        raise CopyError(
            f"{root} has published tables and not a copy of them. Nothing was changed there. Name "
            f"another folder in {_SETTING}, then copy again."
        )
    if before.source not in {publication.source, publication.metadata.get("replaced_source")}:
        raise CopyError(
            f"The copy in {root} is of {before.source}, and these tables are of "
            f"{publication.source}. Nothing was changed there. Name another folder in {_SETTING}; "
            f"or, if these are to replace it, remove {MANIFEST} there. Then copy again."
        )


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
            f"{file.name} has {counted(known.size, 'byte')}, of which {arrived or 0:,} arrived; "
            "readers keep the old copy. Copy again."
        )
    return True


def _replace_manifest(store: Store, path: str, wanted: Publication) -> None:
    store.write(path, msgspec.json.encode(wanted))
    if _read_manifest(store, path) != wanted:
        raise CopyError(f"{path} is not what was just written there. Copy again.")


def _remove_old_sets(store: Store, root: str, keep: set[str]) -> None:
    try:
        store.fs.invalidate_cache()
        for path in store.fs.ls(root, detail=False):
            name = path.rstrip("/").rpartition("/")[2]
            if _SET.fullmatch(name) and name not in keep:
                store.fs.rm(path, recursive=True)
    except store_errors() as error:
        raise CopyError(
            f"The new copy is complete, but older sets could not be removed "
            f"({type(error).__name__}); the next copy of another set tries again."
        ) from None


@contextmanager
def _plain_errors(problem: str) -> Iterator[None]:
    """Re-raise an error of the store as CopyError, without its text: it may hold a signed URL."""
    try:
        yield
    except store_errors() as error:
        raise CopyError(
            f"{problem} ({store_reason(error)}). Readers still see a complete copy, and files that "
            f"have arrived are not uploaded again. Check {_SETTING}, the credentials and the "
            "network, then run the same command again."
        ) from None
