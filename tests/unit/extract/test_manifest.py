"""Manifests: what was added is there after a crash, and nothing damaged is believed."""

import datetime as dt
import errno
import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.extract import manifest
from pipeline.extract.manifest import Manifest, ManifestEntry, ManifestLog
from pipeline.storage.files import FileStamp
from tests.helpers import request

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def entry(rows=2):
    stamp = FileStamp(f"{rows:064}", 100, 5) if rows else None
    return ManifestEntry(rows + 1, rows, 1, 1, ("assessment_id", "title"), stamp)


EMPTY = Manifest(request(), {}, {}, "")
FULL = Manifest(request(), {"1": entry(), "2": entry(0), "3": entry(7)}, {"fetched": 3}, "a run")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scores-overall.jsonl"


def log(path):
    return ManifestLog(path, path.parent / "shards")


# Written and read.


def test_a_manifest_comes_back_as_it_was_written(path):
    FULL.write(path)
    assert Manifest.read(path) == FULL


def test_only_a_range_of_dates_has_a_day_of_reading(path):
    FULL.write(path)
    assert b"read_on" not in path.read_bytes()
    dated = msgspec.structs.replace(entry(), read_on=dt.date(2024, 3, 1))
    read = msgspec.structs.replace(FULL, shards={"2023-07-01_2023-07-09": dated})
    read.write(path)
    assert Manifest.read(path) == read


@ONE_FOLDER
@given(st.lists(st.text(), unique=True))
def test_any_id_comes_back_in_order(tmp_path, ids):
    path = tmp_path / "m.jsonl"
    msgspec.structs.replace(FULL, shards={each: entry() for each in ids}).write(path)
    assert list(Manifest.read(path).shards) == sorted(ids)


def test_a_missing_manifest_is_none(path):
    assert Manifest.read(path) is None
    path.mkdir()
    assert Manifest.read(path) is None


def test_entries_that_were_added_are_read_in_order_and_the_last_of_a_shard_counts(path):
    EMPTY.write(path)
    with log(path) as added:
        added.add("9", entry(1))
        added.add("10", entry(0))
        added.add("9", entry(2))
        assert Manifest.read(path).shards == {"10": entry(0), "9": entry(2)}
    assert list(Manifest.read(path).shards) == ["10", "9"]
    assert Manifest.read(path).run == ""


def test_a_forgotten_shard_has_no_entry_until_it_is_added_again(path):
    FULL.write(path)
    manifest.forget(path, ["1", "3"], path.parent / "shards")
    assert Manifest.read(path) == msgspec.structs.replace(FULL, shards={"2": entry(0)})
    with log(path) as added:
        added.add("1", entry(4))
    assert Manifest.read(path).shards == {"1": entry(4), "2": entry(0)}


@pytest.mark.parametrize(
    "other",
    [
        {"source": "another district"},
        {"endpoint": "standard"},
        {"renames": ("group_no",)},
        {"schema": 99},
        {"window": replace(request().window, end=request().window.start)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_the_request_is_read_as_it_was_written(path, other):
    changed = replace(request(), **other)
    msgspec.structs.replace(FULL, request=changed).write(path)
    assert Manifest.read(path).request == changed != request()


# Damage.


def test_no_change_of_a_single_byte_is_believed(path):
    """Each costs the shard of its line, or all of them if it is in the header."""
    FULL.write(path)
    content, draw = path.read_bytes(), random.Random(1)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= draw.randrange(1, 256)
        path.write_bytes(changed)
        found = Manifest.read(path)
        if found is not None:
            assert (found.request, found.stats, found.run) == (FULL.request, FULL.stats, FULL.run)
            assert found.shards.items() < FULL.shards.items(), place


def test_a_manifest_that_was_cut_short_has_the_entries_before_the_cut(path):
    FULL.write(path)
    content = path.read_bytes()
    lengths = [0]
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        found = Manifest.read(path)
        lengths.append(len(found.shards) if found else 0)
        assert not found or found.shards.items() <= FULL.shards.items()
    assert lengths == sorted(lengths)
    assert lengths[-1] == 3


@pytest.mark.parametrize("tail", [b"\x00" * 50, b"\n\n", b"\n{}", b'0000 {"shard":"5"}', b"\xff"])
def test_garbage_at_the_end_spoils_no_entry_that_is_added_later(path, tail):
    FULL.write(path)
    with path.open("ab") as file:
        file.write(tail)
    assert Manifest.read(path) == FULL
    with log(path) as added:
        added.add("4", entry())
    assert Manifest.read(path).shards == {**FULL.shards, "4": entry()}


@pytest.mark.parametrize("text", [b"null", b"{}", b"[]", b'{"shard":1,"entry":null}'])
def test_lines_of_another_program_are_ignored(path, text):
    line = b"%08x %b" % (manifest.zlib.crc32(text), text)
    FULL.write(path)
    path.write_bytes(path.read_bytes() + b"\n" + line)
    assert Manifest.read(path) == FULL
    path.write_bytes(line)
    assert Manifest.read(path) is None


# Durable.


def test_an_entry_and_the_name_of_its_shard_are_synced_when_it_is_added(path, monkeypatch):
    EMPTY.write(path)
    synced = []
    with log(path) as added:
        monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
        added.add("1", entry())
    assert synced == [path.stat().st_ino, (path.parent / "shards").stat().st_ino]


def test_threads_share_syncs_and_none_returns_before_its_entry_is_synced(path, monkeypatch):
    """What was written when the last sync began is what a power cut would leave."""
    EMPTY.write(path)
    safe, syncs = set(), []
    fsync = os.fsync

    def slow(handle):
        there = set(Manifest.read(path).shards)
        fsync(handle)
        syncs.append(handle)
        safe.update(there)

    monkeypatch.setattr(os, "fsync", slow)
    with log(path) as added, ThreadPoolExecutor(8) as pool:

        def add(number):
            added.add(str(number), entry())
            return str(number) in safe

        assert all(pool.map(add, range(200)))
    assert len(Manifest.read(path).shards) == 200
    assert len(syncs) < 2 * 200


def test_an_entry_that_cannot_be_synced_is_reported(path, monkeypatch):
    EMPTY.write(path)

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with log(path) as added, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="Input/output error"):
            added.add("1", entry())


def test_a_line_that_the_disk_had_no_room_for_spoils_no_other(path):
    EMPTY.write(path)
    with log(path) as added:
        real = added._file

        class Full:
            def write(self, line):
                real.write(line[: len(line) // 2])
                real.flush()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        added._file = Full()
        with pytest.raises(StorageError, match="the disk is full"):
            added.add("1", entry())
        added._file = real
        added.add("2", entry())
    assert Manifest.read(path).shards == {"2": entry()}


# Digests.


def test_the_digest_follows_from_the_shards_and_their_contents_alone():
    again = msgspec.structs.replace(FULL, run="another", stats={})
    assert again.digest == FULL.digest
    others = [
        {**FULL.shards, "1": entry(5)},
        {**FULL.shards, "4": entry()},
        {**FULL.shards, "4": entry(0)},
        {"1": entry(), "3": entry(7)},
    ]
    digests = {msgspec.structs.replace(FULL, shards=shards).digest for shards in others}
    assert len(digests | {FULL.digest}) == 5


def test_the_digest_of_rows_does_not_depend_on_which_empty_shards_are_there():
    fewer = {i: entry for i, entry in FULL.shards.items() if entry.file}
    without = msgspec.structs.replace(FULL, shards=fewer)
    assert fewer.keys() < FULL.shards.keys()
    assert without.rows_digest == FULL.rows_digest
    assert without.digest != FULL.digest
    changed = msgspec.structs.replace(FULL, shards={**FULL.shards, "1": entry(5)})
    assert changed.rows_digest != FULL.rows_digest
