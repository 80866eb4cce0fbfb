"""A running gateway at one moment, as its page, its figures and its checks see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clearway_edge.certificate import Validity
from clearway_edge.condition.device import Disk
from clearway_edge.condition.source_states import SourceState
from clearway_edge.outbox.outbox import Account
from clearway_edge.page.lake_receipts import Confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A gateway at one moment; None is "not known".

    Parameters
    ----------
    gateway, site, boot, seen_at
        Device, place, this start of the agent, and when this was seen.
    uptime_s
        Since the agent started. [s]
    accounts
        Books of this start, by contract; what the gateway says about itself is left out.
    spooled
        Readings that wait, of all starts, by contract.
    forwarder_state
        ``connecting``, ``draining``, ``up to date``, or ``refused: …`` with the reason.
    sent_bytes
        Payload that the log has taken since the start. [B]
    oldest_spooled_age_s
        [s]
    receiver_distance_m
        From the site to where a receiver on the pole says it is. [m]
    certificate
        Validity of the gateway's own certificate; None without one or if it cannot be read.
    certificate_fault
        Why it cannot be read; empty if it can.
    confirmed
        Readings that the lake has confirmed, by contract.
    receipts_error
        Why receipts cannot be read.
    """

    gateway: str
    site: str | None
    boot: int | None
    seen_at: datetime
    uptime_s: float
    sources: Mapping[str, SourceState]
    accounts: Mapping[str, Account]
    spooled: Mapping[str, int]
    forwarder_state: str
    sent_bytes: int
    spooled_bytes: int
    max_spooled_bytes: int
    oldest_spooled_age_s: float | None
    set_aside: int
    unclean_stops: int
    in_memory: bool
    clock_synchronised: bool
    clock_offset_s: float | None
    disk: Disk | None
    cpu_temperature_c: float | None
    resident_bytes: int | None
    receiver_distance_m: float | None
    certificate: Validity | None
    certificate_fault: str
    confirmed: Mapping[str, Confirmed] = field(default_factory=dict)
    receipts_error: str = ""

    @property
    def n_spooled(self) -> int:
        """Readings that wait."""
        return sum(self.spooled.values())
