"""A state of two small made-up districts over real sockets, and the real commands."""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.simulator import SMALL, District, Server, serving, write_inputs
from pipeline.state.paths import StateFolders
from tests.functional.conftest import LUIGI, REPOSITORY, Workplace

YEAR = "23-24"
SEEDS = {"north": 1, "south": 2}


@dataclass
class State(Workplace):
    """A folder with districts.csv, the districts' inputs and secrets, and a state folder."""

    servers: dict[str, Server] = field(default_factory=dict)

    @property
    def folders(self) -> StateFolders:
        return StateFolders(self.folder / "state")

    @property
    def file(self) -> Path:
        return self.folder / "districts.csv"

    def of(self, district: str) -> "OneDistrict":
        """What the state run keeps of a district, as a workplace of its own."""
        return OneDistrict(self.folders.district(district))

    def run_alone(self, district: str) -> Workplace:
        """Run a district that is in no state, with the same settings and inputs."""
        own, inputs = Workplace(self.folder / f"alone-{district}"), self.folder / district
        own.folder.mkdir()
        own.point_at(self.servers[district])
        own.environment |= {
            "LUIGI_CONFIG_PATH": str(self.folder / "luigi.cfg"),
            "STUDENT_ROSTERS": f"{inputs}/Student_Rosters_{{year}}.txt",
            "TITLE_RULES": f"{inputs}/title_rules.csv",
            "MANUAL_CHANGES": f"{inputs}/overrides.csv",
        }
        done = own.run()
        assert done.returncode == 0, done.stderr
        return own

    def start_state(self, *options: str) -> "subprocess.Popen[str]":
        command = (sys.executable, "-m", "pipeline", "state", "run", "--year", YEAR)
        return self.start(*command, *options)

    def run_state(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return self.finish(self.start_state(*options))

    def run_luigi(self, *options: str) -> "subprocess.CompletedProcess[str]":
        command = (LUIGI, "--module", "pipeline", "RunState", "--years", YEAR)
        return self.finish(self.start(*command, *options))

    def refuses(self, words: str) -> None:
        """Both commands refuse to run, in a sentence, and nothing is requested."""
        for run in (self.run_state, self.run_luigi):
            done = run()
            assert done.returncode == 30
            assert words in done.stderr
            assert "Traceback" not in done.stderr
        assert not any(server.log for server in self.servers.values())

    def status(self) -> "subprocess.CompletedProcess[str]":
        return self.look("state", "status", "--year", YEAR)

    def latest(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.folders.latest.read_text(encoding="utf-8"))
        return result

    def keep_only(self, district: str) -> None:
        """Leave only one district in the file."""
        header, *lines = self.file.read_text(encoding="utf-8").splitlines()
        (own,) = (line for line in lines if line.startswith(f"{district},"))
        self.file.write_text(f"{header}\n{own}\n", encoding="utf-8")

    def write_secret(self, district: str, secret: str) -> None:
        path = self.folder / "secrets" / district / "ILLUMINATE_CLIENT_SECRET"
        path.write_text(secret, encoding="utf-8")
        path.chmod(0o600)


class OneDistrict(Workplace):
    """The data folder of one district of a state."""

    @property
    def data(self) -> Path:
        return self.folder


@functools.cache
def make_district(seed: int) -> District:
    """Return a small district, which is not to be changed."""
    return District.make(seed, SMALL)


@pytest.fixture
def seeds() -> dict[str, int]:
    """The seed of each district."""
    return SEEDS


@pytest.fixture
def districts(seeds: dict[str, int]) -> dict[str, District]:
    """The districts; not to be changed."""
    return {name: make_district(seed) for name, seed in seeds.items()}


@pytest.fixture
def strategy() -> str:
    """How the districts' results are fetched."""
    return "auto"


@pytest.fixture
def state(tmp_path: Path, districts: dict[str, District], strategy: str) -> Iterator[State]:
    """Both districts, served and listed."""
    with serving_state(tmp_path, districts, strategy) as found:
        yield found


@contextmanager
def serving_state(
    tmp_path: Path, districts: dict[str, District], strategy: str = "auto"
) -> Iterator[State]:
    """Serve districts and list them in a folder."""
    config = (REPOSITORY / "luigi.cfg").read_text(encoding="utf-8")
    # The report takes most of the time of a small district.
    config = config.replace("\nenabled=true\n", "\nenabled=false\n")
    config = config.replace("\nstrategy=auto\n", f"\nstrategy={strategy}\nmax_backoff=0.01\n")
    (tmp_path / "luigi.cfg").write_text(config, encoding="utf-8")
    found = State(tmp_path, {"PIPELINE_STATE_DIR": "state"})
    lines = ["district,base_url,rosters,title_rules,manual_changes,secrets_folder"]
    with ExitStack() as servers:
        for name, district in districts.items():
            server = servers.enter_context(serving(district))
            write_inputs(district, tmp_path / name)
            secrets = tmp_path / "secrets" / name
            secrets.mkdir(parents=True)
            (secrets / "ILLUMINATE_CLIENT_ID").write_text(server.credentials.client_id)
            (secrets / "ILLUMINATE_CLIENT_ID").chmod(0o600)
            found.write_secret(name, server.credentials.client_secret)
            found.servers[name] = server
            inputs = (
                f"{name}/Student_Rosters_{{year}}.txt,{name}/title_rules.csv,{name}/overrides.csv"
            )
            lines.append(f"{name},{server.base_url},{inputs},secrets/{name}")
        found.file.write_text("\n".join([*lines, ""]), encoding="utf-8")
        yield found
