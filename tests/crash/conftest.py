"""A tiny district, a server of it, and a place for runs that will be disturbed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import District, Protocol, Server, serving
from tests.crash.helpers import make_place, tiny_district, write_roster
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
    """A fresh folder with everything set for the tiny district."""
    workplace = make_place(tmp_path, roster)
    workplace.point_at(server)
    return workplace


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, district: District, roster: Path
) -> dict[str, bytes]:
    """What an undisturbed run of the tiny district publishes."""
    workplace = make_place(tmp_path_factory.mktemp("undisturbed"), roster)
    with serving(district) as server:
        workplace.point_at(server)
        done = workplace.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return workplace.published()
