"""A gateway at a moment at which all is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clearway_core.clock import to_ms
from clearway_edge.certificate import Validity
from clearway_edge.condition.device import Disk
from clearway_edge.condition.snapshot import Snapshot
from clearway_edge.condition.source_states import SourceState
from clearway_edge.outbox.outbox import Account
from clearway_edge.page.lake_receipts import Confirmed

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
WORKS = SourceState(kind="pmsx003", error="", n_readings=40, last_reading_age_s=1.0)
CONFIRMED = Confirmed(
    contract="air_reading/1", seq=1042, n_stored=30, committed_at_ms=to_ms(NOW) - 9000, after_s=14.2
)
GOOD = Snapshot(
    gateway="gw-017",
    site="asok-north",
    boot=7,
    seen_at=NOW,
    uptime_s=400.0,
    sources={"air": WORKS},
    accounts={"air_reading/1": Account(read=1100, delivered=1090, spooled=10)},
    spooled={"air_reading/1": 10},
    forwarder_state="up to date",
    sent_bytes=9000,
    spooled_bytes=200,
    max_spooled_bytes=1 << 29,
    oldest_spooled_age_s=0.5,
    set_aside=0,
    unclean_stops=0,
    in_memory=False,
    clock_synchronised=True,
    clock_offset_s=0.002,
    disk=Disk(free_bytes=10**10, kind="ext4"),
    cpu_temperature_c=55.0,
    resident_bytes=35 << 20,
    receiver_distance_m=12.0,
    certificate=Validity(starts_at=NOW - timedelta(days=1), expires_at=NOW + timedelta(days=300)),
    certificate_fault="",
    confirmed={"air_reading/1": CONFIRMED},
)
