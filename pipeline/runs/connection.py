"""The client of a run: of the configured district, or of a demo district started for it."""

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config import settings
from pipeline.illuminate.address import Address

if TYPE_CHECKING:
    from pipeline.illuminate.auth import Credentials
    from pipeline.illuminate.client import Client
    from pipeline.illuminate.pages import MapPages


@contextlib.contextmanager
def open_client(
    stop: threading.Event | None = None, map_pages: "MapPages" = map
) -> "Iterator[Client]":
    """Open a client; a demo district that is started for it ends with it.

    Raises:
        SettingsError: the address or the credentials are not valid.
    """
    # Slow to import, and polars must not be imported before its settings are made.
    from pipeline.config.credentials import find_credentials
    from pipeline.illuminate.auth import OAuth2Credentials
    from pipeline.illuminate.client import Client

    with contextlib.ExitStack() as held:
        if settings.is_demo():
            from pipeline.simulator.demo import DemoDistrict

            demo = DemoDistrict()
            held.callback(demo.stop)
            address = Address.parse(demo.base_url)
            credentials: Credentials = OAuth2Credentials(demo.client_id, demo.client_secret)
        else:
            address, credentials = settings.address(), find_credentials()
        client = Client(address, credentials, settings.limits(), stop, map_pages)
        held.callback(client.close)
        yield client
