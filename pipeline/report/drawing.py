"""Drawing charts in a process of its own, which may die without the run.

V8, which draws them, aborts its process where it gets no executable memory, or too little. Then a
chart is lost, and its table is shown in its place.
"""

import contextlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_START_SECONDS = 60
_CHART_SECONDS = 5
_DEATHS_IN_A_ROW = 2


def draw(specs: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return the SVG of each chart, given in Vega-Lite; None for those that are lost.

    After a chart that is lost another process draws the rest, unless the one before was lost, too.
    """
    drawn: list[str | None] = []
    while len(drawn) < len(specs) and not _is_hopeless(drawn):
        drawn += _draw_some(specs[len(drawn) :])
        if len(drawn) < len(specs):
            drawn.append(None)
    return [*drawn, *[None] * (len(specs) - len(drawn))]


def _is_hopeless(drawn: Sequence[str | None]) -> bool:
    return len(drawn) >= _DEATHS_IN_A_ROW and not any(drawn[-_DEATHS_IN_A_ROW:])


def _draw_some(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the SVG of the first charts, up to one that kills the process or takes too long."""
    lines = "".join(json.dumps(spec) + "\n" for spec in specs)
    try:
        done = subprocess.run(  # noqa: S603  this file
            [sys.executable, "-P", __file__],
            input=lines.encode(),
            capture_output=True,
            timeout=_START_SECONDS + _CHART_SECONDS * len(specs),
            check=False,
            start_new_session=True,  # Ctrl-C stops the run, which then ends this process
        )
        output = done.stdout
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
    # What follows the last line break is half a chart.
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


def give_way() -> None:
    """Let the kernel end this process before the run where memory is short, and dump nothing."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _draw_lines() -> Iterator[str]:
    import vl_convert

    for line in sys.stdin:
        yield json.dumps(vl_convert.vegalite_to_svg(json.loads(line)))


if __name__ == "__main__":
    give_way()
    for svg in _draw_lines():
        print(svg, flush=True)
