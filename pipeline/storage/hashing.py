"""Files that are hashed, and whose CSV records are counted, while they are written."""

import hashlib
import io
from pathlib import Path

_BLOCK = 1 << 20
_NOT_QUOTE_OR_LINE_FEED = bytes(set(range(256)) - set(b'"\n'))


class RecordCounter:
    """Counts the records of a CSV file block by block; line feeds inside quotes do not count."""

    def __init__(self) -> None:
        self.records = 0
        self._in_quotes = False

    def update(self, block: bytes) -> None:
        """Count the next bytes of the file."""
        # All else is dropped first: splitting long texts costs four times as much. A doubled quote
        # ends a quoted part and begins the next.
        parts = block.translate(None, _NOT_QUOTE_OR_LINE_FEED).split(b'"')
        self.records += b"".join(parts[self._in_quotes :: 2]).count(b"\n")
        self._in_quotes ^= len(parts) % 2 == 0


class HashingFile(io.RawIOBase):
    """A file open for writing that hashes what is written and, if it is CSV, counts its records.

    `records` includes the header. `error` is the first error of a write, because a library may
    report it as something else.
    """

    def __init__(self, path: Path, *, is_csv: bool) -> None:
        self.error: OSError | None = None
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._counter = RecordCounter() if is_csv else None

    @property
    def sha256(self) -> str:
        """The digest of what was written, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def records(self) -> int | None:
        """How many records were written; None if it is no CSV file."""
        return self._counter.records if self._counter else None

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, block: bytes) -> int:  # type: ignore[override]  # all that polars sends
        """Write the whole block."""
        left = memoryview(block)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.error = self.error or error
            raise
        self._digest.update(block)
        if self._counter:
            self._counter.update(block)
        return len(block)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def count_records(path: Path) -> int:
    """Return how many records a CSV file has, its header included."""
    counter = RecordCounter()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            counter.update(block)
    return counter.records
