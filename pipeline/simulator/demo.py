"""The demo: the made-up district as a server in its own process, and its input files."""

import datetime as dt
import json
import shlex
import subprocess
import sys
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.simulator import District, write_inputs
from pipeline.simulator.district.planning import years_until
from pipeline.simulator.inputs import is_current, roster_path
from pipeline.storage.files import make_folder


class DemoDistrict:
    """The demo district's server in its own process, which never outlives this one.

    Args:
        seed: another seed, another district.
        port: where it is served; 0 means any free port.
    """

    def __init__(self, seed: int = 1, port: int = 0) -> None:
        command = [sys.executable, "-m", "pipeline", "simulate", "--for-parent"]
        command += ["--port", str(port), "--seed", str(seed)]
        self._process = subprocess.Popen(  # noqa: S603  our own module, no outside input
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends the server
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SettingsError(
                "The demo district did not start. Do what its message above says, then run the "
                "same command again."
            )
        started = json.loads(line)
        self.base_url: str = started["base_url"]
        self.client_id: str = started["client_id"]
        self.client_secret: str = started["client_secret"]

    def stop(self) -> None:
        """Stop the server and wait until its process has ended."""
        self._process.communicate()


def print_address(base_url: str, client_id: str, client_secret: str) -> None:
    """Print address and credentials as one line of JSON, for the parent process."""
    started = {"base_url": base_url, "client_id": client_id, "client_secret": client_secret}
    print(json.dumps(started), flush=True)


def print_instructions(
    inputs: Path, data: Path, base_url: str, client_id: str, client_secret: str
) -> None:
    """Print how to use the server, for a person; its credentials are as made up as its data.

    Args:
        inputs: the folder of the district's roster, title rules and overrides.
        data: where a run against it may keep its data.
        base_url: where it is served.
        client_id: its credentials.
        client_secret: the other half.
    """
    inputs = inputs.resolve()
    variables = {
        "ILLUMINATE_BASE_URL": base_url,
        "ILLUMINATE_CLIENT_ID": client_id,
        "ILLUMINATE_CLIENT_SECRET": client_secret,
        "STUDENT_ROSTERS": f"{inputs}/Student_Rosters_{{year}}.txt",
        "TITLE_RULES": f"{inputs}/title_rules.csv",
        "MANUAL_CHANGES": f"{inputs}/overrides.csv",
        "PIPELINE_DATA_DIR": str(data.resolve()),
    }
    exports = "".join(f"  export {name}={shlex.quote(of)}\n" for name, of in variables.items())
    print(
        f"A made-up district is served at {base_url}\n"
        f"Ctrl-C stops it. In another terminal:\n\n{exports}  make run YEAR=23-24\n",
        flush=True,
    )


def ensure_inputs(folder: Path, day: dt.date, seed: int = 1) -> None:
    """Write those of the demo's title rules, overrides and rosters until a day that are missing.

    A file that was removed comes back with the roster of the next school year. Rosters of a
    version before they had schools and teachers get them.
    """
    if not is_current(roster_path(folder, years_until(day)[-1])):
        write_inputs(District.make(seed, today=day), make_folder(folder))
