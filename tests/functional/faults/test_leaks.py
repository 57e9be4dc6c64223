"""Nobody lets out a secret or a student unnoticed, and mistakes in the code let out none.

That no fault makes a run let out any is looked at by `Stage.run`, each time.
"""

import base64
import logging
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import polars as pl
import pytest
import requests

from pipeline.__main__ import main
from pipeline.errors import UnforeseenError
from pipeline.illuminate import auth, client, pages
from pipeline.tasks import record
from pipeline.tasks.targets import BuiltTarget
from pipeline.transform import build
from pipeline.transform.scan import Source
from tests import canaries
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

    def careless(source: Source, year: str) -> pl.LazyFrame:
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


def mistaken(*what: object) -> NoReturn:
    """Fail with a text that holds all it can hold."""
    raise LookupError(*what, town.SECRETS, town.STUDENTS)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(pages, "decode"), (build, "combined"), (BuiltTarget, "exists")],
    ids=["fetching", "building", "looking what is done"],
)
def test_a_mistake_says_its_kind_and_where_it_is(
    owner: object, name: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text is on no terminal, in no log and in no record."""
    before = stage.published()
    monkeypatch.setattr(owner, name, mistaken)
    done = stage.run()
    assert done.code != 0
    assert "UnforeseenError: LookupError" in done.shown
    assert ", in mistaken" in done.shown
    assert stage.published() == before


def test_a_mistake_in_a_command_says_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.commands.status.status", mistaken)
    with pytest.raises(UnforeseenError) as error:
        main(["status", "--year", str(town.YEAR)])
    shown = "".join(traceback.format_exception(error.value))
    assert "UnforeseenError: LookupError" in shown
    assert canaries.found(town.SECRETS | town.STUDENTS, shown) == set()
