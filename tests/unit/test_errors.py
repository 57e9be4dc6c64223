"""Messages: one plain line each, whatever text from outside they quote."""

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import FetchError, InputFileError, TransientError, printable

TEXT = st.text(st.characters(), max_size=30)  # lone surrogates, too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\tb", r"a\r\tb"),
        ("\x1b[32mok\x1b[0m", r"\x1b[32mok\x1b[0m"),
        ("\x9b2K", r"\x9b2K"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\u202a\u202e\u2066\u2069", r"\u202a\u202e\u2066\u2069"),
        ("\x00\x7f\ufeff\ud800", r"\x00\x7f\ufeff\ud800"),
        ("Zoë's 5% \\n", "Zoë's 5% \\n"),
        ("'\n\"", "'\\n\""),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text, shown):
    assert printable(text) == shown


@given(TEXT)
@example("\n")
def test_any_text_becomes_one_printable_line_that_says_the_same(text):
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    if "\\" not in text:
        quoted = shown.replace('"', '\\"')
        assert ast.literal_eval(f'"{quoted}"') == text


@given(TEXT, TEXT)
def test_a_message_has_no_line_more_than_it_was_made_of(one, other):
    error = FetchError(f"{one} failed:", f"  {other}")
    assert len(str(error).split("\n")) == 2
    assert str(error).replace("\n", "").isprintable()
    assert str(TransientError(one, 1.0)) == printable(one)
    assert "\n" not in str(InputFileError.at(one, other))
