"""A gateway put together from its settings and run until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.stream.log import Log
from clearway_edge.agent import Agent
from clearway_edge.clock.clock_bases import ClockBases
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.clock.kernel_clock import kernel_offset_s, kernel_says_synchronised
from clearway_edge.condition.observer import Observer
from clearway_edge.condition.service_manager import ManagerSocket, ServiceManager
from clearway_edge.condition.source_states import SourceStates
from clearway_edge.condition.state_file import StateFile
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.gateway_dir import GatewayDir, gateway_dir
from clearway_edge.outbox.disk_patience import patiently
from clearway_edge.outbox.ledger import Tag
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Outbox
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.page.lake_receipts import LakeReceipts
from clearway_edge.privacy.pseudonyms import LIVE_GRACE, KeyRing
from clearway_edge.privacy.trip_end_cutting import TripEndCutting
from clearway_edge.readers import Readers
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.kinds import Tools, kind
from clearway_edge.sources.source import Source

_LAST_SENDING_S = 5.0
"""How long a stopping gateway still sends; what is left waits on disk for the next start. [s]"""


def run_gateway(
    settings: GatewaySettings,
    open_log: Callable[[], Log],
    stop: threading.Event,
    *,
    clock: Clock,
    manager: ManagerSocket,
) -> None:
    """Run a gateway until `stop` is set.

    Parameters
    ----------
    manager
        Where the service manager is told how it goes.

    Raises
    ------
    SourceUnavailable
        If another process runs it.
    """
    folder = gateway_dir(settings.data_dir, settings.name)
    told = ServiceManager(manager, clock)
    clock_state = ClockState(
        clock,
        settings.synchronised_file,
        ask=kernel_says_synchronised,
        offset=kernel_offset_s,
        bases=ClockBases(_kept(settings, folder.clock)),
    )
    with ExitStack() as owned:
        outbox = patiently(
            lambda: _open_outbox(settings, folder, owned, clock=clock, tag=lambda: clock_state.tag),
            stop,
            told.beat,
        )
        if outbox is None:
            return
        states = SourceStates({s.name: s.kind for s in settings.sources}, clock)
        forwarder = _forwarder(settings, outbox, open_log, clock=clock, clock_state=clock_state)
        observer = Observer(
            settings,
            outbox,
            states=states,
            clock=clock,
            clock_state=clock_state,
            forwarder=forwarder,
            manager=told,
            receipts=LakeReceipts(open_log, gateway=settings.name, clock=clock),
            state_file=StateFile(_kept(settings, folder.state), clock),
        )
        agent = Agent(
            settings,
            outbox,
            readers=Readers(_sources(settings, folder, clock), states, clock),
            keys=KeyRing(folder.keys, clock, retention=LIVE_GRACE, zone=settings.time_zone),
            clock=clock,
            clock_state=clock_state,
            wake=forwarder.wake,
            attendant=observer,
        )
        with _sending(forwarder) as stop_sending:
            _open_page(settings, folder, observer, clock=clock, stop=stop_sending)
            agent.run(stop)
            told.stopping()
            _send_last(forwarder)
        outbox.close()


def _open_outbox(
    settings: GatewaySettings, folder: GatewayDir, owned: ExitStack, *, clock: Clock, tag: Tag
) -> Outbox:
    """Own the folder and open the outbox in it, or neither."""
    with ExitStack() as opening:
        opening.enter_context(folder.owned())
        outbox: Outbox = (
            MemoryOutbox(settings.bounds, clock, tag)
            if settings.in_memory
            else SqliteOutbox(folder.outbox, settings.bounds, clock, tag)
        )
        owned.push(opening.pop_all())
    return outbox


def _forwarder(
    settings: GatewaySettings,
    outbox: Outbox,
    open_log: Callable[[], Log],
    *,
    clock: Clock,
    clock_state: ClockState,
) -> Forwarder:
    security = settings.security
    return Forwarder(
        outbox,
        open_log,
        gateway=settings.name,
        settings=settings.forward,
        clock=clock,
        clock_state=clock_state,
        certificate_file=None if security is None else security.certificate_file,
        prepare=TripEndCutting(outbox, clock),
    )


def _sources(settings: GatewaySettings, folder: GatewayDir, clock: Clock) -> dict[str, Source]:
    tools = Tools(
        clock=clock,
        gateway=settings.name,
        state_dir=_kept(settings, folder.sources),
    )
    return {s.name: kind(s.kind).open_source(s.about, tools) for s in settings.sources}


@contextmanager
def _sending(forwarder: Forwarder) -> Iterator[threading.Event]:
    """Let the forwarder send in a thread of its own while the block runs; yield what stops it."""
    stop = threading.Event()
    sender = threading.Thread(target=forwarder.run, args=(stop,), name="forwarder")
    sender.start()
    try:
        yield stop
    finally:
        stop.set()
        forwarder.wake()
        sender.join()


def _open_page(
    settings: GatewaySettings,
    folder: GatewayDir,
    observer: Observer,
    *,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Start the page, if there is to be one; nobody waits for it at the end."""
    if settings.page is None:
        return
    from clearway_edge.page.page_server import PageServer  # noqa: PLC0415 -- 3 MiB, only if wanted

    page = PageServer(settings.page, folder.pin, look=observer.looked_at, clock=clock)
    observer.page = page
    receipts = observer.receipts
    threading.Thread(target=page.run, args=(stop,), name="page", daemon=True).start()
    threading.Thread(target=receipts.run, args=(stop,), name="receipts", daemon=True).start()


def _send_last(forwarder: Forwarder) -> None:
    forwarder.hurry()
    for _ in range(round(_LAST_SENDING_S / 0.05)):
        if forwarder.idle.wait(0.05) or forwarder.last_error:
            return


def _kept(settings: GatewaySettings, path: Path) -> Path | None:
    """Return where something is kept, or None where nothing may be written."""
    return None if settings.in_memory else path
