"""The tables of many districts on an S3 server: a whole set at any moment, whatever is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import s3fs
from werkzeug.serving import WSGIRequestHandler

from pipeline.errors import StateError
from pipeline.schema import LABELS, VIEW
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.parts import Partition
from pipeline.state.published import DistrictYear
from tests.copies.test_copy import BUCKET, SECRET, Store
from tests.state.sets import FEW, YEAR, frames, publish_all, publish_district

ROOT = f"s3://{BUCKET}/state"


class Closing(WSGIRequestHandler):
    """Ends each connection: deltalake keeps its own open, and the server would wait for them."""

    protocol_version = "HTTP/1.0"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    server = Store(Closing)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "invented")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    yield server
    s3fs.S3FileSystem.clear_instance_cache()
    server.before = lambda _: None
    server.close()


def read(server: Store, table: str) -> dict[str, int]:
    """Return the rows of each district as a reader counts them who follows the marker."""
    if "state/published.json" not in server.names():
        return {}
    version = json.loads(server.read("state/published.json"))["versions"][table]
    rows = pl.scan_delta(
        f"{ROOT}/tables/{table}", version=version, storage_options={"aws_allow_http": "true"}
    )
    return dict(rows.group_by("district").len().collect().iter_rows())


def refuse(server: Store, method: str, part: str, status: int = 403) -> Callable[[str], int | None]:
    """Make the server refuse requests whose path has a part."""
    return lambda request: status if request.startswith(method) and part in request else None


def heights(**rows: int) -> dict[str, int]:
    return {name: frames(n)[VIEW.stem].height for name, n in rows.items()}


@pytest.fixture
def first(tmp_path: Path) -> DistrictYear:
    return publish_district(tmp_path / "first", frames(11))


def test_a_whole_set_is_visible_at_once_and_stays_until_the_next_one_is_whole(
    server: Store, first: DistrictYear, tmp_path: Path
) -> None:
    seen = []

    def look(request: str) -> None:
        if request.startswith("PUT") and "published.json" in request:
            seen.append(read(server, VIEW.stem))

    server.before = look
    publish_all(ROOT, first)
    second = publish_district(tmp_path / "second", frames(23))
    publish_all(ROOT, first, second, run="run-2")
    assert seen == [{}, heights(first=11)]
    assert read(server, VIEW.stem) == heights(first=11, second=23)
    publish_district(tmp_path / "first", frames(5), "build-2")
    for place in (f"tables/{LABELS.stem}/_delta_log", f"{VIEW.stem}/district", "published.json"):
        server.before = refuse(server, "PUT", place)
        with pytest.raises(StateError) as raised:
            publish_all(ROOT, first, second, run="run-3")
        assert "://127" not in str(raised.value)
        assert SECRET not in str(raised.value)
        server.before = lambda _: None
        assert read(server, VIEW.stem) == heights(first=11, second=23), place
    publish_all(ROOT, first, second, run="run-4")
    assert read(server, VIEW.stem) == heights(first=5, second=23)


def test_of_two_committers_one_wins_and_the_other_says_so(
    server: Store, first: DistrictYear, tmp_path: Path
) -> None:
    """The other one begins and ends while this one commits a table."""
    publish_all(ROOT, first)
    second, third = (publish_district(tmp_path / name, frames(3)) for name in ("second", "third"))

    def be_faster(request: str) -> None:
        if request.startswith("PUT") and f"{VIEW.stem}/_delta_log" in request:
            server.before = lambda _: None
            publish_all(ROOT, first, third, run="run-faster")

    server.before = be_faster
    with pytest.raises(StateError, match="another run committed to it meanwhile"):
        publish_all(ROOT, first, second, run="run-slower")
    assert read(server, VIEW.stem) == heights(first=11, third=3)
    publish_all(ROOT, first, second, third, run="run-later")
    assert read(server, VIEW.stem) == heights(first=11, second=3, third=3)


def test_parts_that_were_never_committed_are_removed(server: Store, first: DistrictYear) -> None:
    publish_all(ROOT, first)
    lakehouse = Lakehouse(ROOT)
    rows = frames(3)[VIEW.stem].drop("year").lazy()
    left_over = lakehouse.stage(VIEW.stem, rows, Partition("first", YEAR))
    assert f"state/tables/{VIEW.stem}/{left_over.path}" in server.names()
    assert lakehouse.clean(VIEW.stem, [1], hours=0) == 1
    assert f"state/tables/{VIEW.stem}/{left_over.path}" not in server.names()
    assert read(server, VIEW.stem) == heights(first=11)
    assert len([name for name in server.names() if name.endswith(".parquet")]) == len(FEW)
