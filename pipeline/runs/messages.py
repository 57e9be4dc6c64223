"""What a run prints: the pipeline's own lines, and Luigi's errors as plain sentences."""

import contextlib
import logging
import sys
from collections.abc import Iterator

from luigi.rpc import RPCError

from pipeline.errors import PipelineError, UnexpectedError, printable
from pipeline.runs.output import outlive_readers

log = logging.getLogger("pipeline")


class _PrintableLines(logging.Formatter):
    """Write each message as one line, whatever text from outside it quotes."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))


class _PlainErrors(logging.Filter):
    """Keep data and tracebacks of expected errors out of Luigi's log.

    Why a task failed is in the summary of the run; why Luigi cannot start is printed here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if "\nTraceback (" in record.getMessage():
            return _shorten(record, sys.exc_info()[1])
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
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
    """Make Luigi log our errors as plain sentences."""
    logging.getLogger("luigi-interface").addFilter(_PlainErrors())


@contextlib.contextmanager
def print_lines() -> Iterator[None]:
    """Print the pipeline's own lines on standard error, with the time, until the block ends."""
    with outlive_readers():
        handler = logging.StreamHandler()
        handler.setFormatter(_PrintableLines("%(asctime)s %(message)s", "%H:%M:%S"))
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
