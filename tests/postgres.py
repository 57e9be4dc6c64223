"""A real PostgreSQL server for tests, in a folder and on a socket of its own."""

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

USER = "loader"
_serial = itertools.count(1)


def programs() -> Path | None:
    """The folder of the newest server's programs; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    paths = [Path(on_path)] if on_path else []
    return next((path.parent for path in (*reversed(found), *paths)), None)


@dataclass
class Postgres:
    """A server that runs."""

    socket: Path
    password: str = field(repr=False)

    def url(self, database: str, password: str | None = None) -> str:
        secret = quote(password or self.password, safe="")
        return f"postgresql://{USER}:{secret}@/{database}?host={quote(str(self.socket), safe='')}"

    def new_database(self) -> str:
        """The name of an empty database."""
        name = f"district_{next(_serial)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name


@contextlib.contextmanager
def serving(bin_: Path) -> Iterator[Postgres]:
    """Start a server and stop it; root lends its rights to nobody, for a server refuses root."""
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    # A socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if owner is not None:
        os.chown(folder, owner, -1)
    try:
        server, data = Postgres(folder, secrets.token_hex(8)), folder / "data"

        def call(*command: str | Path) -> None:
            subprocess.run(
                command,
                check=True,
                user=owner,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=120,
            )

        password = folder / "password"
        password.write_text(server.password, encoding="utf-8")
        password.chmod(0o644)
        authentic = ("--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
        call(bin_ / "initdb", "-D", data, "-U", USER, "-E", "UTF8", "--locale=C", *authentic)
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=20"
        call(bin_ / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield server
        finally:
            call(bin_ / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
