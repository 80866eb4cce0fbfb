"""Serving the pages, as commands, the demo and tests call it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clearway_core.city import City
from clearway_core.errors import ClearwayError, UsageError
from clearway_core.hosts import is_loopback
from clearway_core.lake import Lake
from clearway_serving.security import LOOPBACK_NAMES

DEFAULT_PORT = 8501
_WEB = ("http://", "https://")
_LISTEN_REMEDIES: Mapping[int, str] = {
    errno.EADDRINUSE: "is another `clearway serve` running? Stop it, or choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address, give one of its own with --host",
    errno.EACCES: "ports below 1024 are for administrators, choose another --port",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the pages are served, and where they point to.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes any free one.
    names
        Further names that browsers may use for this server, such as that of a proxy.
    approval_url
        Where people approve proposals with their own accounts, such as Airflow's; the proposal page
        links to it.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()
    approval_url: str | None = None


def serve(
    lake: Lake,
    *,
    city: City | None = None,
    internal: bool = False,
    live: bool | None = None,
    address: Address = Address(),
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the map and the proposals until the process is told to stop.

    Parameters
    ----------
    lake
        Where the tables are; they are only read.
    city
        Names, clock and base map.
    internal
        Show values that passed no gate. Refused on any address but this machine's own.
    live
        Also show days that are not settled for release yet; None is yes on this machine's own
        address, else no.
    address
        Where to listen.
    ready
        Called with the address once connections are taken.

    Raises
    ------
    UsageError
        If ungated values would be reachable from elsewhere.
    ClearwayError
        If the port is taken.
    """
    own = is_loopback(address.host) and not address.names
    _refuse(address, internal=internal, own=own)
    import uvicorn

    from clearway_serving.app import create_app

    names = (*LOOPBACK_NAMES, *address.names)
    app = create_app(
        lake,
        city=city,
        internal=internal,
        live=own if live is None else live,
        host_names=names,
        approval_url=address.approval_url,
    )
    listener = _listen(address.host, address.port)
    if ready is not None:
        shown = address.host if is_loopback(address.host) else "127.0.0.1"
        ready(f"http://{shown}:{listener.getsockname()[1]}")
    # Forwarded-for headers are not believed: who calls is who holds the connection.
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False
    )
    with listener:
        uvicorn.Server(settings).run(sockets=[listener])


def _refuse(address: Address, *, internal: bool, own: bool) -> None:
    if internal and not own:
        message = (
            "--internal shows values that passed no release gate, so it listens on 127.0.0.1 "
            f"alone, not on {address.host}: leave out --host and --host-name"
        )
        raise UsageError(message)
    if address.approval_url is not None and not address.approval_url.startswith(_WEB):
        message = f"--approval-url starts with http:// or https://, got {address.approval_url!r}"
        raise UsageError(message)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # before the address is told, so that whoever hears it can connect
    except OSError as error:
        listener.close()
        remedy = _LISTEN_REMEDIES.get(error.errno or 0, "choose another --host or --port")
        message = f"cannot listen on {host} port {port} ({error.strerror}): {remedy}"
        raise ClearwayError(message) from error
    return listener
