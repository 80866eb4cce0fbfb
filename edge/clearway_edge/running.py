"""A gateway put together from its settings and run until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from clearway_core.clock import Clock
from clearway_core.stream.log import Log
from clearway_edge.agent import Agent
from clearway_edge.clock.clock_bases import ClockBases
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.clock.kernel_clock import kernel_offset_s, kernel_says_synchronised
from clearway_edge.condition.observer import Observer
from clearway_edge.condition.service_manager import ServiceManager
from clearway_edge.condition.snapshot import Sending
from clearway_edge.condition.source_states import SourceStates
from clearway_edge.condition.state_file import StateFile
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.gateway_dir import GatewayDir, gateway_dir
from clearway_edge.outbox.disk_patience import patiently
from clearway_edge.outbox.ledger import Tag
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Outbox
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.page.commit_times import CommitTimes
from clearway_edge.page.lake_receipts import LakeReceipts
from clearway_edge.privacy.pseudonyms import LIVE_GRACE, KeyRing
from clearway_edge.privacy.trip_end_cutting import TripEndCutting
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.kinds import Tools, kind

_LAST_SENDING_S = 5.0
"""How long a stopping gateway still sends; what is left waits on disk for the next start. [s]"""


def run_gateway(
    settings: GatewaySettings,
    open_log: Callable[[], Log],
    stop: threading.Event,
    *,
    clock: Clock,
    manager: ServiceManager | None = None,
) -> None:
    """Run a gateway until `stop` is set.

    Parameters
    ----------
    manager
        The service manager that is told how it goes; None: there is none.

    Raises
    ------
    SourceUnavailable
        If another process runs it.
    """
    folder = gateway_dir(settings.data_dir, settings.name)
    manager = manager or ServiceManager(None, clock, watchdog_s=None)
    clock_state = ClockState(
        clock,
        settings.synchronised_file,
        ask=kernel_says_synchronised,
        offset=kernel_offset_s,
        bases=ClockBases(None if settings.in_memory else folder.clock),
    )
    with ExitStack() as owned:
        outbox = patiently(
            lambda: _open_outbox(settings, folder, owned, clock=clock, tag=lambda: clock_state.tag),
            stop,
            manager.beat,
        )
        if outbox is None:
            return
        forwarder = Forwarder(
            outbox,
            open_log,
            gateway=settings.name,
            settings=settings.forward,
            clock=clock,
            clock_state=clock_state,
            certificate_file=None
            if settings.security is None
            else settings.security.certificate_file,
            prepare=TripEndCutting(outbox, clock),
        )
        tools = Tools(
            clock=clock,
            time_zone=settings.time_zone,
            folder=settings.file.parent,
            gateway=settings.name,
            state_dir=None if settings.in_memory else folder.sources,
        )
        states = SourceStates({s.name: s.kind for s in settings.sources}, clock)
        commit_times = CommitTimes()
        observer = Observer(
            settings,
            outbox,
            states=states,
            clock=clock,
            clock_state=clock_state,
            sending=partial(_sending, forwarder),
            manager=manager,
            receipts=LakeReceipts(
                open_log, gateway=settings.name, clock=clock, commit_times=commit_times
            ),
            commit_times=commit_times,
            state_file=StateFile(None if settings.in_memory else folder.state, clock),
        )
        agent = Agent(
            settings,
            outbox,
            sources={s.name: kind(s.kind).open_source(s.about, tools) for s in settings.sources},
            keys=KeyRing(folder.keys, clock, retention=LIVE_GRACE, zone=settings.time_zone),
            clock=clock,
            wake=forwarder.wake,
            clock_state=clock_state,
            states=states,
            attendant=observer,
        )
        stop_sending = threading.Event()
        sender = threading.Thread(target=forwarder.run, args=(stop_sending,), name="forwarder")
        sender.start()
        _open_page(settings, folder, observer, clock=clock, stop=stop_sending)
        try:
            agent.run(stop)
            observer.stopping()
            _send_last(forwarder)
        finally:
            stop_sending.set()
            forwarder.wake()
            sender.join()
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


def _sending(forwarder: Forwarder) -> Sending:
    return Sending(state=forwarder.state, sent_bytes=forwarder.sent_bytes)


def _send_last(forwarder: Forwarder) -> None:
    forwarder.hurry()
    for _ in range(round(_LAST_SENDING_S / 0.05)):
        if forwarder.idle.wait(0.05) or forwarder.last_error:
            return
