"""How far two places are apart; without H3, so that a gateway can ask too."""

from __future__ import annotations

import math

from clearway_core.units import EARTH_RADIUS_M


def distance_m(lon_a_deg: float, lat_a_deg: float, lon_b_deg: float, lat_b_deg: float) -> float:
    """Return the great-circle distance by the haversine formula [m]."""
    half_lat = math.radians(lat_b_deg - lat_a_deg) / 2
    half_lon = math.radians(lon_b_deg - lon_a_deg) / 2
    chord = (
        math.sin(half_lat) ** 2
        + math.cos(math.radians(lat_a_deg))
        * math.cos(math.radians(lat_b_deg))
        * math.sin(half_lon) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))
