"""Files: a reader sees the old content or the new, and only its owner sees any."""

import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.storage import files
from pipeline.storage.files import FileStamp

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path, error):
    """Be interrupted while new content is written."""
    with files.atomic_write(path) as temporary:
        temporary.write_text("half of the ne")
        raise error


@pytest.fixture
def path(tmp_path):
    """A file with old content."""
    path = tmp_path / "table.csv"
    path.write_text("old")
    return path


@pytest.fixture
def open_umask():
    """A umask that would let everybody read."""
    before = os.umask(0)
    yield
    os.umask(before)


# Replacing a file.


def test_new_content_takes_the_place_of_the_old(path):
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(path.parent) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_content_and_no_temporary_file(path, error):
    with pytest.raises(StorageError if error is OSError else error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names(path.parent) == ["table.csv"]


def test_an_error_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(ValueError, match="no"):
        write_half(tmp_path / "new.csv", ValueError("no"))
    assert names(tmp_path) == []


def test_a_file_that_cannot_be_replaced_leaves_no_temporary_file(tmp_path):
    (tmp_path / "taken").mkdir()
    with (
        pytest.raises(StorageError, match="taken"),
        files.atomic_write(tmp_path / "taken") as temporary,
    ):
        temporary.write_text("new")
    assert names(tmp_path) == ["taken"]


def write_beside(path, text):
    with files.atomic_write(path) as temporary:
        temporary.write_text(text)


WAYS = pytest.mark.parametrize("write", [files.write_text, write_beside])


@WAYS
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_content(path, monkeypatch, step, write):
    def fail(*_args, **_kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        write(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert names(path.parent) == ["table.csv"]


@WAYS
def test_content_is_on_disk_before_it_has_a_name_and_the_name_before_it_counts(
    path, monkeypatch, write
):
    """The order that outlives a power cut: flush the file, rename it, flush the folder."""
    done = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def seen_replace(self, target):
        done.append("rename")
        replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr("pathlib.Path.replace", seen_replace)
    write(path, "new")
    assert done == ["file", "rename", "folder"]


def test_the_temporary_file_is_hidden_and_beside_and_no_two_are_alike(path):
    with files.atomic_write(path) as one, files.atomic_write(path) as other:
        assert one.parent == other.parent == path.parent
        assert one.name.startswith(".")
        assert other.name.startswith(".")
        assert one != other


@pytest.mark.usefixtures("open_umask")
def test_only_the_owner_can_read_what_is_written(tmp_path):
    path = tmp_path / "a" / "b" / "table.csv"
    with files.atomic_write(path) as temporary:
        assert mode(temporary) == 0o600
        temporary.write_text("rows")
    files.write_text(tmp_path / "a" / "text.txt", "text")
    files.write_json(tmp_path / "a" / "value.json", {})
    for made in (path, tmp_path / "a" / "text.txt", tmp_path / "a" / "value.json"):
        assert mode(made) == 0o600
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("write", [files.write_text, files.write_json])
def test_a_file_whose_mode_cannot_be_restricted_is_not_written(path, write, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)
    before = open_files()
    with pytest.raises(StorageError):
        write(path, "new")
    assert open_files() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "old"


@pytest.mark.usefixtures("open_umask")
def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(path):
    path.chmod(0o644)
    files.write_text(path, "new")
    assert mode(path) == 0o600


def test_the_group_can_read_what_is_written_only_while_it_is_allowed(tmp_path):
    modes = []
    for number, allowed in enumerate([True, False]):
        files.set_group_read(allowed=allowed)
        files.write_text(tmp_path / str(number) / "t", "text")
        paths = (tmp_path / str(number), tmp_path / str(number) / "t")
        modes.append([stat.S_IMODE(path.stat().st_mode) for path in paths])
    assert modes == [[0o750, 0o640], [0o700, 0o600]]


def test_folders_that_are_there_stay_as_they_are(tmp_path):
    tmp_path.chmod(0o750)
    assert files.make_folder(tmp_path / "new") == tmp_path / "new"
    assert mode(tmp_path) == 0o750


def test_no_thread_writes_in_a_folder_before_its_name_is_safe(tmp_path, monkeypatch):
    """Else what it wrote, and synced, would be lost with the folder."""
    synced, flushing = threading.Event(), threading.Event()

    def slow_flush(folder):
        flushing.set()
        assert synced.wait(20)

    monkeypatch.setattr(files, "fsync", slow_flush)
    with ThreadPoolExecutor(2) as pool:
        maker = pool.submit(files.make_folder, tmp_path / "shards")
        assert flushing.wait(20)
        other = pool.submit(files.make_folder, tmp_path / "shards")
        try:
            with pytest.raises(TimeoutError):
                other.result(timeout=0.2)
        finally:
            synced.set()
        assert maker.result(20) == other.result(20)


# Text and JSON.


def test_text_is_written_as_utf8_with_plain_line_ends(path):
    files.write_text(path, "é\r\nü\n")
    assert path.read_bytes() == "é\r\nü\n".encode()


def test_text_that_cannot_be_written_leaves_the_old(path):
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert names(path.parent) == ["table.csv"]


class Note(msgspec.Struct):
    text: str
    count: int


@ONE_FOLDER
@given(st.builds(Note, st.text(), st.integers(-(2**63), 2**63)))
def test_json_comes_back_as_it_was_written(tmp_path, note):
    files.write_json(tmp_path / "note.json", note)
    assert files.read_json(tmp_path / "note.json", Note) == note


def test_equal_values_are_equal_bytes(tmp_path):
    files.write_json(tmp_path / "one", {"b": 1, "a": {"d": 1, "c": 2}})
    files.write_json(tmp_path / "two", {"a": {"c": 2, "d": 1}, "b": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@ONE_FOLDER
@given(st.binary())
@example(b'{"text": "\xff", "count": 1}')
@example(b'{"text": "a"}')
@example(b'{"text": "a", "count": 1')
def test_json_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / "note.json").write_bytes(content)
    assert files.read_json(tmp_path / "note.json", Note) is None


def test_json_that_is_nested_without_end_is_none(tmp_path):
    (tmp_path / "deep.json").write_bytes(b"[" * 100_000)
    assert files.read_json(tmp_path / "deep.json", object) is None


def test_json_that_is_missing_or_a_folder_is_none(tmp_path):
    assert files.read_json(tmp_path / "none.json", Note) is None
    assert files.read_json(tmp_path, Note) is None


# Stamps.


def test_a_stamp_matches_the_file_that_it_was_taken_of(path):
    assert FileStamp.of(path).matches(path)
    assert FileStamp.of(path).sha256 == files.sha256(path)


def test_a_stamp_matches_a_file_that_was_only_touched(path):
    stamp = FileStamp.of(path)
    os.utime(path, ns=(1, 1))
    assert stamp.matches(path)


@pytest.mark.parametrize("content", ["", "ol", "olD", "old ", "new", "older"])
def test_a_stamp_notices_another_content(path, content):
    stamp = FileStamp.of(path)
    changed = path.stat().st_mtime_ns
    path.write_text(content)
    os.utime(path, ns=(changed + 1, changed + 1))
    assert not stamp.matches(path)


def test_a_stamp_notices_another_size_whatever_the_time_says(path):
    stamp = FileStamp.of(path)
    changed = path.stat().st_mtime_ns
    path.write_text("older")
    os.utime(path, ns=(changed, changed))
    assert not stamp.matches(path)


def test_a_stamp_does_not_match_a_missing_file(path, tmp_path):
    stamp = FileStamp.of(path)
    assert not stamp.matches(tmp_path / "gone.csv")
    assert not stamp.matches(tmp_path)


def test_a_known_file_is_not_hashed_again(path, monkeypatch):
    known = FileStamp.of(path)
    monkeypatch.setattr(files, "sha256", lambda _: pytest.fail("it was read"))
    assert FileStamp.of(path, known) == known


def test_another_state_of_a_known_file_is_hashed(path):
    known = FileStamp.of(path)
    path.write_text("OLD")
    os.utime(path, ns=(1, 1))
    assert FileStamp.of(path, known) == FileStamp.of(path) != known


# Temporary files.


def test_only_what_a_killed_run_left_is_removed(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("whole")
    for _ in range(3):
        files.temp_path(path).write_text("half")
    others = [".hidden", "notes.partial", ".partial", "table.csv.partial.txt", ".table.csv.bak"]
    for name in others:
        (tmp_path / name).write_text("not ours")
    (tmp_path / "folder").mkdir()
    files.temp_path(tmp_path / "folder" / "x").write_text("half, but elsewhere")
    assert files.remove_temp_files(tmp_path) == 3
    assert names(tmp_path) == sorted([*others, "folder", "table.csv"])
    assert len(names(tmp_path / "folder")) == 1
    assert files.remove_temp_files(tmp_path) == 0


def test_a_folder_is_never_removed(tmp_path):
    folder = files.temp_path(tmp_path / "table.csv")
    folder.mkdir()
    assert files.remove_temp_files(tmp_path) == 0
    assert folder.is_dir()


def test_there_is_nothing_to_remove_where_no_folder_is(tmp_path):
    assert files.remove_temp_files(tmp_path / "none") == 0


# Links.


def test_a_link_replaces_the_old_file_by_a_second_name_of_another(path):
    other = path.with_name("other.csv")
    files.write_text(other, "the same")
    assert files.link(other, path)
    assert path.samefile(other)
    assert files.link(other, path), "and again"
    assert path.read_text() == "the same"
    assert names(path.parent) == ["other.csv", "table.csv"]


def test_a_link_never_has_other_permissions_than_what_is_written_today(path):
    other = path.with_name("other.csv")
    files.write_text(other, "the same")
    other.chmod(0o644)
    old = path.read_text()
    assert not files.link(other, path)
    assert path.read_text() == old
    files.link_or_copy(other, path)
    assert (path.read_text(), mode(path), path.samefile(other)) == ("the same", 0o600, False)


def test_where_there_are_no_links_a_file_is_copied(path, monkeypatch):
    other = path.with_name("other.csv")
    files.write_text(other, "the same")

    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert not files.link(other, path)
    files.link_or_copy(other, path)
    assert (path.read_text(), path.samefile(other)) == ("the same", False)
    assert names(path.parent) == ["other.csv", "table.csv"]


def test_a_file_is_parsed_again_after_each_change(tmp_path: Path) -> None:
    """Also where it is overwritten in place, with its size and times as they were."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert files.parse_once(path, bytes.decode) == "one"
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system may be coarse
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.parse_once(path, bytes.decode) == "two"
