"""The container files, as far as no engine is needed; `make image` builds and runs them."""

import configparser
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import sections
from pipeline.illuminate.address import Address
from pipeline.simulator import Credentials
from tests import image

REPOSITORY = Path(__file__).parents[1]
SECRET = re.compile(r"secret|token|password|key|client_id|credential", re.IGNORECASE)

Instruction = tuple[str, str]


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def instructions() -> list[Instruction]:
    lines = [line for line in read("Dockerfile").splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in whole if line)]


def stages() -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for instruction in instructions():
        if instruction[0] == "FROM":
            found.append([])
        if found:  # else it is an ARG of all stages
            found[-1].append(instruction)
    return found


def all_of(name: str, stage: list[Instruction]) -> list[str]:
    return [rest for each, rest in stage if each == name]


def last(name: str) -> str:
    return all_of(name, stages()[-1])[-1]


def without_mount(line: str) -> str:
    return re.sub(r"--mount=\S+ ", "", line)


def copied_from_context() -> list[str]:
    """Return what some stage copies from the repository."""
    found = []
    for rest in all_of("COPY", instructions()):
        options = [word for word in rest.split() if word.startswith("--")]
        if not any(option.startswith("--from") for option in options):
            found += rest.split()[len(options) : -1]
    return found


# The Dockerfile.

EXTRAS = [
    ("", "", []),
    ("state s3", "", ["state", "s3"]),
    ("state s3", "requirements/state.txt", ["state"]),
]


def test_hadolint_finds_nothing() -> None:
    lint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [lint, "Dockerfile"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_two_stages_on_the_slim_python() -> None:
    """It is named in one line, with its digest."""
    froms = [rest for name, rest in instructions() if name == "FROM"]
    assert froms == ["${BASE} AS build", "${BASE}"]
    base = r"BASE=docker\.io/library/python:3\.11-slim@sha256:[0-9a-f]{64}"
    assert re.fullmatch(base, all_of("ARG", instructions())[0])
    assert read("Dockerfile").count("ARG BASE=") == 1


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', last("LABEL")))
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert labels == {
        "title": project["name"],
        "description": "Illuminate assessment results as clean tables, every night",
        "licenses": project["license"],
        "version": project["version"],
        "revision": "${REVISION}",
        "base.name": "${BASE}",
    }
    assert project["description"].startswith(labels["description"])


def test_downloads_are_cached_by_the_builder_and_in_no_layer() -> None:
    installs = [rest for rest in all_of("RUN", stages()[0]) if "requirements" in rest]
    assert len(installs) == 2
    for rest in installs:
        assert rest.startswith("--mount=type=cache,target=/root/.cache/pip ")
    assert "NO_CACHE" not in read("Dockerfile")


def test_the_hashed_lock_is_installed_before_the_code_comes() -> None:
    build = [f"{name} {rest}" for name, rest in stages()[0]]
    lock = build.index("COPY requirements.txt ./")
    install = next(n for n, line in enumerate(build) if "--require-hashes -r requirements" in line)
    code = next(n for n, line in enumerate(build) if line.startswith("COPY pipeline"))
    assert lock < install < code
    assert build[install + 1] == 'ARG EXTRAS=""', "without it, nothing else is installed"
    others = [line for line in build if line.startswith("RUN") and "requirements/" in line]
    assert len(others) == 1
    assert without_mount(others[0]).startswith("RUN for extra in $EXTRAS; do pip install --no-deps")
    assert "--require-hashes" in others[0]
    assert install < build.index(others[0]) < code


@pytest.mark.parametrize(("extras", "fails", "installed"), EXTRAS)
def test_the_extras_that_are_named_are_installed(
    extras: str, fails: str, installed: list[str], tmp_path: Path
) -> None:
    """One whose lock does not fit ends the build."""
    (tmp_path / "pip").write_text(f'#!/bin/sh\necho "$*"\n[ "$1 $4" != "install -r{fails}" ]\n')
    (tmp_path / "pip").chmod(0o700)
    (line,) = [rest for rest in all_of("RUN", stages()[0]) if "$EXTRAS" in rest]
    done = subprocess.run(
        ["/bin/sh", "-c", without_mount(line).replace('-r "', '-r"')],
        env={"PATH": str(tmp_path), "EXTRAS": extras},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is bool(fails)
    assert re.findall(r"requirements/(\w+)", done.stdout) == installed


def test_the_last_stage_installs_nothing() -> None:
    assert not any(
        word in rest for rest in all_of("RUN", stages()[-1]) for word in ("pip", "apt", "curl")
    )


def test_nothing_is_added_from_an_address_or_open_to_everybody() -> None:
    assert all_of("ADD", instructions()) == []
    text = read("Dockerfile")
    assert "://" not in text
    assert "777" not in text


def test_no_secret_is_in_a_layer() -> None:
    assert all_of("ARG", instructions())[1:] == ['EXTRAS=""', "BASE", 'REVISION=""']
    names = re.findall(r"(\w+)=", " ".join(all_of("ENV", instructions())))
    assert "LUIGI_CONFIG_PATH" in names
    assert not [name for name in names if SECRET.search(name)]


def test_the_user_is_a_number_and_not_root() -> None:
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    names = [name for name, _ in stages()[-1]]
    assert "RUN" not in names[names.index("USER") :]


def test_the_data_folder_is_the_volume_and_the_users_own() -> None:
    assert all_of("VOLUME", instructions()) == ["/app/data"]
    assert "PIPELINE_DATA_DIR=/app/data" in last("ENV")
    user, _, group = last("USER").partition(":")
    assert last("RUN") == f"install -d -o {user} -g {group} -m 0700 /app/data"


def test_the_settings_are_found_from_any_folder() -> None:
    assert "LUIGI_CONFIG_PATH=/app/luigi.cfg" in last("ENV")
    assert "COPY --chmod=0444 luigi.cfg docker/scheduler.cfg /app/" in [
        f"{name} {rest}" for name, rest in stages()[-1]
    ]


def test_command_and_entrypoint_need_no_shell() -> None:
    assert json.loads(last("CMD")) == ["luigi", "--module", "pipeline", "RunAll"]
    assert json.loads(last("ENTRYPOINT")) == ["entrypoint"]


@pytest.mark.parametrize(
    ("given", "started"),
    [
        (["--year", "23-24"], "luigi --module pipeline RunAll --year 23-24"),
        (["luigi", "--module", "pipeline", "RunAll"], "luigi --module pipeline RunAll"),
        (["luigi", "--version"], "luigi --version"),
    ],
)
def test_options_alone_are_options_of_the_run(
    given: list[str], started: str, tmp_path: Path
) -> None:
    """And the run replaces the shell: it has its process id."""
    (tmp_path / "luigi").write_text('#!/bin/sh\necho $$ "luigi $*"\n')
    (tmp_path / "luigi").chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    with subprocess.Popen(
        [REPOSITORY / "docker" / "entrypoint", *given],
        env={"PATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said, _ = process.communicate(timeout=30)
    assert said == f"{process.pid} {started}\n"


def test_the_builder_is_given_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in read(".dockerignore").splitlines() if line[:1] not in {"", "#"}]
    assert lines[0] == "*"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert sorted(let_in) == sorted(copied_from_context())
    assert lines[-1] == "**/__pycache__"
    assert not {"data", ".git", ".venv", "tests", "."} & {name.split("/")[0] for name in let_in}


# docker-compose.yml.


def compose() -> dict[str, Any]:
    read_: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return read_


SERVICES: dict[str, dict[str, Any]] = compose()["services"]


def test_it_starts_the_district_the_page_and_the_run() -> None:
    assert set(SERVICES) == {"district", "scheduler", "pipeline"}
    waits = SERVICES["pipeline"]["depends_on"]
    healthy = {"condition": "service_healthy"}
    assert waits == {"district": healthy, "scheduler": healthy}
    assert all("healthcheck" in SERVICES[name] for name in waits)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == "illuminate-pipeline"
    assert service["build"] == "."
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "devices", "pid", "env_file"} & service.keys()


def test_only_this_machine_reaches_the_page_and_none_the_district() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert published == {"scheduler": ["127.0.0.1:8082:8082"]}


def test_the_run_reaches_the_district_on_its_own_loopback_address() -> None:
    assert SERVICES["pipeline"]["network_mode"] == "service:district"
    address = Address.parse(SERVICES["pipeline"]["environment"]["ILLUMINATE_BASE_URL"])
    assert address.is_loopback
    assert f":{SERVICES['district']['command'][5]}/" in address.base


def test_the_only_credentials_are_made_up() -> None:
    variables = {
        name: value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
    }
    made_up = Credentials()
    assert {name: value for name, value in variables.items() if SECRET.search(name)} == {
        "ILLUMINATE_CLIENT_ID": made_up.client_id,
        "ILLUMINATE_CLIENT_SECRET": made_up.client_secret,
    }
    known = {*sections.ENVIRONMENT, "LUIGI_CONFIG_PATH", "TZ"}
    assert {name for name in variables if not SECRET.search(name)} <= known


def test_nothing_from_this_machine_is_mounted() -> None:
    mounts = {mount for one in SERVICES.values() for mount in one.get("volumes", ())}
    assert mounts == {"made-up:/app/data"}
    assert set(compose()["volumes"]) == {"made-up"}


def test_no_service_leaves_a_volume_without_a_name_behind() -> None:
    """Docker makes one wherever nothing is mounted over the image's volume."""
    (volume,) = all_of("VOLUME", instructions())
    of_states = yaml.safe_load(read("deploy/state/compose.yaml"))["services"]
    ours = [one for one in of_states.values() if one["image"].startswith("illuminate-pipeline")]
    for service in [*SERVICES.values(), *ours]:
        mounts = [*service.get("volumes", ()), *service.get("tmpfs", ())]
        assert volume in {part for mount in mounts for part in mount.split(":")}, service


def test_every_variable_can_be_kept_in_a_file() -> None:
    """Compose reads `.env`, for which there is an example."""
    variables = set(re.findall(r"\$\{(\w+)", read("docker-compose.yml")))
    assert {
        line.partition("=")[0] for line in read(".env.example").splitlines() if line[:1].isalpha()
    } == variables


@pytest.mark.parametrize("name", SERVICES)
def test_one_variable_says_where_the_day_ends(name: str) -> None:
    assert SERVICES[name]["environment"]["TZ"] == "${TZ:-UTC}"


def test_without_a_year_the_run_takes_the_one_of_today() -> None:
    """As everywhere, an empty year is none."""
    assert SERVICES["pipeline"]["command"] == ["--year", "${YEAR:-}"]


def test_the_run_uses_the_scheduler_of_its_file() -> None:
    """`docker/scheduler.cfg` overrides luigi.cfg, and changes nothing else."""
    for name in ("pipeline", "scheduler"):
        assert SERVICES[name]["environment"]["LUIGI_CONFIG_PATH"] == "/app/scheduler.cfg"
    settings = configparser.ConfigParser(interpolation=None)
    settings.read([REPOSITORY / "luigi.cfg", REPOSITORY / "docker" / "scheduler.cfg"])
    assert settings["core"]["local_scheduler"] == "false"
    assert settings["core"]["default-scheduler-host"] in SERVICES
    assert settings["core"]["no_lock"] == "true"
    assert settings["retcode"]["task_failed"] == "30"


# `make image`.


def test_a_machine_without_an_engine_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image.shutil, "which", lambda _: None)
    assert image.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("NOT TRIED  no Docker engine answers")
    assert "buildah, runc, debootstrap" in said.err


def test_a_failed_trial_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_engine() -> object:
        raise image.WrongError("the image's user is another")

    monkeypatch.setattr(image, "find_engine", find_engine)
    assert image.main() == 1
    assert capsys.readouterr().err == "FAILED  the image's user is another\n"
