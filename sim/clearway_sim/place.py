"""Where and when the demo city lies: open water and a working day, so nobody takes it for real."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

CENTRE_LON_DEG = 100.62
CENTRE_LAT_DEG = 12.90
"""In the upper Gulf of Thailand, some 25 km from any land."""

SYNTHETIC = "synthetic: simulated by Clearway (sim/), not a real place"
"""What every file of the city says about itself."""

TIME_ZONE = "Asia/Bangkok"
UTC_OFFSET_H = 7
START_AT = datetime(2026, 1, 14, 23, 0, tzinfo=UTC)
"""Second 0 of the simulation: Thursday 2026-01-15, 06:00 local time."""

M_PER_DEG_LAT = 111_320.0
M_PER_DEG_LON = M_PER_DEG_LAT * math.cos(math.radians(CENTRE_LAT_DEG))


def lon_lat_deg(x_m: float, y_m: float, digits: int = 6) -> tuple[float, float]:
    """Return longitude and latitude of a point given east and north of the centre [°]."""
    return (
        round(CENTRE_LON_DEG + x_m / M_PER_DEG_LON, digits),
        round(CENTRE_LAT_DEG + y_m / M_PER_DEG_LAT, digits),
    )


def local_text(second: float) -> str:
    """Return a simulated second as ISO 8601 text in local time with its offset."""
    local = START_AT + timedelta(seconds=second, hours=UTC_OFFSET_H)
    return local.strftime("%Y-%m-%dT%H:%M:%S") + f"+{UTC_OFFSET_H:02d}:00"
