"""What only a DuckDB file has: one program at a time, file modes, a storage version."""

import struct

import duckdb

from tests.databases.conftest import Desk, frames
from tests.databases.test_load import PAUSING, STEMS


def test_a_file_that_another_program_has_open_is_refused_in_one_line(duck: Desk) -> None:
    duck.publish(frames("23-24", 2), "first")
    assert duck.load().returncode == 0
    duck.publish(frames("23-24", 3), "second")
    with duckdb.connect(str(duck.file), read_only=True):
        done = duck.load()
    assert done.returncode == 30
    (line,) = [line for line in done.stdout.splitlines() if str(duck.file.name) in line]
    assert "another program has it open" in line
    assert "run the same command again" in line
    assert done.stderr == ""
    assert duck.load().returncode == 0


def test_only_its_owner_can_open_what_is_written(duck: Desk) -> None:
    """Also while it is written."""
    duck.publish(frames("23-24", 5000), "first")
    with duck.start("-c", PAUSING) as process:
        assert process.stdout
        assert process.stdout.readline() == "replaced\n"
        beside = [path for path in duck.file.parent.iterdir() if path.is_file()]
        assert duck.file in beside
        assert {path.stat().st_mode & 0o077 for path in beside} == {0}
        process.communicate("\n" * len(STEMS), timeout=60)
    assert duck.file.stat().st_mode & 0o777 == 0o600
    assert not duck.file.with_name(f"{duck.file.name}.wal").exists()


def test_the_group_can_read_it_if_it_can_read_the_rest(duck: Desk) -> None:
    duck.publish(frames("23-24", 2), "first")
    settings = duck.folder / "own.cfg"
    settings.write_text("[paths]\ngroup_readable=true\n", encoding="utf-8")
    assert duck.load(LUIGI_CONFIG_PATH=str(settings)).returncode == 0
    assert duck.file.stat().st_mode & 0o777 == 0o640


def test_every_duckdb_since_1_0_can_open_the_file(duck: Desk) -> None:
    """Their storage version is 64; it follows a checksum and a magic word."""
    duck.publish(frames("23-24", 2), "first")
    assert duck.load().returncode == 0
    head = duck.file.read_bytes()[:20]
    assert head[8:12] == b"DUCK"
    assert struct.unpack("<Q", head[12:]) == (64,)


def test_a_file_that_is_not_a_database_is_left_alone(duck: Desk) -> None:
    duck.publish(frames("23-24", 2), "first")
    duck.file.write_text("somebody's own notes", encoding="utf-8")
    done = duck.load()
    assert done.returncode == 30
    assert "not a database that this version of DuckDB can read" in done.stdout + done.stderr
    assert duck.file.read_text(encoding="utf-8") == "somebody's own notes"
