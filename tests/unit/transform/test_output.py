"""Frames are written to their files in one pass, and what is said of the files is true."""

import errno
import os
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.publish import checks
from pipeline.storage.files import FileStamp
from pipeline.storage.hashing import HashingFile
from pipeline.transform import output
from tests.helpers import read_csv, write_csv
from tests.unit.transform.rows import texts

FRAME = pl.LazyFrame({"a": ["x", 'say "hi"', "two\nlines", None]})


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "t.csv", tmp_path / "t.parquet"


def test_stamps_rows_and_counts_are_those_of_the_files(paths):
    counts = FRAME.select(rows=pl.len())
    written, counted = output.write_files(dict.fromkeys(paths, FRAME), counts)
    assert {path: file.stamp for path, file in written.items()} == {
        path: FileStamp.of(path) for path in paths
    }
    assert [file.rows for file in written.values()] == [4, None]
    assert counted == {"rows": 4}
    assert checks.count_csv(paths[0]) == checks.count_parquet(paths[1]) == 4
    assert written == {path: output.read_back(path) for path in paths}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_full_disk_is_reported_and_nothing_is_left(paths, monkeypatch, ending):
    """Also where polars calls it something else."""
    path = next(path for path in paths if path.suffix == ending)
    path.write_text("old")

    def fail(file, block):
        file.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise file.error

    monkeypatch.setattr(HashingFile, "write", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        output.write_files({path: FRAME})
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_another_error_of_polars_stays_what_it_is(paths):
    with pytest.raises(pl.exceptions.PolarsError):
        output.write_files({paths[0]: FRAME.select(pl.col("a").str.to_integer())})
    assert list(paths[0].parent.iterdir()) == []


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=6))
def test_a_csv_reader_gets_every_text_back(pairs):
    frame = pl.LazyFrame(pairs, schema={"one, é": pl.String, 'the "two"': pl.String}, orient="row")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.csv"
        write_csv(frame, path)
        header, records = read_csv(path)
        count, content = checks.count_csv(path), path.read_bytes()
    assert header == ["one, é", 'the "two"']
    assert records == [[value or "" for value in pair] for pair in pairs]
    assert count == len(pairs)
    assert content.endswith(b"\n")
    assert content.decode("utf-8").startswith('"one, é"')


def test_only_what_must_be_quoted_is_quoted_and_lines_end_in_lf(folder):
    frame = pl.LazyFrame({"a": ["x", "1,5", 'say "hi"', "two\nlines", "Ñandú", None], "b": "."})
    write_csv(frame, folder / "t.csv")
    expected = 'a,b\nx,.\n"1,5",.\n"say ""hi""",.\n"two\nlines",.\nÑandú,.\n,.\n'
    assert (folder / "t.csv").read_bytes() == expected.encode()
