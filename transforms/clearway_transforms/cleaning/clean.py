"""Fixes that cannot be right are marked with the rule they break; nothing goes uncounted.

The steps run in this order, each on what the one before has left: `flag_unusable`,
`flag_duplicates`, `flag_second_gateway`, `flag_repeats`, `flag_jumps`, `flag_acceleration`. Each
returns all its rows with a column ``fault``
(null where the fix is good), so that the caller counts before it filters.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from clearway_core.contracts.wire import VEHICLE_CLASSES
from clearway_core.units import EARTH_RADIUS_M
from clearway_transforms.cleaning.odd_fixes import acceleration_mask, jump_mask
from clearway_transforms.cleaning.two_gateways import TIME_BITS, second_gateway_mask
from clearway_transforms.masks import where
from clearway_transforms.parameters import CongestionParameters

KM_PER_DEGREE = EARTH_RADIUS_M * np.pi / 180_000
"""Length of one degree of latitude [km]."""

RULES = (
    "zero_position",
    "outside_service_area",
    "wrong_clock",
    "low_accuracy",
    "duplicate",
    "two_gateways",
    "repeated_position",
    "jump",
    "acceleration",
)
"""Every value that ``fault`` can take, in the order of the rules."""

NOT_USED = ("heading_deg", "topic", "log_partition", "log_offset", "vehicle_bucket")
"""Columns of ``gps_pings`` that no rule and no later step looks at."""

_FAULT = pl.Enum(RULES)

_NAMES = ("provider", "vehicle", "gateway")

_TIE_BREAKERS = ("gateway", "boot", "seq", "lon_deg", "lat_deg", "occupied", "speed_kmh")


def with_names_numbered(pings: pl.DataFrame) -> pl.DataFrame:
    """Return the fixes with names as categories in rising order: as numbers they cost less to move.

    Parameters
    ----------
    pings
        Rows of ``gps_pings``.
    """
    return pings.with_columns(
        pl.col("vehicle_class").cast(pl.Enum(VEHICLE_CLASSES)),
        *(pings[name].cast(pl.Enum(pings[name].unique().drop_nulls().sort())) for name in _NAMES),
    )


def flag_unusable(
    pings: pl.LazyFrame,
    parameters: CongestionParameters,
    *,
    service_area_deg: tuple[float, float, float, float] | None = None,
) -> pl.LazyFrame:
    """Return the fixes with the first rule that each breaks on its own.

    Parameters
    ----------
    pings
        Rows of ``gps_pings``.
    parameters
        Thresholds.
    service_area_deg
        (west, south, east, north) of the city; None leaves that rule out. [°]

    Returns
    -------
    polars.LazyFrame
        All rows with ``fault``.
    """
    rules = [
        _fault("zero_position", pl.col("lon_deg").eq(0) & pl.col("lat_deg").eq(0)),
        _fault(
            "wrong_clock",
            pl.col("observed_at") - pl.col("received_at")
            > pl.duration(seconds=parameters.max_clock_ahead_s),
        ),
        _fault("wrong_clock", _flagged("observed_at_far_from_clock")),
        _fault("low_accuracy", pl.col("accuracy_m") > parameters.max_accuracy_m),
        _fault("low_accuracy", _flagged("hdop_high")),
    ]
    if service_area_deg is not None:
        outside = ~_inside(service_area_deg, parameters.service_area_margin_km)
        rules.insert(1, _fault("outside_service_area", outside))
    return pings.with_columns(fault=pl.coalesce(rules))


def flag_duplicates(pings: pl.LazyFrame) -> pl.LazyFrame:
    """Return the fixes ordered by vehicle and time; of several at one instant the first is good.

    First is the one with the lowest (gateway, boot, seq), whatever order they arrived in. Adds
    ``vehicle_code``, a number that is the same for all fixes of a vehicle of this frame, and
    ``observed_ms``.
    """
    schema = pings.drop("fault", strict=False).collect_schema()
    return pings.select(schema.names()).map_batches(
        _ordered,
        schema={
            **schema,
            "vehicle_code": pl.Int64(),
            "observed_ms": pl.Int64(),
            "fault": _FAULT,
        },
        predicate_pushdown=False,
        projection_pushdown=False,
    )


def _ordered(pings: pl.DataFrame) -> pl.DataFrame:
    """Return fixes in order, sorted by numbers; text is compared only between fixes at one instant.

    Sorting ten million fixes by text takes ten times as long as by a number.
    """
    provider, vehicle = _numbered(pings["provider"]), _numbered(pings["vehicle"])
    rows = pings.with_columns(
        vehicle_code=provider * (1 + int(vehicle.to_numpy().max(initial=0))) + vehicle,
        observed_ms=pl.col("observed_at").dt.epoch("ms"),
    )
    key = (rows["vehicle_code"] * 2**TIME_BITS + rows["observed_ms"]).to_numpy()
    order = np.argsort(key)
    key = key[order]
    same = np.concatenate(([False], key[1:] == key[:-1]))[: len(key)]
    if same.any():
        tied = np.flatnonzero(same | np.append(same[1:], False))
        among = rows.select(_TIE_BREAKERS)[order[tied]].with_columns(
            key=pl.Series(key[tied]), row=pl.Series(order[tied])
        )
        order[tied] = among.sort("key", *_TIE_BREAKERS)["row"].to_numpy()
    # Gathering from many chunks costs five times as much.
    return rows.rechunk()[order].with_columns(fault=_fault("duplicate", pl.lit(pl.Series(same))))


def _numbered(names: pl.Series) -> pl.Series:
    """Return a number for each name: its place among the names of this column."""
    if not isinstance(names.dtype, pl.Enum):
        names = names.cast(pl.Enum(names.unique().sort()))
    return names.to_physical().cast(pl.Int64)


def flag_second_gateway(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return ordered fixes; one that a second gateway heard of the same vehicle is a fault.

    Parameters
    ----------
    fixes
        Ordered by vehicle and time, no two at one instant.
    parameters
        ``two_gateways_s``.

    Notes
    -----
    In each quarter of an hour (so that no cut of the data changes the choice) the gateway that
    heard the vehicle most often speaks for it; a fix of another one goes if that gateway has one
    within ``two_gateways_s``, and stays where it fills a gap. Two clocks and two positions for one
    place would zigzag, and count twice. Vehicles can be matched only under one pseudonym.
    """
    echo = where(
        second_gateway_mask,
        [
            "vehicle_code",
            "observed_ms",
            pl.col("gateway").map_batches(_numbered, return_dtype=pl.Int64),
        ],
        within_ms=round(parameters.two_gateways_s * 1000),
    )
    return fixes.with_columns(fault=_fault("two_gateways", echo))


def flag_repeats(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return ordered fixes; one at the place of the one just before, a second later, is a fault.

    Parameters
    ----------
    fixes
        Ordered by vehicle and time.
    parameters
        Thresholds.

    Notes
    -----
    The receiver's speed tells a fix of a standing vehicle in a one-second feed from a message that
    was sent twice: where it is reported the fix stays.
    """
    again = (
        pl.col("vehicle_code").eq(pl.col("vehicle_code").shift(1))
        & pl.col("lon_deg").eq(pl.col("lon_deg").shift(1))
        & pl.col("lat_deg").eq(pl.col("lat_deg").shift(1))
        & (pl.col("observed_ms").diff() <= round(parameters.repeat_window_s * 1000))
        & pl.col("speed_kmh").is_null()
    )
    return fixes.with_columns(fault=_fault("repeated_position", again.fill_null(value=False)))


def flag_jumps(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return ordered fixes; one that no car could have reached from the last good one is a fault.

    Parameters
    ----------
    fixes
        Ordered by vehicle and time, no two at one instant.
    parameters
        Thresholds.

    Notes
    -----
    The point goes, not the pair: its neighbours are judged again without it. Where the first fix
    of a stretch is the odd one out, it goes instead of those that follow. No pair is judged after
    ``max_gap_sparse_s``, so that one bad fix cannot spoil more than that.
    """
    jumped = where(
        jump_mask,
        ["vehicle_code", "observed_ms", "lon_deg", "lat_deg"],
        max_speed_kmh=parameters.max_speed_kmh,
        max_gap_ms=round(parameters.max_gap_sparse_s * 1000),
    )
    return fixes.with_columns(fault=_fault("jump", jumped))


def flag_acceleration(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return ordered fixes; one whose reported speed no car could have got to is a fault.

    Parameters
    ----------
    fixes
        Ordered by vehicle and time.
    parameters
        ``max_acceleration_ms2`` and ``reported_max_gap_s``, within which speeds are compared.

    Notes
    -----
    As in `flag_jumps` the fix goes and its neighbours are judged again without it. Fixes without
    reported speed are not judged.
    """
    too_much = where(
        acceleration_mask,
        ["vehicle_code", "observed_ms", "speed_kmh"],
        max_acceleration_ms2=parameters.max_acceleration_ms2,
        max_gap_ms=round(parameters.reported_max_gap_s * 1000),
    )
    return fixes.with_columns(fault=_fault("acceleration", too_much))


def out_of_order(fixes: pl.LazyFrame) -> pl.LazyFrame:
    """Return how many ordered fixes their gateway had read after a later one of the same vehicle.

    They are sorted, not dropped; the number says how well a source keeps its order.
    """
    late = (
        pl.col("vehicle_code").eq(pl.col("vehicle_code").shift(1))
        & pl.col("gateway").eq(pl.col("gateway").shift(1))
        & pl.col("boot").eq(pl.col("boot").shift(1))
        & (pl.col("seq") < pl.col("seq").shift(1))
    )
    return fixes.select(n_sorted=late.sum())


def _fault(rule: str, condition: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(pl.lit(rule, dtype=_FAULT))


def _flagged(flag: str) -> pl.Expr:
    """Return whether the gateway set a flag."""
    spaced = pl.concat_str(pl.lit(" "), "flags", pl.lit(" "))
    return spaced.str.contains(f" {flag} ", literal=True)


def _inside(area_deg: tuple[float, float, float, float], margin_km: float) -> pl.Expr:
    west, south, east, north = area_deg
    high = margin_km / KM_PER_DEGREE
    wide = high / max(float(np.cos(np.radians(max(abs(south), abs(north))))), 0.01)
    return pl.col("lon_deg").is_between(west - wide, east + wide) & pl.col("lat_deg").is_between(
        south - high, north + high
    )
