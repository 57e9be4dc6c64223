"""Snapshots on disk: their order, their size, and that no half of one is left under its name."""

import os
import shutil

import pytest

from pipeline.errors import StorageError
from pipeline.storage import snapshots

NEWEST_FIRST = [
    "2024-06-30",
    "2024-06-30-on-2024-07-03",
    "2024-06-30-on-2024-07-02",
    "2024-06-30-on-2024-06-30",
    "2024-06-29",
    "2023-12-31",
]


def make(folder, name, size=10):
    (folder / name / "shards").mkdir(parents=True)
    (folder / name / "shards" / "1.parquet").write_bytes(b"x" * size)
    return folder / name


def names(found):
    return [path.name for path in found]


def test_the_newest_has_the_last_day_of_results_then_the_last_day_of_fetching(tmp_path):
    for name in sorted(NEWEST_FIRST):
        make(tmp_path, name)
    for other in ("notes", ".2024-06-28", "2024-06-28-on-", "2024-06-28.old"):
        make(tmp_path, other)
    assert names(snapshots.of_year(tmp_path)) == NEWEST_FIRST
    older = snapshots.older_than(tmp_path / NEWEST_FIRST[2])
    assert names(older) == NEWEST_FIRST[3:]
    assert snapshots.of_year(tmp_path / "no such year") == []


def test_a_removal_that_stops_half_way_leaves_nothing_to_resume(tmp_path, monkeypatch):
    snapshot, other = make(tmp_path, "2024-01-31"), make(tmp_path, "2024-02-01")

    def stop(path):
        (path / "shards" / "1.parquet").unlink()
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", stop)
        with pytest.raises(
            StorageError, match=r"2024-01-31.* cannot be removed: Permission denied"
        ):
            snapshots.remove(snapshot)
    assert snapshots.of_year(tmp_path) == [other]
    snapshots.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [other]


def test_what_is_left_of_a_removal_is_in_the_way_of_no_other(tmp_path):
    make(tmp_path, ".2024-01-31.removed")
    snapshots.remove(make(tmp_path, "2024-01-31"))
    assert list(tmp_path.iterdir()) == []


def test_what_two_snapshots_share_is_counted_once_and_stays_for_the_other(tmp_path):
    one, other = make(tmp_path, "2024-01-31", 3 << 20), make(tmp_path, "2024-02-01", 1 << 20)
    shared = other / "shards" / "2.parquet"
    os.link(one / "shards" / "1.parquet", shared)
    assert snapshots.disk_size(tmp_path) == "4.0 MiB"
    snapshots.remove(one)
    assert shared.stat().st_size == 3 << 20
    assert snapshots.disk_size(tmp_path) == "4.0 MiB"
    assert snapshots.disk_size(tmp_path / "no such folder") == "0.0 MiB"
    assert snapshots.readable_size(5 << 29) == "2.5 GiB"
