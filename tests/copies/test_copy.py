"""A copy on an S3 server is one complete published set at every moment, whatever fails."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from msgspec.structs import replace
from werkzeug.serving import WSGIRequestHandler, make_server

from pipeline.errors import CopyError, SettingsError
from pipeline.publish import copies
from pipeline.publish.commit import Publication
from pipeline.publish.store import Store as Place
from pipeline.schema import COMBINED, TABLES
from pipeline.storage import files
from tests import published

BUCKET = "districts-bucket"
SECRET = "invented-s3-secret"
FILES = sum(2 if table.is_large else 1 for table in TABLES) + 2  # the descriptors


class Store:
    """A moto server on a loopback port; `before` sees every request before it is answered."""

    def __init__(self, handler: type[WSGIRequestHandler] | None = None) -> None:
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

        self._server = make_server("127.0.0.1", 0, watched, threaded=True, request_handler=handler)
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
        """The build that a reader finds, after checking every file that the manifest names."""
        if "copies/23-24/published.json" not in self.names():
            return None
        manifest = json.loads(self.read("copies/23-24/published.json"))
        assert len(manifest["files"]) == FILES
        for name, (digest, size, _) in manifest["files"].items():
            content = self.read(f"copies/23-24/{name}")
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest, size)
        return str(manifest["build"])


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.before = lambda _: None
    if store._thread.is_alive():
        store.close()


COPY = ("-m", "pipeline", "copy", "--year", "23-24")
IS_COPIED = """
import sys
from pathlib import Path
from pipeline.errors import CopyError
from pipeline.publish.copies import is_copied
try:
    print(is_copied(Path(sys.argv[1]), sys.argv[2], "23-24"))
except CopyError as error:
    sys.exit(f"CopyError: {error}")
"""


def run(
    data: Path, store: Store, url: str = f"s3://{BUCKET}/copies", command: Sequence[str] = COPY
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
        [sys.executable, *command],
        cwd=data,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_a_copy_is_the_published_set(store: Store, tmp_path: Path) -> None:
    place = published.make(tmp_path, "b1", 3)
    done = run(tmp_path, store)
    assert done.returncode == 0, done.stderr
    assert f"{FILES} files uploaded, 0 reused" in done.stdout
    assert store.build() == "b1"
    own = Publication.read(place.publication)
    assert own
    there = json.loads(store.read("copies/23-24/published.json"))["files"]
    assert sorted(one[0] for one in there.values()) == sorted(p.sha256 for p in own.files.values())


def test_an_existing_copy_is_not_uploaded_again(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    store.writes.clear()
    done = run(tmp_path, store)
    assert done.returncode == 0
    assert "23-24 of run run-1 is already in" in done.stdout
    assert store.writes == []


def test_a_reader_never_sees_half(store: Store, tmp_path: Path) -> None:
    """At every single request the manifest's set is complete: the old one, and then the new."""
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


def test_the_previous_set_is_kept_until_the_next_copy(store: Store, tmp_path: Path) -> None:
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
def test_a_failed_upload_leaves_the_old_copy_and_is_resumed(
    store: Store, tmp_path: Path, status: int
) -> None:
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    place = published.make(tmp_path, "b2", 4)
    own = Publication.read(place.publication)
    assert own
    broken = list(own.files)[3].rpartition("/")[2]
    store.before = lambda request: (
        status if request.startswith("PUT") and request.endswith(broken) else None
    )
    done = run(tmp_path, store)
    assert done.returncode == 30
    assert broken in done.stdout + done.stderr
    assert "could not be copied" in done.stdout + done.stderr
    assert store.build() == "b1"
    store.before = lambda _: None
    assert f"{FILES - 3} files uploaded, 3 reused" in run(tmp_path, store).stdout
    assert store.build() == "b2"


def test_an_unreachable_server(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    store.close()
    done = run(tmp_path, store)
    assert done.returncode == 30
    assert "The copy of 23-24 could not be checked (127.0.0.1:" in done.stdout + done.stderr
    assert "refuses connections: nothing listens there" in done.stdout + done.stderr


CHECK = """
import sys
from pipeline.errors import CopyError
from pipeline.publish.copies import check_copy_destination
try:
    print(check_copy_destination(sys.argv[1]))
except CopyError as error:
    sys.exit(f"CopyError: {error}")
"""


@pytest.mark.parametrize("method", [None, "PUT", "GET", "DELETE"])
def test_a_place_is_tried_and_nothing_is_left(
    store: Store, tmp_path: Path, method: str | None
) -> None:
    """But one file, however often, where nothing may be removed: copies are complete without."""
    store.before = lambda request: 403 if method and request.startswith(method) else None
    url = f"s3://{BUCKET}/copies"
    done = run(tmp_path, store, command=("-c", CHECK, url))
    writes = [request.partition(" ")[0] for request in store.writes]
    assert writes == (["PUT"] if method == "PUT" else ["PUT", "DELETE"])
    if method == "DELETE":
        again = run(tmp_path, store, command=("-c", CHECK, url))
        assert [done.stdout, again.stdout] == ["permission denied\n"] * 2
        assert store.names() == [f"copies/{copies.TEST_FILE}"]
        return
    assert store.names() == []
    if method is None:
        assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
    else:
        assert "[paths] copy_to cannot be used (permission denied)" in done.stderr


def test_a_place_that_returns_something_else_is_refused(store: Store, tmp_path: Path) -> None:
    others = "from pipeline.publish.store import Store\nStore.read = lambda *_: b'another'\n"
    done = run(tmp_path, store, command=("-c", others + CHECK, f"s3://{BUCKET}/copies"))
    assert "A file that was written to [paths] copy_to cannot be read there" in done.stderr
    assert store.names() == []


def test_an_object_of_another_size_is_uploaded_again(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    store.before = lambda request: (
        403 if request.startswith("PUT") and request.endswith("published.json") else None
    )
    run(tmp_path, store)
    store.before = lambda _: None
    key = next(key for key in store.names() if key.endswith(".parquet"))
    store.client.put_object(Bucket=BUCKET, Key=key, Body=b"half")
    store.client.delete_object(Bucket=BUCKET, Key="copies/23-24/published.json")
    assert run(tmp_path, store).returncode == 0
    assert store.build() == "b1"


def test_a_missing_object_is_uploaded_again(store: Store, tmp_path: Path) -> None:
    """Even if the manifest names it."""
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    key = next(key for key in store.names() if key.endswith(".parquet"))
    store.client.delete_object(Bucket=BUCKET, Key=key)
    assert f"1 file uploaded, {FILES - 1} reused" in run(tmp_path, store).stdout
    assert store.build() == "b1"


def test_a_bucket_is_never_created(store: Store, tmp_path: Path) -> None:
    """A mistyped name must not put results into a new bucket."""
    published.make(tmp_path, "b1", 3)
    done = run(tmp_path, store, "s3://another-bucket/copies")
    assert done.returncode == 30
    assert "there is no such bucket or folder" in done.stdout + done.stderr
    names = [bucket["Name"] for bucket in store.client.list_buckets()["Buckets"]]
    assert names == [BUCKET]


def test_a_manifest_of_another_program_is_left_alone(store: Store, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    key = "copies/23-24/published.json"
    store.client.put_object(Bucket=BUCKET, Key=key, Body=b"not ours")
    done = run(tmp_path, store)
    assert done.returncode == 30
    assert "cannot be read" in done.stdout + done.stderr
    assert store.names() == [key]
    assert store.read(key) == b"not ours"


def test_the_copy_of_another_district_is_left_alone(store: Store, tmp_path: Path) -> None:
    place = published.make(tmp_path, "b1", 3)
    assert run(tmp_path, store).returncode == 0
    before = {name: store.read(name) for name in store.names()}
    manifest = json.loads(place.publication.read_text("utf-8"))
    manifest["about"]["source"] = "https://another.example"
    place.publication.write_text(json.dumps(manifest), encoding="utf-8")
    done = run(tmp_path, store)
    assert done.returncode == 30
    words = (
        "23-24 is of a test, and these tables are of https://another.example. Nothing was changed"
    )
    assert words in done.stdout + done.stderr
    assert {name: store.read(name) for name in store.names()} == before


@pytest.mark.parametrize("changed", [{"source": "https://a.example:443"}, {"replaced_source": "x"}])
def test_another_spelling_of_a_district_and_one_that_may_be_replaced_are_no_other(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    """The copy is of an earlier version, or of a district whose tables were replaced."""
    place, url = published.make(tmp_path, "b1", 3), str(tmp_path / "copies")
    before = Publication.read(place.publication)
    assert before
    earlier = {"source": changed.get("source", "x")}
    files.write_json(place.publication, replace(before, metadata=before.metadata | earlier))
    copies.copy(place.publication, url, "23-24")
    now = before.metadata | {"source": "https://a.example"} | changed
    now["source"] = "https://a.example"
    files.write_json(place.publication, replace(before, metadata=now))
    copies.copy(place.publication, url, "23-24")
    there = Publication.read(tmp_path / "copies/23-24/published.json")
    assert there
    assert there.metadata == now


def test_published_tables_are_not_taken_for_a_copy(tmp_path: Path) -> None:
    """Their manifest would name files that are not there."""
    place = published.make(tmp_path / "data", "1", rows=3)
    before = place.publication.read_bytes()
    folder = place.publication.parent
    with pytest.raises(CopyError, match=r"has published tables and not a copy of them"):
        copies.copy(place.publication, str(folder.parent), folder.name)
    assert place.publication.read_bytes() == before


def test_a_publication_during_the_copy_is_noticed(store: Store, tmp_path: Path) -> None:
    """Files of two runs have arrived; readers still follow the manifest of the first."""
    published.make(tmp_path, "b1", 3)
    run(tmp_path, store)
    published.make(tmp_path, "b2", 4)

    def publish_at_the_last_file(request: str) -> None:
        if request.startswith("PUT") and len(store.writes) == FILES + 1 + FILES:
            published.make(tmp_path, "b3", 5)

    store.before = publish_at_the_last_file
    done = run(tmp_path, store)
    assert done.returncode == 30
    assert "copied; " in done.stdout + done.stderr
    assert store.build() == "b1"
    store.before = lambda _: None
    assert run(tmp_path, store).returncode == 0
    assert store.build() == "b3"


def test_a_failure_to_remove_older_sets_leaves_a_complete_copy(
    store: Store, tmp_path: Path
) -> None:
    for build in ("b1", "b2"):
        published.make(tmp_path, build, 1 + int(build[1]))
        assert run(tmp_path, store).returncode == 0
    published.make(tmp_path, "b3", 4)
    store.before = lambda request: (
        403 if request.startswith(("DELETE", f"POST /{BUCKET}")) else None
    )
    done = run(tmp_path, store)
    assert done.returncode == 30
    assert (
        "The new copy is complete, but older sets could not be removed" in done.stdout + done.stderr
    )
    assert store.build() == "b3"


def test_a_damaged_file_in_a_folder_is_written_again(store: Store, tmp_path: Path) -> None:
    """A disk, unlike an object store, may hold a file of the right size and other bytes."""
    published.make(tmp_path / "d", "b1", 3)
    assert run(tmp_path / "d", store, str(tmp_path / "copies")).returncode == 0
    folder = tmp_path / "copies" / "23-24"
    victim = next(path for path in folder.rglob("*.parquet"))
    victim.write_bytes(bytes(victim.stat().st_size))
    done = run(tmp_path / "d", store, str(tmp_path / "copies"))
    assert f"1 file uploaded, {FILES - 1} reused" in done.stdout
    everything = [folder, *folder.rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in everything} == {0}


def test_a_copy_in_a_folder(tmp_path: Path, store: Store) -> None:
    published.make(tmp_path / "d", "b1", 3)
    done = run(tmp_path / "d", store, str(tmp_path / "copies"))
    assert done.returncode == 0, done.stderr
    place = tmp_path / "copies" / "23-24" / "published.json"
    manifest = Publication.read(place)
    assert manifest
    assert manifest.matches(place.parent)
    assert [path.name for path in place.parent.glob(".*")] == []


def test_a_changed_file_is_not_copied(store: Store, tmp_path: Path) -> None:
    place = published.make(tmp_path, "b1", 3)
    place.published_paths(COMBINED)[0].write_text("another")
    done = run(tmp_path, store)
    assert done.returncode == 30
    assert "was changed or removed; nothing was delivered" in done.stdout + done.stderr
    assert store.names() == []


@pytest.mark.parametrize("place", ["store", "folder"])
def test_a_file_whose_size_and_time_hide_a_change_is_not_copied(
    store: Store, tmp_path: Path, place: str
) -> None:
    """The bytes that are sent are hashed; the next run publishes the file again."""
    paths = published.make(tmp_path, "b1", 3)
    victim = paths.published_paths(COMBINED)[1]
    status = victim.stat()
    victim.write_bytes(bytes(status.st_size))
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    folder = tmp_path / "copies"
    done = run(tmp_path, store, *([str(folder)] if place == "folder" else []))
    assert done.returncode == 30
    assert f"{victim.name} was changed after it was published" in done.stdout + done.stderr
    assert store.build() is None if place == "store" else not list(folder.glob("*/published.json"))
    assert not any(victim.name in str(name) for name in (*store.names(), *folder.rglob("*")))
    publication = Publication.read(paths.publication)
    assert publication
    assert not publication.matches(paths.publication.parent)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"s3://key:{SECRET}@bucket/x", "put credentials into the environment"),
        (f"s3://key:in/vented{SECRET}@bucket/x", "put credentials into the environment"),
        (f"simplecache::s3://key:{SECRET}@bucket", "put credentials into the environment"),
        (f"s3://bucket/x?secret={SECRET}", "put credentials into the environment"),
        ("nonsense://x", "must be like s3://bucket/folder"),
        ("", "No place for copies is configured"),
    ],
)
def test_an_invalid_place_is_refused(store: Store, tmp_path: Path, url: str, words: str) -> None:
    published.make(tmp_path, "b1", 1)
    done = run(tmp_path, store, url)
    assert done.returncode == 30
    assert words in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("scheme", "module", "extra"),
    [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gs"), ("abfss", "adlfs", "azure")],
)
def test_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, extra: str
) -> None:
    import fsspec

    assert fsspec.__version__
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    with pytest.raises(SettingsError, match=f"run make {extra}, then"):
        Place(f"{scheme}://bucket/x", "[paths] copy_to")


# Whether a copy is there.


def check_copied(data: Path, store: Store, url: str = f"s3://{BUCKET}/copies") -> str:
    """Return what `is_copied` says, in a process of its own; it must not write."""
    writes = list(store.writes)
    manifest = published.snapshot(data).publication
    done = run(data, store, url, ("-c", IS_COPIED, str(manifest), url))
    assert store.writes == writes
    return done.stdout.strip() or done.stderr.strip()


def test_a_set_is_copied_only_after_it_was_copied_completely(store: Store, tmp_path: Path) -> None:
    assert check_copied(tmp_path, store) == "False"
    published.make(tmp_path, "b1", 3)
    assert check_copied(tmp_path, store) == "False"
    run(tmp_path, store)
    assert check_copied(tmp_path, store) == "True"
    key = next(key for key in store.names() if key.endswith(".parquet"))
    store.client.delete_object(Bucket=BUCKET, Key=key)
    assert check_copied(tmp_path, store) == "False"
    run(tmp_path, store)
    assert check_copied(tmp_path, store) == "True"
    published.make(tmp_path, "b2", 3)
    assert check_copied(tmp_path, store) == "False"


def test_whether_a_set_is_copied_cannot_be_said_without_the_server(
    store: Store, tmp_path: Path
) -> None:
    published.make(tmp_path, "b1", 3)
    store.before = lambda _: 403
    assert check_copied(tmp_path, store).startswith(
        "CopyError: The copy of 23-24 could not be checked"
    )


def test_a_damaged_copy_in_a_folder_is_not_complete(tmp_path: Path) -> None:
    manifest = published.make(tmp_path / "d", "b1", 3).publication
    url = str(tmp_path / "copies")
    assert not copies.is_copied(manifest, url, "23-24")
    assert not (tmp_path / "copies").exists()
    copies.copy(manifest, url, "23-24")
    assert copies.is_copied(manifest, url, "23-24")
    assert not copies.is_copied(manifest, url, "22-23")
    victim = next((tmp_path / "copies" / "23-24").rglob("*.csv"))
    victim.write_bytes(bytes(victim.stat().st_size))
    assert not copies.is_copied(manifest, url, "23-24")


def test_a_manifest_of_another_program_is_not_taken_for_a_copy(tmp_path: Path) -> None:
    manifest = published.make(tmp_path / "d", "b1", 3).publication
    (tmp_path / "copies" / "23-24").mkdir(parents=True)
    (tmp_path / "copies" / "23-24" / "published.json").write_text("not ours")
    with pytest.raises(CopyError, match="cannot be read"):
        copies.is_copied(manifest, str(tmp_path / "copies"), "23-24")
