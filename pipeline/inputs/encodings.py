"""How the text of a file is encoded, told by its bytes."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

WINDOWS = "Windows-1252"

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BLOCK = 1 << 20


def encoding_of(file: BinaryIO) -> str | None:
    """`utf-8-sig`, or `utf-16` with a byte order mark; None where it would have to be guessed.

    The whole file is looked at, block by block.
    """
    encoding = "utf-16" if _is_marked(file) else "utf-8-sig"
    return encoding if is_text(file, encoding) else None


def is_text(file: BinaryIO, encoding: str) -> bool:
    """Whether every byte of the file is text in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        # Plain letters in UTF-16 are valid UTF-8, only with NUL between them.
        return not any("\0" in decoder.decode(block, final=not block) for block in _blocks(file))
    except UnicodeDecodeError:
        return False


def likely(file: BinaryIO) -> str:
    """What a file whose encoding would have to be guessed most likely is."""
    if _is_marked(file):
        return "damaged UTF-16"
    has_nul = any(b"\0" in block for block in _blocks(file))
    return "UTF-16 without a byte order mark" if has_nul else WINDOWS


def _is_marked(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(2) in _UTF16_MARKS


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The file from its start, then an empty block."""
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block
    yield b""
