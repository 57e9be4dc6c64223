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
    from pipeline.illuminate.counts import Counts
    from pipeline.illuminate.limits import Limits
    from pipeline.illuminate.pages import MapPages


@contextlib.contextmanager
def open_client(
    stop: threading.Event | None = None,
    map_pages: "MapPages" = map,
    counts: "Counts | None" = None,
    limits: "Limits | None" = None,
) -> "Iterator[Client]":
    """Open a client; a demo district that is started for it ends with it.

    Args:
        stop: ends all waiting and every open request soon after it is set.
        map_pages: requests the pages of a reply after the first, maybe many at once.
        counts: where requests are counted.
        limits: those of the settings, if no others are given.

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
        limits = limits or settings.limits()
        client = Client(address, credentials, limits, stop, map_pages, counts)
        held.callback(client.close)
        yield client
