"""PurpleAir sensors in the local network: both laser counters, raw, as the device itself tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section
from clearway_edge.sources.channels import (
    F_TO_C,
    NO_CHANNEL,
    Channel,
    air_reading,
    channels_of,
    json_object,
)
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings, place_settings
from clearway_edge.sources.polled.http_poll import (
    HttpPoll,
    PolledSource,
    PollSettings,
    poll_settings,
)
from clearway_edge.sources.source import Intake

MODEL = "purpleair"
REPEATED = "repeated_reading"

EVERY_S = 60.0
"""The device makes a mean of 120 s and offers it for as long; asked twice, none is missed. [s]"""

TABLE = (
    Channel("pm1_0_cf_1", "pm1_cf1_ugm3"),
    Channel("pm2_5_cf_1", "pm2_5_cf1_a_ugm3"),
    Channel("pm2_5_cf_1_b", "pm2_5_cf1_b_ugm3"),
    Channel("pm10_0_cf_1", "pm10_cf1_ugm3"),
    Channel("pm1_0_atm", "pm1_atm_ugm3"),
    Channel("pm2_5_atm", "pm2_5_atm_ugm3"),
    Channel("pm2_5_atm_b", "pm2_5_atm_b_ugm3"),
    Channel("pm10_0_atm", "pm10_atm_ugm3"),
    Channel("p_0_3_um", "particles_0_3_um_per_dl"),
    Channel("p_2_5_um", "particles_2_5_um_per_dl"),
    Channel("current_humidity", "humidity_pct"),
    Channel("current_temp_f", "temperature_c", *F_TO_C),
    Channel("pressure", "pressure_hpa"),
    Channel("current_humidity_680", "humidity_pct"),
    Channel("current_temp_f_680", "temperature_c", *F_TO_C),
    Channel("pressure_680", "pressure_hpa"),
)
"""Names of the device's ``/json``; ``_b`` is the second laser counter, ``_680`` a second weather
chip that some devices have instead of the first. PurpleAir, "Local JSON", firmware 7.02."""

_TIME = "%Y/%m/%dT%H:%M:%Sz"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurpleAirSettings:
    """A device and where it stands."""

    poll: PollSettings
    place: PlaceSettings


def settings_of(section: Section, folder: Path) -> PurpleAirSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return PurpleAirSettings(
        poll=poll_settings(section, folder, every_s=EVERY_S), place=place_settings(section)
    )


def open_source(settings: PurpleAirSettings, tools: Tools) -> PolledSource:
    """Return the device; it is asked once it is first read."""
    decoder = PurpleAirDecoder(settings.place, tools.clock)
    poll = HttpPoll(settings.poll, tools.clock)
    return PolledSource(poll, decoder.decode, contract=AIR_READING.identifier)


class PurpleAirDecoder:
    """Makes readings of the device's documents.

    Parameters
    ----------
    place
        Which sensor it is.
    clock
        For devices that do not know the time.
    """

    def __init__(self, place: PlaceSettings, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._last_ms: int | None = None

    def decode(self, body: bytes) -> Intake:
        """Return the reading of a document; ValueError if it is no PurpleAir's."""
        document = json_object(body, expected="a PurpleAir's /json")
        intake = Intake()
        values, flags = channels_of(document, TABLE)
        at_ms = _instant(document.get("DateTime"))
        if not values:
            intake.dropped[AIR_READING.identifier, NO_CHANNEL] += 1
        elif at_ms is not None and at_ms == self._last_ms:
            intake.dropped[AIR_READING.identifier, REPEATED] += 1
        else:
            self._last_ms = at_ms
            known: dict[str, object] = {} if at_ms is None else {"observed_at": at_ms}
            reading = air_reading(
                {**values, **known},
                place=self._place,
                model=MODEL,
                clock=self._clock,
                flags=flags,
            )
            intake.readings.append(reading)
        return intake


def _instant(text: object) -> int | None:
    try:
        return to_ms(datetime.strptime(str(text), _TIME).replace(tzinfo=UTC))
    except ValueError:
        return None
