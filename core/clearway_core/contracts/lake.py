"""Tables of the lake: raw and immutable first, then what is derived, then what people decided."""

from __future__ import annotations

from dataclasses import replace

from clearway_core.contracts.field import Contract, DataType, Field, Rule
from clearway_core.contracts.wire import AIR_READING, GATEWAY_HEALTH, GPS_PING

N_VEHICLE_BUCKETS = 8
"""Raw GPS is laid out by day and a hash of the vehicle, so that per-vehicle work never shuffles.

Eight keeps a bucket of a 10-million-fix day near 1.2 million rows (about 200 MB while it is
cleaned) and the files of a small town's day few.
"""

SOURCE_CLASSES = ("observed", "modelled", "none")
QUALITY_CLASSES = ("A", "B", "C", "X")


def _text(name: str, description: str, *, nullable: bool = False) -> Field:
    return Field(name=name, dtype=DataType.STRING, description=description, nullable=nullable)


def _count(name: str, description: str, *, unit: str = "1") -> Field:
    return Field(name=name, dtype=DataType.INT64, unit=unit, minimum=0, description=description)


def _instant(name: str, description: str, *, nullable: bool = False) -> Field:
    return Field(
        name=name, dtype=DataType.INSTANT, unit="UTC", description=description, nullable=nullable
    )


def _number(
    name: str,
    unit: str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    nullable: bool = False,
) -> Field:
    return Field(
        name=name,
        dtype=DataType.FLOAT64,
        unit=unit,
        description=description,
        minimum=minimum,
        maximum=maximum,
        nullable=nullable,
    )


_GATEWAY = _text("gateway", "Gateway that read the record; empty for third parties.")
_BOOT = _count("boot", "Start of the gateway's agent that numbered the record.")
_SEQ = _count("seq", "Number of the record within gateway, boot and contract.")
_LOG_POSITION = (
    _text("topic", "Topic of the log that the record came through."),
    Field(name="log_partition", dtype=DataType.INT32, minimum=0, description="Its partition."),
    _count("log_offset", "Offset of the batch within the partition."),
)
_RECEIVED_AT = _instant("received_at", "When the log took the batch.")
_PROVENANCE = (_GATEWAY, _BOOT, _SEQ, _RECEIVED_AT, *_LOG_POSITION)
_LOG_ID = _text(
    "log_id",
    "Which log the offset belongs to; another log counts its offsets from 0 again.",
    nullable=True,
)
_OBSERVED_DATE = Field(
    name="observed_date", dtype=DataType.DATE, description="UTC day of observed_at."
)

GPS_PINGS = replace(
    GPS_PING,
    name="gps_pings",
    description="Raw GPS fixes as received, immutable until their retention ends.",
    fields=(
        *GPS_PING.fields,
        *_PROVENANCE,
        _OBSERVED_DATE,
        Field(
            name="vehicle_bucket",
            dtype=DataType.INT32,
            minimum=0,
            maximum=N_VEHICLE_BUCKETS - 1,
            description="First byte of the pseudonym modulo the number of buckets.",
        ),
    ),
    partition_by=("observed_date", "vehicle_bucket"),
)

AIR_READINGS = replace(
    AIR_READING,
    name="air_readings",
    description="Raw air readings as received, immutable.",
    fields=(*AIR_READING.fields, *_PROVENANCE, _OBSERVED_DATE),
    partition_by=("observed_date",),
)

GATEWAY_HEALTH_TABLE = replace(
    GATEWAY_HEALTH,
    name="gateway_health",
    description="Every gateway's own accounts, as received.",
    key=("gateway", "boot", "seq"),
    fields=(*GATEWAY_HEALTH.fields, *_PROVENANCE, _OBSERVED_DATE),
    partition_by=("observed_date",),
)

QUARANTINE = Contract(
    name="quarantine",
    version=1,
    description="Rows that broke a rule of their contract: kept, counted, never silently dropped.",
    fields=(
        _text("contract", "Contract that the row broke, such as gps_ping/1."),
        _text("rule", "First rule that it broke, such as lon_deg_range."),
        _text("all_rules", "All broken rules, separated by a space."),
        _text("row_json", "The row as received; a vehicle that is no pseudonym is masked."),
        *_PROVENANCE,
    ),
)

DEAD_LETTERS = Contract(
    name="dead_letters",
    version=1,
    description="Messages that could not be decoded, whole, with the cause; they can be replayed.",
    fields=(
        _text("cause", "Short name of the cause, such as undecodable_payload."),
        _text("detail", "What exactly was wrong."),
        _text("headers_json", "Headers of the message."),
        Field(name="payload", dtype=DataType.BINARY, unit="B", description="The message's bytes."),
        _RECEIVED_AT,
        *_LOG_POSITION,
        _LOG_ID,
        Field(
            name="message_key",
            dtype=DataType.BINARY,
            unit="B",
            nullable=True,
            description="The message's key; null where the payload is withheld.",
        ),
        Field(
            name="payload_bytes",
            dtype=DataType.INT64,
            unit="B",
            nullable=True,
            minimum=0,
            description="Size of the payload, also where the payload itself is withheld because "
            "it may name a vehicle.",
        ),
    ),
    key=("topic", "log_partition", "log_offset"),
)

RECEIVED_RANGES = Contract(
    name="received_ranges",
    version=1,
    description="Which seq numbers of each gateway and boot have arrived, so that resent batches "
    "add nothing.",
    fields=(
        _text("contract", "Contract of the records."),
        _GATEWAY,
        _BOOT,
        _count("seq_first", "First number of the range."),
        _count("seq_last", "Last number of the range."),
        *_LOG_POSITION,
        _LOG_ID,
    ),
)

INGEST_COMMITS = Contract(
    name="ingest_commits",
    version=1,
    description="Where ingest continues: written last, and alone decides where to seek.",
    fields=(
        *_LOG_POSITION[:2],
        _count("next_offset", "First offset that is not yet in the lake."),
        _count("n_messages", "Messages of this commit."),
        _count("n_rows", "Rows in those messages."),
        _count("n_stored", "Rows stored."),
        _count("n_quarantined", "Rows quarantined."),
        _count("n_duplicates", "Rows that had already arrived."),
        _count("n_dead_letters", "Messages that could not be decoded."),
        _instant("committed_at", "When the commit was made."),
        _LOG_ID,
    ),
)

_RESOLUTION = Field(
    name="resolution",
    dtype=DataType.INT32,
    minimum=7,
    maximum=10,
    description="H3 resolution of h3_cell.",
)
_WINDOW_MINUTES = Field(
    name="window_minutes",
    dtype=DataType.INT32,
    unit="min",
    minimum=15,
    maximum=1440,
    description="Length of the window.",
)
_WINDOW = (
    _RESOLUTION,
    _WINDOW_MINUTES,
    Field(name="window_date", dtype=DataType.DATE, description="UTC day of window_start."),
    Field(name="h3_cell", dtype=DataType.UINT64, description="H3 cell."),
    _instant("window_start", "Start of the window [start, end)."),
    Field(
        name="vehicle_class",
        dtype=DataType.STRING,
        description="Kind of vehicle; 'all' for all of them together.",
    ),
)
_WINDOW_KEY = ("resolution", "window_minutes", "h3_cell", "window_start", "vehicle_class")
_WINDOW_PARTITION = ("resolution", "window_minutes", "window_date")

_TRAVEL_SUMS = (
    _count("distance_mm", "Distance driven inside the cell and window.", unit="mm"),
    _count("duration_ms", "Time that distance took, parked time left out.", unit="ms"),
    _count("dwell_ms", "Time parked or waiting, left out of duration_ms.", unit="ms"),
    _count("n_pings", "Fixes inside the cell and window."),
    _count("n_legs", "Pairs of fixes that contributed."),
    _count("gap_15s_ms", "Part of duration_ms from legs with gaps up to 15 s.", unit="ms"),
    _count("gap_60s_ms", "Part from legs with gaps above 15 s up to 60 s.", unit="ms"),
    _count("gap_120s_ms", "Part from legs with gaps above 60 s up to 120 s.", unit="ms"),
    _count("gap_long_ms", "Part from legs with longer gaps.", unit="ms"),
    _count("reported_ms", "Part whose speed the receiver reported.", unit="ms"),
)

CLEANING_COUNTS = Contract(
    name="cleaning_counts",
    version=1,
    description="What cleaning did with each day's fixes: how many it read, left out by which "
    "rule, and what their pairs were. Kept when raw GPS is deleted.",
    fields=(
        _OBSERVED_DATE,
        Field(
            name="subject",
            dtype=DataType.STRING,
            allowed=("fixes", "left_out", "pairs", "provider"),
            description="What is counted: fixes (read, sorted, kept), fixes left out by rule, "
            "pairs of fixes by kind, or fixes read by provider.",
        ),
        _text("name", "Which of them: a rule, a kind or a provider."),
        _count("n", "How many on that day."),
    ),
    key=("observed_date", "subject", "name"),
)

VEHICLE_TRAVEL = Contract(
    name="vehicle_travel",
    version=1,
    description="What each vehicle drove in each cell and window. Internal: deleted with raw GPS.",
    fields=(
        *_WINDOW,
        _text("provider", "Who operates the vehicle."),
        _text("vehicle", "Pseudonym."),
        _text("pseudonym_epoch", "Epoch of the pseudonym; empty where it is not known."),
        *_TRAVEL_SUMS,
        *(
            Field(
                name=f"n_pings_r{resolution}",
                dtype=DataType.INT64,
                minimum=0,
                nullable=True,
                description="Of n_pings, those that also lie within the outline of the cell's "
                f"parent at resolution {resolution}; null is all.",
            )
            for resolution in (7, 8, 9)
        ),
    ),
    key=(*_WINDOW_KEY, "provider", "vehicle"),
    partition_by=_WINDOW_PARTITION,
)

_DISTINCT = (
    _count("n_vehicles", "Distinct vehicles; recounted at every roll-up, never added up."),
    _count("n_providers", "Distinct providers; recounted at every roll-up."),
)

CELL_TRAVEL = Contract(
    name="cell_travel",
    version=1,
    description="Sums over vehicles per cell and window. Sums may be added up, counts of distinct "
    "vehicles may not.",
    fields=(
        *_WINDOW,
        *_TRAVEL_SUMS,
        *_DISTINCT,
        _count("top_vehicle_ms", "Largest duration_ms of one vehicle.", unit="ms"),
        _count("distance_sq_dm2", "Sum over vehicles of squared distance.", unit="dm²"),
        _count("duration_sq_ds2", "Sum over vehicles of squared duration.", unit="ds²"),
        _count("distance_duration_dm_ds", "Sum over vehicles of their product.", unit="dm·ds"),
    ),
    key=_WINDOW_KEY,
    partition_by=_WINDOW_PARTITION,
)

_SPEED = (
    _number(
        "space_mean_kmh",
        "km/h",
        "Space-mean speed, distance over time; never shrunk.",
        minimum=0,
        maximum=160,
        nullable=True,
    ),
    _number(
        "interval_low_kmh", "km/h", "Lower end of the 90 % interval.", minimum=0, nullable=True
    ),
    _number(
        "interval_high_kmh", "km/h", "Upper end of the 90 % interval.", minimum=0, nullable=True
    ),
    *_DISTINCT,
    _count("n_pings", "Fixes inside the cell and window."),
    _count("n_legs", "Pairs of fixes that contributed."),
    Field(
        name="quality",
        dtype=DataType.STRING,
        allowed=QUALITY_CLASSES,
        description="A at least 15 vehicles and variation up to 10 %, B at least 5 and 20 %, "
        "C less, X not usable.",
    ),
    Field(
        name="source_class",
        dtype=DataType.STRING,
        allowed=SOURCE_CLASSES,
        description="Whether the value was observed here and now, modelled, or there is none.",
    ),
)
_SPEED_RULES = (
    Rule(
        name="interval_below_mean",
        left="interval_low_kmh",
        right="space_mean_kmh",
        description="The interval holds the mean.",
    ),
    Rule(
        name="mean_below_interval",
        left="space_mean_kmh",
        right="interval_high_kmh",
        description="The interval holds the mean.",
    ),
    Rule(
        name="providers_up_to_vehicles",
        left="n_providers",
        right="n_vehicles",
        description="Every provider has at least one vehicle.",
    ),
)

CELL_SPEED = Contract(
    name="cell_speed",
    version=1,
    description="Space-mean speed of the probes per cell and window, with interval.",
    fields=(*_WINDOW, *_SPEED),
    key=_WINDOW_KEY,
    partition_by=_WINDOW_PARTITION,
    rules=_SPEED_RULES,
)

_FREE_FLOW = (
    _number(
        "free_flow_kmh", "km/h", "Speed without congestion.", minimum=0, maximum=160, nullable=True
    ),
    _text("free_flow_method", "How it was found; see the methods page.", nullable=True),
)

FREE_FLOW = Contract(
    name="free_flow",
    version=1,
    description="Free-flow speed of each cell, with the method that its evidence allowed.",
    fields=(
        *(f for f in _WINDOW if f.name not in {"window_date", "window_start"}),
        *_FREE_FLOW,
        _count("n_windows", "Windows that it rests on."),
        _count("n_vehicles", "Most distinct vehicles of any of those windows' pseudonym epochs."),
        _instant("look_back_start", "First window that was used."),
        _instant("look_back_end", "End of the last window that was used."),
    ),
    key=("resolution", "window_minutes", "h3_cell", "vehicle_class"),
    partition_by=("resolution", "window_minutes"),
)

CONGESTION = Contract(
    name="congestion",
    version=1,
    description="Congestion per cell and window: a proxy from a sample of vehicles, not a count.",
    fields=(
        *_WINDOW,
        *_SPEED,
        *_FREE_FLOW,
        _number(
            "tti",
            "1",
            "Travel time index: free-flow over observed speed.",
            minimum=1,
            nullable=True,
        ),
        _number(
            "congestion_index",
            "1",
            "Share of speed lost: 1 - observed over free-flow speed.",
            minimum=0,
            maximum=1,
            nullable=True,
        ),
        _number("delay_s_per_km", "s/km", "Time lost per kilometre.", minimum=0, nullable=True),
    ),
    key=_WINDOW_KEY,
    partition_by=_WINDOW_PARTITION,
    rules=_SPEED_RULES,
    published=True,
)

AIR_HOURLY = Contract(
    name="air_hourly",
    version=1,
    description="Hourly value per sensor and pollutant, raw and calibrated side by side.",
    fields=(
        _text("sensor", "Sensor."),
        _text("sensor_model", "Model."),
        _instant("hour_start", "Start of the hour."),
        Field(name="hour_date", dtype=DataType.DATE, description="UTC day of hour_start."),
        Field(name="h3_cell", dtype=DataType.UINT64, description="H3 cell, resolution 9."),
        _number("lon_deg", "°", "Longitude, WGS84.", minimum=-180, maximum=180),
        _number("lat_deg", "°", "Latitude, WGS84.", minimum=-90, maximum=90),
        Field(
            name="pollutant",
            dtype=DataType.STRING,
            allowed=("pm2_5", "pm10", "no2", "o3", "co"),
            description="Pollutant.",
        ),
        Field(
            name="unit",
            dtype=DataType.STRING,
            allowed=("µg/m³", "ppb", "ppm"),
            description="Unit of both means and of the standard deviation.",
        ),
        _number("raw_hourly_mean", "see unit", "Mean of valid raw readings.", nullable=True),
        _number(
            "calibrated_hourly_mean", "see unit", "After the named calibration.", nullable=True
        ),
        _number(
            "calibrated_sd", "see unit", "Standard uncertainty of that.", minimum=0, nullable=True
        ),
        _text("calibration_id", "Calibration that was used; 'none' where there is none."),
        _count("n_readings", "Valid readings."),
        _count("n_rejected", "Readings that a quality rule took out."),
        _number(
            "completeness_pct",
            "%",
            "Share of the hour with valid readings.",
            minimum=0,
            maximum=100,
        ),
        Field(
            name="complete",
            dtype=DataType.BOOL,
            description="Whether at least 75 % of the hour is there.",
        ),
    ),
    key=("sensor", "pollutant", "hour_start"),
    partition_by=("hour_date",),
    published=True,
)

CELL_EMISSIONS = Contract(
    name="cell_emissions",
    version=1,
    description="Traffic emission per cell, window and kind of vehicle, with 90 % interval.",
    fields=(
        *_WINDOW[:-1],
        _text("emission_class", "Row of the factor file, such as car_diesel_euro_5; or 'fleet'."),
        Field(
            name="pollutant",
            dtype=DataType.STRING,
            allowed=("nox", "pm2_5", "co2"),
            description="Pollutant.",
        ),
        _number("space_mean_kmh", "km/h", "Speed that the factor was taken at.", minimum=0),
        _number("emission_gkm", "g/km", "Emission of one vehicle per kilometre.", minimum=0),
        _number("interval_low_gkm", "g/km", "Lower end of the 90 % interval.", minimum=0),
        _number("interval_high_gkm", "g/km", "Upper end of the 90 % interval.", minimum=0),
        _number(
            "emission_gh", "g/h", "Emission of the cell; needs counts.", minimum=0, nullable=True
        ),
        _number(
            "interval_low_gh", "g/h", "Lower end of the 90 % interval.", minimum=0, nullable=True
        ),
        _number(
            "interval_high_gh", "g/h", "Upper end of the 90 % interval.", minimum=0, nullable=True
        ),
        *_DISTINCT,
        _text("factor_set_id", "Parameter file, edition and SHA-256."),
        _text("missing", "What would be needed for more, separated by a space.", nullable=True),
    ),
    key=(*_WINDOW_KEY[:-1], "emission_class", "pollutant"),
    partition_by=_WINDOW_PARTITION,
    published=True,
)

CHARGE_PROPOSALS = Contract(
    name="charge_proposals",
    version=1,
    description="Charge proposals as they were made; a proposal is never changed, only superseded.",
    fields=(
        _text("proposal_id", "SHA-256 of body_json, first 16 hex digits."),
        _text("zone_name", "Zone."),
        _text("zone_geojson", "Its geometry."),
        Field(
            name="verdict",
            dtype=DataType.STRING,
            allowed=("propose", "hold"),
            description="Propose, or hold: not enough evidence.",
        ),
        _text("currency", "ISO 4217 code.", nullable=True),
        Field(
            name="price_year",
            dtype=DataType.INT32,
            nullable=True,
            description="Year of the prices.",
        ),
        _text(
            "body_json", "The whole proposal: prices, predictions, intervals, evidence, missing."
        ),
        _text("manifest_json", "Table versions, parameter files, code version that made it."),
        _instant("created_at", "When it was made."),
    ),
    key=("proposal_id",),
)

CHARGE_DECISIONS = Contract(
    name="charge_decisions",
    version=1,
    description="Audit record: what a person decided on a proposal, and what was published.",
    fields=(
        _text("proposal_id", "Proposal."),
        Field(
            name="decision",
            dtype=DataType.STRING,
            allowed=("approved", "rejected", "published", "refused_at_publication"),
            description="What happened.",
        ),
        _text("decided_by", "Person, as the approval system knows them."),
        _instant("decided_at", "When."),
        _text("note", "Reason, in the person's words or the re-check's.", nullable=True),
        _text("proposal_sha256", "SHA-256 of the body that was decided on."),
    ),
)

QUALITY_CHECKS = Contract(
    name="quality_checks",
    version=1,
    description="Result of each quality gate; a table version without a passed gate is not "
    "published.",
    fields=(
        _text("table_name", "Table."),
        _count("table_version", "Delta version that was checked."),
        Field(name="passed", dtype=DataType.BOOL, description="Whether it may be published."),
        _count("n_rows", "Rows that were checked."),
        _count("n_expectations", "Expectations."),
        _count("n_failed", "Failed expectations."),
        _text("failures_json", "What failed, with examples of the values."),
        _instant("checked_at", "When."),
    ),
)

LAKE_CONTRACTS = {
    contract.name: contract
    for contract in (
        GPS_PINGS,
        AIR_READINGS,
        GATEWAY_HEALTH_TABLE,
        QUARANTINE,
        DEAD_LETTERS,
        RECEIVED_RANGES,
        INGEST_COMMITS,
        CLEANING_COUNTS,
        VEHICLE_TRAVEL,
        CELL_TRAVEL,
        CELL_SPEED,
        FREE_FLOW,
        CONGESTION,
        AIR_HOURLY,
        CELL_EMISSIONS,
        CHARGE_PROPOSALS,
        CHARGE_DECISIONS,
        QUALITY_CHECKS,
    )
}
