"""Where the tables are, as the libraries for Delta tables spell it."""

import pickle
from pathlib import Path

import pytest

from pipeline.state.lakehouse import Lakehouse, _delta_uri, _options


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/state/", "s3://bucket/state"),
        ("s3a://bucket/state", "s3://bucket/state"),
        ("gcs://bucket/state", "gs://bucket/state"),
        ("abfss://box@account/state", "abfss://box@account.dfs.core.windows.net/state"),
        ("abfss://box@account.dfs.core.windows.net", "abfss://box@account.dfs.core.windows.net"),
    ],
)
def test_a_url_is_spelled_as_the_library_reads_it(url: str, expected: str) -> None:
    assert _delta_uri(url) == expected


def test_only_an_endpoint_without_encryption_is_allowed_to_be_one() -> None:
    assert _options({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}) == {"aws_allow_http": "true"}
    assert _options({"AWS_ENDPOINT_URL": "https://s3.example.org"}) == {}
    assert _options({}) == {}


def test_it_goes_to_another_process_without_its_credentials(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the secret")
    sent = pickle.dumps(Lakehouse("s3://bucket/state"))
    assert b"the secret" not in sent
    assert pickle.loads(sent).uri == "s3://bucket/state"
    monkeypatch.chdir(tmp_path)
    here = Lakehouse("state")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(here)).uri == str(tmp_path / "state")
