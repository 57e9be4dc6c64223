"""A chart that cannot be drawn is lost; the others are drawn, and so is the page."""

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.report import drawing

STUB = """
import json, os, sys, time
for line in sys.stdin:
    spec = json.loads(line)
    if spec.get("dies"):
        print('"half a cha', end="", flush=True)
        os.abort()
    time.sleep(spec.get("takes", 0))
    print(json.dumps(spec["name"]), flush=True)
"""
DIES = {"dies": True}


def chart(name: str, **more: object) -> dict[str, object]:
    return {"name": name, **more}


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with a process that does what a chart says."""
    path = tmp_path / "stub.py"
    path.write_text(STUB)
    monkeypatch.setattr(drawing, "__file__", str(path))


@pytest.mark.parametrize(
    ("specs", "drawn"),
    [
        ([], []),
        ([chart("a"), chart("b")], ["a", "b"]),
        ([chart("a"), DIES, chart("c")], ["a", None, "c"]),
        ([DIES, chart("b"), DIES, chart("d")], [None, "b", None, "d"]),
        ([chart("a"), DIES, DIES, chart("d")], ["a", None, None, None]),
        ([chart("a"), DIES], ["a", None]),
    ],
    ids=str,
)
@pytest.mark.usefixtures("stub")
def test_a_chart_that_kills_the_process_is_lost_and_the_rest_is_drawn(specs, drawn) -> None:
    """After two in a row the fault is not the chart's, so no other is tried."""
    assert drawing.draw(specs) == drawn


@pytest.mark.usefixtures("stub")
def test_a_chart_that_takes_too_long_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_START_SECONDS", 3)
    monkeypatch.setattr(drawing, "_CHART_SECONDS", 0)
    assert drawing.draw([chart("a"), chart("b", takes=60)]) == ["a", None]


BAR = {"data": {"values": [{"x": 1}]}, "mark": "bar", "encoding": {"x": {"field": "x"}}}


def test_charts_are_drawn() -> None:
    (svg,) = drawing.draw([BAR])
    assert svg is not None
    assert svg.startswith("<svg")


def limit_address_space() -> None:
    """Allow less than V8 reserves, whatever it would use."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def refuse_executable_memory() -> None:
    """Do what systemd's MemoryDenyWriteExecute does where the kernel can."""
    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
        os._exit(77)


@pytest.mark.parametrize("limit", [limit_address_space, refuse_executable_memory])
def test_where_v8_aborts_every_chart_is_lost(limit: Callable[[], None]) -> None:
    code = f"from pipeline.report import drawing; print(drawing.draw([{BAR}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, preexec_fn=limit
    )
    if done.returncode == 77:
        pytest.skip("this kernel cannot refuse executable memory")
    assert (done.returncode, done.stdout) == (0, "[None]\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_kernel_ends_the_drawing_before_the_run() -> None:
    """And what V8's abort leaves is no core dump."""
    code = (
        "import resource; from pathlib import Path; from pipeline.report import drawing; "
        "drawing.give_way(); print(Path('/proc/self/oom_score_adj').read_text(), "
        "resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["1000", "(0, 0)\n"]
