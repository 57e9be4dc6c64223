"""Where a run is to publish is tried by doing what publishing does, and nothing is left there."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.runs.build import Build, Step
from pipeline.runs.destinations import check_destinations, check_folder
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
