"""No refusal leaves its reader with nothing but to try again."""

import re

import pytest

from pipeline.errors import (
    AuthError,
    IlluminateError,
    OutageError,
    PaginationError,
    ResponseError,
    TransientError,
)


@pytest.mark.parametrize(
    "kind", [AuthError, OutageError, PaginationError, ResponseError, TransientError]
)
def test_what_the_server_did_says_what_to_do(kind: type[IlluminateError]) -> None:
    """What would happen again needs more than another run."""
    assert "run the same command again" in kind.todo.lower()
    assert re.fullmatch(r"run the same command again\W*", kind.todo, re.IGNORECASE) is None


def test_an_outage_says_what_to_do_before_another_run() -> None:
    """It may be of a setting or of the server, and may last."""
    for todo in ("Correct the setting", "wait until the server works", "Illuminate's support"):
        assert todo in OutageError.todo
