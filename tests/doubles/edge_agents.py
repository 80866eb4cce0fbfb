"""Agents of a gateway, for tests: one that is told what to commit, and one at work in a thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from doubles.edge_doubles import MemoryLog

from clearway_core.clock import Clock, SystemClock
from clearway_core.stream.batch import Batch
from clearway_edge.agent import Agent
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.condition.attendant import Attendant
from clearway_edge.condition.source_states import SourceStates
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.outbox import Outbox
from clearway_edge.privacy.pseudonyms import KeyRing
from clearway_edge.readers import Readers
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.source import Source


class Alone:
    """Nobody stands beside the agent."""

    def beat(self, boot: int, next_seq: Mapping[str, int]) -> None:
        """Nobody is told."""

    def vitals(self) -> Mapping[str, object]:
        return {}


def agent_of(
    settings: GatewaySettings,
    outbox: Outbox,
    *,
    clock: Clock,
    keys: KeyRing,
    sources: Mapping[str, Source] | None = None,
    states: SourceStates | None = None,
    clock_state: ClockState | None = None,
    attendant: Attendant | None = None,
) -> Agent:
    """Return an agent whose clock is believed and beside which nobody stands, unless told so."""
    states = states or SourceStates({s.name: s.kind for s in settings.sources}, clock)
    return Agent(
        settings,
        outbox,
        readers=Readers(sources or {}, states, clock),
        keys=keys,
        clock=clock,
        clock_state=clock_state or ClockState(clock),
        wake=lambda: None,
        attendant=attendant or Alone(),
    )


class LiveAgent:
    """An agent at work, and what it has spooled."""

    def __init__(self, agent: Agent, outbox: Outbox, states: SourceStates) -> None:
        self.agent = agent
        self.states = states
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
    states = SourceStates({s.name: s.kind for s in settings.sources}, clock)
    agent = agent_of(
        settings, outbox, clock=clock, keys=KeyRing(keys, clock), sources=sources, states=states
    )
    return LiveAgent(agent, outbox, states)
