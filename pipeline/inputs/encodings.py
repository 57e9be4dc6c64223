"""Detect how a text file is encoded."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

WINDOWS = "Windows-1252"

_WORKBOOK_MARKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, which is a ZIP file, and .xls
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BLOCK = 1 << 20


def detect(file: BinaryIO) -> str | None:
    """Return `utf-8-sig`, or `utf-16` with a byte order mark; None if it would be a guess.

    The whole file is read, block by block.
    """
    encoding = "utf-16" if _has_utf16_mark(file) else "utf-8-sig"
    return encoding if is_valid(file, encoding) else None


def is_valid(file: BinaryIO, encoding: str) -> bool:
    """Return whether the whole file is text in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        # ASCII text in UTF-16 is valid UTF-8 with NUL between the letters.
        return not any("\0" in decoder.decode(block, final=not block) for block in _blocks(file))
    except UnicodeDecodeError:
        return False


def guess(file: BinaryIO) -> str:
    """Return what a file is likely to be for which `detect` returns None, for a message."""
    file.seek(0)
    if file.read(4) in _WORKBOOK_MARKS:
        return "an Excel workbook"
    if _has_utf16_mark(file):
        return "damaged UTF-16"
    has_nul = any(b"\0" in block for block in _blocks(file))
    return "UTF-16 without a byte order mark" if has_nul else WINDOWS


def _has_utf16_mark(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(2) in _UTF16_MARKS


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the file from its start, then an empty block."""
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block
    yield b""
