"""A file is read while it is written: its digest and its lines are those of the whole file."""

import csv
import hashlib
import io
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import files, follow
from pipeline.storage.files import Fingerprint
from pipeline.storage.follow import Follower, Lines

cells = st.one_of(st.none(), st.text(st.sampled_from('a"\n\r, é'), max_size=6))


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=8), st.integers(1, 7))
def test_lines_are_those_of_csv_wherever_blocks_end(rows, length):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    content, lines = text.getvalue().encode(), Lines()
    for at in range(0, len(content), length):
        lines.update(content[at : at + length])
    assert lines.count == len(rows)


def test_a_file_that_grows_is_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "_BLOCK", 10)
    path = tmp_path / "t.csv"
    path.touch()
    with Follower(path) as follower, path.open("wb", buffering=0) as file:
        for part in (b'a,b\n1,"two\n', b'lines"\n', b"", b"3" * 50 + b",\n"):
            file.write(part)
    assert follower.found.file == Fingerprint.of(path)
    assert follower.found.lines == 3


@given(st.binary(max_size=300))
def test_the_fingerprint_is_that_of_the_file(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        path.write_bytes(content)
        assert follow.read(path).file == Fingerprint.of(path)
        assert follow.read(path).file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is told")
def test_the_disk_is_given_each_part_once_while_the_file_is_written(tmp_path, monkeypatch):
    given, twice = [], threading.Event()

    def advise(_, start, length, advice):
        given.append((start, length, advice))
        if len(given) == 2:
            twice.set()

    monkeypatch.setattr(follow, "_BLOCK", 40)
    monkeypatch.setattr(follow, "_PART", 100)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    path = tmp_path / "t"
    path.write_bytes(b"x" * 300)
    with Follower(path) as follower:
        assert twice.wait(timeout=60)
    wanted = [(0, 120, os.POSIX_FADV_DONTNEED), (120, 120, os.POSIX_FADV_DONTNEED)]
    assert given == wanted
    assert follower.found.file == Fingerprint.of(path)
    follow.read(path)
    assert given == wanted, "nobody writes it any more"


@pytest.fixture
def read(monkeypatch):
    """The blocks that were read so far."""
    blocks = []
    monkeypatch.setattr(Lines, "update", lambda _, block: blocks.append(block))
    return blocks


def write(path, read, until, change):
    """Let a file be followed, and changed in a way that no writer has once it was read."""
    path.write_bytes(b"content")
    with Follower(path):
        until(lambda: b"".join(read) == b"content")
        change(path)


def exchange(path):
    path.with_name("other").write_bytes(b"content")
    path.with_name("other").replace(path)


@pytest.mark.parametrize("change", [lambda path: os.truncate(path, 3), exchange, Path.unlink])
def test_a_file_that_did_not_only_grow_is_not_taken(tmp_path, read, until, change):
    with pytest.raises(OSError, match=r"start to its end|No such file"):
        write(tmp_path / "t", read, until, change)


def test_a_file_that_is_not_there_cannot_be_followed(tmp_path):
    with pytest.raises(FileNotFoundError), Follower(tmp_path / "none"):
        pass


def test_the_error_of_who_writes_is_the_one_that_is_raised(tmp_path):
    with pytest.raises(KeyError), Follower(tmp_path / "none"):
        raise KeyError


def test_what_is_known_of_a_file_is_not_read_again(tmp_path, monkeypatch):
    path = tmp_path / "t"
    path.write_bytes(b"content")
    known = Fingerprint.of(path)
    monkeypatch.setattr(files, "sha256", lambda _: pytest.fail("it was read"))
    assert Fingerprint.of(path, known) == known


def test_what_is_known_of_another_state_of_a_file_is_not_believed(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"content")
    known = Fingerprint.of(path)
    path.write_bytes(b"Content")
    os.utime(path, ns=(1, 1))
    assert Fingerprint.of(path, known) == Fingerprint.of(path) != known
