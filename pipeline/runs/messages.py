"""What a run prints: lines with time and level, and Luigi's errors as plain sentences."""

import contextlib
import logging
import sys
from collections.abc import Iterator

from luigi.rpc import RPCError

from pipeline.errors import PipelineError, UnexpectedError, printable
from pipeline.runs.output import outlive_readers

log = logging.getLogger("pipeline")


_TIME = "%Y-%m-%d %H:%M:%S"
_OF_LUIGI = "%(levelname)s: %(message)s"
"""The format that Luigi gives its handler where no other is configured."""


class _StampedLines(logging.Formatter):
    """Write each message as one line with time and level, whatever text from outside it quotes."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", _TIME)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))


class _StampedLinesOfLuigi(_StampedLines):
    """Stamp each line, as Luigi's messages may have several."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        lines = []
        for line in record.message.strip("\n").split("\n"):
            record.message = line
            lines.append(super().formatMessage(record))
        return "\n".join(lines)


class _PlainErrors(logging.Filter):
    """Keep data and tracebacks of expected errors out of Luigi's log.

    Why a task failed is in the summary of the run; why Luigi cannot start is printed here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        _stamp_lines(logging.getLogger(record.name))
        if "\nTraceback (" in record.getMessage():
            return _shorten(record, sys.exc_info()[1])
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            record.exc_info = None  # Luigi logs one where there is none: "NoneType: None"
            return True
        if isinstance(error, PipelineError | RPCError):
            record.msg, record.args, record.exc_info = str(error), (), None
            return not log.handlers and isinstance(error, PipelineError)
        _redact(record, error)
        return True


def _shorten(record: logging.LogRecord, error: BaseException | None) -> bool:
    """Cut a message before the traceback in it: so Luigi says why a task cannot be scheduled.

    Returns:
        False where the summary of the run gives the reason.
    """
    if error is None:  # raised by complete(), which has redacted it
        return True
    record.msg, record.args = record.getMessage().partition("\nTraceback (")[0], ()
    _redact(record, error)
    return not isinstance(error, PipelineError)


def _redact(record: logging.LogRecord, error: BaseException) -> None:
    """Log the type and place of an unexpected error, whose text may hold a row or an address."""
    plain = error if isinstance(error, UnexpectedError) else UnexpectedError(type(error).__name__)
    record.exc_info = (UnexpectedError, plain, error.__traceback__)


def quiet_luigi() -> None:
    """Make Luigi log our errors as plain sentences, and all lines without a handler in one form."""
    logging.getLogger("luigi-interface").addFilter(_PlainErrors())
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_StampedLines())


def _stamp_lines(logger: logging.Logger) -> None:
    """Give Luigi's lines our form, unless its user configured another."""
    for handler in logger.handlers:
        # Luigi adds its handler just before it logs, and has no event for that.
        form = handler.formatter
        if form is not None and form._fmt == _OF_LUIGI:  # noqa: SLF001  nothing else tells
            handler.setFormatter(_StampedLinesOfLuigi())


@contextlib.contextmanager
def print_lines() -> Iterator[None]:
    """Print the pipeline's own lines on standard error until the block ends."""
    with outlive_readers():
        handler = logging.StreamHandler()
        handler.setFormatter(_StampedLines())
        level, propagate = log.level, log.propagate
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
            log.propagate = propagate


def print_error(text: object) -> None:
    """Print an error of a run, which may have several lines."""
    for line in str(text).split("\n"):
        log.error("%s", line)
