"""Complete means up to date: one test for each way in which files can be stale."""

import os
from dataclasses import replace

import msgspec
import pytest

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest
from pipeline.storage import files
from pipeline.storage.receipts import BuildKey, Receipt
from pipeline.tasks.targets import FilesBuild, FilesTarget, ShardsTarget
from tests.helpers import request, write_shard

KEY = BuildKey("Step", 1, {"year": "23-24", "fields": ["a", "b"]}, {"Upstream": "abc"})


class Built:
    """Two files of a step, built, with a receipt, and a key that tests may change."""

    def __init__(self, folder):
        self.key = KEY
        self.receipt = folder / "receipts" / "Step.json"
        self.paths = [folder / "t.csv", folder / "t.parquet"]
        for path in self.paths:
            path.write_text(f"content of {path.name}")
        self.target.write_receipt(self.key, FilesBuild({"rows": 3}), "a run")

    @property
    def target(self):
        return FilesTarget(self.receipt, self.paths, lambda: self.key)


@pytest.fixture
def built(tmp_path):
    return Built(tmp_path)


# A step's files.


def test_files_that_were_just_built_are_complete(built):
    assert built.target.exists()


def test_files_are_complete_after_a_new_time_stamp_and_the_same_content(built):
    os.utime(built.paths[0], ns=(1, 1))
    assert built.target.exists()


@pytest.mark.parametrize("nth", [0, 1])
def test_a_deleted_file_is_stale(built, nth):
    built.paths[nth].unlink()
    assert not built.target.exists()


@pytest.mark.parametrize("nth", [0, 1])
def test_a_changed_file_is_stale(built, nth):
    built.paths[nth].write_text("something else")
    assert not built.target.exists()


def test_a_changed_file_of_the_same_length_is_stale(built):
    before = built.paths[0].read_text()
    built.paths[0].write_text(before.swapcase())
    os.utime(built.paths[0], ns=(1, 1))
    assert not built.target.exists()


def test_a_missing_receipt_is_stale(built):
    built.receipt.unlink()
    assert not built.target.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"null", b"\xff"])
def test_a_damaged_receipt_is_stale(built, content):
    built.receipt.write_bytes(content)
    assert not built.target.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"step": "Another"},
        {"version": 2},
        {"parameters": {"year": "24-25", "fields": ["a", "b"]}},
        {"parameters": {"year": "23-24", "fields": ["b", "a"]}},
        {"parameters": {}},
        {"inputs": {"Upstream": "abd"}},
        {"inputs": {"Upstream": "abc", "Another": "abc"}},
        {"inputs": {}},
    ],
    ids=str,
)
def test_files_built_with_another_key_are_stale(built, change):
    built.key = msgspec.structs.replace(KEY, **change)
    assert not built.target.exists()


def test_files_are_stale_while_an_input_is_missing(built):
    built.key = None
    assert not built.target.exists()


def test_a_step_that_makes_another_file_is_stale(built):
    built.paths.append(built.paths[0].with_name("more.csv"))
    built.paths[-1].write_text("more")
    assert not built.target.exists()


def test_a_step_that_makes_one_file_less_is_stale(built):
    built.paths.pop()
    assert not built.target.exists()


def test_files_are_complete_again_with_a_new_receipt(built):
    built.paths[0].write_text("something else")
    built.key = msgspec.structs.replace(KEY, version=2)
    built.target.write_receipt(built.key, FilesBuild({}), "a run")
    assert built.target.exists()


def test_a_receipt_has_the_files_the_counts_and_the_run(built):
    receipt = Receipt.read(built.receipt)
    assert receipt.key == KEY
    assert (receipt.stats, receipt.run) == ({"rows": 3}, "a run")
    assert receipt.outputs["t.csv"] == files.FileStamp.of(built.paths[0])


def test_a_step_has_no_receipt_before_its_inputs_are_there(built):
    built.key = None
    with pytest.raises(RuntimeError, match="requires"), built.target.build():
        pass


def test_a_step_has_no_receipt_before_its_files_are_there(built):
    built.paths[1].unlink()
    with pytest.raises(FileNotFoundError):
        built.target.write_receipt(built.key, FilesBuild({}), "a run")


# Digests.


def test_a_receipts_digest_follows_from_the_content_of_its_files_alone(built):
    first = Receipt.read(built.receipt).digest
    os.utime(built.paths[0], ns=(1, 1))
    built.key = msgspec.structs.replace(KEY, version=2)
    built.target.write_receipt(built.key, FilesBuild({"rows": 4}), "another run")
    assert Receipt.read(built.receipt).digest == first
    built.paths[0].write_text("something else")
    built.target.write_receipt(built.key, FilesBuild({"rows": 3}), "a run")
    assert Receipt.read(built.receipt).digest != first


def test_a_keys_digest_changes_with_each_part_of_it_and_not_with_their_order():
    others = [
        msgspec.structs.replace(KEY, **change)
        for change in (
            {"step": "s"},
            {"version": 2},
            {"parameters": {"year": "24-25"}},
            {"inputs": {"Upstream": "abd"}},
        )
    ]
    assert len({key.digest for key in (KEY, *others)}) == 5
    turned = {"fields": ["a", "b"], "year": "23-24"}
    assert msgspec.structs.replace(KEY, parameters=turned).digest == KEY.digest


# An endpoint's shards.


class Fetched:
    """Two shards and their manifest, and a list of expected ones that tests may change."""

    def __init__(self, folder):
        self.folder = folder / "shards"
        self.manifest = folder / "scores-overall.jsonl"
        self.request = request()
        self.expected = ["1", "2"]
        self.entries = {i: self.write_shard(i) for i in self.expected}
        self.write()

    def write_shard(self, assessment_id, title="T"):
        return write_shard(
            self.folder, assessment_id, [{"assessment_id": assessment_id, "title": title}]
        )

    def write(self):
        Manifest(self.request, self.entries, {}, "a run").write(self.manifest)

    @property
    def target(self):
        return ShardsTarget(self.manifest, self.folder, self.request, lambda: self.expected)

    @property
    def digest(self):
        return Manifest.read(self.manifest).digest


@pytest.fixture
def fetched(tmp_path):
    return Fetched(tmp_path)


def test_shards_that_were_just_fetched_are_complete(fetched):
    assert fetched.target.exists()
    assert fetched.target.intact() == fetched.entries


def test_shards_are_stale_while_the_catalogue_is_missing(fetched):
    fetched.expected = None
    assert not fetched.target.exists()


def test_shards_are_stale_when_an_assessment_is_added(fetched):
    fetched.expected = ["1", "2", "3"]
    assert not fetched.target.exists()


def test_an_excluded_assessment_is_no_part_of_the_shards_and_is_not_lost(fetched):
    before = fetched.target.manifest.digest
    fetched.expected = ["1"]
    assert fetched.target.exists()
    assert list(fetched.target.manifest.shards) == ["1"]
    assert fetched.target.manifest.digest != before
    assert list(fetched.target.intact()) == ["1", "2"]


def test_a_deleted_shard_is_stale_and_the_others_are_intact(fetched):
    (fetched.folder / shards.file_name("2")).unlink()
    assert not fetched.target.exists()
    assert list(fetched.target.intact()) == ["1"]


def test_a_damaged_shard_is_stale_and_the_others_are_intact(fetched):
    with (fetched.folder / shards.file_name("1")).open("ab") as file:
        file.write(b"x")
    assert not fetched.target.exists()
    assert list(fetched.target.intact()) == ["2"]


def test_a_damaged_shard_matters_only_when_it_is_expected(fetched):
    (fetched.folder / shards.file_name("2")).unlink()
    assert not fetched.target.exists()
    assert list(fetched.target.intact()) == ["1"]
    fetched.expected = ["1"]
    assert fetched.target.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"source": "another district"},
        {"endpoint": "standard"},
        {"window": None},
        {"schema": 2},  # of a finished year, these may have been fetched before it settled
    ],
    ids=str,
)
def test_shards_of_another_request_are_stale(fetched, change):
    window = replace(fetched.request.window, end=fetched.request.window.start)
    fetched.request = replace(fetched.request, **{k: v or window for k, v in change.items()})
    assert not fetched.target.exists()
    assert fetched.target.intact() == {}


@pytest.mark.parametrize("content", [None, b"", b"{", b"{}"])
def test_shards_without_a_manifest_are_stale(fetched, content):
    fetched.manifest.unlink()
    if content is not None:
        fetched.manifest.write_bytes(content)
    assert not fetched.target.exists()
    assert fetched.target.intact() == {}


def test_no_shards_are_complete_when_none_are_expected_and_a_manifest_says_so(fetched):
    fetched.expected, fetched.entries = [], {}
    fetched.target.path.unlink()
    assert not fetched.target.exists()
    fetched.write()
    assert fetched.target.exists()


def test_a_manifests_digest_follows_from_the_content_of_the_shards_alone(fetched):
    first = fetched.digest
    fetched.entries["1"] = fetched.write_shard("1")
    fetched.write()
    assert fetched.digest == first
    fetched.entries["1"] = fetched.write_shard("1", title="U")
    fetched.write()
    assert fetched.digest != first


def test_a_manifests_digest_changes_with_the_shards_it_names(fetched):
    first = fetched.digest
    del fetched.entries["2"]
    fetched.write()
    assert fetched.digest != first
