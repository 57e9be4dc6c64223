"""Publishing fails at every single operation: readers find the old set or the new one, complete."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageError
from pipeline.storage import replacement
from pipeline.storage.replacement import recover
from tests.unit.publish.test_commit import NEW, OLD, Site

OPERATIONS = ("link", "replace", "rename", "unlink", "fsync", "open", "mkdir", "chmod", "fchmod")
ERRORS = (errno.EIO, errno.EBUSY, errno.EACCES, errno.ENOSPC)

Fault = Callable[[], None]


@contextmanager
def at_operation(nth: int, fault: Fault, *, until: float = 0) -> Iterator[list[int]]:
    """Call `fault` instead of the nth operation on the disk, and of those after it `until` one.

    Yields a list that holds the number of operations so far.
    """
    count = [0]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if nth <= count[0] <= max(nth, until):
                fault()
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(os, name, wrap(getattr(os, name)))
        yield count


def refuse(number: int) -> Fault:
    def fault() -> None:
        raise OSError(number, os.strerror(number))

    return fault


def count_operations(folder: Path, before: dict[str, str], *, links: bool) -> int:
    """Return how many operations it takes to publish NEW."""
    site = prepare(folder, before)
    built = site.build(NEW, "new")
    with without_links(not links), at_operation(10**9, refuse(errno.EIO)) as count:
        site.publish_built(built, "new")
    return count[0]


@contextmanager
def without_links(refused: bool) -> Iterator[None]:
    """A file system that has no hard links."""
    with pytest.MonkeyPatch.context() as patch:
        if refused:
            patch.setattr(os, "link", lambda *_, **__: refuse(errno.EPERM)())
        yield


def prepare(folder: Path, before: dict[str, str]) -> Site:
    folder.mkdir()
    site = Site(folder)
    if before:
        site.publish(before, "old")
    return site


def error_of(site: Site, built: dict[Path, Path]) -> str:
    """Publish what was built, and return the error; empty where there was none."""
    try:
        site.publish_built(built, "new")
    except (StorageError, OSError) as error:
        return str(error)
    return ""


def visible(site: Site) -> dict[str, str]:
    return {name: text for name, text in site.contents.items() if "/." not in name}


def hidden(site: Site) -> list[Path]:
    """What a run leaves that the next one does not sweep by its name."""
    return [path for path in site.out.rglob(".*") if not path.name.endswith(".partial")]


def check_complete(site: Site, before: dict[str, str]) -> str:
    """Check that readers find one whole set; return which."""
    found = visible(site)
    if found == NEW:
        assert site.is_intact
        assert site.published.build == "new"
        return "new"
    assert found == before
    assert site.is_intact if before else site.published is None
    return "old"


CASES = [
    pytest.param(before, links, id=f"{name}-{'links' if links else 'copies'}")
    for name, before in (("first", {}), ("next", OLD))
    for links in (True, False)
]


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize(("before", "links"), CASES)
def test_one_failed_operation_leaves_one_whole_set(tmp_path, before, links, number):
    total = count_operations(tmp_path / "counted", before, links=links)
    outcomes = set()
    for nth in range(1, total + 1):
        site = prepare(tmp_path / str(nth), before)
        built = site.build(NEW, "new")
        with without_links(not links), at_operation(nth, refuse(number)):
            message = error_of(site, built)
        outcome = check_complete(site, before)
        assert not (outcome == "new" and "published before are kept" in message)
        outcomes.add(outcome)
        recover(site.manifest)
        check_complete(site, before)
        assert hidden(site) == []
    assert outcomes == {"old", "new"}


@pytest.mark.parametrize(("before", "links"), CASES)
def test_where_undoing_fails_too_every_new_file_is_named(tmp_path, before, links):
    """And the next command restores the old set."""
    total = count_operations(tmp_path / "counted", before, links=links)
    mixtures = 0
    for nth in range(1, total + 1):
        site = prepare(tmp_path / str(nth), before)
        built = site.build(NEW, "new")
        with without_links(not links), at_operation(nth, refuse(errno.EIO), until=float("inf")):
            message = error_of(site, built)
        found = visible(site)
        if found not in (before, NEW):
            mixtures += 1
            named = set(re.search(r"These are new or[^:]*: (.*)\. Fix", message)[1].split(", "))
            changed = {n for n in {*found, *before} if found.get(n) != before.get(n)}
            assert named - {str(site.manifest)} == {str(site.out / name) for name in changed}
        recover(site.manifest)
        check_complete(site, before)
        assert hidden(site) == []
    assert mixtures


def in_child(do: Callable[[], None]) -> bool:
    """Do something in a process of its own; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            do()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def die() -> None:
    os._exit(9)


@pytest.mark.parametrize(("before", "links"), CASES)
def test_after_a_kill_at_any_operation_the_next_command_leaves_one_whole_set(
    tmp_path, before, links
):
    """Even if that command is killed as well, anywhere."""
    total = count_operations(tmp_path / "counted", before, links=links)
    outcomes = []
    for nth in range(1, total + 1):
        site = prepare(tmp_path / str(nth), before)
        built = site.build(NEW, "new")

        def publish_and_die(site=site, built=built, nth=nth):
            with without_links(not links), at_operation(nth, die):
                site.publish_built(built, "new")

        assert not in_child(publish_and_die)

        def recover_and_die(site=site, nth=nth):
            with at_operation(1 + nth % 5, die):
                recover(site.manifest)

        in_child(recover_and_die)
        recover(site.manifest)
        outcomes.append(check_complete(site, before))
        assert hidden(site) == []
    assert outcomes == sorted(outcomes, reverse=True), "the new set, once it is there, stays"
    assert set(outcomes) == {"old", "new"}


def test_a_kill_while_a_failure_is_undone_leaves_one_whole_set(tmp_path):
    """After a failure at the marker, which is the last to be renamed."""
    total = count_operations(tmp_path / "counted", OLD, links=True)
    for failed in range(total - 16, total):
        for nth in range(failed + 1, failed + 18):
            site = prepare(tmp_path / f"{failed} {nth}", OLD)
            built = site.build(NEW, "new")

            def publish_and_die(site=site, built=built, failed=failed, nth=nth):
                with at_operation(nth, die), at_operation(failed, refuse(errno.EIO)):
                    site.publish_built(built, "new")

            in_child(publish_and_die)
            recover(site.manifest)
            check_complete(site, OLD)
            assert hidden(site) == []


# What hinders publishing is found before anything is changed.


@pytest.mark.parametrize("name", ["illuminate/published.json", "illuminate/c.csv", "views/v.csv"])
def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path, name):
    site = prepare(tmp_path / "site", OLD)
    path = site.out / name
    path.unlink(missing_ok=True)
    path.mkdir()
    before = site.contents
    with pytest.raises(StorageError, match=f"{re.escape(str(path))} is a folder, where a file"):
        site.publish(NEW, "new")
    assert site.contents == before
    assert hidden(site) == []


@pytest.mark.parametrize("name", ["illuminate/published.json", "illuminate/a.csv", "views/v.csv"])
def test_a_mount_point_is_refused(tmp_path, monkeypatch, name):
    """A link within its folder is then one between file systems."""
    site = prepare(tmp_path / "site", OLD)
    built, mounted, real = site.build(NEW, "new"), site.out / name, os.link

    def link(source, *arguments, **options):
        if Path(source) == mounted:
            refuse(errno.EXDEV)()
        real(source, *arguments, **options)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StorageError, match=f"{re.escape(str(mounted))} is a mount point"):
        site.publish_built(built, "new")
    assert check_complete(site, OLD) == "old"
    assert hidden(site) == []


def test_an_intent_that_cannot_be_read_stops_everything(tmp_path):
    site = prepare(tmp_path / "site", OLD)
    replacement.intent_path(site.manifest).write_text("{")
    with pytest.raises(StorageError, match="is damaged, so it is not known"):
        site.publish(NEW, "new")
    replacement.intent_path(site.manifest).write_text(
        '{"existed": {}, "old_marker": null, "new_marker": ""}'
    )
    with pytest.raises(StorageError, match="is damaged, so it is not known"):
        recover(site.manifest)
    assert check_complete(site, OLD) == "old"


def test_a_publication_under_way_is_left_alone(tmp_path, monkeypatch):
    """A run with another data folder, which holds another lock, may look at the same tables."""
    site = prepare(tmp_path / "site", OLD)
    built, other = site.build(NEW, "new"), site.build(NEW, "other")
    rename, seen = Path.replace, []

    def replace(source, target):
        if Path(target) == site.out / "views/v.csv":
            in_child(lambda: recover(site.manifest))
            assert replacement.intent_path(site.manifest).exists()
            with pytest.raises(StorageError, match="Another run is publishing into"):
                site.publish_built(other, "other")
            seen.append(target)
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    site.publish_built(built, "new")
    assert check_complete(site, OLD) == "new"
    assert len(seen) == 1


def test_a_folder_that_is_gone_hinders_no_publication(tmp_path):
    """The views' folder, for example, on a disk that was replaced."""
    site = prepare(tmp_path / "site", OLD)
    (site.out / "views/v.csv").unlink()
    (site.out / "views").rmdir()
    elsewhere = {name.replace("views", "elsewhere"): text for name, text in NEW.items()}
    site.publish(elsewhere, "new")
    assert site.contents == elsewhere
    assert site.is_intact


def test_what_an_intent_removed_by_hand_left_is_not_taken_for_an_old_file(tmp_path):
    for nth in range(1, count_operations(tmp_path / "counted", OLD, links=True) + 1):
        site = prepare(tmp_path / str(nth), OLD)
        for name in OLD:
            path = site.out / name
            path.with_name(f".{path.name}.previous").write_text("stale")
        built = site.build(NEW, "new")
        with at_operation(nth, refuse(errno.EIO)):
            error_of(site, built)
        recover(site.manifest)
        check_complete(site, OLD)


def killed_halfway(site: Site) -> None:
    """Publish NEW over OLD, and die before the last table is renamed."""
    built = site.build(NEW, "new")

    def publish_and_die():
        rename = Path.replace

        def replace(source, target):
            if Path(target) == site.out / "views/v.csv":
                die()
            return rename(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            site.publish_built(built, "new")

    assert not in_child(publish_and_die)
    assert site.contents["illuminate/a.csv"] == "new a"


def test_a_set_that_was_published_over_an_unfinished_one_is_not_undone(tmp_path):
    """By a version, for example, that knows nothing of intents."""
    site = prepare(tmp_path / "site", OLD)
    killed_halfway(site)
    (site.out / "illuminate/a.csv").write_text("newest a")
    site.manifest.write_text("the newest")
    with pytest.raises(StorageError, match="is of another set than the one that a run left"):
        recover(site.manifest)
    assert site.contents["illuminate/a.csv"] == "newest a"
    assert site.manifest.read_text() == "the newest"


def test_nothing_is_called_restored_while_a_disk_is_not_mounted(tmp_path):
    """A mount point that is empty has neither the file nor what was kept of it."""
    site = prepare(tmp_path / "site", OLD)
    killed_halfway(site)
    mounted = tmp_path / "mounted"
    (site.out / "views").rename(mounted)
    (site.out / "views").mkdir()
    with pytest.raises(StorageError, match=r"undoing it failed .*views/v\.csv"):
        recover(site.manifest)
    (site.out / "views").rmdir()
    mounted.rename(site.out / "views")
    assert recover(site.manifest) == "undone"
    assert check_complete(site, OLD) == "old"
    assert hidden(site) == []
