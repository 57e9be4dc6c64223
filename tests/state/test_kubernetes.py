"""deploy/state/kubernetes.yaml: what it may do, and its own commands, as processes here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.functional.conftest import REPOSITORY
from tests.state.conftest import YEAR, State

FILE = REPOSITORY / "deploy" / "state" / "kubernetes.yaml"
FILLED_IN = {"HOW_MANY": "2", "NIGHT": "night-1", "YEAR": YEAR}


def jobs() -> dict[str, dict[str, Any]]:
    """Return both Jobs, filled in, by their label."""
    text = FILE.read_text(encoding="utf-8")
    for name, value in FILLED_IN.items():
        text = text.replace(name, value)
    return {each["metadata"]["labels"]["step"]: each for each in yaml.safe_load_all(text)}


def pod(step: str) -> dict[str, Any]:
    found: dict[str, Any] = jobs()[step]["spec"]["template"]["spec"]
    return found


def test_a_pod_for_each_district_and_no_failed_one_stops_the_others() -> None:
    assert list(jobs()) == ["districts", "publish"]
    spec = jobs()["districts"]["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", 2)
    assert spec["maxFailedIndexes"] == spec["completions"]
    assert spec["backoffLimitPerIndex"] > 0
    assert 0 < spec["parallelism"] < 10


@pytest.mark.parametrize("step", jobs())
def test_a_pod_may_do_no_more_than_it_must(step: str) -> None:
    (container,) = pod(step)["containers"]
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(step)["securityContext"]["runAsNonRoot"] is True
    assert pod(step)["automountServiceAccountToken"] is False
    assert ":" in container["image"]
    assert not container["image"].endswith(":latest")
    volumes = {each["name"]: each for each in pod(step)["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} == set(volumes)
    assert volumes["secrets"]["projected"]["defaultMode"] & 0o007 == 0
    assert [each["name"] for each in container["env"]] == ["TZ"], "secrets are files"


def start(state: State, step: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run what the pod of a step runs."""
    (container,) = pod(step)["containers"]
    command = json.dumps(container["command"]).replace("/districts/districts.csv", str(state.file))
    state.environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **variables,
    }
    return state.finish(state.start(*json.loads(command)))


def test_its_commands_run_the_district_of_each_index_and_publish_all(state: State) -> None:
    for index, name in enumerate(state.servers):
        done = start(state, "districts", JOB_COMPLETION_INDEX=str(index))
        assert done.returncode == 0, done.stderr
        assert all(bool(server.log) is (each == name) for each, server in state.servers.items())
        state.servers[name].clear_log()
    beyond = start(state, "districts", JOB_COMPLETION_INDEX="2")
    assert beyond.returncode not in {0, 30}
    assert "is not in districts.csv" in beyond.stderr
    done = start(state, "publish")
    assert done.returncode == 0, done.stderr
    assert "State run night-1: 2 of 2 published, 2 with something new." in done.stdout
    assert not any(server.log for server in state.servers.values())
