"""One assessment's results at one endpoint, as a file that proves by itself that it is whole.

A shard is Parquet: every value the text that the API sent, rows distinct and in canonical order.
Its metadata says what it holds. A reply without rows is a shard without rows.

Parquet has no digest of its own, and a reader that meets a damaged file may crash. So each shard
is sealed: its metadata holds the SHA-256 of all its bytes, taken while the seal was blank, and no
shard is parsed before its bytes were found whole.
"""

import functools
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import ShardError
from pipeline.schema import SHARD_ORDER
from pipeline.storage import files
from pipeline.years import Window

if TYPE_CHECKING:
    import polars as pl

SCHEMA = 1
_PROOF = "illuminate_shard"
_SEAL = "illuminate_seal"
_BLANK = b"0" * 64
# In Parquet's footer a key is followed by the type and the length of its value.
_SEAL_BEGINS = _SEAL.encode() + b"\x18\x40"
_PLAIN_ID = re.compile(r"[0-9a-z_-]{1,64}")


@dataclass(frozen=True)
class Origin:
    """What a shard was asked of: the source by name, the endpoint, and the window of dates.

    `renamed` are the API's names of fields that are called otherwise in the shard.
    """

    source: str
    endpoint: str
    window: Window
    renamed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What came: distinct rows of text, and the counts that were checked against the server's."""

    rows: "pl.DataFrame"
    declared: int
    pages: int
    duplicates: int


class Entry(msgspec.Struct, frozen=True):
    """What a manifest says of one shard; `declared` = `rows` + `duplicates`."""

    declared: int
    rows: int
    duplicates: int
    pages: int
    columns: tuple[str, ...]
    file: files.Fingerprint


class _Proof(msgspec.Struct):
    """The metadata inside a shard."""

    schema: int
    origin: Origin
    assessment_id: str
    declared: int
    rows: int
    duplicates: int
    pages: int
    columns: tuple[str, ...]


def file_name(assessment_id: str) -> str:
    """The name of an assessment's shard: the id where it is plain, else a digest of it.

    No two ids share a name, also where the file system ignores case, and no id leaves the folder.
    """
    if _PLAIN_ID.fullmatch(assessment_id):
        return f"{assessment_id}.parquet"
    return f"~{hashlib.sha256(assessment_id.encode()).hexdigest()}.parquet"


def write(folder: Path, origin: Origin, assessment_id: str, reply: Reply) -> Entry:
    """Write a shard, whole and durable, in place of an older one."""
    frame = _canonical(origin.endpoint, reply.rows)
    proof = _Proof(
        schema=SCHEMA,
        origin=origin,
        assessment_id=assessment_id,
        declared=reply.declared,
        rows=frame.height,
        duplicates=reply.duplicates,
        pages=reply.pages,
        columns=tuple(reply.rows.columns),
    )
    content = _sealed(frame, proof)
    path = folder / file_name(assessment_id)
    files.write_bytes(path, content)
    return _entry(path, content, proof)


def check(folder: Path, origin: Origin, assessment_id: str) -> Entry:
    """Read a shard's bytes and see that they are whole, and what its name and origin say.

    Raises:
        ShardError: it is missing, damaged, of another schema, or of another origin.
    """
    path = folder / file_name(assessment_id)
    try:
        content = path.read_bytes()
    except OSError:
        raise ShardError(f"the shard {path.name} cannot be read") from None
    if not _seal_is_whole(content):
        raise ShardError(f"the shard {path.name} is damaged")
    proof = _read_proof(content)
    if proof is None or (proof.origin, proof.assessment_id) != (origin, assessment_id):
        raise ShardError(f"the shard {path.name} was asked of something else")
    return _entry(path, content, proof)


def find(folder: Path, origin: Origin, assessment_id: str) -> Entry | None:
    """The entry of a shard that is there and whole; None where there is none to use."""
    if not (folder / file_name(assessment_id)).exists():
        return None
    try:
        return check(folder, origin, assessment_id)
    except ShardError:
        return None


def is_intact(folder: Path, assessment_id: str, entry: Entry) -> bool:
    """Whether a shard on disk is still the one that `entry` describes."""
    return entry.file.fits(folder / file_name(assessment_id))


def verify(
    folder: Path, entries: Mapping[str, Entry], proven: set[tuple[Path, str]] | None = None
) -> None:
    """See that shards are byte for byte what a manifest says, before a table is built of them.

    Those that are `proven`, by path and digest, are not read again; those that are found whole
    are put among them.

    Raises:
        ShardError: one is not. Its time of change is set anew, so that the next run reads it
            again, finds it damaged, and fetches it.
    """
    proven = set() if proven is None else proven
    for assessment_id, entry in entries.items():
        path = folder / file_name(assessment_id)
        if (path, entry.file.sha256) in proven:
            continue
        if files.sha256(path) != entry.file.sha256:
            path.touch()
            raise ShardError(
                f"The {folder.name} shard of assessment {assessment_id} was damaged on disk; "
                "nothing was published. Run again: only it is fetched anew."
            )
        proven.add((path, entry.file.sha256))


def _canonical(endpoint: str, rows: "pl.DataFrame") -> "pl.DataFrame":
    first = [name for name in SHARD_ORDER[endpoint] if name in rows.columns]
    rest = [name for name in rows.columns if name not in first]
    return rows.sort(first + rest) if rows.height else rows


def _sealed(frame: "pl.DataFrame", proof: _Proof) -> bytes:
    text = msgspec.json.encode(proof)
    content = bytearray(_parquet(frame, text) if frame.height else _without_rows(proof, text))
    at = _seal_at(content)
    content[at : at + len(_BLANK)] = hashlib.sha256(content).hexdigest().encode()
    return bytes(content)


def _without_rows(proof: _Proof, text: bytes) -> bytes:
    """An empty shard. Most are, and they differ by their proof alone, so polars is asked rarely."""
    unproven = b" " * len(text)
    before, after = _empty(proof.columns, unproven).split(unproven)
    return before + text + after


@functools.cache
def _empty(columns: tuple[str, ...], text: bytes) -> bytes:
    import polars as pl

    return _parquet(pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), text)


def _parquet(frame: "pl.DataFrame", proof: bytes) -> bytes:
    metadata = {_PROOF: proof.decode(), _SEAL: _BLANK.decode()}
    buffer = io.BytesIO()
    frame.write_parquet(buffer, metadata=metadata, statistics=False)
    return buffer.getvalue()


def _read_proof(content: bytes) -> _Proof | None:
    """The metadata of a whole shard; None when it was written under another schema."""
    import polars as pl

    text = pl.read_parquet_metadata(content)[_PROOF]
    try:
        proof = msgspec.json.decode(text, type=_Proof)
    except msgspec.DecodeError:
        return None
    return proof if proof.schema == SCHEMA else None


def _seal_is_whole(content: bytes) -> bool:
    blank = bytearray(content)
    at = _seal_at(blank)
    seal = bytes(blank[at : at + len(_BLANK)])
    blank[at : at + len(_BLANK)] = _BLANK
    return seal == hashlib.sha256(blank).hexdigest().encode()


def _seal_at(content: bytearray) -> int:
    return content.rfind(_SEAL_BEGINS) + len(_SEAL_BEGINS)


def _entry(path: Path, content: bytes, proof: _Proof) -> Entry:
    return Entry(
        declared=proof.declared,
        rows=proof.rows,
        duplicates=proof.duplicates,
        pages=proof.pages,
        columns=proof.columns,
        file=files.Fingerprint.of_content(path, content),
    )
