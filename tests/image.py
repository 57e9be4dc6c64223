"""Build the image and run it as docs/docker.md and docker-compose.yml say: `make image`.

Use Docker if its engine answers. Otherwise, as root on Debian or Ubuntu, use buildah and runc: the
same Dockerfile, and if the base image cannot be pulled, a stand-in that debootstrap builds from
Debian's Python 3.11 (it keeps the real one's name until `buildah rmi`). Exit with 2, and say so, if
neither is available: then nothing was tried.
"""

import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
IMAGE = "illuminate-pipeline"
BASE = "docker.io/library/python:3.11-slim"
USER = 10001
DATA = "/app/data"
CERTIFICATES = "/etc/ssl/certs"
NEEDED = ("buildah", "runc", "debootstrap")
PACKAGES = "python3.11,python3-pip,ca-certificates,tzdata,netbase"

_LISTENING = "import socket; socket.create_connection(('127.0.0.1', {}), 1)"
_LOOK = """
import importlib.util, os, time
print(time.timezone, os.getpid(), os.getuid(), bool(os.statvfs('/').f_flag & os.ST_RDONLY), end=' ')
print([name for name in ('pip', 'flit_core') if importlib.util.find_spec(name)])
"""
_TASKS = """
import json, urllib.parse, urllib.request
query = urllib.parse.quote(json.dumps({'status': 'DONE', 'upstream_status': ''}))
page = 'http://127.0.0.1:8082/api/task_list?data=' + query
print(*sorted(name.split('_')[0] for name in json.load(urllib.request.urlopen(page))['response']))
"""


class CannotTryError(Exception):
    """This machine cannot build or run an image."""


class WrongError(Exception):
    """The image does not do what its documentation says."""


def main() -> int:
    """Build the image and run every trial, one line each."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(find_engine())
            for trial in (holds_what_runs, serves_the_mounts, stops, shows_itself):
                folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
                print(f"ok      {trial(engine, Path(stack.enter_context(folder)))}", flush=True)
        except CannotTryError as error:
            print(f"NOT TRIED  {error}", file=sys.stderr)
            return 2
        except (WrongError, subprocess.SubprocessError) as error:
            print(f"FAILED  {error}", file=sys.stderr)
            return 1
    return 0


def need(condition: object, otherwise: object) -> None:
    """Raise WrongError unless a condition holds."""
    if not condition:
        raise WrongError(otherwise)


def run(*command: str | Path, **options: Any) -> str:
    """Run a command that must succeed, and return what it prints."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, **options
    ).stdout.strip()


# Engines.


@dataclass
class Container:
    """A started container: read-only root, no capabilities, /tmp in memory."""

    engine: "Engine"
    name: str
    process: "subprocess.Popen[str]"

    def terminate(self) -> None:
        """Send SIGTERM to its process 1."""
        self.engine.terminate(self.name)

    def run_python(self, code: str) -> str:
        """Run Python code in it and return what it prints."""
        command = (self.engine.tool, "exec", self.name, "python", "-c", code)
        return run(*command, stderr=subprocess.DEVNULL)

    def end(self, seconds: float = 300) -> tuple[int, str]:
        """Wait for it and return its exit code and output."""
        said, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, said

    def wait_until_it_listens(self, port: int) -> None:
        """Wait as the health checks of docker-compose.yml do."""
        for _ in range(60):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run_python(_LISTENING.format(port))
                return
            time.sleep(1)
        raise WrongError(f"nothing listens on port {port} after a minute: {self.name}")


@dataclass
class Wish:
    """What to run."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, Path] = field(default_factory=dict)
    """Folders and files of this machine by their path inside; files are read-only."""
    network_of: Container | None = None


class Engine:
    """Build the image and start containers from it."""

    tool: str
    image: dict[str, Any]
    """The image's settings."""

    @contextlib.contextmanager
    def running(self, wish: Wish) -> Iterator[Container]:
        """Start a container, and remove it afterwards."""
        name = f"{IMAGE}-{uuid.uuid4().hex[:8]}"
        for source in wish.mounts.values():
            os.chown(source, *self.owner)
        process = subprocess.Popen(
            self.starting(name, wish),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Container(self, name, process)
        finally:
            self.remove(name)
            process.kill()
            process.wait()

    @property
    def owner(self) -> tuple[int, int]:
        """Return the user and group of the container: ours, unless we may change owners."""
        return (USER, USER) if os.getuid() == 0 else (os.getuid(), os.getgid())

    def starting(self, name: str, wish: Wish) -> list[str]:
        """Return the command that starts a container in the foreground."""
        raise NotImplementedError

    def terminate(self, name: str) -> None:
        """Send SIGTERM to process 1 of a container."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Stop a container that is still running."""
        remove = (self.tool, "rm" if self.tool == "docker" else "delete", "--force", name)
        subprocess.run(remove, capture_output=True, check=False)


class Docker(Engine):
    """Docker, if its engine answers."""

    tool = "docker"

    def __init__(self) -> None:
        run("docker", "build", "--tag", IMAGE, REPOSITORY)
        self.image = json.loads(run("docker", "image", "inspect", IMAGE))[0]["Config"]

    def starting(self, name: str, wish: Wish) -> list[str]:
        user, group = self.owner
        options = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", f"--user={user}:{group}"]
        options += [f"--env={key}={value}" for key, value in wish.environment.items()]
        for target, source in wish.mounts.items():
            options.append(f"--volume={source}:{target}{':ro' if source.is_file() else ''}")
        if wish.network_of:
            options.append(f"--network=container:{wish.network_of.name}")
        return ["docker", "run", "--rm", f"--name={name}", *options, IMAGE, *wish.command]

    def terminate(self, name: str) -> None:
        run("docker", "kill", "--signal=TERM", name)


class Buildah(Engine):
    """buildah builds and runc runs what Docker would, in the same kinds of namespaces."""

    tool = "runc"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        there = run("buildah", "images", "--quiet", "--filter", f"reference={BASE}")
        if not there and not can_pull_base():
            make_base(folder / "base")
        run(
            *("buildah", "bud", "--isolation=chroot", "--pull-never", "--network=host"),
            *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--format=docker"),
            # The stand-in has the name of the base, but no digest.
            *("--build-arg", f"BASE={BASE}", "--tag", IMAGE, REPOSITORY),
        )
        inspected = json.loads(run("buildah", "inspect", "--type=image", IMAGE))
        self.image = inspected["OCIv1"]["config"]
        self._container = run("buildah", "from", "--pull-never", IMAGE)
        self._root = run("buildah", "mount", self._container)

    def close(self) -> None:
        """Unmount the image's root; the images stay for next time."""
        run("buildah", "rm", self._container)

    def starting(self, name: str, wish: Wish) -> list[str]:
        bundle = self._folder / name
        bundle.mkdir()
        run("runc", "spec", cwd=bundle)
        path = bundle / "config.json"
        path.write_text(json.dumps(self._spec(json.loads(path.read_text()), wish)))
        return ["runc", "run", f"--bundle={bundle}", name]

    def _spec(self, spec: dict[str, Any], wish: Wish) -> dict[str, Any]:
        user, group = map(int, self.image["User"].split(":"))
        variables = [f"{key}={value}" for key, value in wish.environment.items()]
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": user, "gid": group},
            "args": self.image["Entrypoint"] + (wish.command or self.image["Cmd"]),
            "env": self.image["Env"] + variables,
            "cwd": self.image["WorkingDir"],
            "capabilities": {},
        }
        spec["root"] = {"path": self._root, "readonly": True}
        spec["mounts"] = [one for one in spec["mounts"] if one["type"] not in {"cgroup", "sysfs"}]
        spec["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        for target, source in wish.mounts.items():
            options = ["bind", "ro" if source.is_file() else "rw"]
            spec["mounts"].append(
                {"destination": target, "type": "bind", "source": str(source), "options": options}
            )
        if wish.network_of:
            pid = json.loads(run("runc", "state", wish.network_of.name))["pid"]
            for namespace in spec["linux"]["namespaces"]:
                if namespace["type"] == "network":
                    namespace["path"] = f"/proc/{pid}/ns/net"
        return spec

    def terminate(self, name: str) -> None:
        run("runc", "kill", name, "TERM")


def can_pull_base() -> bool:
    """Pull the real base image; return whether its registry answered."""
    command = ("timeout", "120", "buildah", "pull", "--quiet", BASE)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_base(root: Path) -> None:
    """Build a stand-in for the base image."""
    print("stand-in  for the base image, from Debian's Python", flush=True)
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root)
    (root / "usr/local/bin/python").symlink_to("../../bin/python3.11")
    container = run("buildah", "from", "scratch")
    run("buildah", "add", "--quiet", container, root, "/")
    # pip in it trusts this machine's certificates; their folder is mounted during the build.
    run("buildah", "config", f"--env=PIP_CERT={CERTIFICATES}/ca-certificates.crt", container)
    run("buildah", "config", "--env=PATH=/usr/local/bin:/usr/bin:/bin", container)
    run("buildah", "commit", "--quiet", "--rm", container, BASE)


@contextlib.contextmanager
def find_engine() -> Iterator[Engine]:
    """Build the image with the engine of this machine, and yield that engine."""
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
    ):
        yield Docker()
        return
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.getuid() != 0:
        raise CannotTryError(
            f"no Docker engine answers, and without one it takes root and {', '.join(NEEDED)} "
            f"(missing here: {', '.join(missing) or 'root'}). Nothing was built."
        )
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Buildah(Path(folder))) as one:
        yield one


# Trials.


def holds_what_runs(engine: Engine, folder: Path) -> str:
    """Check the image's user, that time zones are in it, and nothing unneeded."""
    need(engine.image["User"] == f"{USER}:{USER}", "the image's user is another")
    with engine.running(Wish(["python", "-c", _LOOK], {"TZ": "America/Los_Angeles"})) as container:
        code, said = container.end()
    need(
        (code, said.strip()) == (0, f"28800 1 {engine.owner[0]} True []"),
        f"unlike it must be: {said}",
    )
    return f"user {engine.owner[0]}, root read-only, time zones, neither pip nor flit_core there"


@contextlib.contextmanager
def district(engine: Engine, data: Path) -> Iterator[Container]:
    """Start the service `district`, which listens on its own loopback address."""
    data.mkdir()
    service = services()["district"]
    with engine.running(Wish(service["command"], mounts={DATA: data})) as container:
        container.wait_until_it_listens(8080)
        yield container


def services() -> dict[str, Any]:
    """Return the services of docker-compose.yml."""
    text = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def reaching(container: Container) -> dict[str, str]:
    """Return the variables with the district's address and credentials."""
    variables = services()["pipeline"]["environment"].items()
    return {name: value for name, value in variables if name.startswith("ILLUMINATE_")}


def serves_the_mounts(engine: Engine, folder: Path) -> str:
    """Mount the roster, tables and views, with options after the image's name."""
    with district(engine, folder / "district") as server:
        roster = folder / "Student_Rosters.txt"
        shutil.copy(folder / "district" / "inputs" / "Student_Rosters_23-24.txt", roster)
        for name in ("illuminate", "views", "data"):
            (folder / name).mkdir()
        places = {
            "STUDENT_ROSTERS": "/mnt/Student_Rosters.txt",
            "SAVE_PATH": "/mnt/illuminate",
            "VIEW_PATH": "/mnt/views",
        }
        mounts = {place: folder / Path(place).name for place in places.values()}
        wish = Wish(["--year", "23-24"], places | reaching(server), mounts, server)
        wish.mounts[DATA] = folder / "data"
        with engine.running(wish) as container:
            code, said = container.end()
    need(code == 0, f"the run exited {code}: {said}")
    tables = folder / "illuminate" / "23-24"
    view = folder / "views" / "23-24" / "illuminate_assessment_results_historical.csv"
    need((tables / "assessment_results_group_historical.csv").stat().st_size, "no group table")
    with view.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    need(any(row["grade"] for row in rows), "no row has a grade, so no roster was read")
    need((view.stat().st_uid, view.stat().st_gid) == engine.owner, "files belong to another")
    return f"roster in, tables and {len(rows)} rows of views out, by user {engine.owner[0]}"


def stops(engine: Engine, folder: Path) -> str:
    """Send SIGTERM: process 1 ends within the ten seconds that `docker stop` waits."""
    with district(engine, folder / "district") as server:
        (folder / "data").mkdir()
        slowly = ["--year", "22-23", "--illuminate-max-requests-per-second", "20"]
        wish = Wish(slowly, reaching(server), {DATA: folder / "data"}, server)
        with engine.running(wish) as container:
            for _ in range(600):
                if any(folder.glob("data/work/*/*/shards/*/*.parquet")):
                    break
                time.sleep(0.1)
            began = time.monotonic()
            container.terminate()
            code, said = container.end(10)
            seconds = time.monotonic() - began
        need(code == 143, f"the run exited {code}: {said}")
        need("what was fetched is kept" in said, f"the run did not say how it ended: {said}")
        need(any(folder.glob("data/work/*/*/shards/*/*.parquet")), "no shard was kept")
        server.terminate()
        need(server.end(10)[0] in {0, 143}, "the district did not end by SIGTERM")
    return f"SIGTERM ends process 1 in {seconds:.1f} seconds, exit code {code}"


def shows_itself(engine: Engine, folder: Path) -> str:
    """Start the services of docker-compose.yml; the run's tasks are on the scheduler's page."""
    composed = services()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(district(engine, folder / "district"))
        # In one network here: there is no bridge between two without an engine.
        wish = Wish(
            composed["scheduler"]["command"],
            composed["scheduler"]["environment"],
            network_of=server,
        )
        page = stack.enter_context(engine.running(wish))
        page.wait_until_it_listens(8082)
        command = [*composed["pipeline"]["command"], "--scheduler-host", "127.0.0.1"]
        mounts = {DATA: folder / "district"}
        wish = Wish(command, composed["pipeline"]["environment"], mounts, server)
        code, said = stack.enter_context(engine.running(wish)).end()
        need(code == 0, f"the run exited {code}: {said}")
        tasks = page.run_python(_TASKS).split()
        need({"RunAll", "FetchScores", "Publish"} <= set(tasks), f"the page shows only {tasks}")
        page.terminate()
        need(page.end(10)[0] in {0, 143}, "luigid did not end by SIGTERM")
    return f"docker-compose.yml: the page shows {len(tasks)} finished tasks"


if __name__ == "__main__":
    sys.exit(main())
