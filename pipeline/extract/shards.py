"""Shards: one assessment's results at one endpoint, as a Parquet file with an entry in a manifest.

Every value is the text that the API sent; rows are distinct and in canonical order, which is that
of trimmed ids, as tables have them. A shard without rows is an entry and no file. Parquet has no
digest of its own, and a reader of a damaged file may crash, so no shard is parsed before its digest
was compared with its entry.
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.extract.manifest import ManifestEntry
from pipeline.ids import COLUMNS, WHITE_SPACE, trim
from pipeline.schema import SHARD_ORDER
from pipeline.storage import files

if TYPE_CHECKING:
    import polars as pl

    from pipeline.illuminate.pages import Result

_PLAIN_ID = re.compile(r"[0-9a-z_-]{1,64}")


def file_name(assessment_id: str) -> str:
    """Return the file name of a shard: the id where it is plain, else a digest of it.

    No two ids share a name, even where the file system ignores case, and no id leaves the folder.
    """
    if _PLAIN_ID.fullmatch(assessment_id):
        return f"{assessment_id}.parquet"
    return f"~{hashlib.sha256(assessment_id.encode()).hexdigest()}.parquet"


def stamps(folder: Path, entries: Mapping[str, ManifestEntry]) -> dict[Path, files.FileStamp]:
    """Return the stamps of the files that shards in a folder have; one without rows has none."""
    return {folder / file_name(name): each.file for name, each in entries.items() if each.file}


def in_table_order(entries: Mapping[str, ManifestEntry]) -> dict[str, ManifestEntry]:
    """Return the entries in the order that tables have their shards in."""
    return {name: entries[name] for name in sorted(entries, key=trim)}


def find_columns(entries: Mapping[str, ManifestEntry]) -> list[str]:
    """Return the columns that occur in any of these shards."""
    return [*dict.fromkeys(name for entry in entries.values() for name in entry.columns)]


def count_rows(*endpoints: Mapping[str, ManifestEntry]) -> dict[str, int]:
    """Return the rows per assessment, by its trimmed id, of those that have any."""
    rows: Counter[str] = Counter()
    for entries in endpoints:
        rows.update({trim(i): entry.rows for i, entry in entries.items() if entry.rows})
    return dict(rows)


def write(
    folder: Path,
    endpoint: str,
    assessment_id: str,
    result: "Result",
    others: Sequence[Path] = (),
) -> ManifestEntry:
    """Write an assessment's results in place of an older shard and return its entry.

    The shard is durable, and counts, once the entry is added to the manifest. Where one of `others`
    (folders of shards) has it with the same bytes, it becomes a link to that.

    Raises:
        StorageError: it cannot be written.
    """
    name = file_name(assessment_id)
    twins = [other / name for other in others]
    stamp = _write_rows(folder / name, endpoint, result.rows, twins)
    return ManifestEntry(
        server_total=result.declared,
        rows=result.rows.height,
        duplicates=result.duplicates,
        pages=result.pages,
        columns=tuple(result.rows.columns),
        file=stamp,
    )


def _write_rows(
    path: Path, endpoint: str, rows: "pl.DataFrame", twins: Sequence[Path]
) -> files.FileStamp | None:
    if rows.is_empty():
        with files.wrap_os_errors(path):
            path.unlink(missing_ok=True)
        return None
    import polars as pl

    first = [name for name in SHARD_ORDER[endpoint] if name in rows.columns]
    rest = [name for name in rows.columns if name not in first]
    key = [
        pl.col(name).str.strip_chars(WHITE_SPACE) if name in COLUMNS else pl.col(name)
        for name in first
    ]
    buffer = io.BytesIO()
    rows.sort([*key, *rest, *first]).write_parquet(buffer, statistics=False)
    content = buffer.getvalue()
    same = (twin for twin in twins if _has_bytes(twin, content))
    if not any(files.link(twin, path, sync_folder=False) for twin in same):
        files.write_bytes(path, content, sync_folder=False)
    return files.FileStamp.with_digest(hashlib.sha256(content).hexdigest(), path)


def _has_bytes(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def is_intact(folder: Path, assessment_id: str, entry: ManifestEntry) -> bool:
    """Return True if a shard has no rows, or its file is there, unchanged."""
    return entry.file is None or entry.file.matches(folder / file_name(assessment_id))


def find_damaged(
    folder: Path,
    entries: Mapping[str, ManifestEntry],
    verified: set[tuple[Path, str]] | None = None,
) -> list[str]:
    """Return the ids of shards that are missing or not byte for byte as they were written.

    Shards in `verified`, by path and digest, are not read again; intact ones are added to it.
    """
    verified = set() if verified is None else verified
    damaged = []
    for assessment_id, entry in entries.items():
        path = folder / file_name(assessment_id)
        if entry.file is None or _is_verified(path, entry.file, verified):
            continue
        if _has_digest(path, entry.file.sha256):
            verified.add((path, entry.file.sha256))
        else:
            damaged.append(assessment_id)
    return damaged


def _is_verified(path: Path, stamp: files.FileStamp, verified: set[tuple[Path, str]]) -> bool:
    return (path, stamp.sha256) in verified and path.exists() and stamp.is_current(path)


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return files.sha256(path) == digest
    except OSError:
        return False
