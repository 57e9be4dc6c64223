"""A real PostgreSQL server, and what both databases are tested with."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

PASSWORD = "invented-for-this-server"


@dataclass(frozen=True)
class Server:
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """PostgreSQL in a folder of its own, run by another user than root: it refuses root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        message = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
        assert "PIPELINE_TESTS_IN_CI" not in os.environ, message
        pytest.skip(message)
    programs, folder = found[-1].parent, Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        yield from _serve(programs, folder)
    finally:
        shutil.rmtree(folder)


def _serve(programs: Path, folder: Path) -> Iterator[Server]:
    options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    secret, data, port = folder / "password", folder / "data", _free_port()
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256",
         f"--pwfile={secret}", "-E", "UTF8", "--locale=C"],
        check=True, timeout=120, **options,
    )  # fmt: skip
    control = [programs / "pg_ctl", "-D", data, "-w", "-t", "60"]
    settings = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    subprocess.run(
        [*control, "-o", settings, "-l", folder / "log", "start"],
        check=True, timeout=120, **options,
    )  # fmt: skip
    try:
        yield Server(port)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, timeout=120, **options)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """A fresh, empty database."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE fresh")
        try:
            yield postgres_server.url("fresh")
        finally:
            admin.execute("DROP DATABASE fresh WITH (FORCE)")


Ask = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def ask_postgres(postgres_url: str) -> Ask:
    def ask(sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(postgres_url) as connection:
            return connection.execute(sql).fetchall()

    return ask
