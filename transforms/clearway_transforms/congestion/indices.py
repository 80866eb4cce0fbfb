"""How far the observed speed of a cell stays behind its free flow."""

from __future__ import annotations

import polars as pl

SECONDS_PER_HOUR = 3600

_OF_CELL = ["h3_cell", "vehicle_class"]


def travel_time_index(speed_kmh: pl.Expr, free_flow_kmh: pl.Expr) -> pl.Expr:
    """Return how many times longer a trip takes than in free flow.

    Parameters
    ----------
    speed_kmh
        Observed space-mean speed. [km/h]
    free_flow_kmh
        Free-flow speed of the same cell. [km/h]

    Returns
    -------
    polars.Expr
        Travel time index. [1], at least 1; null where either speed is null or not above 0.

    References
    ----------
    Texas A&M Transportation Institute, "Urban Mobility Report", methodology: travel time index.
    There of peak hours and with traffic volumes; here of any window, by the sampled vehicles alone.
    """
    known = (speed_kmh > 0) & (free_flow_kmh > 0)
    return pl.when(known).then((free_flow_kmh / speed_kmh).clip(lower_bound=1.0))


def congestion_index(speed_kmh: pl.Expr, free_flow_kmh: pl.Expr) -> pl.Expr:
    """Return the share of the free-flow speed that is lost.

    Parameters
    ----------
    speed_kmh, free_flow_kmh
        Observed and free-flow speed of the cell. [km/h]

    Returns
    -------
    polars.Expr
        1 - observed / free-flow. [1], 0 to 1; null where a speed is null or free flow is not
        above 0. It is 1 where nobody moves, where the travel time index has no value.

    Notes
    -----
    A definition of ours, next to the travel time index T: 1 - 1 / T.
    """
    return pl.when((free_flow_kmh > 0) & speed_kmh.is_not_null()).then(
        (1 - speed_kmh / free_flow_kmh).clip(0.0, 1.0)
    )


def delay_s_per_km(speed_kmh: pl.Expr, free_flow_kmh: pl.Expr) -> pl.Expr:
    """Return the time lost per kilometre against free flow.

    Parameters
    ----------
    speed_kmh, free_flow_kmh
        Observed and free-flow speed of the cell. [km/h]

    Returns
    -------
    polars.Expr
        Delay. [s/km], at least 0; null where either speed is null or not above 0.

    Notes
    -----
    Pace less pace at free flow, a definition of ours: of one kilometre and one vehicle, so that no
    traffic volume is needed.
    """
    known = (speed_kmh > 0) & (free_flow_kmh > 0)
    lost = SECONDS_PER_HOUR / speed_kmh - SECONDS_PER_HOUR / free_flow_kmh
    return pl.when(known).then(lost.clip(lower_bound=0.0))


def speed_indices() -> dict[str, pl.Expr]:
    """Return the three indices of rows with ``space_mean_kmh`` and ``free_flow_kmh``, by name."""
    speeds = (pl.col("space_mean_kmh"), pl.col("free_flow_kmh"))
    return {
        "tti": travel_time_index(*speeds),
        "congestion_index": congestion_index(*speeds),
        "delay_s_per_km": delay_s_per_km(*speeds),
    }


def congestion(cell_speed: pl.LazyFrame, free_flow: pl.LazyFrame) -> pl.LazyFrame:
    """Return the indices of each row of ``cell_speed``.

    Parameters
    ----------
    cell_speed
        From `clearway_transforms.congestion.speed.cell_speed`.
    free_flow
        From `free_flow`, at the same resolution and window.
    """
    return cell_speed.join(
        free_flow.select(*_OF_CELL, "free_flow_kmh", "free_flow_method"),
        on=_OF_CELL,
        how="left",
        validate="m:1",
    ).with_columns(**speed_indices())
