"""A gateway's agent that runs in a thread, for tests of its sources."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from doubles.edge_doubles import MemoryLog

from clearway_core.clock import SystemClock
from clearway_core.stream.batch import Batch
from clearway_edge.agent import Agent
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.outbox import Outbox
from clearway_edge.privacy.pseudonyms import KeyRing
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.source import Source


class LiveAgent:
    """An agent at work, and what it has spooled."""

    def __init__(self, agent: Agent, outbox: Outbox) -> None:
        self.agent = agent
        self._outbox = outbox
        self._stop = threading.Event()
        self._thread = threading.Thread(target=agent.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        """Stop it; a second time does nothing."""
        self._stop.set()
        self._thread.join()

    def sent(self, contract: str = "gps_ping/1") -> list[Batch]:
        """Return what waited of a contract, sent."""
        log = MemoryLog()
        sender = Forwarder(self._outbox, lambda: log, gateway="gw")
        while sender.send_once().n_batches:
            pass
        return [batch for batch in log.batches() if batch.contract == contract]


def live_agent(
    settings: GatewaySettings, outbox: Outbox, sources: Mapping[str, Source], keys: Path
) -> LiveAgent:
    """Return a running agent with real time."""
    clock = SystemClock()
    agent = Agent(
        settings,
        outbox,
        sources=sources,
        keys=KeyRing(keys, clock),
        clock=clock,
        wake=lambda: None,
    )
    return LiveAgent(agent, outbox)
