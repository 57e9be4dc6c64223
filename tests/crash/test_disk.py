"""Full, read-only or limited disks: a clear message, nothing left behind, shards reused."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipeline.simulator import Server
from tests.crash.helpers import (
    EARLIER,
    all_shards,
    claimed_shards,
    command,
    make_workplace,
    valid_shards,
)
from tests.crash.launch import limited, tiny_disk, tool, without_root_file_access
from tests.functional.conftest import Workplace
from tests.functional.oracle import content
from tests.functional.test_reruns import requested_shards


def run_behind(place: Workplace, before: tuple[str, ...], *options: str) -> "CompletedProcess[str]":
    """Run with a prefix before the command."""
    return place.finish(place.start(*before, *command(*options)))


def check_sentence(done: "CompletedProcess[str]", *reasons: str) -> None:
    """Check for one sentence with what, where, what was kept and what to do, and no traceback."""
    said = done.stdout + done.stderr
    assert done.returncode not in {0, 10}, said
    assert "Traceback" not in said, said
    assert 'File "' not in said
    sentences = [
        line for line in said.splitlines() if "cannot be" in line or "disk is full" in line
    ]
    assert sentences, said
    assert any(reason.lower() in sentences[0].lower() for reason in reasons), said
    assert re.search(r"(data|tables)\S* cannot be|renamed in (data|tables)", sentences[0]), said
    assert "kept" in said
    assert re.search(r"[Rr]un (the same command )?again", said), said


def check_rest(place: Workplace, server: Server, before: dict[str, bytes]) -> None:
    """Check that no temporary file is left, no shard is torn, and published files are unchanged."""
    assert place.leftovers() == []
    assert claimed_shards(place) == valid_shards(place, server)
    assert everything_published(place) == before


def everything_published(place: Workplace) -> dict[str, bytes]:
    return content(place.data / "illuminate") | content(place.data / "views")


def check_rerun(
    place: Workplace,
    server: Server,
    rerun: "Callable[[], CompletedProcess[str]]",
    undisturbed: dict[str, bytes],
) -> None:
    """Check that a rerun requests what is missing and completes once the cause is gone."""
    there = valid_shards(place, server)
    server.clear_log()
    done = rerun()
    assert done.returncode == 0, done.stdout + done.stderr
    assert requested_shards(server) == all_shards(server) - there
    assert place.published() == undisturbed
    assert place.leftovers() == []


@pytest.fixture
def ran_before(place: Workplace) -> dict[str, bytes]:
    """Return what was published for an earlier day."""
    assert place.run(*EARLIER).returncode == 0
    return everything_published(place)


@pytest.mark.parametrize("kilobytes", [4, 40, 120])
def test_a_full_disk(
    tmp_path: Path,
    roster: Path,
    server: Server,
    undisturbed: dict[str, bytes],
    kilobytes: int,
) -> None:
    """Whatever is being written: a shard, a table, a receipt."""
    with tiny_disk(tmp_path, kilobytes) as disk:
        inside = make_workplace(tmp_path, roster)
        inside.point_at(server)
        outside = make_workplace(disk.from_outside, roster)
        done = run_behind(inside, disk.on_it())
        check_sentence(done, "disk is full", "No space left")
        check_rest(outside, server, {})
        disk.grow()
        check_rerun(outside, server, lambda: run_behind(inside, disk.on_it()), undisturbed)


def test_a_disk_that_is_full_before_the_second_publication(
    tmp_path: Path, roster: Path, server: Server, undisturbed: dict[str, bytes]
) -> None:
    """What was published for an earlier day stays."""
    with tiny_disk(tmp_path, 340) as disk:
        inside = make_workplace(tmp_path, roster)
        inside.point_at(server)
        outside = make_workplace(disk.from_outside, roster)
        assert run_behind(inside, disk.on_it(), *EARLIER).returncode == 0
        before = everything_published(outside)
        done = run_behind(inside, disk.on_it())
        check_sentence(done, "disk is full", "No space left")
        check_rest(outside, server, before)
        disk.grow()
        check_rerun(outside, server, lambda: run_behind(inside, disk.on_it()), undisturbed)


@pytest.mark.parametrize("most_bytes", [100, 3_000, 9_000])
def test_a_limit_on_the_size_of_files(
    place: Workplace,
    server: Server,
    ran_before: dict[str, bytes],
    undisturbed: dict[str, bytes],
    most_bytes: int,
) -> None:
    """The smaller the limit, the earlier the file that is too large for it."""
    done = run_behind(place, limited("RLIMIT_FSIZE", most_bytes))
    check_sentence(done, "File too large", "disk is full")
    check_rest(place, server, ran_before)
    check_rerun(place, server, place.run, undisturbed)


@pytest.mark.parametrize("files", [8, 23, 60, 150])
def test_too_many_open_files(
    place: Workplace,
    server: Server,
    ran_before: dict[str, bytes],
    undisturbed: dict[str, bytes],
    files: int,
) -> None:
    """A run that completes is correct; one that fails says why in plain words."""
    done = run_behind(place, limited("RLIMIT_NOFILE", files))
    assert "Traceback" not in done.stdout + done.stderr
    if done.returncode == 0:
        assert place.published() == undisturbed
        return
    assert re.search(rf"open (files|{files} files)", done.stdout + done.stderr)
    assert re.search(r"[Rr]un (the same command )?again", done.stdout + done.stderr)
    check_rest(place, server, ran_before)
    check_rerun(place, server, place.run, undisturbed)


@contextmanager
def closed(*folders: Path) -> Iterator[None]:
    """Make folders read-only during the context."""
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0o500)
    try:
        yield
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)


def test_a_data_folder_that_cannot_be_created(
    place: Workplace, server: Server, undisturbed: dict[str, bytes]
) -> None:
    """It is reported before any request."""
    with closed(place.folder):
        done = run_behind(place, without_root_file_access())
    check_sentence(done, "Permission denied")
    assert server.log == []
    assert not place.data.exists()
    check_rerun(place, server, place.run, undisturbed)


@pytest.mark.parametrize("name", ["data", "work", "illuminate"])
def test_a_folder_that_is_read_only(
    place: Workplace,
    server: Server,
    ran_before: dict[str, bytes],
    undisturbed: dict[str, bytes],
    name: str,
) -> None:
    """Everything below it is read-only too."""
    top = {
        "data": place.data,
        "work": place.data / "work",
        "illuminate": place.data / "illuminate/23-24",
    }[name]
    below = [path for path in top.rglob("*") if path.is_dir()]
    with closed(top, *below):
        done = run_behind(place, without_root_file_access())
    check_sentence(done, "Permission denied")
    check_rest(place, server, ran_before)
    check_rerun(place, server, place.run, undisturbed)


def test_a_record_that_cannot_be_written(
    place: Workplace, ran_before: dict[str, bytes], undisturbed: dict[str, bytes]
) -> None:
    """It is written last: the tables are correct, and the run says what is missing."""
    with closed(place.data / "runs"):
        done = run_behind(place, without_root_file_access())
    assert "Traceback" not in done.stdout + done.stderr
    assert "cannot be written: Permission denied" in done.stdout + done.stderr
    assert place.published() == undisturbed != ran_before


def test_a_leftover_that_cannot_be_removed(
    place: Workplace, server: Server, ran_before: dict[str, bytes]
) -> None:
    """A folder became read-only after a run had been killed in it."""
    folder = place.data / "illuminate/23-24"
    leftover = folder / ".old.csv.1-1.partial"
    leftover.touch()
    with closed(folder):
        done = run_behind(place, without_root_file_access())
    check_sentence(done, "Permission denied")
    leftover.unlink()
    check_rest(place, server, ran_before)


def test_a_full_disk_at_the_published_tables(
    place: Workplace, server: Server, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """Tables on their own disk are copied there: it has no room for the new beside the old."""
    read_here = tmp_path / "tables"
    read_here.mkdir()
    settings = {"SAVE_PATH": str(read_here / "illuminate"), "PIPELINE_DATA_DIR": str(place.data)}
    place.environment |= settings
    with tiny_disk(read_here, 96) as disk:
        assert run_behind(place, disk.on_it(), *EARLIER).returncode == 0
        before = content(disk.from_outside)
        done = run_behind(place, disk.on_it())
        check_sentence(done, "disk is full")
        assert content(disk.from_outside) == before
        disk.grow()
        server.clear_log()
        assert run_behind(place, disk.on_it()).returncode == 0
        assert requested_shards(server) == set()
        tables = content(disk.from_outside / "illuminate")
        for name, data in tables.items():
            assert data == undisturbed.get(name, data), name


@pytest.mark.parametrize("when", ["2", "15", "30", "50", "5+"])
def test_a_sync_that_fails(
    place: Workplace,
    server: Server,
    ran_before: dict[str, bytes],
    undisturbed: dict[str, bytes],
    when: str,
) -> None:
    """A file that may not be on disk counts as not written; `5+`: every sync from the fifth on."""
    failing = ("-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync")
    inject = ("-e", f"inject=fsync:error=EIO:when={when}")
    done = run_behind(place, (tool("strace"), *failing, *inject))
    skip_if_untraceable(done)
    check_sentence(done, "Input/output error")
    check_rest(place, server, ran_before)
    check_rerun(place, server, place.run, undisturbed)


def skip_if_untraceable(done: "CompletedProcess[str]") -> None:
    if "ptrace" in done.stderr:
        pytest.skip("this machine does not allow tracing system calls")


def test_a_data_folder_that_is_a_file(place: Workplace, server: Server) -> None:
    place.data.write_text("", encoding="utf-8")
    done = place.run()
    check_sentence(done, "Not a directory", "File exists")
    assert server.log == []


def test_files_are_synced_before_they_are_renamed(place: Workplace, tmp_path: Path) -> None:
    """The order of system calls: write, fsync, rename, fsync of the folder; the manifest last."""
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,rename,renameat,renameat2,linkat,link"
    watching = (tool("strace"), "-f", "-y", "-s", "0", "-o", str(trace), "-e", calls)
    done = run_behind(place, watching, "--illuminate-threads", "1")
    skip_if_untraceable(done)
    assert done.returncode == 0, done.stderr
    seen = list(calls_in(trace.read_text(encoding="utf-8"), place))
    renamed = [(at, names) for at, (call, *names) in enumerate(seen) if call == "rename"]
    assert len(renamed) > 40
    for at, (old, new) in renamed:
        assert last_of(seen, at, ("fsync", old)) > last_of(seen, at, ("write", old)), old
        assert ("fsync", folder_of(new) or str(place.data)) in seen[at:], new
    marker = next(at for at, (_, new) in renamed if new.endswith("published.json"))
    for at, (_, new) in renamed:
        if new.startswith(("illuminate/", "views/")) and at != marker:
            assert ("fsync", folder_of(new)) in seen[at:marker], new


def calls_in(trace: str, place: Workplace) -> "list[tuple[str, ...]]":
    """Return writes, syncs and renames below the data folder; links count as their original."""
    originals: dict[str, str] = {}
    found = []
    for line in trace.splitlines():
        call = re.match(r"\d+\s+(\w+)\(", line)
        names = [name for name in re.findall(r'[<"](/?[^<>"]*)[>"]', line) if "data" in name]
        names = [name.removeprefix(f"{place.data}/").removeprefix("data/") for name in names]
        if call is None or not names:
            continue
        kind = {"pwrite64": "write"}.get(call[1], call[1])
        if kind.startswith("link"):
            originals[names[1]] = originals.get(names[0], names[0])
            continue
        if kind.startswith("rename"):
            found.append(("rename", originals.get(names[0], names[0]), names[1]))
            originals[names[1]] = originals.get(names[0], names[0])
        else:
            found.append((kind, names[0]))
    return found


def last_of(seen: "list[tuple[str, ...]]", before: int, what: tuple[str, ...]) -> int:
    """Return the last index before `before` of a call; -1 if there is none."""
    return max((at for at, each in enumerate(seen[:before]) if each == what), default=-1)


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]
