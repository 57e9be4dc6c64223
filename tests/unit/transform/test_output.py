"""Frames are written to their files in one pass, and what is said of the files is true."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.publish import checks
from pipeline.storage.files import FileStamp
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


FULL, BROKEN = (os.strerror(number) for number in (errno.ENOSPC, errno.EIO))


def test_what_is_said_of_a_large_file_is_true(paths):
    """It is read while it grows."""
    frame = pl.LazyFrame({"a": ["x", 'say "hi"', "two\nlines"] * 300_000})
    written, _ = output.write_files(dict.fromkeys(paths, frame))
    assert {path: file.stamp for path, file in written.items()} == {
        path: FileStamp.of(path) for path in paths
    }
    assert written[paths[0]].rows == 900_000


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("error", "free", "reason"),
    [
        (OSError(errno.ENOSPC, FULL), 1 << 30, "the disk is full"),
        (OSError(f"{FULL} (os error {errno.ENOSPC})"), 1 << 30, "the disk is full"),
        (pl.exceptions.ComputeError("parquet: transport error"), 1 << 10, "the disk is full"),
        (pl.exceptions.ComputeError("os error 5"), 1 << 30, BROKEN),
    ],
)
def test_a_failed_write_is_reported_and_nothing_is_left(
    paths, monkeypatch, ending, error, free, reason
):
    """Also where polars calls it something else."""
    path = next(path for path in paths if path.suffix == ending)
    path.write_text("old")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(pl, "collect_all", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(StorageError, match=reason):
        output.write_files({path: FRAME})
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_polars_put_in_the_place_of_ours_is_refused(paths, monkeypatch):
    """Its bytes were not read."""
    collect_all = pl.collect_all

    def replace(*args, **options):
        frames = collect_all(*args, **options)
        (temporary,) = paths[0].parent.iterdir()
        temporary.unlink()
        temporary.write_text("a\nb\n")
        return frames

    monkeypatch.setattr(pl, "collect_all", replace)
    with pytest.raises(StorageError, match="cannot be written"):
        output.write_files({paths[0]: FRAME})
    assert list(paths[0].parent.iterdir()) == []


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
