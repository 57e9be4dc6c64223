"""Every fault at every place: correct tables, or yesterday's tables and a message that says where.

The faults and what is expected of each are in `table.py`.
"""

import csv
import io
import sys
from dataclasses import replace

import pytest

from tests.functional.conftest import AUTO
from tests.functional.faults.sandbox import THREADS, Sandbox, injected_fault
from tests.functional.faults.table import COMBINATIONS, ENDS, NULLS, RECOVERS, REFUSED, Combination

Tables = dict[str, bytes]

OF_ALL_ASSESSMENTS = [
    replace(each, place=replace(each.place, assessment_id=None))
    for each in COMBINATIONS
    if each.place.endpoint == "standard"
]


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_fault(combination: Combination, sandbox: Sandbox, undisturbed: Tables) -> None:
    run_combination(combination, sandbox, undisturbed)


def run_combination(combination: Combination, sandbox: Sandbox, undisturbed: Tables) -> None:
    """Run with the fault, then without it, and check that both do what is expected."""
    before = sandbox.published()
    with injected_fault(sandbox.server, combination):
        done = sandbox.run(*combination.fault.options)
    if combination.expected in {RECOVERS, NULLS}:
        assert done.code == 0, done.output
        check_tables(combination, sandbox, undisturbed, done.stdout)
    else:
        assert done.code == 30, done.output
        assert sandbox.published() == before
        check_message(combination, sandbox, done.stdout)
        check_what_is_missing(combination, sandbox)
    assert not sandbox.leftovers()
    check_rerun(sandbox, sandbox.tables() if combination.expected is NULLS else undisturbed)


@pytest.mark.parametrize("combination", OF_ALL_ASSESSMENTS, ids=str)
def test_a_fault_of_requests_for_all_assessments(
    combination: Combination, sandbox: Sandbox, undisturbed: Tables
) -> None:
    """Those for one assessment are hit as well, and take over from a fault that is gone by then."""
    before = sandbox.published()
    with injected_fault(sandbox.server, combination):
        done = sandbox.run(*AUTO, *combination.fault.options)
    if combination.expected in {RECOVERS, NULLS}:
        assert done.code == 0, done.output
        check_tables(combination, sandbox, undisturbed, done.stdout)
    elif done.code == 0:
        assert sandbox.tables() == undisturbed
    else:
        assert done.code == 30, done.output
        assert sandbox.published() == before
    assert not sandbox.leftovers()
    again = sandbox.run(*AUTO)
    assert again.code == 0, again.output
    assert sandbox.tables() == undisturbed or combination.expected is NULLS


def check_tables(
    combination: Combination, sandbox: Sandbox, undisturbed: Tables, stdout: str
) -> None:
    """Check that the tables are correct, except for unparseable numbers, which are null."""
    if combination.expected is RECOVERS:
        assert sandbox.tables() == undisturbed
        return
    for name in (name for name in undisturbed if name.endswith(".csv")):
        assert without_numbers(sandbox.tables()[name]) == without_numbers(undisturbed[name])
    assert " 0 unreadable" not in stdout


def without_numbers(table: bytes) -> list[dict[str, str]]:
    """Return a table without its points, percents and what is derived from them."""
    numbers = {"points", "percent_correct", "score", "proficiency"}
    rows = csv.DictReader(io.StringIO(table.decode()))
    return [{name: v for name, v in row.items() if name not in numbers} for row in rows]


def check_message(combination: Combination, sandbox: Sandbox, stdout: str) -> None:
    """Check that the output and the run record name the place and the reason."""
    reasons = "\n".join(failure["reason"] for failure in sandbox.record()["failures"])
    for text in (stdout, reasons):
        assert any(words in text for words in combination.place.words), stdout
        assert combination.fault.message in text, stdout


def check_what_is_missing(combination: Combination, sandbox: Sandbox) -> None:
    """Check that only what the fault hit is missing, and that a run that ends requests no more."""
    place = combination.place
    if combination.expected is REFUSED and place.assessment_id:
        # Without overall results, standard and group results are not requested.
        waiting = {"standard", "group"} if place.endpoint == "overall" else set()
        missing = {each for each in sandbox.missing() if each[0] not in waiting}
        assert missing == {(place.endpoint, place.assessment_id)}
        assert not waiting & {endpoint for endpoint, _ in sandbox.requested()}
    if combination.expected is ENDS:
        hits = [n for n, request in enumerate(sandbox.server.log) if request.fault]
        under_way = len(sandbox.server.log) - 1 - hits[-1]
        # Each other thread has a request under way, and may start another before the run ends.
        assert under_way < 2 * THREADS, "it continued to request"


def check_rerun(sandbox: Sandbox, undisturbed: Tables) -> None:
    """Check that the next run completes and requests each missing page once."""
    missing = sandbox.missing()
    done = sandbox.run()
    assert done.code == 0, done.output
    assert sandbox.tables() == undisturbed
    assert set(sandbox.requested()) == missing
    assert not sandbox.pages_requested_twice()
    assert sandbox.missing() == set()


def test_there_are_many_combinations(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Print how many combinations this test run includes."""
    here = __name__.rpartition(".")[0].replace(".", "/")
    tried = sum(
        here in item.nodeid and "[" in item.name and "test_leaks" not in item.nodeid
        for item in request.session.items
    )
    with capsys.disabled():
        print(f"\nfault suite: {tried} combinations of a fault and a place", file=sys.stderr)
    assert len(COMBINATIONS) >= 400
