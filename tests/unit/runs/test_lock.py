"""Whether somebody holds a data folder, without taking it."""

from pathlib import Path

from pipeline.runs.lock import Lock, is_held


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not is_held(path)
    assert not path.exists()
    with Lock(path):
        assert is_held(path)
    assert not is_held(path)
