"""The result of a state run, by how each district's run ended."""

import msgspec
import pytest

from pipeline.state.outcomes import Ending, Outcome, RunResult, of_run, summarize
from pipeline.state.paths import StateFolders
from pipeline.storage import files


def outcome(district: str, ending: Ending, run: str = "r") -> Outcome:
    reason = "" if ending in {"published", "up to date"} else "It was refused."
    return Outcome(
        run=run,
        district=district,
        year="23-24",
        outcome=ending,
        exit_code=0,
        seconds=1.0,
        finished_at="",
        reason=reason,
        log="",
    )


REFUSED = {"refused": {("a", "23-24"): "A column does not fit."}}


@pytest.mark.parametrize(
    ("endings", "facts", "expected"),
    [
        (("published", "up to date"), {}, ("published", True, 2, ["a"])),
        (("up to date", "up to date"), {}, ("up to date", True, 2, [])),
        (("up to date", "up to date"), {"new": [("b", "23-24")]}, ("published", True, 2, ["b"])),
        (("published", "published"), {"new": [("b", "23-24")]}, ("published", True, 2, ["a", "b"])),
        (("published", "failed"), {}, ("failed", False, 1, ["a"])),
        (("published", "up to date"), REFUSED, ("failed", False, 1, [])),
        (("failed", "up to date"), REFUSED, ("failed", False, 1, [])),
        (("up to date", "up to date"), {"failures": ["No."]}, ("failed", False, 2, [])),
        (("published", "stopped"), {"was_stopped": True}, ("stopped", False, 1, ["a"])),
    ],
)
def test_how_a_state_run_ended(endings, facts, expected) -> None:
    outcomes = [outcome(name, ending) for name, ending in zip("ab", endings, strict=True)]
    facts = {"new": (), "refused": {}, "failures": (), "was_stopped": False} | facts
    result = summarize("r", outcomes, **facts, seconds=2.0)
    new = [district for district, _ in result.new]
    assert (result.outcome, result.succeeded, result.published, new) == expected
    assert result.tried == 2


def test_it_names_each_district_that_is_not_published() -> None:
    outcomes = [outcome("a", "published"), outcome("b\n", "failed"), outcome("c", "published")]
    refused = {("c", "23-24"): "A column does not fit."}
    result = summarize(
        "r", outcomes, new=(), refused=refused, failures=(), was_stopped=False, seconds=1
    )
    assert result.text().splitlines() == [
        "State run r: 1 of 3 published, 1 with something new.",
        "  b\\n 23-24 failed: It was refused.",
        "  c 23-24 failed: A column does not fit.",
    ]
    assert msgspec.json.decode(msgspec.json.encode(result), type=RunResult) == result


def test_only_outcomes_of_the_run_count(tmp_path) -> None:
    folders = StateFolders(tmp_path)
    for name, run in (("a", "r"), ("b", "earlier")):
        files.write_json(folders.outcome(name, "23-24"), outcome(name, "published", run))
    assert [each.district for each in of_run(folders.outcomes, "r")] == ["a"]
