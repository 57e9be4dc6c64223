"""Publishing leaves the tables of one run or another's, whatever happens in between."""

import json
import os
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.publish.commit import Publication, publish, restate
from pipeline.storage import files
from tests.helpers import fail_at

OLD = {"illuminate/a.csv": "old a", "illuminate/b.csv": "old b", "views/v.csv": "old v"}
NEW = {"illuminate/a.csv": "new a", "illuminate/c.csv": "new c", "views/v.csv": "new v"}


class Site:
    """Folders to build in and to publish to."""

    def __init__(self, folder: Path):
        self.work, self.out = folder / "work", folder / "out"
        self.manifest = self.out / "illuminate" / "published.json"

    def build(self, contents: dict[str, str], build: str) -> dict[Path, Path]:
        built = {}
        for name, content in contents.items():
            file = self.work / build / name
            with files.atomic_write(file) as temporary:
                temporary.write_text(content)
            built[file] = self.out / name
        return built

    def publish(self, contents: dict[str, str], build: str) -> None:
        self.publish_built(self.build(contents, build), build)

    def publish_built(self, built: dict[Path, Path], build: str) -> None:
        publish(
            built, self.manifest, build=build, run=f"run of {build}", metadata={"year": "23-24"}
        )

    @property
    def contents(self) -> dict[str, str]:
        paths = [path for path in self.out.rglob("*") if path.is_file() and path != self.manifest]
        return {path.relative_to(self.out).as_posix(): path.read_text() for path in paths}

    @property
    def published(self) -> Publication | None:
        return Publication.read(self.manifest)

    @property
    def is_intact(self) -> bool:
        return self.published is not None and self.published.matches(self.manifest.parent)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_everything_is_published_and_named_in_the_manifest(site):
    site.publish(OLD, "old")
    assert site.contents == OLD
    assert site.is_intact
    assert (site.published.build, site.published.run) == ("old", "run of old")
    assert site.published.metadata == {"year": "23-24"}
    assert sorted(site.published.files) == ["../views/v.csv", "a.csv", "b.csv"]


def test_a_new_set_replaces_the_old_one_and_removes_files_it_lacks(site):
    site.publish(OLD, "old")
    site.publish(NEW, "new")
    assert site.contents == NEW
    assert site.is_intact
    assert site.published.build == "new"


def test_a_manifest_says_something_else_of_the_same_files_only(site):
    """Not of other files, nor of changed ones, nor of those that others may read by now."""
    now = Publication("old", "next run", {"as_of": "2024-05-01"}, {})
    assert not restate(site.manifest, now)
    site.publish(OLD, "old")
    before, (file, *_) = site.published, sorted((site.out / "illuminate").glob("*.csv"))
    assert restate(site.manifest, now)
    assert site.published == Publication("old", "next run", now.metadata, before.files)
    assert site.contents == OLD
    said = site.manifest.read_bytes()
    assert not restate(site.manifest, Publication("new", "a run", {}, {}))
    file.chmod(0o644)
    assert not restate(site.manifest, now)
    file.chmod(0o600)
    file.write_text("changed")
    assert not restate(site.manifest, now)
    assert site.manifest.read_bytes() == said


def test_files_of_others_beside_the_tables_are_left_alone(site):
    site.publish(OLD, "old")
    (site.out / "illuminate" / "notes.txt").write_text("mine")
    site.publish(NEW, "new")
    assert site.contents == NEW | {"illuminate/notes.txt": "mine"}


def test_publishing_the_same_again_changes_nothing(site):
    site.publish(OLD, "old")
    first = site.manifest.read_text()
    site.publish(OLD, "old")
    assert site.contents == OLD
    assert Publication.read(site.manifest).files.keys() == site.published.files.keys()
    assert site.manifest.read_text().count("sha256") == first.count("sha256")


def test_published_files_and_new_folders_are_for_their_owner_only(site):
    site.publish(OLD, "old")
    for path in site.out.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


# Crashes.

STEPS = {
    "a link": (os, "link", 3),
    "a rename": (Path, "replace", 4),
    "a removal": (Path, "unlink", 4),
    "a digest": (files, "sha256", 3),
    "an fsync": (files, "fsync", 3),
}
CRASHES = [(name, nth) for name, (*_, count) in STEPS.items() for nth in range(1, count + 1)]


def crash(site: Site, step: str, nth: int) -> None:
    """Publish NEW and die at the nth call of a step; fail if there are fewer calls."""
    owner, name, _ = STEPS[step]
    built = site.build(NEW, "new")
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, owner, name, nth)
        with pytest.raises(KeyboardInterrupt):
            site.publish_built(built, "new")


@pytest.mark.parametrize(("step", "nth"), CRASHES)
def test_after_a_crash_at_any_step_either_set_is_complete_and_a_rerun_completes_the_new_one(
    site, step, nth
):
    site.publish(OLD, "old")
    crash(site, step, nth)
    if site.published.build == "new":
        assert site.is_intact
    elif site.is_intact:
        assert OLD.items() <= site.contents.items()
    rerun(site)
    assert site.contents == NEW
    assert site.is_intact
    assert site.published.build == "new"


@pytest.mark.parametrize(
    ("step", "nth"), [(s, n) for s, n in CRASHES if (s, n) != ("a removal", 4)]
)
def test_a_crash_on_the_first_publishing_leaves_no_manifest_and_a_rerun_completes_it(
    site, step, nth
):
    crash(site, step, nth)
    assert site.published is None or site.is_intact
    rerun(site)
    assert site.contents == NEW
    assert site.is_intact


def rerun(site: Site) -> None:
    """What a run does: sweep leftovers, and publish unless what is there is this build."""
    for folder in site.out.iterdir():
        files.remove_temp_files(folder)
    if not (site.is_intact and site.published.build == "new"):
        site.publish(NEW, "new")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_before_the_first_rename_people_see_the_old_set(site, nth):
    site.publish(OLD, "old")
    crash(site, "a link", nth)
    assert site.contents == OLD
    assert site.is_intact
    assert site.published.build == "old"


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_between_two_renames_the_manifest_does_not_match_a_mixture(site, nth):
    site.publish(OLD, "old")
    crash(site, "a rename", nth)
    assert site.published.build == "old"
    assert site.is_intact == (site.contents == OLD)


def test_the_manifest_is_written_last(site, monkeypatch):
    site.publish(OLD, "old")
    built = site.build(NEW, "new")
    seen = []
    real = Path.replace

    def spy(temporary, target):
        seen.append(Path(target).name)
        return real(temporary, target)

    monkeypatch.setattr(Path, "replace", spy)
    site.publish_built(built, "new")
    assert sorted(n for n in seen[:-1] if n[0] != ".") == ["a.csv", "c.csv", "v.csv"]
    assert seen[-1] == "published.json"


def test_a_table_that_was_not_built_changes_nothing(site):
    site.publish(OLD, "old")
    built = {site.work / "new" / name: site.out / name for name in NEW}
    (site.work / "new" / "illuminate").mkdir(parents=True)
    next(iter(built)).write_text("new a")
    with pytest.raises(StorageError):
        publish(built, site.manifest, build="new", run="", metadata={})
    assert site.contents == OLD
    assert site.is_intact


# Damage.


@pytest.mark.parametrize("name", OLD)
def test_a_damaged_file_does_not_match_the_manifest(site, name):
    site.publish(OLD, "old")
    (site.out / name).write_text("damaged")
    assert not site.is_intact


@pytest.mark.parametrize("name", OLD)
def test_a_deleted_file_does_not_match_the_manifest(site, name):
    site.publish(OLD, "old")
    (site.out / name).unlink()
    assert not site.is_intact


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_manifest_counts_as_none_and_is_replaced(site, content):
    site.publish(OLD, "old")
    site.manifest.write_text(content)
    assert site.published is None
    site.publish(OLD, "old")
    assert site.is_intact


def test_a_restored_file_matches_again(site):
    site.publish(OLD, "old")
    path = site.out / "illuminate/a.csv"
    path.unlink()
    path.write_text("old a")
    assert site.is_intact


# Links and copies.


def test_where_there_are_no_links_files_are_copied(site, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    site.publish(OLD, "old")
    assert site.contents == OLD
    assert site.is_intact
    for name in OLD:
        assert not (site.out / name).samefile(site.work / "old" / name)
        assert (site.out / name).stat().st_mode & 0o777 == 0o600


def test_no_hidden_file_is_left_behind(site):
    site.publish(OLD, "old")
    site.publish(NEW, "new")
    assert not list(site.out.rglob(".*"))


# Names and digests.


def publish_into(out: Path, site: Site, build: str, contents: dict[str, str]) -> Publication:
    """Publish into the same folder, however `out` is spelled."""
    built = {
        file: out / path.relative_to(site.out) for file, path in site.build(contents, build).items()
    }
    manifest = out / "illuminate" / "published.json"
    publish(built, manifest, build=build, run="", metadata={})
    return Publication.read(manifest)


@pytest.mark.parametrize("spelling", ["relative", "a link", "a detour"])
def test_names_do_not_depend_on_how_the_folder_is_spelled(site, tmp_path, monkeypatch, spelling):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(site.out)
    out = {"relative": Path("out"), "a link": Path("link"), "a detour": tmp_path / "work/../out"}
    first = publish_into(site.out, site, "first", OLD)
    second = publish_into(out[spelling], site, "second", OLD)
    assert first.files.keys() == second.files.keys()
    assert first.content_digest() == second.content_digest()
    assert site.contents == OLD
    assert site.is_intact


def test_a_name_leads_from_the_manifest_to_a_file_behind_a_link(site, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    site.out.mkdir()
    (site.out / "views").symlink_to(tmp_path / "elsewhere")
    site.publish(OLD, "old")
    assert "../../elsewhere/v.csv" in site.published.files
    assert site.is_intact


def test_a_manifest_with_other_spellings_does_not_remove_what_was_just_published(site, tmp_path):
    site.publish(OLD, "old")
    (tmp_path / "link").symlink_to(site.out)
    text = site.manifest.read_text().replace("../views/v.csv", "../../link/views/v.csv")
    site.manifest.write_text(text)
    assert site.is_intact
    site.publish(OLD, "new")
    assert site.contents == OLD
    assert site.is_intact


def test_the_content_digest_is_of_names_and_contents_only(site):
    site.publish(OLD, "old")
    digest = site.published.content_digest()
    (site.out / "views/v.csv").touch()
    site.publish(OLD, "another build")
    assert site.published.content_digest() == digest
    site.publish({**OLD, "views/v.csv": "changed"}, "changed")
    changed = site.published.content_digest()
    assert changed != digest
    site.publish({**OLD, "views/w.csv": "changed"}, "renamed")
    assert site.published.content_digest() not in {digest, changed}


def test_the_content_digest_does_not_depend_on_the_order_of_files(site):
    site.publish(OLD, "old")
    published = site.published
    backwards = dict(reversed(published.files.items()))
    other = Publication("", "", {}, backwards)
    assert other.content_digest() == published.content_digest()


def test_the_manifest_keeps_its_keys(site):
    site.publish(OLD, "old")
    keys = json.loads(site.manifest.read_text()).keys()
    assert keys == {"build", "run", "about", "files", "counted"}
