"""Copies to Azure: `abfss://container@account/folder`, with adlfs; against Azurite if it is there.

Azurite is a program of Node.js: `make test-azure` installs and runs it.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from adlfs import AzureBlobFileSystem
from azure.storage.blob import BlobServiceClient, ContainerClient
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.errors import SettingsError
from pipeline.publish import copies
from pipeline.publish.store import Store
from tests import published
from tests.copies.test_copy import COPY, FILES

ACCOUNT, CONTAINER = "districtaccount", "results"
URL = f"abfss://{CONTAINER}@{ACCOUNT}/copies"
KEY = "aW52ZW50ZWQta2V5LW9mLW5vLWFjY291bnQ="


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    AzureBlobFileSystem.clear_instance_cache()


def connection(endpoint: str, account: str = ACCOUNT) -> str:
    parts = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": account,
        "AccountKey": KEY,
        "BlobEndpoint": f"{endpoint}/{account}",
    }
    return ";".join(f"{name}={value}" for name, value in parts.items())


@pytest.mark.parametrize("suffix", ["", ".dfs.core.windows.net"])
def test_the_url_names_container_and_account(monkeypatch, suffix: str) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    store = Store(f"abfss://{CONTAINER}@{ACCOUNT}{suffix}/copies/here", "[paths] copy_to")
    assert store.root == f"{CONTAINER}/copies/here"
    assert store.fs.service_client.url == f"https://{ACCOUNT}.blob.core.windows.net/"


def test_a_connection_string_leads_to_its_own_address(monkeypatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection("http://127.0.0.1:1"))
    assert Store(URL, "[paths] copy_to").fs.service_client.url == f"http://127.0.0.1:1/{ACCOUNT}/"


def test_a_connection_string_of_another_account_is_refused(monkeypatch) -> None:
    """Results of students must not go to another account than the one that is named."""
    string = connection("http://127.0.0.1:1", f"{ACCOUNT}2")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string)
    with pytest.raises(SettingsError, match=f"is not of the account {ACCOUNT},") as error:
        Store(URL, "[paths] copy_to")
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"abfss://{CONTAINER}:{KEY}@{ACCOUNT}/x", "put credentials into the environment"),
        (f"abfss://{CONTAINER}@{ACCOUNT}/x@y", "put credentials into the environment"),
        (f"abfss://{CONTAINER}@{ACCOUNT}/x?sig={KEY}", "put credentials into the environment"),
        (f"abfss://{CONTAINER}/x", r"abfss://container@account/folder"),
    ],
)
def test_what_is_not_just_a_place_is_refused(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as error:
        Store(url, "[paths] copy_to")
    assert KEY not in str(error.value)


class InMemory(MemoryFileSystem):
    """Blobs in memory, under the URLs of Azure: containers first, no account in any path."""

    protocol = ("abfs", "abfss")
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    _strip_protocol = AzureBlobFileSystem._strip_protocol

    def __init__(self, account_name: str, **options: object) -> None:
        super().__init__(**options)
        assert account_name == ACCOUNT

    def invalidate_cache(self, path: str | None = None) -> None:
        """Nothing is cached."""


def test_a_copy_and_its_check_use_the_same_blobs(monkeypatch, tmp_path: Path) -> None:
    """Without Azurite: what is written, read back and removed is in the container that is named."""
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "abfss", InMemory)
    for build in ("b1", "b2", "b3"):
        manifest = published.make(tmp_path, build, 1 + int(build[1])).publication
        assert not copies.is_copied(manifest, URL, "23-24")
        assert copies.copy(manifest, URL, "23-24").uploaded == FILES
        assert copies.is_copied(manifest, URL, "23-24")
    inside = [name.strip("/").removeprefix(f"{CONTAINER}/copies/23-24/") for name in InMemory.store]
    assert len(inside) == 2 * FILES + 1
    assert len({name.split("/")[0] for name in inside}) == 3  # two sets and the manifest


class Azurite:
    """An emulator with one container."""

    def __init__(self, endpoint: str) -> None:
        self.connection = connection(endpoint)
        service = BlobServiceClient.from_connection_string(self.connection)
        self.container: ContainerClient = service.create_container(CONTAINER)

    def names(self) -> list[str]:
        return [blob.name for blob in self.container.list_blobs()]

    def read(self, name: str) -> bytes:
        content = self.container.download_blob(name).readall()
        assert isinstance(content, bytes)
        return content

    def build(self) -> str:
        """The build that a reader finds, after checking every file that the manifest names."""
        manifest = json.loads(self.read("copies/23-24/published.json"))
        assert len(manifest["files"]) == FILES
        for name, (digest, *_) in manifest["files"].items():
            assert hashlib.sha256(self.read(f"copies/23-24/{name}")).hexdigest() == digest
        return str(manifest["build"])

    def run(self, data: Path, url: str = URL) -> "subprocess.CompletedProcess[str]":
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        own = {"PIPELINE_DATA_DIR": str(data), "PIPELINE_COPY_TO": url, "HOME": str(data)}
        secret = {"AZURE_STORAGE_CONNECTION_STRING": self.connection}
        done = subprocess.run(
            [sys.executable, *COPY],
            cwd=data,
            env=kept | published.SETTINGS | own | secret,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert KEY not in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done


@pytest.fixture
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    program = os.environ.get("AZURITE")
    if not program:
        pytest.skip("Azurite is a program of Node.js: make test-azure")
    folder = tmp_path_factory.mktemp("azurite")
    # In memory only, on a free port, without telemetry.
    options = ("--inMemoryPersistence", "--blobPort", "0", "--disableTelemetry")
    process = subprocess.Popen(
        [program, *options, "--skipApiVersionCheck"],
        cwd=folder,
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with contextlib.ExitStack() as started:
        started.enter_context(process)
        started.callback(process.kill)
        assert process.stdout
        said = iter(process.stdout.readline, "")
        line = next(line for line in said if "successfully listens on" in line)
        yield Azurite(line.split()[-1])


def test_a_copy_is_the_published_set_and_is_sent_once(azurite: Azurite, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    done = azurite.run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{FILES} files uploaded, 0 reused" in done.stdout
    assert azurite.build() == "b1"
    before = {blob.name: blob.last_modified for blob in azurite.container.list_blobs()}
    assert "is already in" in azurite.run(tmp_path).stdout
    assert {b.name: b.last_modified for b in azurite.container.list_blobs()} == before


def test_the_previous_set_is_kept_until_the_next_copy(azurite: Azurite, tmp_path: Path) -> None:
    sets = []
    for build in ("b1", "b2", "b3"):
        published.make(tmp_path, build, 1 + int(build[1]))
        assert azurite.run(tmp_path).returncode == 0
        assert azurite.build() == build
        sets.append({name.split("/")[2] for name in azurite.names()} - {"published.json"})
    assert sets[0] <= sets[1]
    assert not sets[0] & sets[2]
    assert len(sets[2]) == 2


def test_a_container_is_never_created(azurite: Azurite, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    done = azurite.run(tmp_path, URL.replace(CONTAINER, "another"))
    assert done.returncode == 30
    assert "there is no such bucket or folder" in done.stdout + done.stderr
    assert azurite.names() == []


def test_a_damaged_blob_is_sent_again(azurite: Azurite, tmp_path: Path) -> None:
    published.make(tmp_path, "b1", 3)
    azurite.run(tmp_path)
    victim = next(name for name in azurite.names() if name.endswith(".parquet"))
    azurite.container.upload_blob(victim, b"half", overwrite=True)
    assert f"1 file uploaded, {FILES - 1} reused" in azurite.run(tmp_path).stdout
    assert azurite.build() == "b1"
