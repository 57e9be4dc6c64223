"""A run whose exit code tells a scheduler whether there is something new."""

import argparse

from luigi.cmdline import luigi_run

from pipeline.commands.options import partition_of
from pipeline.runs import context

NOTHING_NEW = 99
"""The exit code where everything requested was published and acknowledged before."""

_DELIVERIES = {"load": "LoadYear", "copy": "CopyYear"}
"""The tasks of the commands that deliver what is published."""


def main(options: argparse.Namespace) -> int:
    """Do what `luigi --module pipeline` does with the arguments; without a task, RunAll."""
    if task := _DELIVERIES.get(options.command):
        return run([task, "--year", partition_of(options)])
    return run(options.arguments)


def run(arguments: list[str]) -> int:
    """Run Luigi's command line.

    Returns:
        NOTHING_NEW, or Luigi's exit code.
    """
    task = [] if arguments and not arguments[0].startswith("-") else ["RunAll"]
    with context.watch() as ended:
        try:
            luigi_run(["--module", "pipeline", *task, *arguments])
        except SystemExit as exit_:
            code = exit_.code
    if not code and ended and ended[-1].outcome == "up to date":
        return NOTHING_NEW
    if isinstance(code, int):
        return code
    raise SystemExit(code)  # a usage error of Luigi's parser
