"""Three made-up districts, and a state run over them by two workers, all on this machine."""

import argparse
import contextlib
import itertools
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from luigi.configuration import get_config

from pipeline.commands.run import NOTHING_NEW
from pipeline.errors import InputFileError
from pipeline.simulator.demo import DemoDistrict, ensure_inputs
from pipeline.state.cluster import on_this_machine
from pipeline.state.districts import COLUMNS, read_districts
from pipeline.state.paths import StateFolders
from pipeline.storage import files
from pipeline.years import SchoolYear, today

_SEEDS = {"northfield": 1, "lakeside": 2, "westbrook": 3}
_WORKERS = 2
_FOLDER = Path("data/state-demo")


def run(run_state: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Serve the districts, run the state run over them, and say where everything is.

    With a port, only serve them, until SIGTERM or SIGINT.

    Returns:
        0 if every district is published, also where nothing is new; else what the state run
        returned.
    """
    folders, districts = StateFolders(_FOLDER), _FOLDER / "districts.csv"
    if options.port:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with _served(districts, dict(zip(_SEEDS, itertools.count(options.port), strict=False))):
            print(f"The made-up districts of {districts} are served; Ctrl-C stops.", flush=True)
            stop.wait()
        return 0
    get_config().set("state", "dir", str(_FOLDER))
    get_config().set("state", "lakehouse", "")  # made-up rows do not belong among real ones
    options.districts = str(districts)
    with _served(districts, _ports(districts)), on_this_machine(_WORKERS) as options.scheduler:
        code = run_state(options)
    if code not in {0, NOTHING_NEW}:
        return code
    year = (options.year.replace(",", " ").split() or [str(SchoolYear.of(today()))])[0]
    command = f"{shlex.quote(sys.executable)} -m pipeline state"
    variables = f"PIPELINE_STATE_DIR={_FOLDER} PIPELINE_LAKEHOUSE={_FOLDER}"
    print(
        f"Everybody in {', '.join(_SEEDS)} is made up. {districts} lists the districts, and each "
        f"has its own tables in {folders.district('<district>')}. Those of all are Delta tables in "
        f"{folders.tables}; docs/state-tables.md says how to read them. Look at them with:\n"
        f"  {variables} {command} status --year {year} --districts {districts}\n"
        f"  {variables} {command} tables"
    )
    return 0


@contextlib.contextmanager
def _served(districts: Path, ports: Mapping[str, int]) -> Iterator[None]:
    """Serve the districts until the block ends; list them in a file once all can be reached."""
    with contextlib.ExitStack() as servers:
        lines = [",".join(COLUMNS)]
        for name, seed in _SEEDS.items():
            server = DemoDistrict(seed, ports.get(name, 0))
            servers.callback(server.stop)
            lines.append(_district(name, seed, server))
        files.write_text(districts, "\n".join([*lines, ""]))
        yield


def _ports(districts: Path) -> dict[str, int]:
    """Return the ports of an earlier demo: on others, its districts would be other districts."""
    with contextlib.suppress(InputFileError):
        return {
            each.district: urlsplit(each.base_url).port or 0 for each in read_districts(districts)
        }
    return {}


def _district(name: str, seed: int, server: DemoDistrict) -> str:
    """Write what a district's run needs, and return its line of districts.csv."""
    inputs, secrets = _FOLDER / "inputs" / name, _FOLDER / "secrets" / name
    ensure_inputs(inputs, today(), seed)
    files.write_text(secrets / "ILLUMINATE_CLIENT_ID", server.client_id)
    files.write_text(secrets / "ILLUMINATE_CLIENT_SECRET", server.client_secret)
    cells = {
        "district": name,
        "base_url": server.base_url,
        "rosters": f"inputs/{name}/Student_Rosters_{{year}}.txt",
        "title_rules": f"inputs/{name}/title_rules.csv",
        "manual_changes": f"inputs/{name}/overrides.csv",
        "secrets_folder": f"secrets/{name}",
        "time_zone": "",
    }
    return ",".join(cells[column] for column in COLUMNS)
