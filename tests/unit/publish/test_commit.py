"""Publishing: one run's tables or another's, whatever happens in between."""

import os
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.publish.commit import Marker, publish
from pipeline.storage import files
from tests.helpers import fail_at

OLD = {"illuminate/a.csv": "old a", "illuminate/b.csv": "old b", "views/v.csv": "old v"}
NEW = {"illuminate/a.csv": "new a", "illuminate/c.csv": "new c", "views/v.csv": "new v"}


class Place:
    """Folders to build in and to publish to."""

    def __init__(self, folder: Path):
        self.work, self.out = folder / "work", folder / "out"
        self.marker = self.out / "illuminate" / "published.json"

    def build(self, contents: dict[str, str], build: str) -> dict[Path, Path]:
        built = {}
        for name, content in contents.items():
            file = self.work / build / name
            with files.replacing(file) as temporary:
                temporary.write_text(content)
            built[file] = self.out / name
        return built

    def publish(self, contents: dict[str, str], build: str) -> None:
        self.publish_built(self.build(contents, build), build)

    def publish_built(self, built: dict[Path, Path], build: str) -> None:
        publish(built, self.marker, build=build, run=f"run of {build}", about={"year": "23-24"})

    @property
    def contents(self) -> dict[str, str]:
        paths = [path for path in self.out.rglob("*") if path.is_file() and path != self.marker]
        return {path.relative_to(self.out).as_posix(): path.read_text() for path in paths}

    @property
    def published(self) -> Marker | None:
        return Marker.read(self.marker)

    @property
    def fits(self) -> bool:
        return self.published is not None and self.published.fits(self.marker.parent)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_everything_is_published_and_the_marker_names_it(place):
    place.publish(OLD, "old")
    assert place.contents == OLD
    assert place.fits
    assert (place.published.build, place.published.run) == ("old", "run of old")
    assert place.published.about == {"year": "23-24"}
    assert sorted(place.published.files) == ["../views/v.csv", "a.csv", "b.csv"]


def test_a_new_set_takes_the_place_of_the_old_one_and_files_it_lacks_are_removed(place):
    place.publish(OLD, "old")
    place.publish(NEW, "new")
    assert place.contents == NEW
    assert place.fits
    assert place.published.build == "new"


def test_files_of_others_beside_the_tables_are_left_alone(place):
    place.publish(OLD, "old")
    (place.out / "illuminate" / "notes.txt").write_text("mine")
    place.publish(NEW, "new")
    assert place.contents == NEW | {"illuminate/notes.txt": "mine"}


def test_publishing_the_same_again_changes_nothing(place):
    place.publish(OLD, "old")
    first = place.marker.read_text()
    place.publish(OLD, "old")
    assert place.contents == OLD
    assert Marker.read(place.marker).files.keys() == place.published.files.keys()
    assert place.marker.read_text().count("sha256") == first.count("sha256")


def test_published_files_and_new_folders_are_for_their_owner_only(place):
    place.publish(OLD, "old")
    for path in place.out.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


# Crashes.

STEPS = {
    "a link": (os, "link", 3),
    "a rename": (Path, "replace", 4),
    "a removal": (Path, "unlink", 4),
    "a digest": (files, "sha256", 3),
    "a flush": (files, "flush", 3),
}
CRASHES = [(name, nth) for name, (*_, count) in STEPS.items() for nth in range(1, count + 1)]


def crash(place: Place, step: str, nth: int) -> None:
    """Publish NEW and die at the nth call of a step; fails if there are not so many."""
    owner, name, _ = STEPS[step]
    built = place.build(NEW, "new")
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, owner, name, nth)
        with pytest.raises(KeyboardInterrupt):
            place.publish_built(built, "new")


@pytest.mark.parametrize(("step", "nth"), CRASHES)
def test_after_a_crash_at_any_step_either_set_is_marked_and_a_rerun_completes_the_new_one(
    place, step, nth
):
    place.publish(OLD, "old")
    crash(place, step, nth)
    if place.published.build == "new":
        assert place.fits
    elif place.fits:
        assert OLD.items() <= place.contents.items()
    rerun(place)
    assert place.contents == NEW
    assert place.fits
    assert place.published.build == "new"


@pytest.mark.parametrize(
    ("step", "nth"), [(s, n) for s, n in CRASHES if (s, n) != ("a removal", 4)]
)
def test_a_crash_on_the_first_publishing_leaves_no_marker_and_a_rerun_completes_it(
    place, step, nth
):
    crash(place, step, nth)
    assert place.published is None or place.fits
    rerun(place)
    assert place.contents == NEW
    assert place.fits


def rerun(place: Place) -> None:
    """What a run does: sweep leftovers, and publish unless what is there is this build."""
    for folder in place.out.iterdir():
        files.sweep(folder)
    if not (place.fits and place.published.build == "new"):
        place.publish(NEW, "new")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_before_the_first_rename_people_see_the_old_set(place, nth):
    place.publish(OLD, "old")
    crash(place, "a link", nth)
    assert place.contents == OLD
    assert place.fits
    assert place.published.build == "old"


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_between_two_renames_the_marker_does_not_vouch_for_a_mixture(place, nth):
    place.publish(OLD, "old")
    crash(place, "a rename", nth)
    assert place.published.build == "old"
    assert place.fits == (place.contents == OLD)


def test_the_marker_comes_last(place, monkeypatch):
    place.publish(OLD, "old")
    built = place.build(NEW, "new")
    seen = []
    real = Path.replace

    def spy(temporary, target):
        seen.append(Path(target).name)
        return real(temporary, target)

    monkeypatch.setattr(Path, "replace", spy)
    place.publish_built(built, "new")
    assert sorted(seen[:-1]) == ["a.csv", "c.csv", "v.csv"]
    assert seen[-1] == "published.json"


def test_a_table_that_was_not_built_changes_nothing(place):
    place.publish(OLD, "old")
    built = {place.work / "new" / name: place.out / name for name in NEW}
    (place.work / "new" / "illuminate").mkdir(parents=True)
    next(iter(built)).write_text("new a")
    with pytest.raises(StorageError):
        publish(built, place.marker, build="new", run="", about={})
    assert place.contents == OLD
    assert place.fits


# Damage.


@pytest.mark.parametrize("name", OLD)
def test_a_damaged_file_does_not_fit_the_marker(place, name):
    place.publish(OLD, "old")
    (place.out / name).write_text("damaged")
    assert not place.fits


@pytest.mark.parametrize("name", OLD)
def test_a_deleted_file_does_not_fit_the_marker(place, name):
    place.publish(OLD, "old")
    (place.out / name).unlink()
    assert not place.fits


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_marker_counts_as_none_and_is_mended(place, content):
    place.publish(OLD, "old")
    place.marker.write_text(content)
    assert place.published is None
    place.publish(OLD, "old")
    assert place.fits


def test_a_file_copied_back_as_it_was_fits_again(place):
    place.publish(OLD, "old")
    path = place.out / "illuminate/a.csv"
    path.unlink()
    path.write_text("old a")
    assert place.fits


# Links and copies.


def test_where_there_are_no_links_files_are_copied(place, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    place.publish(OLD, "old")
    assert place.contents == OLD
    assert place.fits
    for name in OLD:
        assert not (place.out / name).samefile(place.work / "old" / name)
        assert (place.out / name).stat().st_mode & 0o777 == 0o600


def test_no_hidden_file_is_left_behind(place):
    place.publish(OLD, "old")
    place.publish(NEW, "new")
    assert not list(place.out.rglob(".*"))
