"""How far builds have come, so that the next one makes again only what late readings touch."""

from __future__ import annotations

from clearway_core.contracts.columns import count, text
from clearway_core.contracts.derived_tables import CELL_TRAVEL, CLEANING_COUNTS
from clearway_core.contracts.field import Contract
from clearway_core.contracts.raw_tables import GPS_PINGS

BUILD_STATES = Contract(
    name="build_states",
    version=1,
    description="Up to which version of the raw table each product was built, and with what.",
    fields=(
        text("step", "Step that was built: vehicle_travel, or congestion for the tables of cells."),
        CELL_TRAVEL.field("resolution"),
        CELL_TRAVEL.field("window_minutes"),
        count("raw_version", "Version of gps_pings that has been taken in whole."),
        text("made_with", "SHA-256 of parameters, city pack and version of Clearway."),
    ),
    key=("step", "resolution", "window_minutes"),
)

CLEANING_PARTS = Contract(
    name="cleaning_parts",
    version=1,
    description="Counts of cleaning per day and vehicle bucket, of which cleaning_counts are the "
    "sums: a bucket can be cleaned again by itself.",
    fields=(
        GPS_PINGS.field("observed_date"),
        GPS_PINGS.field("vehicle_bucket"),
        *(CLEANING_COUNTS.field(name) for name in ("subject", "name", "n")),
    ),
    key=("observed_date", "vehicle_bucket", "subject", "name"),
    partition_by=("observed_date",),
)
