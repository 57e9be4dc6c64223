"""A file is hashed while it is written, and its CSV records are counted by the rules of CSV."""

import csv
import errno
import hashlib
import io
import os
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import hashing
from pipeline.storage.hashing import HashingFile, RecordCounter

cells = st.one_of(st.none(), st.text(st.sampled_from('a"\n\r, é'), max_size=6))


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=8), st.integers(1, 7))
def test_records_are_those_of_csv_wherever_blocks_end(rows, length):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    content, counter = text.getvalue().encode(), RecordCounter()
    for at in range(0, len(content), length):
        counter.update(content[at : at + length])
    assert counter.records == len(rows)


@given(st.lists(st.binary(max_size=100)))
def test_the_digest_is_that_of_the_file(blocks):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        with HashingFile(path, is_csv=False) as file:
            for block in blocks:
                assert file.write(block) == len(block)
        assert path.read_bytes() == b"".join(blocks)
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.records is None


def test_records_are_counted_while_they_are_written_and_when_read_back(tmp_path):
    path = tmp_path / "t.csv"
    with HashingFile(path, is_csv=True) as file:
        for part in (b'a,b\n1,"two\n', b'lines"\n', b"", b"3" * 50 + b",\n"):
            file.write(part)
    assert file.records == hashing.count_records(path) == 3


def test_every_byte_of_polars_goes_through_it(tmp_path):
    """Polars writes to files of the standard library by their descriptors."""
    frame = pl.LazyFrame({"a": ["x", 'say "hi"', "two\nlines"] * 50_000})
    for ending in ("csv", "parquet"):
        path = tmp_path / f"t.{ending}"
        with HashingFile(path, is_csv=ending == "csv") as file:
            getattr(frame, f"sink_{ending}")(file, engine="streaming")
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.records in {None, 150_001}


def test_a_block_that_the_system_takes_in_parts_is_written_whole(tmp_path, monkeypatch):
    path = tmp_path / "t"
    with HashingFile(path, is_csv=False) as file:
        raw = file._file
        file._file = type("Slow", (), {"write": lambda _, part: raw.write(part[:3])})()
        assert file.write(b"0123456789") == 10
        file._file = raw
    assert path.read_bytes() == b"0123456789"


def test_an_error_of_a_write_is_kept(tmp_path):
    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with HashingFile(tmp_path / "t", is_csv=False) as file:
        raw = file._file
        file._file = type("Full", (), {"write": staticmethod(fail)})()
        with pytest.raises(OSError, match="No space left"):
            file.write(b"x")
        file._file = raw
    assert file.error.errno == errno.ENOSPC
