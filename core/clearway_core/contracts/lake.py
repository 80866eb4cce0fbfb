"""All tables of the lake: raw and immutable, derived, decided by people."""

from __future__ import annotations

from clearway_core.contracts.build_tables import BUILD_STATES, CLEANING_PARTS
from clearway_core.contracts.corridor_tables import (
    CORRIDOR_TIMES,
    CORRIDOR_TRAVEL,
    VEHICLE_CORRIDOR_TRAVEL,
)
from clearway_core.contracts.decision_tables import (
    CHARGE_DECISIONS,
    CHARGE_PROPOSALS,
    QUALITY_CHECKS,
)
from clearway_core.contracts.derived_tables import (
    AIR_HOURLY,
    CELL_EMISSIONS,
    CELL_SPEED,
    CELL_TRAVEL,
    CLEANING_COUNTS,
    CONGESTION,
    FREE_FLOW,
    VEHICLE_TRAVEL,
)
from clearway_core.contracts.fleet_tables import (
    BOOK_WRITE_OFFS,
    BOOKS,
    GATEWAY_ALARMS,
    GATEWAY_SITES,
)
from clearway_core.contracts.forecast_tables import FORECASTS
from clearway_core.contracts.period_tables import (
    ANOMALIES,
    BOTTLENECKS,
    PERIOD_TRAVEL,
    RELIABILITY,
)
from clearway_core.contracts.raw_tables import (
    AIR_READINGS,
    DEAD_LETTERS,
    GATEWAY_BOOKS_TABLE,
    GATEWAY_HEALTH_TABLE,
    GPS_PINGS,
    INGEST_COMMITS,
    QUARANTINE,
    RECEIVED_RANGES,
)
from clearway_core.contracts.release_tables import RELEASED_TRAVEL

LAKE_CONTRACTS = {
    contract.name: contract
    for contract in (
        GPS_PINGS,
        AIR_READINGS,
        GATEWAY_HEALTH_TABLE,
        GATEWAY_BOOKS_TABLE,
        BOOKS,
        BOOK_WRITE_OFFS,
        GATEWAY_SITES,
        GATEWAY_ALARMS,
        QUARANTINE,
        DEAD_LETTERS,
        RECEIVED_RANGES,
        INGEST_COMMITS,
        BUILD_STATES,
        CLEANING_PARTS,
        CLEANING_COUNTS,
        VEHICLE_TRAVEL,
        CELL_TRAVEL,
        CELL_SPEED,
        FREE_FLOW,
        CONGESTION,
        RELEASED_TRAVEL,
        PERIOD_TRAVEL,
        RELIABILITY,
        BOTTLENECKS,
        ANOMALIES,
        VEHICLE_CORRIDOR_TRAVEL,
        CORRIDOR_TRAVEL,
        CORRIDOR_TIMES,
        FORECASTS,
        AIR_HOURLY,
        CELL_EMISSIONS,
        CHARGE_PROPOSALS,
        CHARGE_DECISIONS,
        QUALITY_CHECKS,
    )
}
