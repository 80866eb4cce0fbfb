"""Unit conversions at the borders; inside, every name says its unit."""

from __future__ import annotations

from collections.abc import Mapping

from clearway_core.errors import UnknownUnit

EARTH_RADIUS_M = 6_371_008.8
"""Mean Earth radius, IUGG [m]."""

KMH_PER: Mapping[str, float] = {
    "kmh": 1.0,
    "mps": 3.6,
    "mph": 1.609344,
    "knots": 1.852,
    "cms": 0.036,
}
"""km/h in one of each speed unit (exact by definition)."""


def kmh_per(unit: str) -> float:
    """Return how many km/h one of this speed unit is [km/h].

    Raises
    ------
    UnknownUnit
        If the unit is not one of `KMH_PER`.
    """
    try:
        return KMH_PER[unit]
    except KeyError:
        message = (
            f"speed unit {unit!r} is not known: use one of {', '.join(sorted(KMH_PER))}. "
            "A wrong unit would make every speed wrong, so there is no default."
        )
        raise UnknownUnit(message) from None
