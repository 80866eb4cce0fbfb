"""Great-circle distances on whole columns."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from clearway_core.units import EARTH_RADIUS_M

METRES_PER_DEGREE = EARTH_RADIUS_M * math.pi / 180
"""Of latitude."""


def distances_m(
    lon_a_deg: np.ndarray, lat_a_deg: np.ndarray, lon_b_deg: np.ndarray, lat_b_deg: np.ndarray
) -> np.ndarray:
    """Return the great-circle distance of each pair by the haversine formula [m]."""
    half_lat = np.radians(lat_b_deg - lat_a_deg) / 2
    half_lon = np.radians(lon_b_deg - lon_a_deg) / 2
    chord = (
        np.sin(half_lat) ** 2
        + np.cos(np.radians(lat_a_deg)) * np.cos(np.radians(lat_b_deg)) * np.sin(half_lon) ** 2
    )
    metres: np.ndarray = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(chord))
    return metres


def distance_between_m(
    lon_a_deg: pl.Expr, lat_a_deg: pl.Expr, lon_b_deg: pl.Expr, lat_b_deg: pl.Expr
) -> pl.Expr:
    """Return the great-circle distance by the haversine formula; null where a position is [m]."""
    radians = math.pi / 180
    chord = ((lat_b_deg - lat_a_deg) * (radians / 2)).sin().pow(2) + (lat_a_deg * radians).cos() * (
        lat_b_deg * radians
    ).cos() * ((lon_b_deg - lon_a_deg) * (radians / 2)).sin().pow(2)
    return 2 * EARTH_RADIUS_M * chord.sqrt().arcsin()
