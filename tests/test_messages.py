"""A message says what to do, or docs/troubleshooting.md does, if tests/messages.py sees it.

What it sees, and what not, is at its top: texts that a function returns are not among them.
"""

import re
from pathlib import Path

import pytest

from tests.messages import Message, messages, texts

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"
VERBS = """
    add allow apt-get check choose copy correct do export fix free give grant install leave load
    lower make mount move name put raise remove rename restore run save see set start take type
    unset use wait write
"""
# An imperative at the start of a sentence or a clause, or what a value must be.
SAYS_WHAT_TO_DO = re.compile(
    rf"(?:^|[.;:?,)>] |\b(?:then|or|and) )(?:{'|'.join(VERBS.split())})\b(?! (?:is|are|was|were)\b)"
    r"|\bmust (?:be|begin|have|name)\b",
    re.IGNORECASE,
)
# At its end this alone is no advice: what failed may fail again.
ONLY_AGAIN = re.compile(
    r"(?:then )?run (?:the same command|it|this)?\s*again(?: later)?[.!]?$", re.IGNORECASE
)
WHAT_TO_CHANGE = """
These messages neither say what to do next nor are on docs/troubleshooting.md. Let the message end
in it ("Fix this, then run the same command again."), or add a row to the page, under the heading
where a reader would look for it:

| `the message, with <names> for what is filled in` | what to do |

"""


def entries() -> list[str]:
    """Return the messages on the page: what is in code font in the first cell of a row."""
    cells = re.findall(r"^\| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [entry for cell in cells for entry in re.findall(r"`([^`]+)`", cell)]


def parts(entry: str) -> list[str]:
    """Return what of an entry is the same in every run."""
    return [part for piece in re.split(r"<[^>]*>|\.\.\.", entry) if (part := piece.strip(" :(.)"))]


def explains(entry: str, text: str) -> bool:
    """Return whether an entry is about a message, and about few others: its parts, in order."""
    pattern = ".*".join(map(re.escape, parts(entry)))
    return len("".join(parts(entry))) > 8 and bool(re.search(pattern, text, re.DOTALL))


def needs_no_entry(message: Message) -> bool:
    """Return whether a message says by itself what to do."""
    return bool(SAYS_WHAT_TO_DO.search(ONLY_AGAIN.sub("", message.text)))


def test_every_message_says_what_to_do_or_is_on_the_page() -> None:
    known = entries()
    unexplained = [
        f"{message.place}: {message.text}"
        for message in messages()
        if not needs_no_entry(message) and not any(explains(e, message.text) for e in known)
    ]
    assert not unexplained, WHAT_TO_CHANGE + "\n".join(unexplained)


def test_what_is_on_the_page_is_in_the_code() -> None:
    """Each part by itself, because what people see may be put together from several texts."""
    known = texts()
    named = [part for entry in entries() for part in parts(entry)]
    assert len(named) > 200
    gone = [part for part in named if not any(part in text for text in known)]
    assert not gone, f"{PAGE.name} has messages that the code no longer has: {gone}"


def test_messages_of_all_kinds_are_found() -> None:
    """Errors, warnings, refusals of options and of make, and texts in constants."""
    found = [message.text for message in messages()]
    for text in (
        "the server rejected the credentials",
        "so this run took over",
        "the tables from before are restored",
        "--workers must be 1",
        "unrecognized arguments",
        "Which school years? Type",
        "This run was stalled",
        "are both set. Unset one of them",
        "nothing listens there",
        "closed the connection within a reply",
    ):
        assert any(text in message for message in found), text
    assert len(found) > 200


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("The disk is full. Free some space.", True),
        ("it was damaged; run make refresh", True),
        ("threads is 99; it must be 1 to 64.", True),
        ("Another load is running in this database.", False),
        ("The new copy is complete, but older sets remain", False),
        ("the connection failed", False),
    ],
)
def test_what_says_what_to_do(text: str, says: bool) -> None:
    assert needs_no_entry(Message(text, "")) is says


@pytest.mark.parametrize(
    ("entry", "text", "is_about"),
    [
        ("the server answered <status>", "the server answered <...>: not found", True),
        ("<number> of <number> shards failed", "<...> of <...> shards failed:\nline", True),
        ("shards failed in <place>", "failed shards", False),
        ("of <number>", "<...> of <...>", False),
    ],
)
def test_what_an_entry_is_about(entry: str, text: str, is_about: bool) -> None:
    assert explains(entry, text) is is_about
