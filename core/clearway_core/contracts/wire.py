"""Records as they travel from a gateway through the log.

Every record also has an identity (gateway, boot, seq), which the batch carries once; see
`clearway_core.identity` and `clearway_core.stream.batch`.
"""

from __future__ import annotations

from clearway_core.contracts.field import Contract, DataType, Field

VEHICLE_CLASSES = ("car", "taxi", "motorcycle", "van", "truck", "bus", "unknown")
"""Kinds of vehicle that are never mixed: motorcycles filter through a jam that holds cars."""

_YEAR_2100_MS = 4_102_444_800_000
_YEAR_9999_MS = 253_402_300_799_999
"""Certificates that never end say so by their last year."""

_LON = Field(
    name="lon_deg",
    dtype=DataType.FLOAT64,
    unit="°",
    minimum=-180,
    maximum=180,
    description="Longitude, WGS84.",
)
_LAT = Field(
    name="lat_deg",
    dtype=DataType.FLOAT64,
    unit="°",
    minimum=-90,
    maximum=90,
    description="Latitude, WGS84.",
)
_OBSERVED_AT = Field(
    name="observed_at",
    dtype=DataType.INSTANT,
    unit="ms since 1970-01-01T00:00Z",
    minimum=0,
    maximum=_YEAR_2100_MS,  # a later time is a broken clock
    description="When the value was measured, by the source's clock.",
)
_MONOTONIC_MS = Field(
    name="monotonic_ms",
    dtype=DataType.INT64,
    unit="ms",
    nullable=True,
    minimum=0,
    description="Gateway's monotonic clock at the reading; given while its wall clock was not yet "
    "synchronised, so that observed_at can be derived from it afterwards.",
)
_FLAGS = Field(
    name="flags",
    dtype=DataType.STRING,
    nullable=True,
    description="Checks that the gateway found broken, separated by a space; the value stays.",
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
        _LON,
        _LAT,
        Field(
            name="speed_kmh",
            dtype=DataType.FLOAT64,
            unit="km/h",
            nullable=True,
            minimum=0,
            maximum=400,
            description="Speed that the receiver reported (Doppler), not derived.",
        ),
        Field(
            name="heading_deg",
            dtype=DataType.FLOAT64,
            unit="°",
            nullable=True,
            minimum=0,
            maximum=360,
            description="Course over ground, clockwise from north.",
        ),
        Field(
            name="accuracy_m",
            dtype=DataType.FLOAT64,
            unit="m",
            nullable=True,
            minimum=0,
            maximum=100_000,
            description="Horizontal accuracy that the receiver reported.",
        ),
        Field(
            name="occupied",
            dtype=DataType.BOOL,
            nullable=True,
            description="Whether a passenger is on board.",
        ),
        Field(
            name="vehicle_class",
            dtype=DataType.STRING,
            nullable=True,
            allowed=VEHICLE_CLASSES,
            description="Kind of vehicle.",
        ),
        _FLAGS,
        _MONOTONIC_MS,
    ),
)


def _channel(name: str, unit: str, low: float, high: float, description: str) -> Field:
    return Field(
        name=name,
        dtype=DataType.FLOAT64,
        unit=unit,
        nullable=True,
        minimum=low,
        maximum=high,
        description=description,
    )


AIR_CHANNELS = (
    _channel("pm1_cf1_ugm3", "µg/m³", 0, 5000, "PM1, raw CF=1 column."),
    _channel("pm2_5_cf1_a_ugm3", "µg/m³", 0, 5000, "PM2.5, raw CF=1 column, first sensor."),
    _channel("pm2_5_cf1_b_ugm3", "µg/m³", 0, 5000, "PM2.5, raw CF=1 column, second sensor."),
    _channel("pm2_5_atm_ugm3", "µg/m³", 0, 5000, "PM2.5, the sensor's own 'atmospheric' column."),
    _channel("pm10_cf1_ugm3", "µg/m³", 0, 5000, "PM10, raw CF=1 column."),
    _channel("pm1_atm_ugm3", "µg/m³", 0, 5000, "PM1, the sensor's own 'atmospheric' column."),
    _channel("pm2_5_atm_b_ugm3", "µg/m³", 0, 5000, "PM2.5 'atmospheric', second sensor."),
    _channel("pm10_atm_ugm3", "µg/m³", 0, 5000, "PM10, the sensor's own 'atmospheric' column."),
    _channel("pm2_5_ugm3", "µg/m³", -50, 5000, "PM2.5 from a reference instrument."),
    _channel("pm10_ugm3", "µg/m³", -50, 5000, "PM10 from a reference instrument."),
    _channel("particles_0_3_um_per_dl", "1/dL", 0, 65_535, "Particles above 0.3 µm."),
    _channel("particles_2_5_um_per_dl", "1/dL", 0, 65_535, "Particles above 2.5 µm."),
    _channel("no2_ppb", "ppb", -100, 5000, "NO2 mole fraction."),
    _channel("o3_ppb", "ppb", -100, 5000, "O3 mole fraction."),
    _channel("co_ppm", "ppm", -10, 1000, "CO mole fraction."),
    _channel("humidity_pct", "%", 0, 100, "Relative humidity beside the sensor."),
    _channel("temperature_c", "°C", -60, 85, "Air temperature beside the sensor."),
    _channel("pressure_hpa", "hPa", 300, 1100, "Air pressure."),
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
        _LON,
        _LAT,
        *AIR_CHANNELS,
        _FLAGS,
        _MONOTONIC_MS,
    ),
)


def _count(name: str, description: str) -> Field:
    return Field(name=name, dtype=DataType.INT64, minimum=0, description=description)


def _said(name: str, description: str) -> Field:
    return Field(name=name, dtype=DataType.STRING, nullable=True, description=description)


def _measure(name: str, unit: str, description: str) -> Field:
    return Field(
        name=name,
        dtype=DataType.INT64,
        unit=unit,
        nullable=True,
        minimum=0,
        description=description,
    )


GATEWAY_HEALTH = Contract(
    name="gateway_health",
    version=1,
    description="A gateway's own account of itself; the books are closed with it.",
    fields=(
        _OBSERVED_AT,
        Field(
            name="about_contract",
            dtype=DataType.STRING,
            description="Contract that the counters below are about, such as gps_ping/1.",
        ),
        Field(
            name="about_boot",
            dtype=DataType.INT64,
            minimum=0,
            description="Boot that the counters are about: their seq space.",
        ),
        _count("n_read", "Records read from sources since boot."),
        _count("n_delivered", "Records that the log has taken."),
        _count("n_spooled", "Records waiting in the outbox."),
        _count("n_dropped", "Records given up, all reasons."),
        Field(
            name="dropped_by_reason",
            dtype=DataType.STRING,
            description="JSON object: reason -> count.",
        ),
        Field(
            name="oldest_spooled_age_s",
            dtype=DataType.FLOAT64,
            unit="s",
            nullable=True,
            minimum=0,
            description="Age of the oldest waiting batch.",
        ),
        Field(
            name="clock_offset_s",
            dtype=DataType.FLOAT64,
            unit="s",
            nullable=True,
            description="System clock minus reference clock.",
        ),
        Field(
            name="disk_free_bytes",
            dtype=DataType.INT64,
            unit="B",
            nullable=True,
            minimum=0,
            description="Free space where the outbox lives.",
        ),
        Field(
            name="resident_bytes",
            dtype=DataType.INT64,
            unit="B",
            nullable=True,
            minimum=0,
            description="Memory of the agent.",
        ),
        Field(
            name="unclean_stops",
            dtype=DataType.INT64,
            minimum=0,
            description="Starts that found the previous run not stopped properly.",
        ),
        Field(name="version", dtype=DataType.STRING, description="Version of the agent."),
        Field(
            name="settings_hash",
            dtype=DataType.STRING,
            description="SHA-256 of the effective settings, secrets left out.",
        ),
        _said("site", "Site that the gateway serves; a swapped device keeps it."),
        _said(
            "forwarder_state",
            "One of connecting, draining, up to date, or refused: with the reason.",
        ),
        Field(
            name="clock_synchronised",
            dtype=DataType.BOOL,
            nullable=True,
            description="Whether the wall clock follows a reference.",
        ),
        _measure("spooled_bytes", "B", "Payload that waits in the outbox."),
        _measure("sent_bytes", "B", "Payload that the log has taken since the agent started."),
        _measure("set_aside", "1", "Damaged parts of the outbox that were set aside."),
        Field(
            name="cpu_temperature_c",
            dtype=DataType.FLOAT64,
            unit="°C",
            nullable=True,
            description="Temperature of the gateway's processor.",
        ),
        _said(
            "sources_json",
            "JSON object: source -> kind, state, seconds since its last reading, error.",
        ),
        Field(
            name="certificate_expires_at",
            dtype=DataType.INSTANT,
            unit="ms since 1970-01-01T00:00Z",
            nullable=True,
            minimum=0,
            maximum=_YEAR_9999_MS,
            description="When the gateway's own certificate ends.",
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
        Field(
            name="about_contract",
            dtype=DataType.STRING,
            description="Contract of the records that the page is about, such as gps_ping/1.",
        ),
        Field(
            name="about_boot",
            dtype=DataType.INT64,
            minimum=0,
            description="Boot that the page is about: whose numbers its records have.",
        ),
        _count("page", "Number of the page within contract and boot, from 0; never goes back."),
        Field(
            name="hour_start",
            dtype=DataType.INSTANT,
            unit="ms since 1970-01-01T00:00Z",
            minimum=0,
            maximum=_YEAR_2100_MS,
            description="Hour of the page by the gateway's clock; several pages may share it.",
        ),
        _count("seq_first", "First record number of the page."),
        _count("seq_next", "First record number after the page; equal to seq_first if empty."),
        _count("n_read", "Records read from sources."),
        _count("n_delivered", "Records that the log has taken."),
        _count("n_spooled", "Records that wait in the outbox."),
        _count("n_dropped", "Records given up, all reasons."),
        Field(
            name="dropped_by_reason",
            dtype=DataType.STRING,
            description="JSON object: reason -> count.",
        ),
        _count("n_unclean_stops", "Stops without notice while the page was open."),
        _count(
            "n_unclean_at_most",
            "Serial readings that those stops can have cost, at most; never counted as read.",
        ),
        Field(
            name="closed",
            dtype=DataType.BOOL,
            description="Whether the hour is over and nothing of the page waits.",
        ),
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
