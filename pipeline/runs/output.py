"""What is printed, for readers who may go away before its end: `make status | head -1`."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Pipe(io.FileIO):
    """A file descriptor whose reader may be gone: what is written then is dropped."""

    def write(self, data: "Buffer") -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


@contextlib.contextmanager
def outlive_readers() -> Iterator[None]:
    """Let no reader who goes away end the process: it does its work and has its own exit code."""
    with contextlib.ExitStack() as replaced:
        if sys.stdout is sys.__stdout__ and sys.stdout is not None:
            out = replaced.enter_context(_writer(sys.stdout))
            replaced.enter_context(contextlib.redirect_stdout(out))
        if sys.stderr is sys.__stderr__ and sys.stderr is not None:
            errors = replaced.enter_context(_writer(sys.stderr))
            replaced.enter_context(contextlib.redirect_stderr(errors))
        yield


@contextlib.contextmanager
def _writer(stream: TextIO) -> Iterator[TextIO]:
    with contextlib.suppress(BrokenPipeError):
        stream.flush()
    pipe = _Pipe(stream.fileno(), "w", closefd=False)
    is_unbuffered = bool(getattr(stream, "write_through", False))  # PYTHONUNBUFFERED
    writer = io.TextIOWrapper(
        cast("BinaryIO", pipe) if is_unbuffered else io.BufferedWriter(pipe),
        stream.encoding,
        stream.errors,
        line_buffering=bool(stream.line_buffering),
        write_through=is_unbuffered,
    )
    try:
        yield writer
    finally:
        writer.flush()  # not closed: handlers of logs, which threads use until the end, keep it
