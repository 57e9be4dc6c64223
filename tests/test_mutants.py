"""Each line that `make mutants` breaks exists in the code."""

from pathlib import Path

import pytest

from tests.mutants import MUTANTS, Mutant

PACKAGE = Path(__file__).parents[1] / "pipeline"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_line_to_break_exists(mutant: Mutant) -> None:
    assert mutant.before in (PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert mutant.before != mutant.after
