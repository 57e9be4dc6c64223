"""Every error that the pipeline raises on purpose, as one tree.

PipelineError
├── SettingsError
│   └── YearError, InputFileError
├── IlluminateError
│   └── TransientError, AuthError, ResponseError, PaginationError, TooManyPagesError, OutageError,
│       ByPageError
└── FetchError, StorageError, ShardError, LoadError, CheckError, CopyError, StateError,
    WebhookError, FolderInUseError, StoppedError

A message says what happened, where, what state things are in and what to do next. It never holds a
student's value, a secret or the text of a response. What it quotes from outside (ids, names, paths)
is shown by `printable`. An error raised by mistake may hold anything; `redact_unexpected` puts an
UnexpectedError in its place.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self


def printable(text: str) -> str:
    """Return a text as one line that a terminal shows and does not obey.

    Line breaks, escape sequences and what changes the direction of text are written as in Python.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def foreign_owner(path: Path) -> str:
    """Return whose a path is, or the folder that is to have it, as a sentence; empty if our own."""
    there = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    try:
        status = there.lstat()
    except OSError:
        return ""
    own = os.geteuid()
    if status.st_uid == own:
        return ""
    return (
        f"{there} belongs to user {status.st_uid}, and this process is user {own}: run it as that "
        f"user (docker run --user {status.st_uid}:{status.st_gid}), or make it the owner "
        f"(chown -R {own}). "
    )


class PipelineError(Exception):
    """The base of all errors raised on purpose; users see its message, which is `printable`.

    Args:
        lines: most have one.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))


class SettingsError(PipelineError):
    """A setting is missing or cannot be used."""

    @classmethod
    def refused(cls, fault: str, fix: str = "Correct it") -> Self:
        """Return the error for a setting that ends a command before it does anything."""
        return cls(
            f"{fault.removesuffix('.')}. Nothing was requested and nothing was changed. {fix}, "
            "then run the same command again."
        )


class YearError(SettingsError, ValueError):
    """A text is not a school year, or a date lies outside the year."""


class InputFileError(SettingsError):
    """A file that people maintain is invalid; the message names file and line."""

    @classmethod
    def at(cls, place: object, fault: str, fix: str = "Fix the file") -> Self:
        """Return the error for a fault at a place: a path or file name, with a line if known."""
        return cls(
            f"{place}: {fault}. What was published before is unchanged. {fix}, then run the same "
            "command again."
        )

    @classmethod
    def unreadable(cls, path: Path, error: OSError) -> Self:
        """Return the error for a file that the operating system cannot read."""
        whose = foreign_owner(path) if isinstance(error, PermissionError) else ""
        fault = f"it cannot be read ({error.strerror})"
        return cls.at(path, fault, f"{whose}Check the path and permissions")


class IlluminateError(PipelineError):
    """The API gave no usable response."""

    todo = "Run the same command again; if the server says the same, ask Illuminate's support."
    """What to do about it, as a sentence."""


class TransientError(IlluminateError):
    """A request failed and may succeed if repeated: network, 5xx, 429 or a broken body."""

    todo = "Run the same command again later."

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AuthError(IlluminateError):
    """The server rejected the credentials."""

    todo = "Correct them, then run the same command again."


class ResponseError(IlluminateError):
    """A response breaks the protocol, and would do so again."""


class PaginationError(IlluminateError):
    """The pages of one result contradict each other; reading all of them again may succeed."""


class TooManyPagesError(IlluminateError):
    """A result has more pages than are to be read at once."""

    def __init__(self, pages: int) -> None:
        super().__init__(f"the result has {pages:,} pages")
        self.pages = pages


class OutageError(IlluminateError):
    """The server is unavailable for so long that this run sends no more requests."""

    todo = (
        "Correct the setting if it names one; otherwise wait until the server works again, and ask "
        "Illuminate's support if it does not. Then run the same command again."
    )


class ByPageError(IlluminateError):
    """The server's results of all assessments together cannot be used; those of each may be."""


class FetchError(PipelineError):
    """At least one shard could not be fetched."""


class StorageError(PipelineError):
    """A file or folder cannot be written."""


class ShardError(PipelineError):
    """A shard on disk is damaged, or is not what its name says."""


class LoadError(PipelineError):
    """Published tables cannot be put into a database."""


class CheckError(PipelineError):
    """A check before publishing found a difference."""


class CopyError(PipelineError):
    """Published files could not be copied; the previous copy is unchanged."""


class StateError(PipelineError):
    """Not all districts of a state run are published."""


class WebhookError(PipelineError):
    """The result of a run was not delivered to the webhook."""


class FolderInUseError(PipelineError):
    """Another run holds the data folder."""


class StoppedError(PipelineError):
    """The run received a signal to stop; what was fetched is kept."""


class UnexpectedError(Exception):
    """An error that was not raised on purpose, by the name of its type."""


@contextlib.contextmanager
def redact_unexpected() -> Iterator[None]:
    """Raise an UnexpectedError in place of an unexpected error, whose message may hold data."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, PipelineError) or not isinstance(error, Exception):
            raise
        kind = UnexpectedError(type(error).__name__)
        raise kind.with_traceback(error.__traceback__) from None
