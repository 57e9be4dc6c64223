"""Nobody lets out a secret or a student unnoticed.

That no fault makes a run let out any is looked at by `Stage.run`, each time.
"""

import base64
import logging
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import requests

from pipeline import build
from pipeline.illuminate import auth, client, pages
from pipeline.tasks import record
from tests.functional.faults import town
from tests.functional.faults.stage import Stage

log = logging.getLogger("pipeline.illuminate")


def log_replies(patch: pytest.MonkeyPatch) -> None:
    decode = pages.decode

    def talkative(content: bytes, *rest: Any) -> pages.Page:
        log.debug("%s", content)
        return decode(content, *rest)

    patch.setattr(pages, "decode", talkative)


def log_in_base_64(patch: pytest.MonkeyPatch) -> None:
    def talkative(credentials: auth.OAuth2Credentials) -> dict[str, str]:
        both = f"{credentials.client_id}:{credentials.client_secret}"
        log.debug("Authorization: Basic %s", base64.b64encode(both.encode()).decode())
        return auth.token_form(credentials)

    patch.setattr(client, "token_form", talkative)


def sign_in_the_address(patch: pytest.MonkeyPatch) -> None:
    sign = auth.Bearer.__call__

    def careless(
        bearer: auth.Bearer, request: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        request.prepare_url(request.url, {"access_token": bearer._token})
        return sign(bearer, request)

    patch.setattr(auth.Bearer, "__call__", careless)


def record_a_student(patch: pytest.MonkeyPatch) -> None:
    compose = record.compose

    def careless(*what: Any) -> dict[str, Any]:
        return compose(*what) | {"first": max(town.STUDENTS)}

    patch.setattr(record, "compose", careless)


def publish_a_secret(patch: pytest.MonkeyPatch) -> None:
    group = build.group

    def careless(source: build.Source, year: str) -> pl.LazyFrame:
        return group(source, f"{year} {town.CREDENTIALS.client_secret}")

    patch.setattr(build, "group", careless)


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (log_replies, "output"),
        (log_in_base_64, "output"),
        (sign_in_the_address, "request lines"),
        (record_a_student, "/runs/"),
        (publish_a_secret, "assessment_results_group"),
    ],
)
def test_a_leak_is_noticed(
    spoil: Callable[[pytest.MonkeyPatch], None],
    place: str,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch)
    with pytest.raises(AssertionError, match=place):
        stage.run()
