"""A BigQuery emulator in an environment of its own: `make test-bigquery`.

It knows neither permissions nor quotas, runs one transaction at a time, and reads Parquet with
DuckDB. What only the real service can show is in docs/databases.md.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT = "district-project"
# DuckDB's extensions are packages, so that nothing is downloaded when it starts.
_START = """
from duckdb_extensions import import_extension
for name in ("icu", "spatial"):
    import_extension(name)
from bqemulator.cli import main
main(["start", "--rest-port", "0", "--grpc-port", "0", "--log-format", "json"])
"""
_serial = count(1)


def emulator() -> str | None:
    """The Python of the emulator's environment; None if there is none."""
    return os.environ.get("BIGQUERY_EMULATOR")


@dataclass
class BigQuery:
    """An emulator that runs, and the variables that lead the pipeline to it."""

    url: str
    variables: dict[str, str]
    tokens: list[str]
    """The path of each request for a token."""

    def __post_init__(self) -> None:
        self.client = bigquery.Client(
            PROJECT,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )

    def new_dataset(self) -> str:
        """The name of an empty dataset."""
        name = f"district_{next(_serial)}"
        self.client.create_dataset(name)
        return name

    def environment(self, dataset: str) -> dict[str, str]:
        """The variables of a pipeline that loads into a dataset."""
        return {**self.variables, "PIPELINE_DATABASE_URL": f"bigquery://{PROJECT}/{dataset}"}

    def query(self, dataset: str, sql: str) -> list[tuple[Any, ...]]:
        """Run a query whose table names need no dataset."""
        default = bigquery.DatasetReference(PROJECT, dataset)
        config = bigquery.QueryJobConfig(default_dataset=default)
        return [tuple(row) for row in self.client.query(sql, job_config=config).result()]

    def tables(self, dataset: str) -> list[bigquery.Table]:
        """All tables of a dataset, those for staging too."""
        return [self.client.get_table(each.reference) for each in self.client.list_tables(dataset)]


@contextlib.contextmanager
def serving(python: str) -> Iterator[BigQuery]:
    """Start an emulator, and a server that gives a token to whoever signs for one; stop both."""
    with contextlib.ExitStack() as started:
        home = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="bigquery-")))
        tokens: list[str] = []
        server = started.enter_context(_tokens(tokens))
        log = home / "log"
        process = subprocess.Popen(
            [python, "-c", _START],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)},
            cwd=home,
            stdout=started.enter_context(log.open("w", encoding="utf-8")),
            stderr=subprocess.STDOUT,
        )
        started.callback(process.wait, 60)
        started.callback(process.terminate)
        url = _address(process, log)
        key = home / "key.json"
        key.write_text(json.dumps(_service_account(f"{server}/token")), encoding="utf-8")
        variables = {"BIGQUERY_EMULATOR_HOST": url, "GOOGLE_APPLICATION_CREDENTIALS": str(key)}
        yield BigQuery(url, variables, tokens)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the emulator has logged where it listens."""
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"rest.listen"' in line and line.endswith("}"):
                found = json.loads(line)
                return f"http://{found['host']}:{found['port']}"
        time.sleep(0.05)
    raise AssertionError(f"The emulator did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def _service_account(token_uri: str) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "invented",
        "private_key": pem.decode(),
        "client_email": f"loader@{PROJECT}.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }


@contextlib.contextmanager
def _tokens(asked: list[str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"access_token": "invented-token", "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
