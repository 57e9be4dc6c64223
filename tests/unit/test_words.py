"""Counts in plain English."""

import pytest

from pipeline.words import counted


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2345, ("row",), "2,345 rows"),
        (1, ("was", "were"), "1 was"),
        (2, ("was", "were"), "2 were"),
    ],
)
def test_one_is_no_plural(number, words, text):
    assert counted(number, *words) == text
