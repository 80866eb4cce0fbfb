"""Hourly values per sensor and pollutant, with the readings that a rule took out counted.

Raw values stay beside calibrated ones, negative values keep their sign, and an hour says which
share of it was measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from clearway_transforms.air.calibration import NONE, LinearCalibration
from clearway_transforms.geometry.location import cell_of
from clearway_transforms.parameters import AirParameters

AIR_RESOLUTION = 9

REFERENCE = "reference"
"""Sensor model of a regulatory instrument; rules for low-cost sensors leave it alone."""

UNITS = {"pm2_5": "µg/m³", "pm10": "µg/m³", "no2": "ppb", "o3": "ppb", "co": "ppm"}
"""Unit of each pollutant."""

RULES = ("duplicate", "sensor_fault", "out_of_range", "channels_disagree", "stuck", "spike")
"""Why a value can be taken out, in the order in which the rules are asked."""

FAULT_FLAGS = ("warming_up", "sensor_error", "observed_at_far_from_clock")
"""Flags of the gateway that make a reading useless."""

_PM = ("pm2_5", "pm10")
_MICRO = 1_000_000
"""Means are taken over whole millionths, so that they do not depend on the order of rows."""

_HOUR_S = 3600


def channels_disagree(a: pl.Expr, b: pl.Expr, parameters: AirParameters) -> pl.Expr:
    """Return whether two particle channels of one sensor contradict each other.

    Parameters
    ----------
    a, b
        PM2.5 of the two channels. [µg/m³]
    parameters
        Both limits.

    Returns
    -------
    polars.Expr
        True where the difference is above both the absolute and the relative limit, or one channel
        is missing.

    References
    ----------
    K. K. Barkjohn, B. Gantt and A. L. Clements, "Development and application of a United States-
    wide correction for PM2.5 data collected with the PurpleAir sensor", Atmos. Meas. Tech. 14,
    4617, 2021, section 3.2.3, doi:10.5194/amt-14-4617-2021. The relative limit is that of EPA's
    code, 0.70; the paper's 0.61 is for 24-hour means.
    """
    difference = (a - b).abs()
    relative = pl.when(a + b != 0).then((2 * difference / (a + b)).abs()).otherwise(0.0)
    apart = (difference > parameters.ab_difference_ugm3) & (
        relative > parameters.ab_relative_difference
    )
    return apart | (a.is_null() != b.is_null())


def first_of_each(readings: pl.LazyFrame) -> pl.LazyFrame:
    """Return the readings in order of sensor and time, with ``fault`` where one repeats another.

    Of several at one instant the one with the lowest (gateway, boot, seq) is the first.
    """
    again = pl.col("sensor").eq(pl.col("sensor").shift(1)) & pl.col("observed_at").eq(
        pl.col("observed_at").shift(1)
    )
    return readings.sort("sensor", "observed_at", "gateway", "boot", "seq").with_columns(
        fault=pl.when(again.fill_null(value=False)).then(pl.lit("duplicate"))
    )


def by_pollutant(readings: pl.LazyFrame, parameters: AirParameters) -> pl.LazyFrame:
    """Return one row per reading and pollutant, with the rule that takes it out.

    Parameters
    ----------
    readings
        From `first_of_each`.
    parameters
        Thresholds.

    Returns
    -------
    polars.LazyFrame
        ``sensor``, ``sensor_model``, ``observed_at``, position, ``pollutant``, ``raw``,
        ``humidity_pct``, ``temperature_c`` and ``fault`` (null where the value is good). Readings
        without a value of a pollutant have no row for it, unless one of its two channels has one.
    """
    flags = pl.col("flags").fill_null("").str.split(" ")
    flagged = pl.any_horizontal(flags.list.contains(flag) for flag in FAULT_FLAGS)
    fault = pl.coalesce("fault", pl.when(flagged).then(pl.lit("sensor_fault")))
    readings = readings.with_columns(
        fault=fault,
        two_channels=pl.col("pm2_5_cf1_b_ugm3")
        .is_not_null()
        .any()
        .over("sensor", pl.col("observed_at").dt.date()),
    )
    rows = pl.concat([_of(readings, name, raw) for name, raw in _raw_values().items()])
    rows = rows.filter(pl.col("raw").is_not_null() | pl.col("half_missing")).with_columns(
        fault=pl.coalesce("fault", *_row_rules(parameters))
    )
    return _series_rules(rows.sort("sensor", "pollutant", "observed_at", "fault"), parameters)


def hourly(
    values: pl.LazyFrame,
    parameters: AirParameters,
    calibrations: Sequence[LinearCalibration],
    *,
    time_zone: str = "UTC",
) -> pl.LazyFrame:
    """Return the columns of ``air_hourly``.

    Parameters
    ----------
    values
        From `by_pollutant`.
    parameters
        Completeness that an hour needs.
    calibrations
        Those that may be applied, each to its own sensor models.
    time_zone
        IANA name; hours begin by its clock. ``hour_start`` stays UTC.

    Notes
    -----
    A reading stands for the median time between readings of its sensor on that UTC day, at most an
    hour. Completeness is the time that valid readings stand for, over the hour. Humidity and
    temperature, where a calibration uses them, must be there for as large a share of the valid
    readings as an hour needs to be complete.
    """
    start = pl.col("observed_at").dt.convert_time_zone(time_zone).dt.truncate("1h")
    good = pl.col("fault").is_null()
    whole = ((pl.col("raw") * _MICRO).round()).cast(pl.Int64)
    interval = _interval_s(values, parameters)
    sums = (
        values.join(interval, on=["sensor", "day"], how="left", validate="m:1")
        .with_columns(hour_start=start.dt.convert_time_zone("UTC"))
        .sort("sensor", "pollutant", "observed_at", "fault")
        .group_by("sensor", "pollutant", "hour_start", maintain_order=True)
        .agg(
            pl.col("sensor_model", "lon_deg", "lat_deg").last(),
            raw_hourly_mean=whole.filter(good).sum() / good.sum() / _MICRO,
            humidity=_mean_beside("humidity_pct", good, parameters),
            temperature=_mean_beside("temperature_c", good, parameters),
            calibratable=pl.col("calibratable").filter(good).all(),
            n_readings=good.sum().cast(pl.Int64),
            n_rejected=(~good).sum().cast(pl.Int64),
            covered_s=pl.col("interval_s").filter(good).sum(),
        )
    )
    measured = pl.col("n_readings") > 0
    completeness = (pl.col("covered_s") / _HOUR_S * 100).clip(0.0, 100.0)
    return _calibrated(
        sums.with_columns(
            raw_hourly_mean=pl.when(measured).then("raw_hourly_mean"),
            completeness_pct=completeness,
            complete=completeness >= parameters.completeness_pct,
            h3_cell=cell_of("lon_deg", "lat_deg", AIR_RESOLUTION),
            hour_date=pl.col("hour_start").dt.date(),
            unit=pl.col("pollutant").replace_strict(UNITS),
        ),
        calibrations,
    )


def _mean_beside(name: str, good: pl.Expr, parameters: AirParameters) -> pl.Expr:
    """Return the mean of a column over good readings; null where too few of them have it."""
    whole = ((pl.col(name) * _MICRO).round()).cast(pl.Int64).filter(good)
    enough = whole.count() >= parameters.completeness_pct / 100 * good.sum()
    return pl.when(enough).then(whole.sum() / whole.count() / _MICRO).fill_nan(None)


def _raw_values() -> dict[str, pl.Expr]:
    a, b = pl.col("pm2_5_cf1_a_ugm3"), pl.col("pm2_5_cf1_b_ugm3")
    return {
        "pm2_5": pl.coalesce("pm2_5_ugm3", (a + b) / 2, a, b, "pm2_5_atm_ugm3"),
        "pm10": pl.coalesce("pm10_ugm3", "pm10_cf1_ugm3", "pm10_atm_ugm3"),
        "no2": pl.col("no2_ppb"),
        "o3": pl.col("o3_ppb"),
        "co": pl.col("co_ppm"),
    }


def _of(readings: pl.LazyFrame, pollutant: str, raw: pl.Expr) -> pl.LazyFrame:
    a, b = pl.col("pm2_5_cf1_a_ugm3"), pl.col("pm2_5_cf1_b_ugm3")
    of_channels = pl.lit(pollutant == "pm2_5") & pl.col("pm2_5_ugm3").is_null()
    return readings.select(
        "sensor",
        "sensor_model",
        "observed_at",
        "lon_deg",
        "lat_deg",
        "humidity_pct",
        "temperature_c",
        "fault",
        pollutant=pl.lit(pollutant),
        raw=raw,
        channel_a=pl.when(of_channels & pl.col("two_channels")).then(a),
        channel_b=pl.when(of_channels & pl.col("two_channels")).then(b),
        half_missing=of_channels & pl.col("two_channels") & (a.is_null() != b.is_null()),
        calibratable=of_channels & (a.is_not_null() | b.is_not_null()),
        day=pl.col("observed_at").dt.date(),
    )


def _row_rules(parameters: AirParameters) -> list[pl.Expr]:
    low_cost = pl.col("sensor_model") != REFERENCE
    inside = pl.col("raw").is_between(parameters.pm_range_low_ugm3, parameters.pm_range_high_ugm3)
    particles = pl.col("pollutant").is_in(_PM)
    apart = channels_disagree(pl.col("channel_a"), pl.col("channel_b"), parameters)
    return [
        pl.when(low_cost & particles & ~inside).then(pl.lit("out_of_range")),
        pl.when(apart).then(pl.lit("channels_disagree")),
    ]


def _series_rules(rows: pl.LazyFrame, parameters: AirParameters) -> pl.LazyFrame:
    """Return ordered rows with the faults that only the neighbours in time can show."""
    series = ["sensor", "pollutant"]
    good = pl.col("fault").is_null()
    value = pl.when(good).then("raw")
    run = value.ne_missing(value.shift(1)).cum_sum().over(series).alias("run")
    length = pl.col("observed_at").max() - pl.col("observed_at").min()
    centre = value.rolling_median(parameters.spike_window, center=True, min_samples=3).over(series)
    rows = rows.with_columns(run, centre=centre).with_columns(
        away=(value - pl.col("centre")).abs(),
        run_length=length.over(*series, "run"),
    )
    spread = pl.col("away").rolling_median(parameters.spike_window, center=True, min_samples=3)
    stuck = good & (pl.col("run_length") >= pl.duration(seconds=parameters.stuck_s))
    spike = (
        good
        & pl.col("pollutant").is_in(_PM)
        & (pl.col("sensor_model") != REFERENCE)
        & (pl.col("away") > parameters.spike_ugm3)
        & (pl.col("away") > parameters.spike_mad * spread.over(series))
    )
    return rows.with_columns(
        fault=pl.coalesce(
            "fault", pl.when(stuck).then(pl.lit("stuck")), pl.when(spike).then(pl.lit("spike"))
        )
    ).drop("run", "centre", "away", "run_length", "channel_a", "channel_b", "half_missing")


def _interval_s(values: pl.LazyFrame, parameters: AirParameters) -> pl.LazyFrame:
    instants = values.select("sensor", "day", "observed_at").unique().sort("sensor", "observed_at")
    return instants.group_by("sensor", "day").agg(
        interval_s=(pl.col("observed_at").diff().median().dt.total_milliseconds() / 1000)
        .fill_null(parameters.default_interval_s)
        .clip(upper_bound=_HOUR_S)
    )


def _calibrated(hours: pl.LazyFrame, calibrations: Sequence[LinearCalibration]) -> pl.LazyFrame:
    value, sd, name = pl.lit(None, dtype=pl.Float64), pl.lit(None, dtype=pl.Float64), pl.lit(NONE)
    for each in calibrations:
        fits = (
            (pl.col("pollutant") == "pm2_5")
            & pl.col("sensor_model").is_in(each.sensor_models)
            & pl.col("calibratable")
        )
        inputs = (pl.col("raw_hourly_mean"), pl.col("humidity"))
        result = each.apply(*inputs, temperature_c=pl.col("temperature"))
        spread = each.uncertainty(*inputs, temperature_c=pl.col("temperature"))
        done = fits & result.is_not_null()
        value = pl.when(done).then(result).otherwise(value)
        sd = pl.when(done).then(spread).otherwise(sd)
        name = pl.when(done).then(pl.lit(each.calibration_id)).otherwise(name)
    return hours.with_columns(
        calibrated_hourly_mean=value, calibrated_sd=sd, calibration_id=name
    ).drop("humidity", "temperature", "calibratable", "covered_s")
