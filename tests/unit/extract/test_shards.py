"""Shards: written as they were sent, and noticed when a single byte of them changes."""

import errno
import itertools
import os
import random
import stat
import unicodedata
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.extract import shards
from pipeline.illuminate.pages import Result
from pipeline.schema import SHARD_ORDER
from pipeline.storage import files

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
COLUMNS = ("assessment_id", "title", "standard_code", "local_student_id", "date_taken", "zeal")
KEY = [name for name in SHARD_ORDER["standard"] if name in COLUMNS]


def row(student, code="RL.3.1", zeal=None):
    return ("77", "Interim 1", code, student, "2023-10-02", zeal)


def frame(*rows):
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


DATA = Result(frame(row("0042"), row("117", zeal="ü"), row("5", None)), 4, 1, 1)
EMPTY = Result(frame(), 0, 1, 0)


def write(folder, data=DATA, endpoint="standard", assessment_id="77"):
    entry = shards.write(folder, endpoint, assessment_id, data)
    return entry, folder / shards.file_name(assessment_id)


def is_damaged(folder, entry, assessment_id="77"):
    return shards.find_damaged(folder, {assessment_id: entry}) == [assessment_id]


# What is written.

TEXT = st.none() | st.text() | st.sampled_from(["", "\x00", "\n", "NaN", "null", "007", "1.50"])


@ONE_FOLDER
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT), unique=True, min_size=1))
@example([(None,) * 6, ("",) * 6])
def test_any_text_comes_back_as_it_was(tmp_path, rows):
    entry, path = write(tmp_path, Result(frame(*rows), len(rows), 1, 0))
    assert set(pl.read_parquet(path).rows()) == set(rows)
    assert pl.read_parquet(path).height == len(rows)
    assert not is_damaged(tmp_path, entry)


def test_every_column_is_text_and_none_is_lost(tmp_path):
    entry, path = write(tmp_path)
    assert dict(pl.read_parquet_schema(path)) == dict.fromkeys(COLUMNS, pl.String)
    assert entry.columns == COLUMNS


def test_the_entry_has_the_counts_and_the_stamp_of_the_file(tmp_path):
    entry, path = write(tmp_path, replace(DATA, pages=3))
    assert (entry.server_total, entry.rows, entry.duplicates, entry.pages) == (4, 3, 1, 3)
    assert entry.file == files.FileStamp.of(path)


def test_a_shard_without_rows_is_an_entry_and_no_file(tmp_path):
    write(tmp_path)
    entry, path = write(tmp_path, EMPTY)
    assert (entry.server_total, entry.rows, entry.pages, entry.file) == (0, 0, 1, None)
    assert not path.exists()
    assert shards.is_intact(tmp_path, "77", entry)
    assert not is_damaged(tmp_path, entry)


def test_rows_are_ordered_by_the_key_then_by_the_rest(tmp_path):
    rows = list(itertools.starmap(row, itertools.product(["9", "10", None], ["b", "A"], ["", "z"])))
    random.Random(1).shuffle(rows)
    _, path = write(tmp_path, Result(frame(*rows), len(rows), 1, 0))
    order = KEY + [name for name in COLUMNS if name not in KEY]
    written = pl.read_parquet(path).select(order).rows()
    assert written == sorted(written, key=lambda each: [(v is not None, v or "") for v in each])
    assert len(written) == len(rows)


def test_white_space_around_an_id_is_kept_and_does_not_change_the_order(tmp_path):
    ids = ["7", " 10", "10", " 9\u3000", "8"]
    rows = [row(each, "a", "") for each in ids]
    _, path = write(tmp_path, Result(frame(*rows), len(rows), 1, 0))
    assert pl.read_parquet(path)["local_student_id"].to_list() == [
        " 10",
        "10",
        "7",
        "8",
        " 9\u3000",
    ]


@pytest.mark.parametrize("endpoint", ["overall", "standard", "group"])
def test_the_order_of_rows_makes_no_difference_to_a_single_byte(tmp_path, endpoint):
    draw = random.Random(1)
    rows = [
        row(str(n % 20), draw.choice(["a", "b", None]), f"{n} {draw.random()}") for n in range(200)
    ]
    written = set()
    for _ in range(5):
        draw.shuffle(rows)
        _, path = write(tmp_path, Result(frame(*rows), 200, 1, 0), endpoint=endpoint)
        written.add(path.read_bytes())
    assert len(written) == 1


def test_a_shard_takes_the_place_of_an_older_one_and_only_its_owner_reads_it(tmp_path):
    before = os.umask(0)
    try:
        older, _ = write(tmp_path / "overall")
        newer, path = write(tmp_path / "overall", replace(DATA, rows=DATA.rows[:1]))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["77.parquet"]
    assert shards.is_intact(path.parent, "77", newer)
    assert not shards.is_intact(path.parent, "77", older)


def test_a_shard_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch):
    entry, path = write(tmp_path)

    def fail(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="the disk is full"):
            write(tmp_path, replace(DATA, rows=DATA.rows[:1]))
    assert shards.is_intact(tmp_path, "77", entry)
    assert not is_damaged(tmp_path, entry)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# What other days have.


def test_a_shard_with_the_bytes_of_another_day_is_a_link_to_it(tmp_path):
    """Only that of the same assessment, and only while not a byte differs."""
    before, after = tmp_path / "before", tmp_path / "after"
    _, twin = write(before)
    write(before, assessment_id="78")
    again = shards.write(after, "standard", "77", DATA, [tmp_path / "none", before])
    assert (after / twin.name).samefile(twin)
    assert not is_damaged(after, again)
    changed = Result(frame(row("0042"), row("117", zeal="u"), row("5", None)), 4, 1, 1)
    shards.write(after, "standard", "77", changed, [before])
    shards.write(after, "standard", "79", DATA, [before])
    assert [path.name for path in after.iterdir() if path.stat().st_nlink > 1] == []
    assert set(pl.read_parquet(twin).rows()) == set(DATA.rows.rows())


def test_where_there_are_no_links_a_shard_is_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    _, twin = write(tmp_path / "before")
    monkeypatch.setattr(os, "link", refuse)
    shards.write(tmp_path / "after", "standard", "77", DATA, [tmp_path / "before"])
    written = tmp_path / "after" / twin.name
    assert (written.read_bytes(), written.samefile(twin)) == (twin.read_bytes(), False)


# Damage.


def test_every_change_of_a_single_byte_is_noticed(tmp_path):
    entry, path = write(tmp_path)
    content = path.read_bytes()
    draw = random.Random(1)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= draw.randrange(1, 256)
        path.write_bytes(changed)
        assert is_damaged(tmp_path, entry), place
        assert not shards.is_intact(tmp_path, "77", entry), place
    path.write_bytes(content)
    assert not is_damaged(tmp_path, entry)


def test_every_truncation_and_every_tail_is_noticed(tmp_path):
    entry, path = write(tmp_path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert is_damaged(tmp_path, entry), length
    for tail in (b"\x00", b"PAR1", content):
        path.write_bytes(content + tail)
        assert is_damaged(tmp_path, entry)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"\x00" * 4096, b"a,b\n1,2\n"])
def test_a_file_that_is_no_shard_is_damaged(tmp_path, content):
    entry, path = write(tmp_path)
    path.write_bytes(content)
    assert is_damaged(tmp_path, entry)


def test_damage_that_left_size_and_time_is_noticed(tmp_path):
    entry, path = write(tmp_path)
    content, status = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert is_damaged(tmp_path, entry)


def test_a_shard_under_the_name_of_another_assessment_is_damaged(tmp_path):
    write(tmp_path)
    entry, path = write(tmp_path, replace(DATA, rows=DATA.rows[:1]), assessment_id="78")
    (tmp_path / "77.parquet").rename(path)
    assert is_damaged(tmp_path, entry, "78")


def test_a_missing_shard_is_damaged(tmp_path):
    entry, path = write(tmp_path)
    path.unlink()
    assert is_damaged(tmp_path, entry)
    path.mkdir()
    assert is_damaged(tmp_path, entry)


def test_only_damaged_shards_are_named(tmp_path):
    entries = {each: write(tmp_path, assessment_id=each)[0] for each in "123"}
    (tmp_path / "2.parquet").write_bytes(b"x")
    assert shards.find_damaged(tmp_path, entries) == ["2"]


def test_a_verified_shard_is_not_read_again_while_it_is_unchanged(tmp_path, monkeypatch):
    entry, path = write(tmp_path)
    verified = set()
    assert shards.find_damaged(tmp_path, {"77": entry}, verified) == []
    with monkeypatch.context() as patch:
        patch.setattr(files, "sha256", lambda _: pytest.fail("it was read"))
        assert shards.find_damaged(tmp_path, {"77": entry}, verified) == []
    path.write_bytes(b"x")
    assert shards.find_damaged(tmp_path, {"77": entry}, verified) == ["77"]
    path.unlink()
    assert shards.find_damaged(tmp_path, {"77": entry}, verified) == ["77"]


# Intact or not.


def test_a_shard_stays_intact_when_it_is_touched(tmp_path):
    entry, path = write(tmp_path)
    os.utime(path, ns=(1, 1))
    assert shards.is_intact(tmp_path, "77", entry)


def test_a_shard_that_is_gone_or_changed_is_not_intact(tmp_path):
    entry, path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert not shards.is_intact(tmp_path, "77", entry)
    path.unlink()
    assert not shards.is_intact(tmp_path, "77", entry)


# File names.

HOSTILE = [
    "../x", "..", ".", "/", "/etc/passwd", "a/b", "a\\b", "\x00", "77\x00", "77\n", "\n77", " 77",
    "77 ", "", "x" * 64, "x" * 65, "x" * 300, "x" * 301, "aB", "ab", "Ab", "AB", "\u0667\u0667",
    "77", "077", "7.7", "77.parquet", "~77", "é", "e\u0301", "=1+1", "-", "_", "*", "CON", "con",
    "ß", "ss", "SS", "\u017f", "s", "\u0131", "i", "\u212a", "k", "K", ".hidden", "\u202e77",
]  # fmt: skip


def alike(name):
    """What a file system that ignores case and forms of letters takes a name for."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def test_no_two_ids_share_a_name_where_case_is_ignored():
    assert len({alike(shards.file_name(each)) for each in HOSTILE}) == len(HOSTILE)


def test_no_plain_id_has_the_name_of_another_id():
    for each in HOSTILE:
        stem = shards.file_name(each).removesuffix(".parquet")
        assert stem == each or shards.file_name(stem) != shards.file_name(each)


@given(st.lists(st.text(max_size=70) | st.from_regex(r"[a-zA-Z0-9_~-]{1,3}"), unique=True))
def test_names_of_any_ids_are_distinct_plain_and_short(ids):
    names = [shards.file_name(each) for each in ids]
    assert len({alike(name) for name in names}) == len(ids)
    for name in names:
        assert name.isascii()
        assert name.isprintable()
        assert name.endswith(".parquet")
        assert len(name) < 100
        assert not {"/", "\\", " "} & set(name)
        assert name[0] != "."


@pytest.mark.parametrize("assessment_id", ["77", "114845", "a_b-c"])
def test_a_plain_id_is_its_own_name(assessment_id):
    assert shards.file_name(assessment_id) == f"{assessment_id}.parquet"


def test_hostile_ids_stay_in_their_folder_and_are_found_again(tmp_path):
    folder = tmp_path / "shards" / "overall"
    entries = {each: write(folder, assessment_id=each)[0] for each in HOSTILE}
    assert len(list(folder.iterdir())) == len(HOSTILE)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder] == []
    for each, entry in entries.items():
        assert shards.is_intact(folder, each, entry)
    assert shards.find_damaged(folder, entries) == []
