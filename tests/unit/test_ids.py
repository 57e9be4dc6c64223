"""Ids: every part of the pipeline trims them by one rule."""

import sys

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ids import WHITE_SPACE, trim


def test_white_space_is_what_unicode_and_python_call_so():
    assert {*WHITE_SPACE} == {c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()}


@given(st.text(st.sampled_from("ab1" + WHITE_SPACE)))
@example("\x1c1\x85")
def test_tables_and_text_are_trimmed_alike(text):
    assert trim(text) == text.strip()
    assert pl.Series([text]).str.strip_chars(WHITE_SPACE).to_list() == [trim(text)]
