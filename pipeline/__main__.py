"""python -m pipeline run | report | status | verify | load | copy | doctor | forget | ..."""

import argparse
import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError, kind_only
from pipeline.years import SchoolYear


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 when all is well, 1 when something is found wrong."""
    options = _parser().parse_args(arguments)
    try:
        with kind_only():
            return int(options.command(options))
    except PipelineError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    text = "like luigi --module pipeline, but exits 99 where no table was changed"
    sub = commands.add_parser("run", help=text, description=text)
    sub.add_argument("arguments", nargs=argparse.REMAINDER, help="RunAll --year 23-24")
    sub.set_defaults(command=_run)
    for name, command, text in (
        ("status", _status, "what is done, missing, failed and published"),
        ("verify", _verify, "every digest and count again, offline"),
        ("forget", _forget, "remove a year's snapshot, so that the next run fetches it anew"),
    ):
        _add_of_year(commands, name, command, text).add_argument(
            "--as-of",
            type=dt.date.fromisoformat,
            default=dt.date.today(),  # noqa: DTZ011  the school's own day
            help="default today",
        )
    for name, command, text in (
        ("report", _report, "the report of what is published, with the newest run records"),
        ("load", _load, "put the published tables into a database"),
        ("copy", _copy, "copy the published files of a year to [paths] copy_to"),
    ):
        _add_of_year(commands, name, command, text)
    text = "settings, credentials, input files and disk, one line each"
    commands.add_parser("doctor", help=text, description=text).set_defaults(command=_doctor)
    text = "the data dictionary, in Markdown"
    commands.add_parser("dictionary", help=text).set_defaults(command=_dictionary)
    _add_simulate(commands)
    return parser


def _add_of_year(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=text, description=text)
    sub.add_argument("--year", default="", help="school year, like 23-24; default the current")
    sub.set_defaults(command=command)
    return sub


def _add_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "serve the made-up district until interrupted"
    sub = commands.add_parser("simulate", help=text, description=text)
    sub.add_argument("--port", type=int, default=8080, help="0: any that is free")
    sub.add_argument("--seed", type=int, default=1, help="another seed, another district")
    sub.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    sub.add_argument("--inputs", type=Path, help="folder to write its roster into, if it is new")
    sub.add_argument("--for-parent", action="store_true", help=argparse.SUPPRESS)
    sub.set_defaults(command=_simulate)


def _run(options: argparse.Namespace) -> int:
    from pipeline.commands.run import run

    return run(options.arguments)


def _status(options: argparse.Namespace) -> int:
    from pipeline.commands.status import status

    return status(_year(options), options.as_of)


def _report(options: argparse.Namespace) -> int:
    from pipeline.commands.report import report

    return report(_year(options))


def _verify(options: argparse.Namespace) -> int:
    from pipeline.commands.verify import verify

    return verify(_year(options), options.as_of)


def _forget(options: argparse.Namespace) -> int:
    from pipeline.commands.forget import forget

    return forget(_year(options), options.as_of)


def _load(options: argparse.Namespace) -> int:
    from pipeline.commands.load import load

    return load(_year(options))


def _copy(options: argparse.Namespace) -> int:
    from pipeline.commands.copy import copy

    return copy(_year(options))


def _doctor(_: argparse.Namespace) -> int:
    from pipeline.commands.doctor import examine

    return examine()


def _dictionary(_: argparse.Namespace) -> int:
    from pipeline.commands.dictionary import dictionary

    print(dictionary(), end="")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from pipeline.simulator import Credentials, demo

    credentials = Credentials()
    if options.inputs:
        demo.ensure_inputs(options.inputs, options.seed)

    def ready(base_url: str) -> None:
        write = demo.announce if options.for_parent else demo.explain
        write(base_url, credentials.client_id, credentials.client_secret)

    try:
        _serve(options, credentials, ready)
    except OSError as error:
        print(f"Port {options.port} cannot be used: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


def _serve(options: argparse.Namespace, credentials: Any, ready: Callable[[str], None]) -> None:  # noqa: ANN401
    from pipeline.simulator import District, Protocol, serve_forever

    serve_forever(
        District.make(options.seed),
        Protocol(latency_seconds=options.latency),
        credentials,
        options.port,
        ready=ready,
        until_stdin_closes=options.for_parent,
    )


def _year(options: argparse.Namespace) -> SchoolYear:
    from pipeline.config import settings

    return SchoolYear.parse(options.year) if options.year else settings.current_year()


if __name__ == "__main__":
    sys.exit(main())
