"""File systems that cannot do everything: what is tolerated is said once, the rest refused."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputFileError, StorageError
from pipeline.storage import file_system, files


@pytest.fixture(autouse=True)
def _new_run() -> Iterator[None]:
    file_system.forget_what_was_said()
    yield
    file_system.forget_what_was_said()


def refuse(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_folders_that_cannot_be_synced_are_tolerated_and_reported_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    fsync = os.fsync

    def sync_files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            refuse(number)()
        fsync(handle)

    monkeypatch.setattr(os, "fsync", sync_files_only)
    for _ in range(2):
        files.write_text(tmp_path / "folder" / "file", "text")
    (line,) = caplog.messages
    assert f"{tmp_path} cannot sync folders ({os.strerror(number)})" in line
    assert "After one, run make verify" in line
    file_system.forget_what_was_said()
    files.write_text(tmp_path / "folder" / "file", "text")
    assert caplog.messages == [line, line.replace(f"{tmp_path} ", f"{tmp_path / 'folder'} ")]


def test_a_folder_on_a_failing_disk_is_not_tolerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        files.fsync(tmp_path)


def test_a_file_that_cannot_be_synced_is_not_tolerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    with pytest.raises(StorageError, match="Invalid argument"):
        files.write_text(tmp_path / "file", "text")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
@pytest.mark.parametrize("name", ["file", "folder/file"])
def test_permissions_that_cannot_be_set_are_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    monkeypatch.setattr(os, "chmod", refuse(number))
    with pytest.raises(StorageError, match="Mount it with file_mode=0600,dir_mode=0700") as raised:
        files.write_text(tmp_path / name, "text")
    assert f"cannot be written: {os.strerror(number)}. Its file system" in str(raised.value)


def test_permissions_that_have_no_effect_are_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.joinpath("open").mkdir(mode=0o755)
    tmp_path.joinpath("open").chmod(0o755)
    monkeypatch.setattr(os, "chmod", lambda *_: None)
    for _ in range(2):
        file_system.set_mode(tmp_path / "open", 0o700)
    (line,) = caplog.messages
    assert f"of {tmp_path} ignores permissions: other users of this machine can read" in line
    assert "(mode 755)" in line
    assert "mount it with file_mode=0600" in line


@pytest.mark.parametrize("mode", [0o700, 0o500])
def test_permissions_that_keep_others_out_are_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    file_system.set_mode(tmp_path, mode)
    tmp_path.chmod(0o700)
    assert caplog.messages == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_folder_of_another_user_is_named_with_both_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A bind mount of a container, for example."""
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    owner = f"{tmp_path.stat().st_uid}:{tmp_path.stat().st_gid}"
    with (
        pytest.raises(StorageError) as raised,
        files.wrap_os_errors(tmp_path / "new" / "file"),
    ):
        raise OSError(number, os.strerror(number))
    said = str(raised.value)
    assert f"{tmp_path} belongs to user {os.getuid()}, and this process is user 10001" in said
    assert f"docker run --user {owner}" in said
    assert "chown -R 10001" in said


def test_a_folder_of_our_own_and_other_errors_need_no_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, own in ((errno.EACCES, os.geteuid()), (errno.ENOSPC, 10001)):
        monkeypatch.setattr(os, "geteuid", lambda own=own: own)
        with pytest.raises(StorageError) as raised, files.wrap_os_errors(tmp_path):
            raise OSError(number, os.strerror(number))
        assert "belongs to" not in str(raised.value)


def test_an_input_file_of_another_user_is_named_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    said = str(InputFileError.unreadable(tmp_path, denied))
    assert f"belongs to user {os.getuid()}, and this process is user 10001" in said
    gone = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    assert "belongs" not in str(InputFileError.unreadable(tmp_path, gone))
