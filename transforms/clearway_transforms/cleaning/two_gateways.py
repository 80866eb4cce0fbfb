"""One vehicle that two gateways hear counts once."""

from __future__ import annotations

import numpy as np

TIME_BITS = 42
"""Milliseconds since 1970 fit until the year 2109, and leave room for four million vehicles."""

_STRETCH_MS = 900_000


def second_gateway_mask(
    vehicle: np.ndarray, time_ms: np.ndarray, gateway: np.ndarray, *, within_ms: int
) -> np.ndarray:
    """Return which fixes repeat what the vehicle's main gateway has heard at nearly that time.

    Parameters
    ----------
    vehicle, time_ms, gateway
        Fixes ordered by vehicle and time; gateways numbered by name. [1], [ms], [1]
    within_ms
        Clocks of two gateways differ by no more. [ms]

    Returns
    -------
    numpy.ndarray
        True where the fix goes. The main gateway's own never do.
    """
    dropped = np.zeros(len(vehicle), dtype=bool)
    both = (vehicle[1:] == vehicle[:-1]) & (gateway[1:] != gateway[:-1])
    if not both.any():
        return dropped
    mine = np.flatnonzero(np.isin(vehicle, np.unique(vehicle[1:][both])))
    order = vehicle[mine].astype(np.int64) * 2**TIME_BITS + time_ms[mine]
    heard_by = gateway[mine]
    speaks = _main_gateway(vehicle[mine], time_ms[mine] // _STRETCH_MS, heard_by) == heard_by
    echo = np.zeros(len(mine), dtype=bool)
    for name in np.unique(heard_by):
        heard = order[speaks & (heard_by == name)]
        if heard.size:
            near = _nearest(order, heard) <= within_ms
            echo |= near & ~speaks & (heard_by != name)
    dropped[mine] = echo
    return dropped


def _main_gateway(vehicle: np.ndarray, stretch: np.ndarray, gateway: np.ndarray) -> np.ndarray:
    """Return for each fix the gateway with most of its vehicle's fixes of the stretch."""
    place = np.cumsum(np.diff(vehicle, prepend=-1).astype(bool) | np.diff(stretch, prepend=-1) != 0)
    n_gateways = int(gateway.max()) + 1
    pairs, counts = np.unique(place * n_gateways + gateway, return_counts=True)
    # Most fixes last; of equals the gateway whose name comes first.
    best = np.lexsort((-(pairs % n_gateways), counts, pairs // n_gateways))
    main = np.zeros(int(place[-1]) + 1, dtype=np.int64)
    main[pairs[best] // n_gateways] = pairs[best] % n_gateways
    named: np.ndarray = main[place]
    return named


def _nearest(order: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how far the nearest of some sorted numbers is from each number."""
    after = np.searchsorted(others, order)
    later = others[np.minimum(after, len(others) - 1)]
    earlier = others[np.maximum(after - 1, 0)]
    nearest: np.ndarray = np.minimum(np.abs(later - order), np.abs(order - earlier))
    return nearest
