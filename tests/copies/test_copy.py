"""A copy at a real S3 server is one whole published set at every moment, whatever breaks."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from pipeline.errors import SettingsError
from pipeline.publish import copies
from pipeline.publish.commit import Marker
from pipeline.schema import COMBINED, TABLES
from tests import published

BUCKET = "districts-bucket"
SECRET = "invented-s3-secret"
FILES = sum(2 if table.is_large else 1 for table in TABLES)


class Store:
    """A moto server on a loopback port, with a look at every request before it is answered."""

    def __init__(self) -> None:
        self.before: Callable[[str], int | None] = lambda _: None
        self.writes: list[str] = []
        app = DomainDispatcherApplication(create_backend_app)

        def watched(environ: Any, start_response: Any) -> Any:
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            if environ.get("HTTP_X_READER"):
                return app(environ, start_response)
            if method in {"PUT", "POST", "DELETE"}:
                self.writes.append(f"{method} {path}")
            status = self.before(f"{method} {path}")
            if status is None:
                return app(environ, start_response)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{status} Refused", [("Content-Length", "0")])
            return [b""]

        self._server = make_server("127.0.0.1", 0, watched, threaded=True)
        self._server.daemon_threads = False  # so that closing waits for every connection
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="invented",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}),
        )

        def mark(request: Any, **_: Any) -> None:
            request.headers["X-Reader"] = "1"

        self.client.meta.events.register("before-send.s3", mark)
        self.client.create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def close(self) -> None:
        for key in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=key)
        self.client.delete_bucket(Bucket=BUCKET)
        self.client.close()
        self.stop()

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [one["Key"] for one in found]

    def read(self, key: str) -> bytes:
        with self.client.get_object(Bucket=BUCKET, Key=key)["Body"] as body:
            return bytes(body.read())

    def build(self) -> str | None:
        """What a reader finds: the build that the marker names, of which every byte is there."""
        if "copies/23-24/published.json" not in self.names():
            return None
        marker = json.loads(self.read("copies/23-24/published.json"))
        assert len(marker["files"]) == FILES
        for name, (digest, size, _) in marker["files"].items():
            content = self.read(f"copies/23-24/{name}")
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest, size)
        return str(marker["build"])


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.before = lambda _: None
    if store._thread.is_alive():
        store.close()


def run(
    data: Path, store: Store, url: str = f"s3://{BUCKET}/copies"
) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = (
        kept
        | published.SETTINGS
        | {
            "PIPELINE_DATA_DIR": str(data),
            "PIPELINE_COPY_TO": url,
            "AWS_ENDPOINT_URL": store.url,
            "AWS_ACCESS_KEY_ID": "invented",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "HOME": str(data),
        }
    )
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "copy", "--year", "23-24"],
        cwd=data,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_copy_is_the_published_set(store: Store, tmp_path: Path) -> None:
    place = published.make(tmp_path, "b1", 3)
    done = run(tmp_path, store)
    assert done.returncode == 0, done.stderr
    assert f"{FILES} files sent, 0 were there already" in done.stdout
    assert store.build() == "b1"
    own = Marker.read(place.marker)
    assert own
    there = json.loads(store.read("copies/23-24/published.json"))["files"]
    assert sorted(one[0] for one in there.values()) == sorted(p.sha256 for p in own.files.values())


def test_a_copy_that_is_there_is_not_sent_again(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    store.writes.clear()
    done = run(tmp_path, store)
    assert f"0 files sent, {FILES} were there already" in done.stdout
    assert store.writes == []


def test_a_reader_never_sees_half(store: Store, tmp_path: Path) -> None:
    """At every single request the marker's set is whole: the old one, and then the new."""
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    published.make(tmp_path, "b2", 4)
    seen = []
    store.before = lambda _: seen.append(store.build())
    done = run(tmp_path, store)
    assert done.returncode == 0, done.stderr
    assert len(seen) > FILES
    assert seen == sorted(seen)
    assert set(seen) == {"b1", "b2"}


def test_the_set_before_stays_for_one_copy_more(store: Store, tmp_path: Path) -> None:
    folders = []
    for build in ("b1", "b2", "b3"):
        published.make(tmp_path, build, 1 + int(build[1]))
        assert run(tmp_path, store).returncode == 0
        folders.append({key.split("/")[2] for key in store.names()} - {"published.json"})
    assert len(folders[1]) == len(folders[2]) == 2
    assert folders[0] <= folders[1]
    assert not folders[0] & folders[2]
    assert store.build() == "b3"


@pytest.mark.parametrize("status", [403, 400])
def test_an_upload_that_fails_leaves_the_old_and_is_resumed(
    store: Store, tmp_path: Path, status: int
) -> None:
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    place = published.make(tmp_path, "b2", 4)
    own = Marker.read(place.marker)
    assert own
    broken = list(own.files)[3].rpartition("/")[2]
    store.before = lambda asked: (
        status if asked.startswith("PUT") and asked.endswith(broken) else None
    )
    done = run(tmp_path, store)
    assert done.returncode == 1
    assert broken in done.stderr
    assert "could not be copied" in done.stderr
    assert store.build() == "b1"
    store.before = lambda _: None
    assert f"{FILES - 3} files sent, 3 were there already" in run(tmp_path, store).stdout
    assert store.build() == "b2"


def test_a_server_that_is_gone(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    store.close()
    done = run(tmp_path, store)
    assert done.returncode == 1
    assert "The marker 23-24/published.json could not be copied" in done.stderr


def test_an_object_of_another_size_is_sent_again(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    store.before = lambda asked: (
        403 if asked.startswith("PUT") and asked.endswith("published.json") else None
    )
    run(tmp_path, store)
    store.before = lambda _: None
    key = next(key for key in store.names() if key.endswith(".parquet"))
    store.client.put_object(Bucket=BUCKET, Key=key, Body=b"half")
    store.client.delete_object(Bucket=BUCKET, Key="copies/23-24/published.json")
    assert run(tmp_path, store).returncode == 0
    assert store.build() == "b1"


def test_an_object_that_is_gone_is_sent_again(store: Store, tmp_path: Path) -> None:
    """Also when the marker says that all was there."""
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    key = next(key for key in store.names() if key.endswith(".parquet"))
    store.client.delete_object(Bucket=BUCKET, Key=key)
    assert f"1 files sent, {FILES - 1} were there already" in run(tmp_path, store).stdout
    assert store.build() == "b1"


def test_a_bucket_is_never_made(store: Store, tmp_path: Path) -> None:
    """A mistyped name must not put results into a bucket of nobody."""
    published.make(tmp_path, "b1", 3)
    done = run(tmp_path, store, "s3://another-bucket/copies")
    assert done.returncode == 1
    assert "there is no such bucket or folder" in done.stderr
    names = [bucket["Name"] for bucket in store.client.list_buckets()["Buckets"]]
    assert names == [BUCKET]


def test_a_marker_of_somebody_else_is_left_alone(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    key = "copies/23-24/published.json"
    store.client.put_object(Bucket=BUCKET, Key=key, Body=b"not ours")
    done = run(tmp_path, store)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert store.names() == [key]
    assert store.read(key) == b"not ours"


def test_a_run_that_publishes_meanwhile_is_noticed(store: Store, tmp_path: Path) -> None:
    """What arrived is of two runs; the marker that readers follow stays that of the first."""
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    published.make(tmp_path, "b2", 4)

    def publish_at_the_last_file(asked: str) -> None:
        if asked.startswith("PUT") and len(store.writes) == FILES + 1 + FILES:
            published.make(tmp_path, "b3", 5)

    store.before = publish_at_the_last_file
    done = run(tmp_path, store)
    assert done.returncode == 1
    assert "copied; " in done.stderr
    assert store.build() == "b1"
    store.before = lambda _: None
    assert run(tmp_path, store).returncode == 0
    assert store.build() == "b3"


def test_older_sets_that_stay_are_told_and_the_copy_is_whole(store: Store, tmp_path: Path) -> None:
    for build in ("b1", "b2"):
        published.make(tmp_path, build, 1 + int(build[1]))
        assert run(tmp_path, store).returncode == 0
    published.make(tmp_path, "b3", 4)
    store.before = lambda asked: 403 if asked.startswith(("DELETE", f"POST /{BUCKET}")) else None
    done = run(tmp_path, store)
    assert done.returncode == 1
    assert "The new copy is whole, but older ones could not be removed" in done.stderr
    assert store.build() == "b3"


def test_what_is_half_in_a_folder_is_written_again(store: Store, tmp_path: Path) -> None:
    """A disk, unlike an object store, may hold a file of the right size and other bytes."""
    published.make(tmp_path / "d", "b1", 3)
    assert run(tmp_path / "d", store, str(tmp_path / "copies")).returncode == 0
    folder = tmp_path / "copies" / "23-24"
    victim = next(path for path in folder.rglob("*.parquet"))
    victim.write_bytes(bytes(victim.stat().st_size))
    done = run(tmp_path / "d", store, str(tmp_path / "copies"))
    assert f"1 files sent, {FILES - 1} were there already" in done.stdout
    everything = [folder, *folder.rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in everything} == {0}


def test_a_folder_will_do(tmp_path: Path, store: Store) -> None:
    published.make(tmp_path / "d", "b1", 3)
    done = run(tmp_path / "d", store, str(tmp_path / "copies"))
    assert done.returncode == 0, done.stderr
    place = tmp_path / "copies" / "23-24" / "published.json"
    marker = Marker.read(place)
    assert marker
    assert marker.fits(place.parent)
    assert [path.name for path in place.parent.glob(".*")] == []


def test_a_changed_file_is_not_copied(store: Store, tmp_path: Path) -> None:
    place = published.make(tmp_path, "b1", 3)
    place.published(COMBINED)[0].write_text("another")
    done = run(tmp_path, store)
    assert done.returncode == 1
    assert "are not those that it names" in done.stderr
    assert store.names() == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"s3://key:{SECRET}@bucket/x", "credentials belong into the environment"),
        (f"s3://key:in/vented{SECRET}@bucket/x", "credentials belong into the environment"),
        (f"simplecache::s3://key:{SECRET}@bucket", "credentials belong into the environment"),
        (f"s3://bucket/x?secret={SECRET}", "credentials belong into the environment"),
        ("nonsense://x", "must be like s3://bucket/folder"),
        ("", "No place for copies is configured"),
    ],
)
def test_places_that_are_none(store: Store, tmp_path: Path, url: str, words: str) -> None:
    published.make(tmp_path, "b1", 1)
    done = run(tmp_path, store, url)
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.parametrize(("scheme", "module"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch, scheme: str, module: str) -> None:
    import fsspec

    assert fsspec.__version__
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    with pytest.raises(SettingsError, match=f"type make {scheme}, then"):
        copies.Store(f"{scheme}://bucket/x")
