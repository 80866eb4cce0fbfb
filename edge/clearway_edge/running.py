"""A gateway put together from its settings and run until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from clearway_core.clock import Clock
from clearway_core.stream.log import Log
from clearway_edge.agent import Agent
from clearway_edge.forwarder import Forwarder
from clearway_edge.gateway_dir import gateway_dir
from clearway_edge.memory_outbox import MemoryOutbox
from clearway_edge.outbox import Outbox
from clearway_edge.privacy import KeyRing
from clearway_edge.settings import (
    GatewaySettings,
    LineSettings,
    NmeaSettings,
    SourceSettings,
)
from clearway_edge.sources.lines import FileLine, SerialLine, TcpLine
from clearway_edge.sources.nmea import NmeaSource
from clearway_edge.sources.pms5003 import Pms5003Source
from clearway_edge.sources.source import Line, Source
from clearway_edge.sqlite_outbox import SqliteOutbox

_LAST_SENDING_S = 5.0
"""How long a stopping gateway still sends; what is left waits on disk for the next start. [s]"""


def run_gateway(
    settings: GatewaySettings,
    open_log: Callable[[], Log],
    stop: threading.Event,
    *,
    clock: Clock,
) -> None:
    """Run a gateway until `stop` is set.

    Raises
    ------
    SourceUnavailable
        If another process runs it, or its outbox cannot be opened at all.
    """
    folder = gateway_dir(settings.data_dir, settings.name)
    with folder.owned():
        outbox: Outbox = (
            MemoryOutbox(settings.bounds, clock)
            if settings.in_memory
            else SqliteOutbox(folder.outbox, settings.bounds, clock)
        )
        forwarder = Forwarder(outbox, open_log, gateway=settings.name)
        agent = Agent(
            settings,
            outbox,
            sources={source.name: open_source(source, clock) for source in settings.sources},
            keys=KeyRing(folder.keys, clock),
            clock=clock,
            wake=forwarder.wake,
        )
        stop_sending = threading.Event()
        sender = threading.Thread(target=forwarder.run, args=(stop_sending,), name="forwarder")
        sender.start()
        try:
            agent.run(stop)
            _send_last(outbox, forwarder)
        finally:
            stop_sending.set()
            forwarder.wake()
            sender.join()
        outbox.close()


def open_source(settings: SourceSettings, clock: Clock) -> Source:
    """Return the source of its settings; devices are opened when they are first read."""
    if isinstance(settings, NmeaSettings):
        return NmeaSource(
            open_line(settings.line),
            provider=settings.provider,
            vehicle=settings.vehicle,
            vehicle_class=settings.vehicle_class,
        )
    return Pms5003Source(
        open_line(settings.line),
        sensor=settings.sensor,
        position_deg=settings.position_deg,
        clock=clock,
    )


def open_line(settings: LineSettings) -> Line:
    """Return the line of its settings."""
    if settings.serial is not None:
        return SerialLine(settings.serial, settings.baud)
    if settings.tcp is not None:
        return TcpLine(*settings.tcp)
    if settings.file is not None:
        return FileLine(settings.file)
    message = "a line needs a serial port, a TCP address or a file"
    raise ValueError(message)


def _send_last(outbox: Outbox, forwarder: Forwarder) -> None:
    forwarder.wake()
    quiet = threading.Event()
    for _ in range(round(_LAST_SENDING_S / 0.05)):
        if outbox.oldest_created_at_ms() is None or forwarder.last_error:
            return
        quiet.wait(0.05)
