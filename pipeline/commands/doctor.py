"""Tries what a run needs, one plain line each; no secret is shown."""

import argparse
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.config import rosters, sections, settings
from pipeline.config.credentials import find_credentials
from pipeline.errors import PipelineError, SettingsError, printable
from pipeline.illuminate.auth import OAuth2Credentials
from pipeline.inputs import prior_years, roster, rules
from pipeline.runs.connection import open_client
from pipeline.runs.notify import find_webhook
from pipeline.simulator.demo import ensure_inputs
from pipeline.storage import snapshots
from pipeline.storage.files import make_folder
from pipeline.tasks.inputs import headings
from pipeline.transform import sql_views
from pipeline.years import SchoolYear, today

_NEEDED_BYTES = 1 << 30


def main(_: argparse.Namespace) -> int:
    """Print a line per thing tried; return 0 when all is well, else 1."""
    if settings.is_demo():
        ensure_inputs(settings.folders().inputs, today())
    print("Settings (command line > environment > luigi.cfg > default):")
    for section, name, value, origin in settings.describe():
        shown = _shown(name, value)
        line = f"  [{section}] {name} = {shown}, from {origin}".replace("from default", "default")
        print(printable(line))
    print("Tried:")
    failed = False
    for name, trial in _TRIALS.items():
        try:
            print(printable(f"  ok      {name}: {trial()}"))
        except PipelineError as error:
            failed = True
            print(f"  FAILED  {name}: {error}")
    return 1 if failed else 0


def _shown(name: str, value: object) -> object:
    if name == "base_url" and value:
        try:
            return settings.address().base
        except SettingsError:
            return "(not usable)"  # it may hold a password
    return "(none)" if value in ("", ()) else value


def _time_zone() -> str:
    settings.check_time_zone()
    zone = os.environ.get("TZ") or "the machine's own"
    return f"{zone}; today is {today()}, in the school year {SchoolYear.of(today())}"


def _credentials() -> str:
    if settings.is_demo():
        settings.check_address()
        return "none are needed for the demo district"
    found = find_credentials()
    kind = "OAuth 2" if isinstance(found, OAuth2Credentials) else "OAuth 1"
    names = [
        name
        for name in os.environ
        if name.startswith("ILLUMINATE_") and name != "ILLUMINATE_BASE_URL"
    ]
    return f"{kind}, from {', '.join(sorted(names))}"


def _python() -> str:
    return f"{platform.python_version()} on {platform.system()}"


def _district() -> str:
    with open_client() as client:
        count = client.count_assessments()
    who = "the demo district" if settings.is_demo() else settings.address().base
    return f"{who} answers, its catalogue has {count:,} lines"


def _roster() -> str:
    year = SchoolYear.of(today())
    path = settings.input_files(year).roster
    if path is None:
        return "none is configured, so grades will be null"
    read = roster.read_roster(path, headings(), year)
    columns = rosters.columns()
    return (
        f"{path} has {len(read.students):,} students ({year}), {read.without_grade:,} of them with "
        f"a code that is no grade, {read.repeated:,} repeated lines"
        + (f"; the views get {', '.join(columns)}" if columns else "")
    )


def _rules() -> str:
    path = settings.input_files(SchoolYear.of(today())).title_rules
    read = rules.read_rules(path)
    return f"{path} has {sum(map(len, read.by_column.values())):,} rules"


def _overrides() -> str:
    path = settings.input_files(SchoolYear.of(today())).overrides
    if path is None:
        return "none are configured"
    return f"{path} has {len(rules.read_overrides(path)):,} overrides"


def _prior_years() -> str:
    place = settings.read(sections.paths).prior_years
    if not place:
        return "none are configured"
    return f"{place} has {len(prior_years.find_files(place)):,} files from before the pipeline"


def _webhook() -> str:
    return "notified of every run" if find_webhook() else "none is configured"


def _sql_views() -> str:
    folder = settings.read(sections.paths).sql_views
    if not folder:
        return "none are configured"
    views = settings.sql_views()
    sql_views.check(Path(folder), views.values(), tuple(rosters.columns()))
    return f"{folder} has {len(views):,} SQL files"


def _disk() -> str:
    folder = make_folder(settings.folders().data)
    free = shutil.disk_usage(folder).free
    used = snapshots.disk_size(settings.folders().work)
    text = f"{snapshots.readable_size(free)} free for {folder}, whose work/ has {used}"
    if free < _NEEDED_BYTES or not os.access(folder, os.W_OK):
        raise PipelineError(f"{text}; a run needs a folder to write to and about 1 GiB.")
    return text


_TRIALS: dict[str, Callable[[], str]] = {
    "Python": _python,
    "time zone": _time_zone,
    "credentials": _credentials,
    "district": _district,
    "roster": _roster,
    "title rules": _rules,
    "overrides": _overrides,
    "prior years": _prior_years,
    "webhook": _webhook,
    "views of your own": _sql_views,
    "disk": _disk,
}
