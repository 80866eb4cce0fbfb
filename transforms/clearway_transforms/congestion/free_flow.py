"""Free-flow speed of each cell, by the best step of a ladder that has evidence."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl
import polars_h3

from clearway_transforms.congestion.speed import space_mean_kmh
from clearway_transforms.estimators import weighted_quantiles
from clearway_transforms.parameters import CongestionParameters

METHODS = ("night_p85", "overnight_p85", "own_p85", "parent_p85", "city_p85")
"""Steps of the free-flow ladder, best first."""

LONGEST_WITH_A_NIGHT = 60
"""Longer windows mix day and night. [min]"""

_OF_CELL = ["h3_cell", "vehicle_class"]


def free_flow(
    cell_travel: pl.LazyFrame,
    parameters: CongestionParameters,
    *,
    resolution: int,
    window_minutes: int,
    time_zone: str = "UTC",
    nights: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """Return the free-flow speed of every cell and class, by the best step that has evidence.

    Parameters
    ----------
    cell_travel
        Windows of the look-back, all at one resolution and window length.
    parameters
        Percentile and demands of each step.
    resolution, window_minutes
        Of the rows. Windows of a day have no night, so they begin at the second step.
    time_zone
        IANA name of the city's clock, by which it is night.
    nights
        Rows of ``period_travel`` of whole nights, further back than the windows go; None is none.
        Not asked where windows are longer than an hour.

    Returns
    -------
    polars.LazyFrame
        Columns of ``free_flow`` but for resolution and window_minutes.

    Notes
    -----
    Each step takes the 85th percentile of space-mean speeds of windows, each counting by the
    distance driven in it (of windows that count once the thin ones, which are fast by luck, make up
    the top); below the night, only windows with at least two vehicles:

    1. ``night_p85``: the cell's windows between 22 and 5 h local, if there are at least 30, from
       at least 14 days, one of them with at least 10 vehicles;
    2. ``overnight_p85``: the cell's nights (20 to 6 h) of six months, each one value, if there are
       at least 14, one of them with at least 10 vehicles; left out where the next step is faster,
       because a slow night is not free of congestion either;
    3. ``own_p85``: all windows of the cell, if there are at least 8;
    4. ``parent_p85``: all windows of the H3 parent, whose speeds are sums of distance over sums of
       time of its cells, if there are at least 8;
    5. ``city_p85``: the windows of all cells together, however few (and with single vehicles, if
       nothing else was seen).

    Vehicles are asked of one window or night, not of the whole look-back, because pseudonyms turn
    daily: this demands more than ten vehicles in all, never less.
    """
    windows = cell_travel.with_columns(
        parent=polars_h3.cell_to_parent(pl.col("h3_cell"), resolution - 1).cast(pl.UInt64)
    )
    steps = {
        "night": _night(windows, parameters, window_minutes=window_minutes, time_zone=time_zone),
        "own": _step(windows, _OF_CELL, parameters, method="own_p85"),
        "of_parent": _step(windows, ["parent", "vehicle_class"], parameters, method="parent_p85"),
        "of_city": _step(windows, ["vehicle_class"], parameters, method="city_p85"),
    }
    keys = [_OF_CELL, _OF_CELL, ["parent", "vehicle_class"], ["vehicle_class"]]
    if nights is not None and window_minutes <= LONGEST_WITH_A_NIGHT:
        steps["overnight"] = _overnight(nights, parameters, time_zone=time_zone)
        keys.append(_OF_CELL)
    found = windows.select("h3_cell", "parent", "vehicle_class").unique()
    for (name, step), key in zip(steps.items(), keys, strict=True):
        found = found.join(step.rename({"found": name}), on=key, how="left", validate="m:1")
    return (
        found.select(*_OF_CELL, best=_best(steps))
        .unnest("best")
        .with_columns(pl.col("look_back_end") + pl.duration(minutes=window_minutes))
    )


def _best(steps: Collection[str]) -> pl.Expr:
    """Return the first step that was found, in the order of `METHODS`."""
    night, *others = (pl.col(name) for name in ("night", "own", "of_parent", "of_city"))
    if "overnight" not in steps:
        return pl.coalesce(night, *others)
    speed = [pl.col(name).struct.field("free_flow_kmh") for name in ("overnight", "own")]
    overnight = pl.when(speed[1].is_null() | (speed[0] >= speed[1])).then("overnight")
    return pl.coalesce(night, overnight, *others)


def _night(
    windows: pl.LazyFrame,
    parameters: CongestionParameters,
    *,
    window_minutes: int,
    time_zone: str,
) -> pl.LazyFrame:
    local = pl.col("window_start").dt.convert_time_zone(time_zone)
    hour = local.dt.hour()
    late = (hour >= parameters.off_peak_from_hour) | (hour < parameters.off_peak_to_hour)
    at_night = late & (window_minutes <= LONGEST_WITH_A_NIGHT)
    days = (local.dt.date().max() - local.dt.date().min()).dt.total_days() + 1
    enough = (
        (pl.len() >= parameters.free_flow_windows)
        & (pl.col("n_vehicles").max() >= parameters.free_flow_vehicles)
        & (days >= parameters.free_flow_days)
    )
    return _summary(
        _speeds(windows, _OF_CELL).filter(at_night), _OF_CELL, parameters, "night_p85", enough
    )


def _overnight(
    nights: pl.LazyFrame, parameters: CongestionParameters, *, time_zone: str
) -> pl.LazyFrame:
    """Return the percentile of whole nights, each weighted by the distance driven in it.

    References
    ----------
    City of Toronto, data pipeline of its transportation services, pull request 1383 (2026):
    overnight free flow with a look-back of six months, weighted by probe distance. The percentile
    is the one of the other steps, ours.
    """
    midnight = (
        pl.col("local_date")
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
        .dt.convert_time_zone("UTC")
    )
    speeds = nights.filter(pl.col("distance_mm") > 0).with_columns(
        speed=space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms")),
        window_start=midnight.fill_null(
            pl.col("local_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        ),
    )
    enough = (pl.len() >= parameters.free_flow_days) & (
        pl.col("n_vehicles").max() >= parameters.free_flow_vehicles
    )
    # A night ends with its calendar day, of which the last window, up to an hour, is added to all.
    end = pl.field("look_back_end") + pl.duration(hours=23)
    return _summary(speeds, _OF_CELL, parameters, "overnight_p85", enough).with_columns(
        pl.col("found").struct.with_fields(end)
    )


def _step(
    windows: pl.LazyFrame, key: list[str], parameters: CongestionParameters, *, method: str
) -> pl.LazyFrame:
    speeds = _speeds(windows, key)
    if method == "city_p85":
        paired = (pl.col("n_vehicles") >= 2) | (pl.col("n_vehicles").max().over(key) < 2)  # noqa: PLR2004
        return _summary(speeds.filter(paired), key, parameters, method, pl.lit(value=True))
    enough = pl.len() >= parameters.free_flow_own_windows
    return _summary(
        speeds.filter(pl.col("n_vehicles") >= 2),  # noqa: PLR2004 -- one vehicle is no traffic
        key,
        parameters,
        method,
        enough,
    )


def _speeds(windows: pl.LazyFrame, key: list[str]) -> pl.LazyFrame:
    return windows.group_by(*key, "window_start").agg(
        speed=space_mean_kmh(pl.col("distance_mm").sum(), pl.col("duration_ms").sum()),
        distance_mm=pl.col("distance_mm").sum(),
        n_vehicles=pl.col("n_vehicles").max(),
    )


def _summary(
    speeds: pl.LazyFrame,
    key: list[str],
    parameters: CongestionParameters,
    method: str,
    enough: pl.Expr,
) -> pl.LazyFrame:
    evidence = (
        speeds.group_by(key)
        .agg(
            n_windows=pl.len().cast(pl.Int64),
            n_vehicles=pl.col("n_vehicles").max(),
            look_back_start=pl.col("window_start").min(),
            look_back_end=pl.col("window_start").max(),
            enough=enough,
        )
        .filter("enough")
    )
    quantiles = weighted_quantiles(
        speeds.join(evidence, on=key, how="semi"),
        key,
        value="speed",
        weight="distance_mm",
        quantiles={"free_flow_kmh": parameters.free_flow_quantile},
    )
    return evidence.join(quantiles, on=key, how="inner", validate="1:1").select(
        *key,
        found=pl.struct(
            "free_flow_kmh",
            pl.lit(method).alias("free_flow_method"),
            "n_windows",
            "n_vehicles",
            "look_back_start",
            "look_back_end",
        ),
    )
