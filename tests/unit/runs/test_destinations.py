"""Where a run is to publish is tried by doing what publishing does, and nothing is left there."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.runs.build import Build, Step
from pipeline.runs.destinations import check_destinations, check_folder, check_published_folder
from pipeline.storage import files
from pipeline.storage.paths import AllYears, Folders


@dataclass
class Publishing:
    """A step that publishes, as far as is asked of it here."""

    paths: AllYears
    publishes: bool = True
    task_id: str = "Publish"
    partition: str = "all"


@dataclass
class Known(Build):
    """A build of these steps."""

    of: Sequence[Publishing]
    complete_ids: set[str] = field(default_factory=set)

    def steps(self) -> list[Step]:
        return [*self.of]  # type: ignore[list-item]

    def done(self) -> set[str]:
        return self.complete_ids


def publishing(folder: Path, *, publishes: bool = True) -> Publishing:
    folders = Folders(folder / "data", str(folder / "tables"), str(folder / "file" / "views"))
    return Publishing(AllYears(folders, ()), publishes)


def test_only_what_is_still_to_be_published_needs_its_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="set VIEW_PATH to another folder"):
        check_destinations(Known([publishing(tmp_path)]), list)
    check_destinations(Known([publishing(tmp_path)], {"Publish"}), list)
    check_destinations(Known([publishing(tmp_path, publishes=False)]), list)


@pytest.mark.parametrize(
    ("folders", "settings"),
    [
        (("data", "", ""), ["PIPELINE_DATA_DIR or SAVE_PATH", "PIPELINE_DATA_DIR or VIEW_PATH"]),
        (("data", "tables", "data/own"), ["SAVE_PATH", "VIEW_PATH"]),
    ],
)
def test_the_setting_that_gave_the_folder_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folders: tuple[str, str, str],
    settings: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").touch()
    Path("tables").touch()
    paths = AllYears(Folders.from_settings(*folders, demo=False), ())
    for kind, setting in zip(("illuminate", "views"), settings, strict=True):
        with pytest.raises(StorageError, match=f" out of the way, or set {setting} to another"):
            check_published_folder(paths, kind)


def test_where_a_killed_run_may_leave_a_file_is_noted_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run removes it there."""
    noted: list[Path] = []

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(Path, "unlink", kill)
    with pytest.raises(Killed):
        check_destinations(Known([publishing(tmp_path)]), noted.extend)
    assert {*noted} == {tmp_path}
    monkeypatch.undo()
    assert files.remove_temp_files(tmp_path) == 1
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_left_and_no_folder_is_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "tables" / "23-24", "do something else")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("number", "why", "todo"),
    [
        (errno.EROFS, "Read-only file system", f"Make it writable for user {os.geteuid()}, as"),
        (errno.ENOSPC, "the disk is full", "Free some space there, then"),
        (errno.EIO, "Input/output error", "Have that disk checked, or do something"),
        (errno.ENXIO, "No such device or address", "Have that disk checked, or do something"),
        (errno.ESTALE, "Stale file handle", "Have that disk checked, or do something"),
    ],
)
@pytest.mark.parametrize("operation", ["touch", "replace", "unlink"])
def test_each_thing_that_publishing_does_is_tried(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    number: int,
    why: str,
    todo: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "said by the system")

    monkeypatch.setattr(Path, operation, fail)
    with pytest.raises(StorageError, match=f"in {tmp_path}: {why}\\. .*{todo}"):
        check_folder(tmp_path, "do something else")


def test_the_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = f"Not a directory. .* Move the file {tmp_path}/file out of the way, or do something"
    with pytest.raises(StorageError, match=said):
        check_folder(tmp_path / "file" / "tables", "do something else")


def test_what_a_link_leads_to_is_named_if_it_is_not_there(tmp_path: Path) -> None:
    """Such a folder cannot be made through the link."""
    (tmp_path / "tables").symlink_to(tmp_path / "disk")
    said = f"No such file or directory. .* Create {tmp_path}/disk/23-24, or mount the disk that "
    with pytest.raises(StorageError, match=said):
        check_folder(tmp_path / "tables" / "23-24", "do something else")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_folder_of_another_user_is_named_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "said by the system")

    monkeypatch.setattr(Path, "touch", fail)
    own = os.geteuid()
    with pytest.raises(StorageError, match=f"Make it writable for user {own}, as which this runs"):
        check_folder(tmp_path / "tables", "do something else")
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    said = (
        rf"{tmp_path} belongs to user {own}, and this .* \(chown -R 10001\), or do something else,"
    )
    with pytest.raises(StorageError, match=said):
        check_folder(tmp_path / "tables", "do something else")
