"""What hosts must have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.state.hosts import Host, this_host


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A luigi.cfg of this process."""
    config = tmp_path / "luigi.cfg"
    config.write_text("[illuminate]\nthreads=1\n", encoding="utf-8")
    monkeypatch.setenv("LUIGI_CONFIG_PATH", str(config))
    this_host.cache_clear()
    yield config
    this_host.cache_clear()


def test_a_host_is_like_itself_in_another_process(ours: Path) -> None:
    own = this_host()
    assert own.differences(own._replace(name="another")) == []
    versions = dict(own.versions)
    assert {"Python", "distributed", "polars", "deltalake"} <= versions.keys()


def test_each_difference_is_named(ours: Path) -> None:
    own = this_host()
    versions = dict(own.versions)
    other = tuple((versions | {"polars": "1.0"}).items())
    assert own.differences(own._replace(versions=other)) == [
        f"polars 1.0 instead of {versions['polars']}"
    ]
    without = tuple((name, version) for name, version in own.versions if name != "pandas")
    assert own.differences(own._replace(versions=without)) == [
        f"pandas missing instead of {versions['pandas']}"
    ]
    assert own.differences(own._replace(code="")) == ["another state of the pipeline's code"]


def test_settings_are_compared_as_their_file_is(ours: Path) -> None:
    own: Host = this_host()
    this_host.cache_clear()
    ours.write_text("[illuminate]\nthreads=2\n", encoding="utf-8")
    assert own.differences(this_host()) == ["another luigi.cfg"]
    this_host.cache_clear()
    ours.unlink()
    assert this_host().settings == ""
