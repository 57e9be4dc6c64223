"""One trial: a command in a process of its own, and what it cost."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LAUNCHER = Path(__file__).with_name("launch.py")
REPOSITORY = LAUNCHER.parents[1]

# One clean environment for everybody, so that no variable of this machine is a setting; the code
# is that of this repository, whichever is installed.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
"""What commands get of this process's environment."""

_LONGEST = 3600.0
_WORDS = 2000


class TrialError(Exception):
    """A command that was to be measured failed; its last words are the message."""


class Cost(NamedTuple):
    """Seconds by the clock, seconds of processors, and the highest memory in MB."""

    wall: float
    processor: float
    peak: float


@dataclass(frozen=True)
class Trial:
    """What a command cost: from its start to its end, and at moments between."""

    began: float
    whole: Cost
    samples: Sequence[tuple[float, float, float]]
    said: str

    def until(self, moment: float) -> Cost:
        """What it had cost at a moment of `time.monotonic`."""
        at = next((sample for sample in self.samples if sample[0] >= moment), None)
        if at is None:
            return self.whole
        return Cost(moment - self.began, at[1], at[2])


def run(
    command: Sequence[str | Path],
    variables: Mapping[str, str] | None = None,
    folder: Path = REPOSITORY,
    longest: float = _LONGEST,
) -> Trial:
    """Run a command, and measure it.

    Raises:
        TrialError: it failed, or took longer than it may.
    """
    os.sync()  # what others have written is no cost of this one
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    with tempfile.TemporaryDirectory() as notes:
        costs = Path(notes) / "costs.json"
        done = subprocess.run(  # noqa: S603  the commands of our own list
            [sys.executable, "-I", "-S", LAUNCHER, costs, str(longest), *command],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(REPOSITORY), **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if not costs.exists():
            words = f"({done.returncode})\n{done.stderr[-_WORDS:]}"
            raise TrialError(f"{_shown(command)} could not be run or measured {words}")
        found = json.loads(costs.read_text(encoding="utf-8"))
    if found["status"]:
        words = (done.stdout + done.stderr)[-_WORDS:]
        raise TrialError(f"{_shown(command)} ended with {found['status']}:\n{words}")
    cost = Cost(found["wall"], found["processor"], found["peak"])
    samples = [(at, processor, peak) for at, processor, peak in found["samples"]]
    return Trial(found["began"], cost, samples, done.stdout)


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(Path(part).name for part in command)
