"""What a run prints: our own lines, and Luigi's errors as plain sentences."""

import logging

from pipeline.errors import PipelineError

log = logging.getLogger("pipeline")


class _PlainErrors(logging.Filter):
    """Keeps Luigi from printing the traceback of an error that is one plain sentence.

    What a task failed of is said in the summary; what keeps Luigi from starting is said here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, PipelineError):
            return True
        record.msg, record.args, record.exc_info = str(error), (), None
        return not log.handlers


def quiet_luigi() -> None:
    """Let Luigi print our errors as sentences."""
    logging.getLogger("luigi-interface").addFilter(_PlainErrors())


def print_lines() -> None:
    """Let the pipeline's own lines appear on standard error, with the time."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
