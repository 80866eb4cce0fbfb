"""GO or NO-GO: whether the technician may climb down, and if not, what to do about it.

Pure: a snapshot goes in, checks in the words of a person on a ladder come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from clearway_core.clock import to_ms
from clearway_edge.condition.snapshot import Snapshot
from clearway_edge.condition.source_states import SourceState
from clearway_edge.outbox.outbox import OWN_REPORTS
from clearway_edge.page.lake_receipts import Confirmed

WIRED = frozenset({"nmea", "gpsd", "pmsx003", "sds011", "sps30"})
"""Kinds that speak by themselves every second or so; others are asked, or push, now and then."""

FIRST_READING_S = 60.0
"""A wired sensor that has just been plugged in may need this long: an SPS30 or PMS5003 warms up for
30 s, a receiver under open sky has its first fix within a minute. [s]"""

QUIET_S = 300.0
"""A source that worked and then said nothing for this long is worth a look, and one in the network
that never said anything is to be fixed: Sensor.Community's firmware pushes every 145 s. [s]"""

LEAST_FREE_BYTES = 200 * 1024 * 1024
"""Below this a disk is nearly full: what the system itself writes in a day. [B]"""

FAR_M = 250.0
"""A receiver on the pole is within this of the site: 100 m of error between tall buildings and half
a junction. [m]"""

HOT_C = 80.0
"""A Pi slows itself down from here. [°C]"""

STALE_S = 7200.0
"""A reading that was confirmed longer ago says little about now; an office that ingests by the hour
confirms at least one within this. [s]"""

_SILENT_WIRED = (
    "Check that the plug sits firmly, that it is the right kind of sensor in the settings, and for "
    "a receiver that its antenna sees the sky."
)
_SILENT_IN_THE_NETWORK = (
    "Check that the sender is on and in this network, and its address and name in the settings."
)

WARN_CERTIFICATE = timedelta(days=30)
_HALF = 0.5


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    LOOK = "look"
    """Worth a look; does not stand in the way of GO."""
    WAIT = "wait"
    """Nothing to do but wait a little."""
    FIX = "fix"
    """Something to do, here or at the office."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the page.

    Parameters
    ----------
    name
        What was looked at.
    verdict
        How it ended.
    words
        What was found.
    remedy
        What to do; empty if nothing is.
    """

    name: str
    verdict: Verdict
    words: str
    remedy: str = ""


def checks_of(seen: Snapshot) -> list[Check]:
    """Return all checks of a gateway: the lake's word first, then from the sensors outwards."""
    return [
        _lake(seen),
        *_sources(seen),
        _clock(seen),
        _sending(seen),
        *_certificate(seen),
        _outbox(seen),
        *_disk(seen),
        *_temperature(seen),
        _place(seen),
    ]


def is_go(checks: Sequence[Check]) -> bool:
    """Return whether nothing stands in the way."""
    return all(check.verdict in {Verdict.OK, Verdict.LOOK} for check in checks)


def headline(checks: Sequence[Check]) -> str:
    """Return the line below GO or NO-GO."""
    to_fix = [check for check in checks if check.verdict == Verdict.FIX]
    if to_fix:
        return "1 thing to fix" if len(to_fix) == 1 else f"{len(to_fix)} things to fix"
    waits = [check for check in checks if check.verdict == Verdict.WAIT]
    if waits:
        return f"Wait: {waits[0].words}"
    return checks[0].words


def confirmed_words(confirmed: Confirmed) -> str:
    """Return such as "reading 1042 confirmed after 14 s"."""
    after = "" if confirmed.after_s is None else f" after {duration(confirmed.after_s)}"
    return f"reading {confirmed.seq} confirmed{after}"


def duration(seconds: float) -> str:
    """Return a duration as a person says it, such as 14 s, 3 min or 2 h."""
    for size_s, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _lake(seen: Snapshot) -> Check:
    name = "Lake"
    readings = [one for one in seen.confirmed.values() if one.contract not in OWN_REPORTS]
    stored = [one for one in readings if one.n_stored > 0]
    if stored:
        newest = max(stored, key=lambda one: one.committed_at_ms)
        words = confirmed_words(newest)
        age_s = (to_ms(seen.seen_at) - newest.committed_at_ms) / 1000
        if age_s <= STALE_S:
            return Check(name=name, verdict=Verdict.OK, words=words)
        return Check(
            name=name,
            verdict=Verdict.WAIT,
            words=f"{words}, but that was {duration(age_s)} ago",
            remedy="If this stays, ask the office whether ingest is running.",
        )
    if readings:
        return Check(
            name=name,
            verdict=Verdict.FIX,
            words="the readings arrived, but the lake put them into quarantine",
            remedy="Check the clock and the sensor's values; the office sees the rule they broke.",
        )
    if not any(account.read for account in seen.accounts.values()):
        return Check(name=name, verdict=Verdict.WAIT, words="no reading to send yet")
    if seen.receipts_error:
        return Check(
            name=name,
            verdict=Verdict.WAIT,
            words=f"its answer cannot be read: {seen.receipts_error}",
            remedy="If this stays, ask the office whether this gateway may read the topic "
            "clearway.lake_receipt.v1.",
        )
    return Check(
        name=name,
        verdict=Verdict.WAIT,
        words="no reading is confirmed yet",
        remedy="If it takes longer than five minutes, ask the office whether ingest is running.",
    )


def _sources(seen: Snapshot) -> Iterator[Check]:
    for name, state in seen.sources.items():
        yield _source(f"{name} ({state.kind})", state, seen.uptime_s)


def _source(name: str, state: SourceState, uptime_s: float) -> Check:
    if state.error:
        words, remedy = _parted(state.error)
        return Check(
            name=name,
            verdict=Verdict.FIX,
            words=f"lost: {words}",
            remedy=remedy or "Check its cable, plug and power, then wait 10 s.",
        )
    age_s = state.last_reading_age_s
    if age_s is None:
        wired = state.kind in WIRED
        if uptime_s < (FIRST_READING_S if wired else QUIET_S):
            return Check(name=name, verdict=Verdict.WAIT, words="no reading yet")
        return Check(
            name=name,
            verdict=Verdict.FIX,
            words=f"silent: can be read, but no reading for {duration(uptime_s)}",
            remedy=_SILENT_WIRED if wired else _SILENT_IN_THE_NETWORK,
        )
    words = f"working, {_readings(state.n_readings)}, the last {duration(age_s)} ago"
    if age_s <= QUIET_S:
        return Check(name=name, verdict=Verdict.OK, words=words)
    return Check(
        name=name,
        verdict=Verdict.LOOK,
        words=f"quiet: the last reading came {duration(age_s)} ago",
        remedy="Check the sensor if it should be reporting now.",
    )


def _readings(count: int) -> str:
    return "1 reading" if count == 1 else f"{count} readings"


def _parted(error: str) -> tuple[str, str]:
    """Return what happened and what to do: our errors say both, in sentences."""
    words, _, remedy = error.partition(". ")
    return words, remedy.strip()


def _clock(seen: Snapshot) -> Check:
    if not seen.clock_synchronised:
        return Check(
            name="Clock",
            verdict=Verdict.WAIT,
            words="not set yet; readings are kept and get their time later",
            remedy="If this stays, check that the network lets time through (NTP, UDP port 123).",
        )
    offset = "" if seen.clock_offset_s is None else f", off by {seen.clock_offset_s:.3f} s"
    return Check(
        name="Clock",
        verdict=Verdict.OK,
        words=f"set{offset}: {seen.seen_at:%Y-%m-%d %H:%M} UTC",
    )


def _sending(seen: Snapshot) -> Check:
    state = seen.forwarder_state
    name = "Broker"
    if state.startswith(("refused", "connecting: ")):
        words, remedy = _parted(state)
        return Check(
            name=name,
            verdict=Verdict.FIX,
            words=words,
            remedy=f"{remedy} Check the network cable or SIM card first, then address and "
            "certificate in the settings. What is read meanwhile is kept.".strip(),
        )
    if state.startswith("connecting"):
        return Check(name=name, verdict=Verdict.WAIT, words=state)
    return Check(name=name, verdict=Verdict.OK, words=state)


def _certificate(seen: Snapshot) -> Iterator[Check]:
    name = "Certificate"
    if seen.certificate_fault:
        yield Check(
            name=name,
            verdict=Verdict.FIX,
            words=seen.certificate_fault,
            remedy="Have the request signed, then: clearway-gateway enrol --certificate FILE.",
        )
    if seen.certificate is None:
        return
    left = seen.certificate.expires_at - seen.seen_at
    until = f"valid until {seen.certificate.expires_at:%Y-%m-%d}"
    if seen.seen_at < seen.certificate.starts_at:
        yield Check(
            name=name,
            verdict=Verdict.FIX,
            words=f"valid only from {seen.certificate.starts_at:%Y-%m-%d}",
            remedy="The clock is wrong, or the certificate is.",
        )
    elif left <= timedelta(0):
        yield Check(
            name=name,
            verdict=Verdict.FIX,
            words=f"expired on {seen.certificate.expires_at:%Y-%m-%d}",
            remedy="Have a new one signed: clearway-gateway enrol.",
        )
    elif left <= WARN_CERTIFICATE:
        yield Check(name=name, verdict=Verdict.LOOK, words=until, remedy="Order a new one now.")
    else:
        yield Check(name=name, verdict=Verdict.OK, words=until)


def _outbox(seen: Snapshot) -> Check:
    name = "Outbox"
    words = f"{_readings(seen.n_spooled)} waiting"
    if seen.spooled_bytes > seen.max_spooled_bytes * _HALF:
        return Check(
            name=name,
            verdict=Verdict.LOOK,
            words=f"{words}; it is more than half full",
            remedy="Check the network: once it is full, the oldest readings are given up.",
        )
    if seen.set_aside:
        return Check(
            name=name,
            verdict=Verdict.LOOK,
            words=f"{words}; {seen.set_aside} damaged parts were set aside",
            remedy="The memory card is failing: replace it soon.",
        )
    kept = "in memory only, lost when power goes" if seen.in_memory else "safe on the disk"
    return Check(name=name, verdict=Verdict.OK, words=f"{words}, {kept}")


def _disk(seen: Snapshot) -> Iterator[Check]:
    if seen.disk is None:
        return
    free = f"{seen.disk.free_bytes / 1e9:.1f} GB free"
    if seen.disk.free_bytes < LEAST_FREE_BYTES:
        yield Check(
            name="Disk",
            verdict=Verdict.FIX,
            words=f"nearly full: {free}",
            remedy="Delete what does not belong there, or take a larger card.",
        )
    else:
        yield Check(name="Disk", verdict=Verdict.OK, words=free)


def _temperature(seen: Snapshot) -> Iterator[Check]:
    if seen.cpu_temperature_c is None:
        return
    hot = seen.cpu_temperature_c >= HOT_C
    yield Check(
        name="Temperature",
        verdict=Verdict.LOOK if hot else Verdict.OK,
        words=f"processor at {seen.cpu_temperature_c:.0f} °C",
        remedy="Give the box shade or air." if hot else "",
    )


def _place(seen: Snapshot) -> Check:
    who = f"device {seen.gateway}" + ("" if seen.site is None else f" at site {seen.site}")
    if seen.receiver_distance_m is None:
        remedy = "Compare both names with the label and the pole." if seen.site else ""
        return Check(name="Place", verdict=Verdict.OK, words=who, remedy=remedy)
    if seen.receiver_distance_m <= FAR_M:
        return Check(
            name="Place",
            verdict=Verdict.OK,
            words=f"{who}; the receiver is {seen.receiver_distance_m:.0f} m from it",
        )
    return Check(
        name="Place",
        verdict=Verdict.FIX,
        words=f"{who}; but the receiver is {seen.receiver_distance_m / 1000:.1f} km away from it",
        remedy="Is this the device for this pole? Otherwise the site's position in the settings "
        "is wrong.",
    )
