"""What has left the house: written once, so that later data cannot show who came late."""

from __future__ import annotations

from clearway_core.contracts.columns import day, text
from clearway_core.contracts.derived_tables import CELL_TRAVEL
from clearway_core.contracts.field import Contract

RELEASED_TRAVEL = Contract(
    name="released_travel",
    version=1,
    description="Sums of the cells and windows that are public, as on the day of release. Written "
    "once per local day and never again; every public value is computed from it.",
    fields=(
        *(CELL_TRAVEL.field(name) for name in CELL_TRAVEL.columns),
        day("release_date", "Local day of window_start."),
        text("time_zone", "IANA name of the clock by which that day, its hours and quarters run."),
    ),
    key=CELL_TRAVEL.key,
    partition_by=("resolution", "window_minutes", "release_date"),
)
