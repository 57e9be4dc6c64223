"""Every error that the pipeline raises on purpose, as one tree.

PipelineError            one plain sentence: what, where, what was kept, what to do
├── SettingsError        a setting, an input file or a school year that cannot be used
│   ├── YearError        a school year or date that is not one
│   └── InputFileError   rules, overrides or roster: names file and line
├── IlluminateError      the API did not answer as it should
│   ├── TransientError   worth asking again: the network, 5xx, 429, a broken body
│   ├── AuthError        the credentials are refused
│   ├── ResponseError    a reply that breaks the protocol; asking again will not help
│   ├── WalkError        the pages of one walk contradict each other
│   └── OutageError      nothing more will be asked in this run (long Retry-After)
├── FetchError           some shards could not be fetched: names each of them
├── StorageError         a file cannot be written: names it, and what to do
├── ShardError           a shard on disk that is damaged or not what its name says
├── LoadError            published tables cannot be put into a database
├── CheckError           a check before publishing found a difference
├── CopyError            published files could not be copied; the old copy stands
├── WebhookError         the webhook was not told how a run ended
└── StoppedError         the run was asked to stop

No message ever holds a student's value, a secret or the text of a reply. What is raised by mistake
may hold anything; `kind_only` puts an UnforeseenError in its place.
"""

import contextlib
from collections.abc import Iterator


class PipelineError(Exception):
    """The base of all errors raised on purpose; its text is shown to people as it is."""


class SettingsError(PipelineError):
    """A setting is missing or cannot be used."""


class YearError(SettingsError, ValueError):
    """A text is not a school year, or a date lies outside the year."""


class InputFileError(SettingsError):
    """A file that people keep (rules, overrides, roster) cannot be used."""


class IlluminateError(PipelineError):
    """The API did not answer as it should."""


class TransientError(IlluminateError):
    """The same request may well succeed a moment later."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AuthError(IlluminateError):
    """The server refuses the credentials."""


class ResponseError(IlluminateError):
    """A reply breaks the protocol in a way that asking again will not mend."""


class WalkError(IlluminateError):
    """The pages of one walk contradict each other; a fresh walk may succeed."""


class OutageError(IlluminateError):
    """The server is not to be asked again in this run."""


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
    """Published files could not be copied; the copy that readers see is as it was."""


class WebhookError(PipelineError):
    """The webhook was not told how a run ended."""


class StoppedError(PipelineError):
    """The run was asked to stop; finished shards are kept."""


class UnforeseenError(Exception):
    """An error that nobody raised on purpose, by the name of its kind."""


@contextlib.contextmanager
def kind_only() -> Iterator[None]:
    """Let an unforeseen error tell what kind it is and where in the code, but not its text.

    The text may hold anything: a row that could not be read, an address, a header.

    Raises:
        UnforeseenError: in place of that error.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, PipelineError) or not isinstance(error, Exception):
            raise
        kind = UnforeseenError(type(error).__name__)
        raise kind.with_traceback(error.__traceback__) from None
