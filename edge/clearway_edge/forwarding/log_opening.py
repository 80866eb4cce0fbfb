"""How a gateway opens its log, certificates and password included."""

from __future__ import annotations

from collections.abc import Callable

from clearway_core.stream.address import open_log
from clearway_core.stream.log import Log
from clearway_core.stream.security import with_password
from clearway_edge.settings.settings import GatewaySettings


def log_opener(settings: GatewaySettings, address: str | None) -> Callable[[], Log]:
    """Return what opens the log of the settings, or the one at `address`.

    Certificates and the password are read each time it is called, so that a missing one stops the
    sending only and a new one is taken without a restart.
    """

    def opened() -> Log:
        security = None if settings.security is None else with_password(settings.security)
        return open_log(address or settings.log_address, settings.data_dir, security=security)

    return opened
