"""The connection to who is asked: the configured district, or a demo district started for it."""

import threading
from typing import TYPE_CHECKING

from pipeline.config import settings
from pipeline.illuminate.address import Address

if TYPE_CHECKING:
    from pipeline.illuminate.auth import Credentials
    from pipeline.illuminate.client import Client
    from pipeline.illuminate.threads import Threads
    from pipeline.simulator.demo import DemoDistrict


class Connection:
    """A client of the configured district, or of a demo district that is started for it."""

    def __init__(
        self, stop: threading.Event | None = None, threads: "Threads | None" = None
    ) -> None:
        self._stop = stop
        self._threads = threads
        self._client: Client | None = None
        self._demo: DemoDistrict | None = None

    def __enter__(self) -> "Client":
        """Connect.

        Raises:
            SettingsError: the address or the credentials cannot be used.
        """
        # Dear to import, and polars must not be before its settings are made.
        from pipeline.config.credentials import find_credentials
        from pipeline.illuminate.auth import OAuth2Credentials
        from pipeline.illuminate.client import Client

        if settings.is_demo():
            from pipeline.simulator.demo import DemoDistrict

            self._demo = DemoDistrict()
            address = Address.parse(self._demo.base_url)
            credentials: Credentials = OAuth2Credentials(
                self._demo.client_id, self._demo.client_secret
            )
        else:
            address, credentials = settings.address(), find_credentials()
        self._client = Client(address, credentials, settings.limits(), self._stop, self._threads)
        return self._client

    def __exit__(self, *_: object) -> None:
        """Disconnect; a demo district ends."""
        if self._client is not None:
            self._client.close()
        if self._demo is not None:
            self._demo.stop()
