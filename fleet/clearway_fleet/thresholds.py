"""From when on something needs a hand: numbers of `params/thresholds.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clearway_core.settings import Section, open_toml, raise_faults

PARAMETER_FOLDER = Path(__file__).parent / "params"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Each number as its parameter file explains it; the unit stands at the end of its name.

    Parameters
    ----------
    silence_gateway_s, silence_common_share, silence_fleet_of
        When a gateway, or half of them, counts as silent.
    roll_up_sites
        So many sites with one cause are told as one.
    calm_period_s
        How long a cause has to be gone before its all-clear.
    backlog_age_s, backlog_watched_s
        How old the oldest waiting reading may be, and how long that has to be seen.
    sensor_silent_s
        Since a sensor's last reading.
    clock_skew_s, clock_hold_s
        Clock minus reference, and how long it has to be seen.
    disk_free_bytes, temperature_processor_c
        Of the device.
    certificate_first_d, certificate_last_d
        Before its end.
    losses_share, losses_least
        Of what was read in a day, and of at least so many.
    provider_silent_s, provider_usual_gap_factor, provider_longest_gap_s, provider_history_d,
    provider_least_days_d
        When a provider is missed.
    quarantine_share, quarantine_least
        Of the last hour's records, and of at least so many.
    """

    silence_gateway_s: float
    silence_common_share: float
    silence_fleet_of: float
    roll_up_sites: float
    calm_period_s: float
    backlog_age_s: float
    backlog_watched_s: float
    sensor_silent_s: float
    clock_skew_s: float
    clock_hold_s: float
    disk_free_bytes: float
    temperature_processor_c: float
    certificate_first_d: float
    certificate_last_d: float
    losses_share: float
    losses_least: float
    provider_silent_s: float
    provider_usual_gap_factor: float
    provider_longest_gap_s: float
    provider_history_d: float
    provider_least_days_d: float
    quarantine_share: float
    quarantine_least: float


@cache
def thresholds() -> Thresholds:
    """Return the thresholds of the parameter file.

    Raises
    ------
    SettingsError
        With every fault of the file.
    """
    top, faults = open_toml(PARAMETER_FOLDER / "thresholds.toml")
    read = Thresholds(
        silence_gateway_s=_value(top, "silence.gateway", "s"),
        silence_common_share=_value(top, "silence.common_share", "1"),
        silence_fleet_of=_value(top, "silence.fleet_of", "1"),
        roll_up_sites=_value(top, "roll_up.sites", "1"),
        calm_period_s=_value(top, "calm.period", "s"),
        backlog_age_s=_value(top, "backlog.age", "s"),
        backlog_watched_s=_value(top, "backlog.watched", "s"),
        sensor_silent_s=_value(top, "sensor.silent", "s"),
        clock_skew_s=_value(top, "clock.skew", "s"),
        clock_hold_s=_value(top, "clock.hold", "s"),
        disk_free_bytes=_value(top, "disk.free", "B"),
        temperature_processor_c=_value(top, "temperature.processor", "°C"),
        certificate_first_d=_value(top, "certificate.first", "d"),
        certificate_last_d=_value(top, "certificate.last", "d"),
        losses_share=_value(top, "losses.share", "1"),
        losses_least=_value(top, "losses.least", "1"),
        provider_silent_s=_value(top, "provider.silent", "s"),
        provider_usual_gap_factor=_value(top, "provider.usual_gap_factor", "1"),
        provider_longest_gap_s=_value(top, "provider.longest_gap", "s"),
        provider_history_d=_value(top, "provider.history", "d"),
        provider_least_days_d=_value(top, "provider.least_days", "d"),
        quarantine_share=_value(top, "quarantine.share", "1"),
        quarantine_least=_value(top, "quarantine.least", "1"),
    )
    raise_faults(faults)
    return read


def _value(top: Section, path: str, unit: str) -> float:
    table, _, key = path.partition(".")
    entry = top.section(table).section(key)
    held_unit = entry.text("unit")
    if held_unit != unit:
        entry.fault("unit", f"expected {unit}, got {held_unit!r}; convert the value")
    entry.text("source")
    entry.text("status", allowed=("verified", "computed", "unverified", "design"))
    value = entry.number("value", minimum=0.0)
    entry.finish()
    return value
