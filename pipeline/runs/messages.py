"""What a run prints: the pipeline's own lines, and Luigi's errors as plain sentences."""

import contextlib
import logging
from collections.abc import Iterator

from luigi.rpc import RPCError

from pipeline.errors import PipelineError, UnexpectedError, printable

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
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        if isinstance(error, PipelineError | RPCError):
            record.msg, record.args, record.exc_info = str(error), (), None
            return not log.handlers and isinstance(error, PipelineError)
        if not isinstance(error, UnexpectedError):
            # The text of an unexpected error may hold anything: a row, an address, a header.
            plain = UnexpectedError(type(error).__name__)
            record.exc_info = (UnexpectedError, plain, error.__traceback__)
        return True


def quiet_luigi() -> None:
    """Make Luigi log our errors as plain sentences."""
    logging.getLogger("luigi-interface").addFilter(_PlainErrors())


@contextlib.contextmanager
def print_lines() -> Iterator[None]:
    """Print the pipeline's own lines on standard error, with the time, until the block ends."""
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
