"""Tries the district's API and the credentials, by reading its catalogue once."""

import dataclasses
import os

from pipeline.config import settings
from pipeline.config.credentials import find_credentials
from pipeline.config.sections import OAUTH1, OAUTH2
from pipeline.errors import IlluminateError, OutageError, PipelineError, TransientError
from pipeline.illuminate.auth import OAuth2Credentials
from pipeline.illuminate.counts import Counts
from pipeline.runs.connection import open_client
from pipeline.storage.paths import Snapshot
from pipeline.words import counted

_TRIES = 2
_CHECK = "Check the address (ILLUMINATE_BASE_URL) and the network."


def catalogue(_: Snapshot) -> str:
    """Return how many assessments a run would list, and which credentials were accepted.

    Raises:
        PipelineError: the catalogue cannot be read, or the credentials are incomplete.
    """
    settings.check_address()
    if settings.is_demo():
        return f"the demo district answers, its catalogue has {_list_assessments()}"
    credentials = f"the credentials ({_origin_of_credentials()})"
    found = _list_assessments(f"So it is not known whether {credentials} are right. {_CHECK} ")
    return f"{settings.address().base} accepts {credentials}, its catalogue has {found}"


def _list_assessments(if_unknown: str = "") -> str:
    counts, limits = Counts(), settings.limits()
    limits = dataclasses.replace(limits, tries=min(_TRIES, limits.tries))
    try:
        with open_client(counts=counts, limits=limits) as client:
            return counted(client.catalogue().rows.height, "assessment")
    except IlluminateError as error:
        is_known = _had_token(counts) or not isinstance(error, TransientError | OutageError)
        doubt = "" if is_known else if_unknown
        raise PipelineError(f"{error}. {doubt}{error.todo}") from None


def _origin_of_credentials() -> str:
    is_oauth2 = isinstance(find_credentials(), OAuth2Credentials)
    kind, variables = ("OAuth 2", OAUTH2) if is_oauth2 else ("OAuth 1", OAUTH1)
    names = [n for name in variables for n in (name, f"{name}_FILE") if os.environ.get(n)]
    return f"{kind}, set by {', '.join(names)}"


def _had_token(counts: Counts) -> bool:
    sent = counts.snapshot()
    return bool(sent["tokens"] and sent["requests"])  # which is sent once there is a token
