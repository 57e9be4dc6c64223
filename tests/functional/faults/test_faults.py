"""Every fault at every place: right tables, or yesterday's tables and a message that says where.

What is tried, and what is wanted each time, stands in `table.py`.
"""

import csv
import io
import sys

import pytest

from tests.functional.faults.stage import THREADS, Stage, trouble
from tests.functional.faults.table import COMBINATIONS, ENDS, NULLS, RECOVERS, REFUSED, Combination

Tables = dict[str, bytes]


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_fault(combination: Combination, stage: Stage, undisturbed: Tables) -> None:
    play(combination, stage, undisturbed)


def play(combination: Combination, stage: Stage, undisturbed: Tables) -> None:
    """Run with the fault, then without it; see that both do what is wanted."""
    before = stage.published()
    with trouble(stage.server, combination):
        done = stage.run(*combination.trouble.options)
    if combination.wanted in {RECOVERS, NULLS}:
        assert done.code == 0, done.shown
        check_tables(combination, stage, undisturbed, done.said)
    else:
        assert done.code == 30, done.shown
        assert stage.published() == before
        check_message(combination, stage, done.said)
        check_what_is_missing(combination, stage)
    assert not stage.leftovers()
    check_rerun(stage, stage.tables() if combination.wanted is NULLS else undisturbed)


def check_tables(combination: Combination, stage: Stage, undisturbed: Tables, said: str) -> None:
    """The tables are right, unreadable numbers aside, which are null."""
    if combination.wanted is RECOVERS:
        assert stage.tables() == undisturbed
        return
    for name in (name for name in undisturbed if name.endswith(".csv")):
        assert without_numbers(stage.tables()[name]) == without_numbers(undisturbed[name])
    assert " 0 unreadable" not in said


def without_numbers(table: bytes) -> list[dict[str, str]]:
    """A table without what follows from its points and percents."""
    numbers = {"points", "percent_correct", "score", "proficiency"}
    rows = csv.DictReader(io.StringIO(table.decode()))
    return [{name: v for name, v in row.items() if name not in numbers} for row in rows]


def check_message(combination: Combination, stage: Stage, said: str) -> None:
    """What is printed, and what is written down, names the place and the reason."""
    reasons = "\n".join(failure["reason"] for failure in stage.record()["failures"])
    for text in (said, reasons):
        assert any(words in text for words in combination.place.words), said
        assert combination.trouble.says in text, said


def check_what_is_missing(combination: Combination, stage: Stage) -> None:
    """Only what the fault hit is missing; where the run ends, nothing was asked after it."""
    place = combination.place
    if combination.wanted is REFUSED and place.assessment_id:
        # What overall had is not known then, so standard and group wait for it.
        waiting = {"standard", "group"} if place.endpoint == "overall" else set()
        missing = {each for each in stage.missing() if each[0] not in waiting}
        assert missing == {(place.endpoint, place.assessment_id)}
        assert not waiting & {endpoint for endpoint, _ in stage.asked()}
    if combination.wanted is ENDS:
        hits = [n for n, request in enumerate(stage.server.log) if request.fault]
        on_their_way = len(stage.server.log) - 1 - hits[-1]
        # Each other thread has one on its way, and may begin another before the bad news is read.
        assert on_their_way < 2 * THREADS, "it went on asking"


def check_rerun(stage: Stage, undisturbed: Tables) -> None:
    """The fault gone, a run completes, and asks once for each page that is missing."""
    missing = stage.missing()
    done = stage.run()
    assert done.code == 0, done.shown
    assert stage.tables() == undisturbed
    assert set(stage.asked()) == missing
    assert not stage.pages_asked_twice()
    assert stage.missing() == set()


def test_how_many(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many combinations this run of the tests tries."""
    here = __name__.rpartition(".")[0].replace(".", "/")
    tried = sum(
        here in item.nodeid and "[" in item.name and "test_leaks" not in item.nodeid
        for item in request.session.items
    )
    with capsys.disabled():
        print(f"\nfault suite: {tried} combinations of a fault and a place", file=sys.stderr)
    assert len(COMBINATIONS) >= 400
