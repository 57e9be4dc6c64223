"""Leaks of secrets and students are noticed, and programming errors leak nothing.

That no fault causes a leak is checked by every `Sandbox.run`.
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
from pipeline.errors import UnexpectedError
from pipeline.illuminate import auth, client, pages
from pipeline.runs import record
from pipeline.tasks.targets import FilesTarget
from pipeline.transform import combine
from pipeline.transform.scan import ShardDataset
from tests import canaries
from tests.functional.faults import district
from tests.functional.faults.sandbox import Sandbox

log = logging.getLogger("pipeline.illuminate")


def log_responses(patch: pytest.MonkeyPatch) -> None:
    decode = pages.decode

    def leaking(content: bytes, *rest: Any) -> pages.Page:
        log.debug("%s", content)
        return decode(content, *rest)

    patch.setattr(pages, "decode", leaking)


def log_in_base_64(patch: pytest.MonkeyPatch) -> None:
    def leaking(credentials: auth.OAuth2Credentials) -> dict[str, str]:
        both = f"{credentials.client_id}:{credentials.client_secret}"
        log.debug("Authorization: Basic %s", base64.b64encode(both.encode()).decode())
        return auth.token_form(credentials)

    patch.setattr(client, "token_form", leaking)


def sign_in_the_address(patch: pytest.MonkeyPatch) -> None:
    sign = auth.Bearer.__call__

    def leaking(bearer: auth.Bearer, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.prepare_url(request.url, {"access_token": bearer._token})
        return sign(bearer, request)

    patch.setattr(auth.Bearer, "__call__", leaking)


def record_a_student(patch: pytest.MonkeyPatch) -> None:
    compose = record.compose

    def leaking(*what: Any) -> dict[str, Any]:
        return compose(*what) | {"first": max(district.STUDENTS)}

    patch.setattr(record, "compose", leaking)


def publish_a_secret(patch: pytest.MonkeyPatch) -> None:
    group = combine.combine_group

    def leaking(source: ShardDataset, year: str) -> pl.LazyFrame:
        return group(source, f"{year} {district.CREDENTIALS.client_secret}")

    patch.setattr(combine, "combine_group", leaking)


@pytest.mark.parametrize(
    ("add_leak", "place"),
    [
        (log_responses, "output"),
        (log_in_base_64, "output"),
        (sign_in_the_address, "request lines"),
        (record_a_student, "/runs/"),
        (publish_a_secret, "assessment_results_group"),
    ],
)
def test_a_leak_is_noticed(
    add_leak: Callable[[pytest.MonkeyPatch], None],
    place: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_leak(monkeypatch)
    with pytest.raises(AssertionError, match=place):
        sandbox.run()


def fail_with_secrets(*what: object) -> NoReturn:
    """Raise an error whose message contains everything that must not leak."""
    raise LookupError(*what, district.SECRETS, district.STUDENTS)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(pages, "decode"), (combine, "combine_results"), (FilesTarget, "exists")],
    ids=["fetching", "building", "checking what is complete"],
)
def test_a_programming_error_reports_its_type_and_location(
    owner: object, name: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is not on the terminal, in the log or in the record."""
    before = sandbox.published()
    monkeypatch.setattr(owner, name, fail_with_secrets)
    done = sandbox.run()
    assert done.code != 0
    assert "UnexpectedError: LookupError" in done.output
    assert ", in fail_with_secrets" in done.output
    assert sandbox.published() == before


def test_a_programming_error_in_a_command_reports_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.commands.status.status", fail_with_secrets)
    with pytest.raises(UnexpectedError) as error:
        main(["status", "--year", str(district.YEAR)])
    shown = "".join(traceback.format_exception(error.value))
    assert "UnexpectedError: LookupError" in shown
    assert canaries.found(district.SECRETS | district.STUDENTS, shown) == set()
