"""Illuminate assessment results as clean tables: fetch, check, publish, report, deliver."""

import argparse
import datetime as dt
import sys
from importlib import import_module, metadata
from pathlib import Path

from pipeline.config import sections, settings
from pipeline.config.check import check_config_file
from pipeline.config.command_line import describe_settings
from pipeline.errors import (
    FolderInUseError,
    PipelineError,
    SettingsError,
    StorageError,
    YearError,
    redact_unexpected,
)
from pipeline.runs.output import outlive_readers
from pipeline.runs.process import let_polars_start
from pipeline.runs.recovery import recover_unless_in_use
from pipeline.storage.files import set_group_read
from pipeline.storage.paths import ALL_YEARS
from pipeline.years import SchoolYear

_FAILED, _FOLDER_IN_USE, _RUN_REFUSED = 1, 10, 30
_LAST_PORT = 65535

_COMMANDS = {
    "run": "[RunAll] --year 23-24, or another task: like `luigi`, but 99 where nothing is new",
    "refresh": "fetch a year again: remove its snapshot, then run",
    "status": "what is done, missing, failed and published",
    "verify": "check every checksum and count again, offline",
    "report": "rebuild the report of what is published",
    "load": "load the published tables into a database",
    "copy": "copy the published files of a year to [paths] copy_to",
    "forget": "remove a year's snapshot, so that the next run fetches it again",
    "clean-snapshots": "remove all snapshots but those of what is published",
    "doctor": "try all that a run of a school year needs, one line each",
    "dictionary": "print the data dictionary, in Markdown",
    "simulate": "serve the made-up district until interrupted",
    "state": "many districts: run all of districts.csv, or say how they are",
}
"""What each command does; its `main` is in the module of `pipeline.commands` of that name."""

_MODULES = {"load": "run", "copy": "run", "clean-snapshots": "clean_snapshots"}
"""The modules of commands that have none of their own name."""

_RUNS = ("run", "refresh", "load", "copy")
"""The commands with the exit codes of `luigi`."""
_STATE_RUNS = ("run", "rebuild", "demo")
"""The actions of `state` that have them too."""

_RECOVERING = set(_COMMANDS) - {"dictionary", "simulate", "state"}
"""The commands that first complete or undo what a killed run left half published."""

_OF_A_YEAR = ("refresh", "status", "verify", "report", "load", "copy", "forget", "doctor")
_OF_ALL_YEARS = ("status", "verify", "load", "copy")
_OF_A_DAY = ("refresh", "status", "verify", "forget")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code, as docs/exit-codes.md lists them."""
    with outlive_readers():
        return _main(arguments)


def _main(arguments: list[str] | None) -> int:
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if others and options.command != "run":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    options.arguments, command = others, options.command
    try:
        with redact_unexpected():
            # A run is refused itself, and tells the webhook; this one removes something first.
            if command not in _RUNS or command == "refresh":
                check_config_file()
            if command in _RECOVERING:
                _recover(command)
            let_polars_start()
            # The modules of the other commands are not imported.
            module = import_module(f"pipeline.commands.{_MODULES.get(command, command)}")
            return int(module.main(options))
    except FolderInUseError as error:
        print(error, file=sys.stderr)
        return _FOLDER_IN_USE
    except PipelineError as error:
        print(error, file=sys.stderr)
        if command not in _RUNS and getattr(options, "action", "") not in _STATE_RUNS:
            return _FAILED
        return _RUN_REFUSED


def _recover(command: str) -> None:
    """Complete or undo what a killed run left half published; what is written has a run's modes."""
    try:
        set_group_read(allowed=settings.read(sections.paths).group_readable)
        recover_unless_in_use(settings.folders())
    except (SettingsError, StorageError):
        if command not in _RUNS:
            raise  # a run is refused itself, and tells the webhook


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="illuminate-pipeline",
        description=__doc__,
        epilog=f"`run --help` has the options of a run.\n\n{describe_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = metadata.version("illuminate-pipeline")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    parsers = {
        # `run --help` is Luigi's, which knows the options of each task.
        name: commands.add_parser(name, help=text, description=text, add_help=name != "run")
        for name, text in _COMMANDS.items()
    }
    for name in _OF_A_YEAR:
        kind, or_all = (_year_or_all, ", or all") if name in _OF_ALL_YEARS else (_year, "")
        parsers[name].add_argument(
            "--year", type=kind, default="", help=f"like 23-24{or_all}; default today's"
        )
    parsers["clean-snapshots"].add_argument("--year", type=_year, default="", help="default all")
    for name in _OF_A_DAY:
        parsers[name].add_argument("--as-of", type=_day, help="like 2024-01-31; default today")
    parsers["status"].add_argument("--json", action="store_true", help="for other programs")
    _add_simulate_options(parsers["simulate"])
    _add_state_options(parsers["state"])
    return parser


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        problem = f"{text!r} is not a day; write it like 2024-01-31"
        raise argparse.ArgumentTypeError(problem) from None


def _year(text: str) -> str:
    try:
        if text:
            SchoolYear.parse(text)
    except YearError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _year_or_all(text: str) -> str:
    return text if text == ALL_YEARS else _year(text)


def _years(text: str) -> str:
    return ",".join(map(_year, text.replace(",", " ").split()))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} must be a port, 0 to {_LAST_PORT}")
    return int(text)


def _add_simulate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=8080, help="0: any that is free")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another district")
    parser.add_argument(
        "--dirtiness",
        choices=("none", "realistic", "harsh"),
        default="realistic",
        help="how many values are not what they should be; default realistic: few",
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument(
        "--inputs",
        type=Path,
        help="folder for its roster, rules and overrides; default data/simulated/inputs",
    )
    parser.add_argument("--for-parent", action="store_true", help=argparse.SUPPRESS)


def _add_state_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action", dest="action")
    texts = {
        "run": "fetch and publish every district, one after the other or on a cluster",
        "rebuild": "rebuild what is published, by the rules and overrides as they are now",
        "status": "how many are published, and why the others are not",
        "tables": "which versions of the tables of all districts belong together",
        "districts": "the name of each district, one a line, in the order of the file",
        "demo": "run three made-up districts on this machine",
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text, description=text)
        if name == "tables":
            continue
        if name != "districts":
            kind = _year if name == "status" else _years
            action.add_argument("--year", type=kind, default="", help="like 23-24; default today's")
        if name != "demo":
            action.add_argument("--districts", default="", help="default [state] districts")
    for name in ("run", "rebuild"):
        actions.choices[name].add_argument(
            "--scheduler",
            default="",
            help="Dask's, like tls://head:8786; default: none, all is done here",
        )
    run_id = "that of the districts' own runs, which this one then publishes; default a new one"
    actions.choices["run"].add_argument("--run-id", default="", help=run_id)
    actions.choices["demo"].set_defaults(run_id="")
    for name in ("status", "districts"):
        actions.choices[name].add_argument("--json", action="store_true", help="for programs")
    only_serve = "serve them on this port and the next two until interrupted, and run nothing"
    actions.choices["demo"].add_argument("--port", type=_port, default=0, help=only_serve)


if __name__ == "__main__":
    sys.exit(main())
