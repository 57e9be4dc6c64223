"""Tries the district's API with the credentials, by reading its catalogue once."""

import dataclasses
import os

from pipeline.commands.doctor.note import Note
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


def credentials(_: Snapshot) -> str | Note:
    """Return which credentials are set; whether they are right is found out by using them."""
    if settings.is_demo():
        settings.check_address()
        return "none are needed for the demo district"
    is_oauth2 = isinstance(find_credentials(), OAuth2Credentials)
    kind, variables = ("OAuth 2", OAUTH2) if is_oauth2 else ("OAuth 1", OAUTH1)
    names = [n for name in variables for n in (name, f"{name}_FILE") if os.environ.get(n)]
    return Note(f"{kind} is set, by {', '.join(names)}; not tried yet: see the next line")


def catalogue(_: Snapshot) -> str:
    """Return how many assessments a run would list.

    Raises:
        PipelineError: the catalogue cannot be read.
    """
    counts, limits = Counts(), settings.limits()
    limits = dataclasses.replace(limits, tries=min(_TRIES, limits.tries))
    try:
        with open_client(counts=counts, limits=limits) as client:
            count = client.catalogue().rows.height
    except (TransientError, OutageError) as error:
        raise PipelineError(f"{error}. {_unknown(counts)}{error.todo}") from None
    except IlluminateError as error:
        raise PipelineError(f"{error}. {error.todo}") from None
    found = counted(count, "assessment")
    if settings.is_demo():
        return f"the demo district answers, its catalogue has {found}"
    base = settings.address().base
    return f"{base} accepts the credentials, its catalogue has {found}"


def _unknown(counts: Counts) -> str:
    sent = counts.snapshot()
    if sent["tokens"] and sent["requests"]:  # which is sent once there is a token
        return ""
    return (
        "So it is not known whether the credentials are right. Check the address "
        "(ILLUMINATE_BASE_URL) and the network. "
    )
