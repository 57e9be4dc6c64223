"""What hosts must have in common for one of them to do the work of another."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import socket
import sys
from pathlib import Path
from typing import NamedTuple

_PACKAGES = (
    *("dask", "distributed", "cloudpickle", "msgpack", "tornado"),  # what hosts talk with
    *("polars", "pandas", "deltalake", "luigi", "msgspec"),  # what the rows are made with
)


class Host(NamedTuple):
    """What a host runs; two of which all but the name is equal make the same tables.

    Attributes:
        name: how sentences name it.
        versions: of Python and of the libraries that matter.
        code: a digest of the pipeline's own source.
        settings: a digest of luigi.cfg; empty where there is none.
    """

    name: str
    versions: tuple[tuple[str, str], ...]
    code: str
    settings: str

    def differences(self, other: "Host") -> list[str]:
        """Return in what another host differs, as phrases."""
        own, others = dict(self.versions), dict(other.versions)
        found = [
            f"{name} {others.get(name, 'missing')} instead of {version}"
            for name, version in own.items()
            if others.get(name) != version
        ]
        found += ["another state of the pipeline's code"] if self.code != other.code else []
        found += ["another luigi.cfg"] if self.settings != other.settings else []
        return found


@functools.cache
def this_host() -> Host:
    """Return what this process runs, as it was when this was first called."""
    versions = {"Python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    source = Path(__file__).parents[1]
    config = Path(os.environ.get("LUIGI_CONFIG_PATH") or "luigi.cfg")
    settings = hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else ""
    code = hashlib.sha256()
    for path in sorted(source.rglob("*.py")):
        code.update(b"%s\0%s\0" % (str(path.relative_to(source)).encode(), path.read_bytes()))
    name = f"{socket.gethostname()} (process {os.getpid()}, {sys.executable})"
    return Host(name, tuple(versions.items()), code.hexdigest(), settings)
