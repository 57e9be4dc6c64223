"""The records of a CSV file, counted in its bytes."""

_NOT_QUOTE_OR_LINE_FEED = bytes(set(range(256)) - set(b'"\n'))


class RecordCounter:
    """Counts the records of a CSV file block by block; line feeds inside quotes do not count."""

    def __init__(self) -> None:
        self.records = 0
        self._in_quotes = False

    def update(self, block: bytes) -> None:
        """Count the next bytes of the file."""
        if not self._in_quotes and b'"' not in block:
            self.records += block.count(b"\n")
            return
        # All else is dropped first: splitting long texts costs four times as much. Then two quotes
        # side by side, whether a field without line feeds or one quote doubled, change nothing.
        parts = block.translate(None, _NOT_QUOTE_OR_LINE_FEED).replace(b'""', b"").split(b'"')
        self.records += b"".join(parts[self._in_quotes :: 2]).count(b"\n")
        self._in_quotes ^= len(parts) % 2 == 0
