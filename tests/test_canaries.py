"""The search for canaries finds every encoding in which a value was ever seen to leak."""

import base64
import html
import json
import textwrap
from urllib.parse import quote, quote_plus, urlencode

import pytest

from tests.canaries import found

CANARY = 'd0ve+canary9f2c/="%é\n5e81'
BASIC = "client:" + CANARY

ENCODINGS = {
    "as it is": CANARY,
    "upper case": CANARY.upper(),
    "swapped case": CANARY.swapcase(),
    "JSON": json.dumps(CANARY),
    "JSON in UTF-8": json.dumps(CANARY, ensure_ascii=False),
    "JSON in JSON": json.dumps(json.dumps({"a": CANARY})),
    "repr": repr(CANARY),
    "repr of bytes": repr(CANARY.encode()),
    "repr of JSON in bytes": repr(json.dumps({"a": CANARY}).encode()),
    "ascii": ascii(CANARY),
    "in an address": quote(CANARY),
    "in an address, all of it": quote(CANARY, safe=""),
    "in a query": quote_plus(CANARY),
    "in a form": urlencode({"a": CANARY}),
    "in an address, twice": quote(quote(CANARY)),
    "HTML": html.escape(CANARY),
    "UTF-8 taken for Latin-1": CANARY.encode().decode("latin-1"),
    "hexadecimal": CANARY.encode().hex(),
    "upper hexadecimal": CANARY.encode().hex().upper(),
    "hexadecimal with spaces": CANARY.encode().hex(" "),
    "base 64": base64.b64encode(CANARY.encode()).decode(),
    "base 64 for addresses": base64.urlsafe_b64encode(CANARY.encode()).decode(),
    "base 64 in an address": quote(base64.b64encode(CANARY.encode()), safe=""),
    "base 64 in lines": base64.encodebytes(CANARY.encode() * 9).decode(),
    "Basic": base64.b64encode(BASIC.encode()).decode(),
    "over several lines": "\n".join(textwrap.wrap(CANARY, 4)),
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_every_encoding_is_found(encoding: str) -> None:
    assert found([CANARY], f"before {encoding} behind") == {CANARY}


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("behind", range(4))
def test_base_64_of_a_text_that_contains_it_is_found(before: int, behind: int) -> None:
    text = before * "ü" + before * "a" + CANARY + behind * "z"
    assert found([CANARY], base64.b64encode(text.encode()).decode()) == {CANARY}


def test_an_absent_canary_is_not_found() -> None:
    others = "d0ve+canary9f2d client 5e81 " + base64.b64encode(b"d0ve+canary9f2d").decode()
    assert found([CANARY], others) == set()


@pytest.mark.parametrize("text", ["", "short", "O'Brien-Li", "12-34-56"])
def test_a_text_that_could_occur_by_chance_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no run of 8"):
        found([text], "")
