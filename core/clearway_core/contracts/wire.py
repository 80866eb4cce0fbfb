"""Records as they travel from a gateway through the log.

Every record also has an identity (gateway, boot, seq), which the batch carries once; see
`clearway_core.identity` and `clearway_core.stream.batch`.
"""

from __future__ import annotations

from clearway_core.contracts.columns import LAT_DEG, LON_DEG, choice, count, flag, number, text
from clearway_core.contracts.field import Contract, DataType, Field

VEHICLE_CLASSES = ("car", "taxi", "motorcycle", "van", "truck", "bus", "unknown")
"""Kinds of vehicle that are never mixed: motorcycles filter through a jam that holds cars."""

_YEAR_2100_MS = 4_102_444_800_000
_YEAR_9999_MS = 253_402_300_799_999
"""Certificates that never end say so by their last year."""


def _moment(
    name: str, description: str, *, latest_ms: int = _YEAR_2100_MS, nullable: bool = False
) -> Field:
    """Return a column of moments; one later than `latest_ms` comes from a broken clock."""
    return Field(
        name=name,
        dtype=DataType.INSTANT,
        unit="ms since 1970-01-01T00:00Z",
        minimum=0,
        maximum=latest_ms,
        description=description,
        nullable=nullable,
    )


def _measured(name: str, unit: str, low: float, high: float, description: str) -> Field:
    """Return a column of measured numbers that may be missing."""
    return number(name, unit, description, nullable=True, minimum=low, maximum=high)


_OBSERVED_AT = _moment("observed_at", "When the value was measured, by the source's clock.")
_MONOTONIC_MS = count(
    "monotonic_ms",
    "Gateway's monotonic clock at the reading; given while its wall clock was not yet "
    "synchronised, so that observed_at can be derived from it afterwards.",
    unit="ms",
    nullable=True,
)
_FLAGS = text(
    "flags",
    "Checks that the gateway found broken, separated by a space; the value stays.",
    nullable=True,
)

GPS_PING = Contract(
    name="gps_ping",
    version=1,
    description="One GPS fix of one vehicle, under a pseudonym.",
    key=("provider", "vehicle", "observed_at"),
    fields=(
        Field(
            name="provider",
            dtype=DataType.STRING,
            pattern=r"[a-z0-9][a-z0-9_.-]{0,63}",
            description="Who operates the vehicle.",
        ),
        Field(
            name="vehicle",
            dtype=DataType.STRING,
            pattern=r"[0-9a-f]{32}",
            description="Pseudonym: 128 bits of an HMAC whose key turns with the epoch.",
        ),
        Field(
            name="pseudonym_epoch",
            dtype=DataType.DATE,
            nullable=True,
            pattern=r"\d{4}-\d{2}-\d{2}",
            description="Local date of the key that made the pseudonym; turns at 04:00.",
        ),
        _OBSERVED_AT,
        LON_DEG,
        LAT_DEG,
        _measured(
            "speed_kmh", "km/h", 0, 400, "Speed that the receiver reported (Doppler), not derived."
        ),
        _measured("heading_deg", "°", 0, 360, "Course over ground, clockwise from north."),
        _measured("accuracy_m", "m", 0, 100_000, "Horizontal accuracy that the receiver reported."),
        flag("occupied", "Whether a passenger is on board.", nullable=True),
        choice("vehicle_class", VEHICLE_CLASSES, "Kind of vehicle.", nullable=True),
        _FLAGS,
        _MONOTONIC_MS,
    ),
)

AIR_CHANNELS = (
    _measured("pm1_cf1_ugm3", "µg/m³", 0, 5000, "PM1, raw CF=1 column."),
    _measured("pm2_5_cf1_a_ugm3", "µg/m³", 0, 5000, "PM2.5, raw CF=1 column, first sensor."),
    _measured("pm2_5_cf1_b_ugm3", "µg/m³", 0, 5000, "PM2.5, raw CF=1 column, second sensor."),
    _measured("pm2_5_atm_ugm3", "µg/m³", 0, 5000, "PM2.5, the sensor's own 'atmospheric' column."),
    _measured("pm10_cf1_ugm3", "µg/m³", 0, 5000, "PM10, raw CF=1 column."),
    _measured("pm1_atm_ugm3", "µg/m³", 0, 5000, "PM1, the sensor's own 'atmospheric' column."),
    _measured("pm2_5_atm_b_ugm3", "µg/m³", 0, 5000, "PM2.5 'atmospheric', second sensor."),
    _measured("pm10_atm_ugm3", "µg/m³", 0, 5000, "PM10, the sensor's own 'atmospheric' column."),
    _measured("pm2_5_ugm3", "µg/m³", -50, 5000, "PM2.5 from a reference instrument."),
    _measured("pm10_ugm3", "µg/m³", -50, 5000, "PM10 from a reference instrument."),
    _measured("particles_0_3_um_per_dl", "1/dL", 0, 65_535, "Particles above 0.3 µm."),
    _measured("particles_2_5_um_per_dl", "1/dL", 0, 65_535, "Particles above 2.5 µm."),
    _measured("no2_ppb", "ppb", -100, 5000, "NO2 mole fraction."),
    _measured("o3_ppb", "ppb", -100, 5000, "O3 mole fraction."),
    _measured("co_ppm", "ppm", -10, 1000, "CO mole fraction."),
    _measured("humidity_pct", "%", 0, 100, "Relative humidity beside the sensor."),
    _measured("temperature_c", "°C", -60, 85, "Air temperature beside the sensor."),
    _measured("pressure_hpa", "hPa", 300, 1100, "Air pressure."),
)

AIR_READING = Contract(
    name="air_reading",
    version=1,
    description="One raw reading of one air sensor; corrections happen in the lake.",
    key=("sensor", "observed_at"),
    fields=(
        Field(
            name="sensor",
            dtype=DataType.STRING,
            pattern=r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}",
            description="Sensor identifier, unique in the city.",
        ),
        Field(
            name="sensor_model",
            dtype=DataType.STRING,
            pattern=r"[a-z0-9][a-z0-9_.-]{0,63}",
            description="Model, such as pms5003; 'reference' for a regulatory instrument.",
        ),
        _OBSERVED_AT,
        LON_DEG,
        LAT_DEG,
        *AIR_CHANNELS,
        _FLAGS,
        _MONOTONIC_MS,
    ),
)


GATEWAY_HEALTH = Contract(
    name="gateway_health",
    version=1,
    description="A gateway's own account of itself; the books are closed with it.",
    fields=(
        _OBSERVED_AT,
        text("about_contract", "Contract that the counters below are about, such as gps_ping/1."),
        count("about_boot", "Boot that the counters are about: their seq space."),
        count("n_read", "Records read from sources since boot."),
        count("n_delivered", "Records that the log has taken."),
        count("n_spooled", "Records waiting in the outbox."),
        count("n_dropped", "Records given up, all reasons."),
        text("dropped_by_reason", "JSON object: reason -> count."),
        number(
            "oldest_spooled_age_s",
            "s",
            "Age of the oldest waiting batch.",
            nullable=True,
            minimum=0,
        ),
        number("clock_offset_s", "s", "System clock minus reference clock.", nullable=True),
        count("disk_free_bytes", "Free space where the outbox lives.", unit="B", nullable=True),
        count("resident_bytes", "Memory of the agent.", unit="B", nullable=True),
        count("unclean_stops", "Starts that found the previous run not stopped properly."),
        text("version", "Version of the agent."),
        text("settings_hash", "SHA-256 of the effective settings, secrets left out."),
        text("site", "Site that the gateway serves; a swapped device keeps it.", nullable=True),
        text(
            "forwarder_state",
            "One of connecting, draining, up to date, or refused: with the reason.",
            nullable=True,
        ),
        flag("clock_synchronised", "Whether the wall clock follows a reference.", nullable=True),
        count("spooled_bytes", "Payload that waits in the outbox.", unit="B", nullable=True),
        count(
            "sent_bytes",
            "Payload that the log has taken since the agent started.",
            unit="B",
            nullable=True,
        ),
        count("set_aside", "Damaged parts of the outbox that were set aside.", nullable=True),
        number("cpu_temperature_c", "°C", "Temperature of the gateway's processor.", nullable=True),
        text(
            "sources_json",
            "JSON object: source -> kind, state, seconds since its last reading, error.",
            nullable=True,
        ),
        _moment(
            "certificate_expires_at",
            "When the gateway's own certificate ends.",
            latest_ms=_YEAR_9999_MS,
            nullable=True,
        ),
    ),
)

GATEWAY_BOOKS = Contract(
    name="gateway_books",
    version=1,
    description="A gateway's books, a page for each stream and hour: read = delivered + spooled + "
    "dropped. A page is told again whenever it has changed; the latest counts.",
    fields=(
        _OBSERVED_AT,
        text(
            "about_contract", "Contract of the records that the page is about, such as gps_ping/1."
        ),
        count("about_boot", "Boot that the page is about: whose numbers its records have."),
        count("page", "Number of the page within contract and boot, from 0; never goes back."),
        _moment(
            "hour_start", "Hour of the page by the gateway's clock; several pages may share it."
        ),
        count("seq_first", "First record number of the page."),
        count("seq_next", "First record number after the page; equal to seq_first if empty."),
        count("n_read", "Records read from sources."),
        count("n_delivered", "Records that the log has taken."),
        count("n_spooled", "Records that wait in the outbox."),
        count("n_dropped", "Records given up, all reasons."),
        text("dropped_by_reason", "JSON object: reason -> count."),
        count("n_unclean_stops", "Stops without notice while the page was open."),
        count(
            "n_unclean_at_most",
            "Serial readings that those stops can have cost, at most; never counted as read.",
        ),
        flag("closed", "Whether the hour is over and nothing of the page waits."),
    ),
)

WIRE_CONTRACTS = {
    contract.identifier: contract
    for contract in (GPS_PING, AIR_READING, GATEWAY_HEALTH, GATEWAY_BOOKS)
}

TOPICS = {
    GPS_PING.identifier: "clearway.gps_ping.v1",
    AIR_READING.identifier: "clearway.air_reading.v1",
    GATEWAY_HEALTH.identifier: "clearway.gateway_health.v1",
    GATEWAY_BOOKS.identifier: "clearway.gateway_books.v1",
}
"""Topic of each record contract; a new version gets a new topic."""
