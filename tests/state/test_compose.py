"""deploy/state/compose.yaml: what it may do, and its own commands, as processes of this machine."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.functional.conftest import REPOSITORY, clean_environment
from tests.functional.test_failures import wait_until
from tests.state.conftest import YEAR, State

FILE = REPOSITORY / "deploy" / "state" / "compose.yaml"
TEXT = FILE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ENDS = {"certificates", "bucket", "run"}
BIN = Path(sys.executable).parent


# What is in the file.


def test_images_are_ours_or_have_a_version() -> None:
    """And the S3 server is the one that the tests use, in the version that they use."""
    lock = (REPOSITORY / "requirements" / "dev.txt").read_text(encoding="utf-8")
    (moto,) = re.findall(r"^moto==(\S+)", lock, re.MULTILINE)
    assert SERVICES["s3"]["image"] == f"motoserver/moto:{moto}"
    for name, service in SERVICES.items():
        if name != "s3":
            context, extras = service["build"]["context"], service["build"]["args"]["EXTRAS"]
            assert (FILE.parent / context / "Dockerfile").is_file()
            assert all(
                (REPOSITORY / "requirements" / f"{each}.txt").is_file() for each in extras.split()
            )


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "devices", "pid", "env_file"} & service.keys()


def test_no_secret_is_in_it_and_each_is_where_it_is_needed_only() -> None:
    assert not re.search(r"(?i)(?:secret|password|token)\w*['\"]?\s*[:=]\s*['\"]?[\w-]+$", TEXT)
    mounts = {name: set(one.get("volumes", ())) for name, one in SERVICES.items()}
    assert mounts["certificates"] == {"tls:/app/data"}
    assert mounts["bucket"] == {"s3:/app/data"}
    assert mounts["scheduler"] == {"tls:/app/tls:ro"}
    assert mounts["districts"] == {"demo:/app/data"}
    shared = {"state:/app/data", "demo:/app/demo:ro", "s3:/app/s3:ro", "tls:/app/tls:ro"}
    assert mounts["worker"] == mounts["run"] == shared
    assert "/app/demo/state-demo/secrets:ro" in SERVICES["run"]["tmpfs"]


def test_only_this_machine_reaches_the_page_and_only_workers_reach_the_districts() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert published == {"scheduler": ["127.0.0.1:8787:8787"]}
    sharing = {n: one["network_mode"] for n, one in SERVICES.items() if "network_mode" in one}
    assert sharing == {"worker": "service:districts"}


def test_a_service_starts_after_those_that_it_needs() -> None:
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            needed = SERVICES[name]
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in needed
            assert (wait["condition"] == "service_completed_successfully") == (name in ENDS)


# What its commands do.


def free_ports(count: int) -> range:
    """Return ports that follow one another and that nobody listens on."""
    for first in range(20_000 + os.getpid() % 500 * 20, 32_000, count):
        with ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return range(first, first + count)
    raise AssertionError("no free ports")


class Composed:
    """The services as processes, with a folder for each volume and loopback for their network."""

    def __init__(self, folder: Path) -> None:
        self.volumes = folder / "volumes"
        self.volumes.mkdir()
        text = TEXT.replace("${YEAR:-}", YEAR).replace("${TZ:-UTC}", "UTC").replace("$$", "$")
        for port, free in zip((8081, 8082, 8083, 5000, 8786, 8787), free_ports(6), strict=True):
            text = text.replace(str(port), str(free))
        text = re.sub(r"(?<=//)(?:scheduler|s3)(?=:\d)", "127.0.0.1", text)
        self.services = yaml.safe_load(text.replace("=:", "=127.0.0.1:"))["services"]

    def start(self, name: str, command: list[str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a service, or another command of it."""
        service = self.services[name]
        place = self.volumes / f"of-{name}"
        place.mkdir(exist_ok=True)
        # Reports take most of the time.
        config = (REPOSITORY / "luigi.cfg").read_text(encoding="utf-8")
        (place / "luigi.cfg").write_text(config.replace("\nenabled=true\n", "\nenabled=false\n"))
        there = {}
        for mount in service.get("volumes", ()):
            volume, target = mount.split(":")[:2]
            there[target] = str(self.volumes / volume)
            (self.volumes / volume).mkdir(exist_ok=True)
        if "/app/data" in there and not (place / "data").exists():
            (place / "data").symlink_to(there["/app/data"])
        words = json.dumps([command or service["command"], service.get("environment", {})])
        for target, folder in there.items():
            words = words.replace(target, folder)
        arguments, variables = json.loads(words)
        variables |= {"PYTHONPATH": str(REPOSITORY), "LUIGI_CONFIG_PATH": "luigi.cfg"}
        variables |= {"PATH": f"{BIN}:{os.environ['PATH']}"}
        with (place / "output").open("ab") as output:
            return subprocess.Popen(
                arguments,
                cwd=place,
                env=clean_environment() | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def finish(self, name: str) -> str:
        """Run a service to its end, and return what it has printed."""
        code = self.start(name).wait(120)
        said = (self.volumes / f"of-{name}" / "output").read_text(encoding="utf-8")
        assert code == 0, said
        return said

    def is_healthy(self, name: str) -> bool:
        kind, *check = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        if self.start(name, check).wait(30) == 0:
            return True
        time.sleep(0.5)  # each check is a process, which the service would wait for
        return False


@contextmanager
def started(composed: Composed) -> Iterator[None]:
    """Start what run needs, in the order of the file, and stop it at the end."""
    processes = []
    try:
        for name, service in composed.services.items():
            if name in ENDS - {"run"}:
                composed.finish(name)
            elif name == "s3":  # what its image runs, but on loopback
                port = re.search(r", (\d+)\)", str(service["healthcheck"]))
                assert port
                server = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", port[1]]
                processes.append(composed.start(name, server))
            elif name != "run":
                copies = service.get("deploy", {}).get("replicas", 1)
                processes += [composed.start(name) for _ in range(copies)]
            if "healthcheck" in service and name != "districts":
                wait_until(lambda each=name: composed.is_healthy(each))
        wait_until(lambda: composed.is_healthy("districts"))  # last: they take seconds
        yield
    finally:
        for process in reversed(processes):  # workers while there is a scheduler
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("seeds", [{"north": 1}])
def test_its_commands_publish_on_s3(state: State, tmp_path: Path) -> None:
    """A small district in place of the three that are served, for the time that these take."""
    composed = Composed(tmp_path)
    with started(composed):
        folder = composed.volumes / "demo" / "state-demo"
        listed = folder / "districts.csv"
        served = listed.read_text(encoding="utf-8").splitlines()
        assert [line.split(",")[0] for line in served[1:]] == [
            "northfield",
            "lakeside",
            "westbrook",
        ]
        shutil.copy(state.file, listed)
        for name in ("north", "secrets"):
            shutil.copytree(state.folder / name, folder / name, dirs_exist_ok=True)
        said = composed.finish("run")
        assert "1 of 1 published, 1 with something new." in said
        assert state.servers["north"].log
        with_key = composed.services["run"]["command"][:3]
        look = "import s3fs; print(s3fs.S3FileSystem().cat('state/all/published.json').decode())"
        assert composed.start("run", [*with_key, "python", "-c", look]).wait(60) == 0
        said = (composed.volumes / "of-run" / "output").read_text(encoding="utf-8")
        marker = json.loads(said[said.index("\n{") :])
        assert set(marker["years"][YEAR]) == {"north"}
        composed.finish("certificates")
        composed.finish("bucket")
    assert not (composed.volumes / "tls" / "ca-key.pem").exists()
    for volume in ("tls", "s3", "demo/state-demo/secrets"):
        files = [path for path in (composed.volumes / volume).rglob("*") if path.is_file()]
        assert files
        assert all(path.stat().st_mode & 0o077 == 0 for path in files), volume
    key = (composed.volumes / "s3" / "key").read_text(encoding="utf-8").split("=")[-1].strip()
    printed = "".join(
        path.read_text(encoding="utf-8") for path in composed.volumes.glob("of-*/output")
    )
    assert len(key) == 40
    assert key not in printed
