"""Where the tables are, as the libraries for Delta tables spell it."""

import pytest

from pipeline.state.lakehouse import _delta_uri, _options


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
