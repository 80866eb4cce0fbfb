"""Looks at a running gateway from the side: for its page, its figures, its reports and systemd."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import orjson

from clearway_core.clock import Clock, to_ms
from clearway_core.distance import distance_m
from clearway_edge.certificate import Validity, validity_of
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.condition.device import cpu_temperature_c, disk_of, resident_bytes
from clearway_edge.condition.service_manager import ServiceManager
from clearway_edge.condition.snapshot import Snapshot
from clearway_edge.condition.source_states import SourceState, SourceStates
from clearway_edge.condition.state_file import StateFile
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.outbox import OWN_REPORTS, Account, Outbox
from clearway_edge.page.lake_receipts import LakeReceipts
from clearway_edge.settings.settings import GatewaySettings

RECEIVERS = frozenset({"nmea", "gpsd"})
"""Kinds that may be a receiver on the pole itself."""

_CERTIFICATE_EVERY_S = 3600.0


class Page(Protocol):
    """Where the gateway's page is, or why it is not."""

    address: str
    fault: str


class Observer:
    """Knows where to look; every answer is made when it is asked for.

    Parameters
    ----------
    settings, outbox, states, clock, clock_state, forwarder
        Of the gateway.
    manager
        Told after each commit that the agent lives.
    receipts
        What the lake confirms.
    state_file
        Where the state is told to other processes of this machine.
    """

    def __init__(  # noqa: PLR0913 -- it looks at everything
        self,
        settings: GatewaySettings,
        outbox: Outbox,
        *,
        states: SourceStates,
        clock: Clock,
        clock_state: ClockState,
        forwarder: Forwarder,
        manager: ServiceManager,
        receipts: LakeReceipts,
        state_file: StateFile,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._states = states
        self._clock = clock
        self._clock_state = clock_state
        self._forwarder = forwarder
        self._manager = manager
        self.receipts = receipts
        self._state_file = state_file
        self.page: Page | None = None
        self._boot: int | None = None
        self._started_s = clock.monotonic_s()
        self._lock = threading.Lock()
        self._certificate: tuple[float, Validity | None, str] | None = None

    def beat(self, boot: int, next_seq: Mapping[str, int]) -> None:
        """Note that the agent has committed what it read."""
        self._boot = boot
        self.receipts.committed(boot, next_seq)
        words = self._words()
        self._manager.beat(words)
        # How much is left to send changes all the time and is no reason to write.
        kind = words.partition(":")[0]
        if self._state_file.is_due(kind):
            self._state_file.write(kind, self._state())

    def _words(self) -> str:
        """Return the state in one line for people."""
        states = self._states.all()
        working = sum(state.word == "working" for state in states.values())
        return f"{working} of {len(states)} sources working; {self._forwarder.state}"

    def _state(self) -> dict[str, object]:
        return {
            "at": self._clock.now().isoformat(timespec="seconds"),
            "pid": os.getpid(),
            "boot": self._boot,
            "page": "" if self.page is None else self.page.fault or self.page.address,
            **self.vitals(),
        }

    def vitals(self) -> dict[str, object]:
        """Return what health reports say beside the books, by field of ``gateway_health/1``."""
        validity, _ = self._own_certificate()
        return {
            "site": self._settings.site,
            "forwarder_state": self._forwarder.state,
            "clock_synchronised": self._clock_state.synchronised,
            "clock_offset_s": self._clock_state.offset_s,
            "spooled_bytes": self._outbox.waiting_bytes,
            "sent_bytes": self._forwarder.sent_bytes,
            "set_aside": self._outbox.set_aside,
            "cpu_temperature_c": cpu_temperature_c(),
            "sources_json": sources_json(self._states.all()),
            "certificate_expires_at": None if validity is None else to_ms(validity.expires_at),
        }

    def looked_at(self) -> Snapshot:
        """Return the gateway as it is now, and ask the lake as long as somebody looks."""
        self.receipts.want()
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """Return the gateway as it is now."""
        validity, fault = self._own_certificate()
        oldest_ms = self._outbox.oldest_created_at_ms()
        now = self._clock.now()
        accounts, spooled = self._accounts()
        return Snapshot(
            gateway=self._settings.name,
            site=self._settings.site,
            boot=self._boot,
            seen_at=now,
            uptime_s=self._clock.monotonic_s() - self._started_s,
            sources=self._states.all(),
            accounts=accounts,
            spooled=spooled,
            forwarder_state=self._forwarder.state,
            sent_bytes=self._forwarder.sent_bytes,
            spooled_bytes=self._outbox.waiting_bytes,
            max_spooled_bytes=self._settings.bounds.max_bytes,
            oldest_spooled_age_s=(
                None if oldest_ms is None else max(0, to_ms(now) - oldest_ms) / 1000
            ),
            set_aside=self._outbox.set_aside,
            unclean_stops=self._outbox.unclean_stops,
            in_memory=self._settings.in_memory,
            clock_synchronised=self._clock_state.synchronised,
            clock_offset_s=self._clock_state.offset_s,
            disk=None if self._outbox.folder is None else disk_of(self._outbox.folder),
            cpu_temperature_c=cpu_temperature_c(),
            resident_bytes=resident_bytes(),
            receiver_distance_m=self._receiver_distance_m(),
            certificate=validity,
            certificate_fault=fault,
            confirmed=self.receipts.confirmed(),
            receipts_error=self.receipts.error,
        )

    def _accounts(self) -> tuple[dict[str, Account], dict[str, int]]:
        """Return the books of this start, and what waits of every start."""
        accounts: dict[str, Account] = {}
        spooled: Counter[str] = Counter()
        for stream in self._outbox.streams():
            if stream.contract in OWN_REPORTS:
                continue
            account = self._outbox.account(stream)
            spooled[stream.contract] += account.spooled
            if stream.boot == self._boot:
                accounts[stream.contract] = account
        return accounts, dict(spooled)

    def _receiver_distance_m(self) -> float | None:
        site_deg = self._settings.position_deg
        if site_deg is None:
            return None
        distances = [
            distance_m(*site_deg, *state.position_deg)
            for state in self._states.all().values()
            if state.kind in RECEIVERS and state.position_deg is not None
        ]
        return max(distances, default=None)

    def _own_certificate(self) -> tuple[Validity | None, str]:
        security = self._settings.security
        if security is None or security.certificate_file is None:
            return None, ""
        now_s = self._clock.monotonic_s()
        with self._lock:
            if self._certificate is None or now_s >= self._certificate[0]:
                validity, fault = None, ""
                try:
                    validity = validity_of(security.certificate_file)
                except (OSError, ValueError) as error:
                    fault = str(error)
                # A certificate that is missing may be put there any moment, by a technician.
                again_s = _CERTIFICATE_EVERY_S if validity else 1.0
                self._certificate = (now_s + again_s, validity, fault)
            return self._certificate[1], self._certificate[2]


def sources_json(states: Mapping[str, SourceState]) -> str:
    """Return the states of sources as the field ``sources_json`` holds them."""
    told = {
        name: {
            "kind": state.kind,
            "state": state.word,
            "error": state.error,
            "n_readings": state.n_readings,
            "last_reading_age_s": (
                None if state.last_reading_age_s is None else round(state.last_reading_age_s, 1)
            ),
        }
        for name, state in states.items()
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
