"""Secrets: found wherever they may be set, refused where anybody can read them, and never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import settings
from pipeline.config.credentials import find_credentials
from pipeline.errors import SettingsError
from pipeline.illuminate.auth import OAuth1Credentials, OAuth2Credentials

OAUTH2 = {"ILLUMINATE_CLIENT_ID": "an-id", "ILLUMINATE_CLIENT_SECRET": "hush-2"}
OAUTH1 = {
    "ILLUMINATE_CONSUMER_KEY": "key",
    "ILLUMINATE_CONSUMER_SECRET": "hush-key",
    "ILLUMINATE_ACCESS_TOKEN": "token",
    "ILLUMINATE_ACCESS_TOKEN_SECRET": "hush-token",
}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        find_credentials(environ)
    # What led to it may quote the value, and must not be shown beside it.
    assert error.value.__context__ is None or error.value.__suppress_context__
    return str(error.value)


def test_credentials_of_either_scheme_are_taken_from_variables():
    assert find_credentials(OAUTH2) == OAuth2Credentials("an-id", "hush-2")
    of_oauth1 = OAuth1Credentials("key", "hush-key", "token", "hush-token")
    assert find_credentials(OAUTH1) == of_oauth1


def test_the_newer_scheme_is_taken_where_both_are_given():
    assert find_credentials(OAUTH1 | OAUTH2) == OAuth2Credentials("an-id", "hush-2")


def test_a_secret_file_that_everybody_can_open_is_refused(tmp_path):
    file = tmp_path / "secret"
    file.write_text("hush-4")
    file.chmod(0o604)
    environ = {"ILLUMINATE_CLIENT_ID": "an-id", "ILLUMINATE_CLIENT_SECRET_FILE": str(file)}
    message = refusal(environ)
    assert f"_SECRET_FILE names {file}, which everybody on this machine can open" in message
    assert "hush-4" not in message


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("scheme", [OAUTH2, OAUTH1], ids=["OAuth 2", "OAuth 1"])
def test_each_secret_may_be_in_a_file_and_the_end_of_its_line_is_no_part_of_it(
    tmp_path, scheme, end
):
    environ = {}
    for name, value in scheme.items():
        (tmp_path / name).write_bytes(f"{value}{end}".encode())
        (tmp_path / name).chmod(0o640)
        environ[f"{name}_FILE"] = str(tmp_path / name)
    assert find_credentials(environ) == find_credentials(scheme)


@pytest.mark.parametrize("name", OAUTH2)
def test_a_variable_and_a_file_of_one_secret_are_refused(name):
    """Which of them is out of date, only their owner knows."""
    message = refusal(OAUTH2 | {f"{name}_FILE": "/not/there"})
    assert message.startswith(f"{name} and {name}_FILE are both set. Nothing was requested")
    assert message.endswith("Unset one of them, then run the same command again.")


@pytest.mark.parametrize("scheme", [OAUTH2, OAUTH1], ids=["OAuth 2", "OAuth 1"])
@given(data=st.data())
def test_an_incomplete_set_names_the_variables_that_are_missing_and_no_value(scheme, data):
    given_names = data.draw(st.sets(st.sampled_from(sorted(scheme)), min_size=1))
    missing = scheme.keys() - given_names
    if not missing:
        return
    message = refusal({name: scheme[name] for name in given_names})
    said = {word for word in message.replace(",", " ").split() if word.startswith("ILLUMINATE")}
    assert said == missing
    assert not [name for name in given_names if scheme[name] in message.replace("_", " ").split()]
    assert "_FILE" in message


def test_no_credentials_at_all_names_what_to_set():
    message = refusal({})
    assert "ILLUMINATE_CLIENT_ID and ILLUMINATE_CLIENT_SECRET" in message
    assert "demo" in message


@pytest.mark.parametrize("content", [b"hush\nhush", b"", b" ", b"\n", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_refused_by_the_name_of_its_variable(tmp_path, content):
    file = tmp_path / "secret"
    file.write_bytes(content)
    message = refusal(
        OAUTH2 | {"ILLUMINATE_CLIENT_SECRET": "", "ILLUMINATE_CLIENT_SECRET_FILE": f"{file}"}
    )
    assert message.startswith(f"ILLUMINATE_CLIENT_SECRET_FILE names {file}, which ")
    assert "hush" not in message


def test_a_missing_file_is_refused_by_the_name_of_its_variable(tmp_path):
    """Not by its own, because somebody may have put the secret itself there."""
    message = refusal({"ILLUMINATE_CLIENT_ID_FILE": str(tmp_path / "hush")})
    says = "ILLUMINATE_CLIENT_ID_FILE names a file that cannot be read (No such file or directory)."
    assert message.startswith(says)
    assert "hush" not in message
    assert message.endswith("Check its path and permissions, then run the same command again.")


@pytest.mark.parametrize("value", [" ", "\t", "hush\nhush"])
def test_a_blank_or_broken_value_is_refused_and_not_shown(value):
    message = refusal(OAUTH2 | {"ILLUMINATE_CLIENT_SECRET": value})
    assert message == (
        "ILLUMINATE_CLIENT_SECRET is blank or has several lines. Nothing was requested and nothing "
        "was changed. Set it to one line, then run the same command again."
    )


def test_credentials_do_not_show_their_values():
    shown = repr(find_credentials(OAUTH2)) + repr(find_credentials(OAUTH1))
    assert not [value for value in (OAUTH1 | OAUTH2).values() if value in shown.split("'")]
    assert "hush" not in shown


@pytest.mark.parametrize("name", [*OAUTH2, *OAUTH1])
@pytest.mark.parametrize("ending", ["", "_FILE"])
def test_credentials_without_an_address_are_refused(monkeypatch, name, ending):
    environ = {f"{name}{ending}": "hush"}
    monkeypatch.setattr(settings, "is_demo", lambda: True)
    with pytest.raises(
        SettingsError, match=f"^{name}{ending} is set and ILLUMINATE_BASE_URL is no"
    ):
        settings.check_address(environ)
    monkeypatch.setattr(settings, "is_demo", lambda: False)
    settings.check_address(environ)


def test_neither_credentials_nor_an_address_is_the_demo(monkeypatch):
    monkeypatch.setattr(settings, "is_demo", lambda: True)
    settings.check_address({"ILLUMINATE_CLIENT_ID": "", "OTHER": "set"})
