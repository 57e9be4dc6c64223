"""Reruns: with nothing to do, and after one title rule was changed."""

import sys
from collections.abc import Callable

from benchmarks.bench import Bench, Finished
from benchmarks.report import Section, Table, middle, seconds, whole
from benchmarks.sizes import TINY, M
from benchmarks.trial import Cost, run

_IMPORT = "import luigi"


def measure(bench: Bench) -> Section:
    """Run again and again where everything is done."""
    size = TINY if bench.short else M
    finished = bench.finished(size)
    kinds: dict[str, Callable[[int], Cost]] = {
        "Python that imports Luigi and ends": lambda _: run([sys.executable, "-c", _IMPORT]).whole,
        "nothing to do": lambda _: finished.again().whole,
        "one title rule changed": lambda number: _with_other_rules(finished, number),
    }
    found: dict[str, list[Cost]] = {kind: [] for kind in kinds}
    for number in range(bench.rounds):
        for kind, measured in kinds.items():
            found[kind].append(measured(number))
            bench.say(f"rerun, round {number + 1}, {kind}: {found[kind][-1].wall:.2f} s")
    rows = [
        (
            kind,
            seconds(middle([cost.wall for cost in costs])),
            seconds(middle([cost.processor for cost in costs])),
            whole(middle([cost.peak for cost in costs])),
        )
        for kind, costs in found.items()
    ]
    rows_of_work = sum(finished.place.work.rows.values())
    title = f"Reruns over {size.assessments:,} assessments, {rows_of_work:,} rows"
    notes = [
        "No server listens at the address that these runs are given, so no request can be made.",
        "The changed rule gives all assessments another test type: labels and view are rebuilt.",
        "seed's way and dlt have no reruns: they fetch everything again.",
    ]
    table = Table(title, ("", "wall s", "cpu s", "peak MB"), rows, notes)
    table.show(bench.console)
    trials = [{"kind": kind, **c._asdict()} for kind, costs in found.items() for c in costs]
    return Section("rerun", [table], trials)


def _with_other_rules(finished: Finished, number: int) -> Cost:
    finished.place.change_a_rule(f"changed {number}")
    return finished.again().whole
