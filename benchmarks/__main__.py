"""python -m benchmarks [SECTION ...] | all.

Without a section: fetch and tables. Prints each table when it is there, and writes all of them as
JSON and as Markdown.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.bench import Bench, RowsError
from benchmarks.fetchers import dlt_version
from benchmarks.report import Results, Section
from benchmarks.sections import delivery, fetch, growth, memory, nights, rerun, state, tables
from benchmarks.trial import REPOSITORY, TrialError

SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "fetch": fetch.measure,
    "tables": tables.measure,
    "rerun": rerun.measure,
    "nights": nights.measure,
    "delivery": delivery.measure,
    "growth": growth.measure,
    "memory": memory.measure,
    "state": state.measure,
}
_USUAL = ("fetch", "tables")
_FOLDER = REPOSITORY / ".bench"
_PAGE = REPOSITORY / "docs" / "performance.md"
_WIDE = 160


def main() -> int:
    """Measure what the command line names; 1 when somebody failed or brought other rows."""
    options = _parser().parse_args()
    usual = [*SECTIONS] if options.short else _USUAL
    chosen = [*SECTIONS] if "all" in options.sections else options.sections or usual
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    rounds = 1 if options.short else options.rounds
    bench = Bench(options.folder, rounds, options.short, console)
    results = Results(machine.describe(rounds))
    if dlt := dlt_version():
        results.measured["versions"]["dlt"] = dlt
    bench.clear()  # what a run that was killed left
    try:
        for name in chosen:
            before = machine.processor_times()
            section = SECTIONS[name](bench)
            section = replace(section, taken=machine.taken_since(before))
            for line in section.about_peers():
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            console.print(section.disturbed, highlight=False, soft_wrap=True)
            results.sections.append(section)
            results.write(options.out or options.folder / "results")
            if options.document:
                results.document(_PAGE, with_targets=len(results.sections) == len(SECTIONS))
    except (RowsError, TrialError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        bench.clear()
    results.targets().show(console)
    console.print(results.setting, highlight=False, soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, "all", []], metavar="section")
    parser.add_argument("--rounds", type=int, default=3, help="how often; default 3")
    parser.add_argument(
        "--short", action="store_true", help="tiny work, once; default every section"
    )
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where work and files go")
    parser.add_argument("--out", type=Path, help="where results go; default results in the folder")
    parser.add_argument(
        "--document", action="store_true", help="put the results into docs/performance.md as well"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
