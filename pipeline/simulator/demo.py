"""Starts the made-up district in a process of its own, to be asked like a real one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.storage.files import make_folder


class DemoDistrict:
    """The demo district as a running server; it ends with this process, however that ends."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "pipeline", "simulate", "--port", "0", "--for-parent"]
        self._process = subprocess.Popen(  # noqa: S603  our own module, no outside input
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run; the server ends with it
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SettingsError("the demo district did not start; see its message above.")
        started = json.loads(line)
        self.base_url: str = started["base_url"]
        self.client_id: str = started["client_id"]
        self.client_secret: str = started["client_secret"]

    def stop(self) -> None:
        """End the server and wait until it is gone."""
        self._process.communicate()


def announce(base_url: str, client_id: str, client_secret: str) -> None:
    """Tell the parent process, on one line, how to reach the server that it started."""
    started = {"base_url": base_url, "client_id": client_id, "client_secret": client_secret}
    print(json.dumps(started), flush=True)


def explain(base_url: str, client_id: str, client_secret: str) -> None:
    """Tell a person how to work with the server; its credentials are as made up as the rest."""
    print(
        f"A made-up district answers at {base_url} (Ctrl-C ends it). In another terminal:\n\n"
        f"  export ILLUMINATE_BASE_URL={base_url}\n"
        f"  export ILLUMINATE_CLIENT_ID={client_id}\n"
        f"  export ILLUMINATE_CLIENT_SECRET={client_secret}\n"
        f"  export PIPELINE_DATA_DIR=data/simulated\n"
        f"  make run YEAR=23-24\n",
        flush=True,
    )


def ensure_inputs(folder: Path, seed: int = 1) -> None:
    """Write the demo's rosters, rules and overrides, unless they are there (and maybe edited)."""
    if folder.exists():
        return
    from pipeline.simulator import District, write_inputs

    make_folder(folder.parent)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_inputs(District.make(seed), unfinished)
    unfinished.rename(folder)
