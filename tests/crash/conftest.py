"""A tiny district, its server, and a folder for runs that will be interrupted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import District, Protocol, Server, serving
from tests.crash.helpers import make_workplace, tiny_district, write_roster
from tests.functional.conftest import Workplace


@pytest.fixture(scope="session")
def district() -> District:
    return tiny_district()


@pytest.fixture(scope="session")
def roster(tmp_path_factory: pytest.TempPathFactory, district: District) -> Path:
    return write_roster(district, tmp_path_factory.mktemp("roster"))


@pytest.fixture
def server(district: District) -> Iterator[Server]:
    with serving(district, Protocol()) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, roster: Path, server: Server) -> Workplace:
    """Return a fresh folder with all settings for the tiny district."""
    workplace = make_workplace(tmp_path, roster)
    workplace.point_at(server)
    return workplace


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, district: District, roster: Path
) -> dict[str, bytes]:
    """Return what an undisturbed run of the tiny district publishes."""
    workplace = make_workplace(tmp_path_factory.mktemp("undisturbed"), roster)
    with serving(district) as server:
        workplace.point_at(server)
        done = workplace.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return workplace.published()
