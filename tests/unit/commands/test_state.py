"""What is said of a district whose state cannot be read."""

from pathlib import Path

import pytest

from pipeline.commands import state
from pipeline.errors import StorageError
from pipeline.runs import lock
from pipeline.state.districts import District
from pipeline.state.paths import StateFolders


def test_a_district_whose_lock_file_may_not_be_read_is_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The superuser may read everything, so the refusal is made here."""

    def refuse(path: Path) -> bool:
        raise StorageError(f"this user may not read {path.name}")

    monkeypatch.setattr(lock, "is_held", refuse)
    north = District("north", "https://north.example", "", "", "", "", "")
    found = state._state(StateFolders(tmp_path), None, north, "23-24")
    assert found == {
        "district": "north",
        "state": "not known",
        "reason": "this user may not read .lock",
    }
