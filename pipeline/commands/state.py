"""Many districts: run them, one after the other or on a cluster, and say how they are."""

import argparse
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from luigi.configuration import get_config

from pipeline.commands import state_demo, state_tables
from pipeline.commands.run import NOTHING_NEW
from pipeline.commands.run import run as run_luigi
from pipeline.config import sections, settings
from pipeline.errors import SettingsError, StorageError, printable
from pipeline.publish.commit import Publication
from pipeline.publish.store import Store
from pipeline.runs import lock
from pipeline.state.districts import District, read_districts
from pipeline.state.lakehouse import SETTING
from pipeline.state.marker import StateMarker, read_marker
from pipeline.state.outcomes import Outcome, RunResult
from pipeline.state.parts import Partition
from pipeline.state.paths import StateFolders
from pipeline.tasks.publish_state import lakehouse_url
from pipeline.tasks.state_run import new_id, state_folders
from pipeline.years import SchoolYear, today

_FAILED = 30


def main(options: argparse.Namespace) -> int:
    """Do what is asked: run, rebuild, status, tables, districts or demo."""
    if options.action == "tables":
        return state_tables.main()
    if options.action == "districts":
        return list_districts(options)
    if options.action == "demo":
        return state_demo.run(run, options)
    if options.action == "rebuild":
        return _start("RebuildState", new_id(), options)
    return run(options) if options.action == "run" else status(options)


def run(options: argparse.Namespace) -> int:
    """Run every district and publish all of them together.

    Returns:
        0, or NOTHING_NEW if nothing is; 30 if a district failed or a setting is wrong; 10 if
        another state run holds the folder.
    """
    run_id = options.run_id or new_id()
    before = RunResult.read(state_folders().latest)
    code = _start("RunState", run_id, options)
    result = RunResult.read(state_folders().latest)
    if code:
        return code
    if result is None or result == before:  # the districts' own runs left nothing to do
        print(f"State run {run_id}: all that it would publish is published.")
        return NOTHING_NEW
    return NOTHING_NEW if result.outcome == "up to date" else 0


def _start(task: str, run_id: str, options: argparse.Namespace) -> int:
    """Run a task of school years of all districts, and return its exit code."""
    try:
        if options.scheduler:
            get_config().set("state", "scheduler", options.scheduler)
        path = _path(options)
        years = options.year or str(SchoolYear.of(today()))
        read_districts(path, secrets_are_here=not settings.read(sections.state).scheduler)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _FAILED
    arguments = ["--years", years, "--districts", str(path), "--run-id", run_id]
    return run_luigi([task, *arguments])


def status(options: argparse.Namespace) -> int:
    """Print how many districts are published, and why the others are not; 0 if all are."""
    year = str(SchoolYear.parse(options.year) if options.year else SchoolYear.of(today()))
    districts, folders = read_districts(_path(options), secrets_are_here=False), state_folders()
    marker = read_marker(Store(lakehouse_url(), SETTING))
    # One that runs on another host is known by its heartbeat, which takes seconds to see.
    with ThreadPoolExecutor(len(districts)) as pool:
        found = [*pool.map(lambda each: _state(folders, marker, each, year), districts)]
    counts = Counter(each["state"] for each in found)
    if options.json:
        print(json.dumps({"year": year, "counts": counts, "districts": found}, indent=1))
    else:
        head = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
        lines = [
            f"  {each['district']} {each['state']}: {each['reason']}"
            for each in found
            if each["state"] != "published"
        ]
        print("\n".join(map(printable, [f"School year {year}: {head}", *lines])))
    return 0 if counts["published"] == len(districts) else 1


def list_districts(options: argparse.Namespace) -> int:
    """Print the names of the districts, for an orchestrator that runs each by itself."""
    names = [each.district for each in read_districts(_path(options), secrets_are_here=False)]
    print(json.dumps(names) if options.json else "\n".join(names))
    return 0


def _path(options: argparse.Namespace) -> Path:
    return Path(options.districts or settings.read(sections.state).districts)


def _state(
    folders: StateFolders, marker: StateMarker | None, district: District, year: str
) -> dict[str, Any]:
    """Return whether a district is published, failed, stopped, running or not run yet, and why.

    One is published once its tables are among those of all.
    """
    name = district.district
    outcome = Outcome.read(folders.outcome(name, year))
    try:
        is_running = lock.is_held(folders.folders(name).lock)
    except StorageError as error:
        return {"district": name, "state": "not known", "reason": str(error)}
    if is_running:
        state, reason = "running", f"its output is in {folders.log(name, year)}"
    elif outcome is None:
        state, reason = "not run yet", f"no run of {year} has ended"
    elif outcome.is_published and _is_among_all(folders, marker, Partition(name, year)):
        state, reason = "published", ""
    elif outcome.is_published:
        state, reason = "not in the tables of all", _why_not(folders, outcome)
    else:
        state, reason = outcome.outcome, f"{outcome.reason} ({outcome.finished_at})"
    return {"district": name, "state": state, "reason": reason}


def _is_among_all(folders: StateFolders, marker: StateMarker | None, of: Partition) -> bool:
    """Return True unless what a district has published is missing in the tables of all."""
    publication = Publication.read(folders.folders(of.district).publication(of.year))
    known = marker.of(of) if marker else None
    return publication is None or (known is not None and known.are_of(publication))


def _why_not(folders: StateFolders, outcome: Outcome) -> str:
    """Return why what a district has published is not in the tables of all."""
    if lock.is_held(folders.lock):
        return "the state run under way publishes it at its end"
    result = RunResult.read(folders.latest)
    for each in result.failed if result else ():
        if (each.run, each.district, each.year) == (outcome.run, outcome.district, outcome.year):
            return f"{each.reason} ({each.finished_at})"
    return "run illuminate-pipeline state run again"
