"""Shards: whole and what their name says, or not used."""

import errno
import itertools
import os
import random
import stat
import unicodedata
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import ShardError, StorageError
from pipeline.extract import shards
from pipeline.extract.shards import Origin, Reply
from pipeline.schema import SHARD_ORDER
from pipeline.years import Window

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
ORIGIN = Origin("a district", "standard", Window(date(2023, 7, 1), date(2024, 6, 30)))
COLUMNS = ("assessment_id", "title", "standard_code", "local_student_id", "date_taken", "zeal")
KEY = [name for name in SHARD_ORDER["standard"] if name in COLUMNS]


def row(student, code="RL.3.1", zeal=None):
    return ("77", "Interim 1", code, student, "2023-10-02", zeal)


def frame(*rows):
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


REPLY = Reply(frame(row("0042"), row("117", zeal="ü"), row("5", None)), 4, 1, 1)


def write(folder, reply=REPLY, origin=ORIGIN, assessment_id="77"):
    entry = shards.write(folder, origin, assessment_id, reply)
    return entry, folder / shards.file_name(assessment_id)


def unusable(folder, origin=ORIGIN, assessment_id="77"):
    """Whether both ways to read a shard refuse it; the text of the refusal."""
    with pytest.raises(ShardError) as error:
        shards.check(folder, origin, assessment_id)
    assert shards.find(folder, origin, assessment_id) is None
    return str(error.value)


# What is written.

TEXT = st.none() | st.text() | st.sampled_from(["", "\x00", "\n", "NaN", "null", "007", "1.50"])


@ONE_FOLDER
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT), unique=True))
@example([("illuminate_seal\x18\x40" + "0" * 64,) * 6])
@example([(None,) * 6, ("",) * 6])
def test_any_text_comes_back_as_it_was(tmp_path, rows):
    reply = Reply(frame(*rows), len(rows), 1, 0)
    entry, path = write(tmp_path, reply)
    assert set(pl.read_parquet(path).rows()) == set(rows)
    assert pl.read_parquet(path).height == len(rows)
    assert shards.check(tmp_path, ORIGIN, "77") == entry


def test_every_column_is_text_and_none_is_lost(tmp_path):
    entry, path = write(tmp_path)
    assert dict(pl.read_parquet_schema(path)) == dict.fromkeys(COLUMNS, pl.String)
    assert entry.columns == COLUMNS


def test_the_entry_says_what_came(tmp_path):
    entry, path = write(tmp_path, replace(REPLY, pages=3))
    assert (entry.declared, entry.rows, entry.duplicates, entry.pages) == (4, 3, 1, 3)
    assert entry.file.fits(path)


def test_a_reply_without_rows_is_a_shard_without_rows(tmp_path):
    entry, path = write(tmp_path, Reply(frame(), 0, 1, 0))
    assert pl.read_parquet(path).shape == (0, len(COLUMNS))
    assert shards.find(tmp_path, ORIGIN, "77") == entry


@ONE_FOLDER
@given(st.text(min_size=1), st.text(min_size=1))
@example("77", "78")
def test_no_shard_without_rows_is_taken_for_another(tmp_path, one, other):
    assume(one != other)
    entry, path = write(tmp_path, Reply(frame(), 0, 1, 0), assessment_id=one)
    assert shards.check(tmp_path, ORIGIN, one) == entry
    path.replace(tmp_path / shards.file_name(other))
    assert "something else" in unusable(tmp_path, assessment_id=other)


def test_rows_stand_in_order_of_the_key_then_of_the_rest(tmp_path):
    rows = list(itertools.starmap(row, itertools.product(["9", "10", None], ["b", "A"], ["", "z"])))
    random.Random(1).shuffle(rows)
    _, path = write(tmp_path, Reply(frame(*rows), len(rows), 1, 0))
    order = KEY + [name for name in COLUMNS if name not in KEY]
    written = pl.read_parquet(path).select(order).rows()
    assert written == sorted(written, key=lambda each: [(v is not None, v or "") for v in each])
    assert len(written) == len(rows)


@pytest.mark.parametrize("endpoint", ["overall", "standard", "group"])
def test_the_order_of_rows_makes_no_difference_to_a_single_byte(tmp_path, endpoint):
    draw = random.Random(1)
    origin = replace(ORIGIN, endpoint=endpoint)
    rows = [
        row(str(n % 20), draw.choice(["a", "b", None]), f"{n} {draw.random()}") for n in range(200)
    ]
    written = set()
    for _ in range(5):
        draw.shuffle(rows)
        _, path = write(tmp_path, Reply(frame(*rows), 200, 1, 0), origin)
        written.add(path.read_bytes())
    assert len(written) == 1


def test_a_shard_takes_the_place_of_an_older_one_and_only_its_owner_reads_it(tmp_path):
    before = os.umask(0)
    try:
        older, _ = write(tmp_path / "overall")
        newer, path = write(tmp_path / "overall", replace(REPLY, rows=REPLY.rows[:1]))
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
            write(tmp_path, replace(REPLY, rows=REPLY.rows[:1]))
    assert shards.find(tmp_path, ORIGIN, "77") == entry
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# What is refused.


def test_every_change_of_a_single_byte_is_noticed(tmp_path):
    _, path = write(tmp_path)
    content = path.read_bytes()
    draw = random.Random(1)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= draw.randrange(1, 256)
        path.write_bytes(changed)
        assert shards.find(tmp_path, ORIGIN, "77") is None, place
    path.write_bytes(content)
    assert shards.find(tmp_path, ORIGIN, "77") is not None


def test_every_truncation_and_every_tail_is_noticed(tmp_path):
    _, path = write(tmp_path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert shards.find(tmp_path, ORIGIN, "77") is None, length
    for tail in (b"\x00", b"PAR1", content):
        path.write_bytes(content + tail)
        assert "damaged" in unusable(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"\x00" * 4096, b"a,b\n1,2\n"])
def test_what_is_no_shard_is_damaged(tmp_path, content):
    _, path = write(tmp_path)
    path.write_bytes(content)
    assert "damaged" in unusable(tmp_path)


def test_a_parquet_file_of_another_program_is_damaged(tmp_path):
    _, path = write(tmp_path)
    pl.DataFrame({"assessment_id": ["77"]}).write_parquet(path)
    assert "damaged" in unusable(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        replace(ORIGIN, source="another district"),
        replace(ORIGIN, endpoint="overall"),
        replace(ORIGIN, window=Window(date(2023, 7, 1), date(2024, 6, 29))),
        replace(ORIGIN, window=Window(date(2022, 7, 1), date(2024, 6, 30))),
    ],
    ids=["source", "endpoint", "end", "start"],
)
def test_a_shard_of_another_origin_is_refused(tmp_path, other):
    write(tmp_path, origin=other)
    assert "something else" in unusable(tmp_path)
    assert shards.find(tmp_path, other, "77") is not None


def test_a_shard_under_the_name_of_another_assessment_is_refused(tmp_path):
    _, path = write(tmp_path)
    path.rename(path.with_name("78.parquet"))
    assert "something else" in unusable(tmp_path, assessment_id="78")


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_a_shard_of_another_schema_is_refused(tmp_path, monkeypatch, schema):
    monkeypatch.setattr(shards, "SCHEMA", schema)
    write(tmp_path)
    monkeypatch.undo()
    unusable(tmp_path)


@pytest.mark.parametrize("proof", [b"{", b"{}", b"[]", b"no proof"])
def test_a_shard_with_a_proof_of_another_program_is_refused(tmp_path, monkeypatch, proof):
    monkeypatch.setattr("pipeline.extract.shards.msgspec.json.encode", lambda _: proof)
    write(tmp_path)
    assert "asked of something else" in unusable(tmp_path)


def test_a_missing_shard_is_not_found(tmp_path):
    assert "cannot be read" in unusable(tmp_path)
    (tmp_path / "77.parquet").mkdir()
    assert "cannot be read" in unusable(tmp_path)


def test_a_refusal_names_the_file_and_no_value(tmp_path):
    write(tmp_path, origin=replace(ORIGIN, source="another district"))
    text = unusable(tmp_path)
    assert "77.parquet" in text
    assert "0042" not in text


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
        assert shards.find(folder, ORIGIN, each) == entry
        assert shards.is_intact(folder, each, entry)
