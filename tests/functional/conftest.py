"""A place to run the real command in, against a made-up district over real sockets."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest
from pipeline.simulator import SMALL, District, Protocol, Server, serving, write_inputs
from pipeline.years import today
from tests.functional import oracle
from tests.functional.oracle import content
from tests.helpers import clean_environment

REPOSITORY = Path(__file__).parents[2]
LUIGI = Path(sys.executable).with_name("luigi")
YEAR = "23-24"
AUTO = ("--illuminate-strategy", "auto")
BY_ASSESSMENT = ("--illuminate-strategy", "by_assessment")


@dataclass
class Workplace:
    """A data folder and the settings to reach a district; the commands run in it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def work(self) -> Path:
        return self.data / "work" / YEAR / "2024-06-30"

    def shards(self, endpoint: str) -> Path:
        return self.work / "shards" / endpoint

    def point_at(self, server: Server) -> None:
        self.environment |= {
            "ILLUMINATE_BASE_URL": server.base_url,
            "ILLUMINATE_CLIENT_ID": server.credentials.client_id,
            "ILLUMINATE_CLIENT_SECRET": server.credentials.client_secret,
        }

    def start(self, *command: str | Path, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env=clean_environment() | self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start_run(self, *options: str, **variables: str) -> "subprocess.Popen[str]":
        # The report, which most tests are not about, is left out: it takes a second and a half.
        quick = ("--illuminate-max-backoff", "0.01", "--report-enabled", "false")
        return self.start(LUIGI, "--module", "pipeline", "RunAll", *quick, *options, **variables)

    def run(self, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """`luigi --module pipeline RunAll` for the year of the tests."""
        return self.finish(self.start_run("--year", YEAR, *options, **variables))

    def look(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """`python -m pipeline` with a command."""
        return self.finish(self.start(sys.executable, "-m", "pipeline", *command))

    def published(self) -> dict[str, bytes]:
        """What people see: every published file and its content, but for the manifests."""
        folders = {name: content(self.data / name) for name in ("illuminate", "views")}
        files = {
            f"{name}/{path}": data for name, of in folders.items() for path, data in of.items()
        }
        seen = oracle.published(files).items()
        return {name: data for name, data in seen if not name.endswith("published.json")}

    def manifest(self, endpoint: str) -> Path:
        """Return the path of the manifest of an endpoint's shards."""
        return self.work / f"scores-{endpoint}.jsonl"

    def kept_shards(self) -> set[tuple[str, str]]:
        """Return endpoint and assessment of the shards that a manifest has, all of them intact."""
        found = {e: Manifest.read(self.manifest(e)) for e in ("overall", "standard", "group")}
        for endpoint, known in found.items():
            assert not known or not shards.find_damaged(self.shards(endpoint), known.shards)
        return {(endpoint, i) for endpoint, known in found.items() if known for i in known.shards}

    def leftovers(self) -> list[Path]:
        return [path for path in self.data.rglob(".*") if path.stem != ".lock"]


@pytest.fixture(scope="session")
def district() -> District:
    """The small district; tests that change one make their own."""
    return District.make(size=SMALL)


@pytest.fixture(scope="session")
def port() -> int:
    """A port for servers that run one after the other: to a data folder they are one district.

    It is below those that the system gives to connections, so that it stays free in between.
    """
    first = 20_000 + os.getpid() % 1_000 * 10
    for port in range(first, first + 10):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is free")


def copy_data(source: Workplace, place: Workplace) -> None:
    """Give a place the data of another one, with the times of its files."""
    shutil.copytree(source.data, place.data, symlinks=True)
    # What is not new any more is known by its full path.
    known = place.data / "runs" / "acknowledged.json"
    text = known.read_text(encoding="utf-8")
    known.write_text(text.replace(str(source.data), str(place.data)), encoding="utf-8")


@pytest.fixture
def server(district: District) -> Iterator[Server]:
    with serving(district) as server:
        yield server


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people maintain for the small district, with a roster for today's school year too."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(District.make(size=SMALL, today=today()), folder)
    return folder


def workplace_in(folder: Path, inputs: Path) -> Workplace:
    """A folder with everything set for the small district, but for its server."""
    return Workplace(
        folder,
        {
            "LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg"),
            "STUDENT_ROSTERS": f"{inputs}/Student_Rosters_{{year}}.txt",
            "TITLE_RULES": f"{inputs}/title_rules.csv",
            "MANUAL_CHANGES": f"{inputs}/overrides.csv",
        },
    )


@pytest.fixture
def place(tmp_path: Path, server: Server, inputs: Path) -> Workplace:
    """A fresh folder with everything set for the small district."""
    workplace = workplace_in(tmp_path, inputs)
    workplace.point_at(server)
    return workplace


@pytest.fixture
def by_assessment(place: Workplace) -> None:
    """Let every run of a test request each assessment: it is about what only such runs do."""
    fetch_by_assessment(place, place.folder)


def fetch_by_assessment(place: Workplace, folder: Path) -> None:
    """Let every command in a place request each assessment, by settings in a folder."""
    settings = folder / "by_assessment.cfg"
    shipped = (REPOSITORY / "luigi.cfg").read_text(encoding="utf-8")
    before, after = shipped.split("\nstrategy=auto\n")
    settings.write_text(f"{before}\nstrategy=by_assessment\n{after}", encoding="utf-8")
    place.environment["LUIGI_CONFIG_PATH"] = str(settings)


@pytest.fixture
def own(place: Workplace) -> Iterator[Server]:
    """A district of its own, which may change."""
    with serving(District.make(size=SMALL)) as server:
        place.point_at(server)
        yield server


@pytest.fixture(scope="session")
def undisturbed_by_page(
    tmp_path_factory: pytest.TempPathFactory, district: District, inputs: Path
) -> dict[str, bytes]:
    return publish(workplace_in(tmp_path_factory.mktemp("by_page"), inputs), district)


@pytest.fixture(scope="session")
def undisturbed_by_assessment(
    tmp_path_factory: pytest.TempPathFactory, district: District, inputs: Path
) -> dict[str, bytes]:
    workplace = workplace_in(tmp_path_factory.mktemp("by_assessment"), inputs)
    fetch_by_assessment(workplace, workplace.folder)
    return publish(workplace, district)


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """What an undisturbed run of the small district publishes, fetched as in the test."""
    how = "by_assessment" if "by_assessment" in request.fixturenames else "by_page"
    tables: dict[str, bytes] = request.getfixturevalue(f"undisturbed_{how}")
    return tables


def publish(workplace: Workplace, district: District) -> dict[str, bytes]:
    with serving(district, Protocol()) as server:
        workplace.point_at(server)
        done = workplace.run()
    assert done.returncode == 0, done.stderr
    return workplace.published()
