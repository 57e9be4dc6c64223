"""Post the result of a run to the webhook, if one is configured."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import WebhookError
from pipeline.runs.messages import print_error
from pipeline.runs.result import message

if TYPE_CHECKING:
    from pipeline.runs.webhook import Webhook

WEBHOOK = "PIPELINE_WEBHOOK_URL"
"""The variable that holds its address, which is a secret."""

_SECONDS_OF_A_STOPPED_RUN = 3.0
_SECONDS = 10.0
_TRIES = 3


def find_webhook(environ: Mapping[str, str] = os.environ) -> "Webhook | None":
    """Return the webhook that the environment names; None if it names none.

    Raises:
        SettingsError: its address cannot be read or is not valid.
    """
    if not (environ.get(WEBHOOK) or environ.get(f"{WEBHOOK}_FILE")):
        return None
    # Slow to import, for runs without a webhook.
    from pipeline.config.credentials import find_secret
    from pipeline.runs.webhook import Webhook

    return Webhook(find_secret(WEBHOOK, environ) or "")


def send_test(webhook: "Webhook") -> None:
    """Post a message that says that it is a test, with the fields of a result.

    Raises:
        WebhookError: it was not taken.
    """
    text = "Illuminate pipeline: this is a test message of `doctor`. No run took place."
    webhook.send(
        {
            "text": text,
            "is_test": True,
            "outcome": "test",
            "succeeded": None,  # or a monitor takes it for the success of the night
            "meaning": "A test message; no run took place.",
            "published": [],
            "tables": [],
            "failures": [],
        },
        1,
        _SECONDS,
    )


def notify(webhook: "Webhook | None", result: dict[str, Any], *, was_stopped: bool) -> None:
    """Post the result of a run, or say clearly that this failed."""
    if webhook is None:
        return
    # A run that is asked to stop is killed after a few seconds.
    tries, seconds = (1, _SECONDS_OF_A_STOPPED_RUN) if was_stopped else (_TRIES, _SECONDS)
    try:
        webhook.send({"text": message(result), **result}, tries, seconds)
    except WebhookError as error:
        print_error(f"{error} The run itself ended as its summary says.")
