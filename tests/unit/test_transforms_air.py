from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clearway_core.city import City
from clearway_core.contracts.raw_tables import AIR_READINGS
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_core.schema import conform
from clearway_transforms import jobs

HOUR = datetime(2026, 3, 10, 6, tzinfo=UTC)


def readings(
    values: dict[str, list[float | None]],
    *,
    sensor: str = "s-1",
    model: str = "pms5003",
    start: datetime = HOUR,
    step_s: float = 60,
    flags: list[str | None] | None = None,
) -> pl.DataFrame:
    n = len(next(iter(values.values())))
    frame = pl.DataFrame(
        {
            "sensor": sensor,
            "sensor_model": model,
            "observed_at": [start + timedelta(seconds=step_s * number) for number in range(n)],
            "lon_deg": 100.5,
            "lat_deg": 13.75,
            "gateway": "gw",
            "boot": 1,
            "seq": range(n),
            "received_at": start + timedelta(days=1),
            "topic": "t",
            "log_partition": 0,
            "log_offset": 0,
            "flags": flags or [None] * n,
            **values,
        },
        schema_overrides=dict.fromkeys(values, pl.Float64) | {"flags": pl.String},
        strict=False,
    )
    return conform(frame.with_columns(observed_date=pl.col("observed_at").dt.date()), AIR_READINGS)


def wavy(n: int, *, level: float = 20.0) -> list[float | None]:
    """Return values that never repeat themselves for long."""
    return [level + number % 3 for number in range(n)]


def built(tmp_path, frame: pl.DataFrame, **options: object):
    lake = Lake(tmp_path)
    lake.table("air_readings").append(frame)
    account = jobs.build_air(lake, **options)
    hours = lake.table("air_hourly").scan().sort("sensor", "pollutant", "hour_start").collect()
    return account, hours


def test_a_full_hour_has_its_mean_and_is_complete(tmp_path):
    frame = readings({"no2_ppb": [-1.0, 1.0, 3.0] * 20}, model="no2-cell")
    _, hours = built(tmp_path, frame)
    hour = hours.row(0, named=True)
    assert hour["raw_hourly_mean"] == pytest.approx(1.0)
    assert (hour["n_readings"], hour["completeness_pct"], hour["complete"]) == (60, 100.0, True)
    assert (hour["unit"], hour["calibration_id"]) == ("ppb", "none")
    assert hour["calibrated_hourly_mean"] is None


@pytest.mark.parametrize(("n", "complete"), [(44, False), (45, True)])
def test_three_quarters_of_an_hour_are_enough(tmp_path, n, complete):
    _, hours = built(tmp_path, readings({"o3_ppb": wavy(n)}, model="o3-cell"))
    assert hours["complete"].to_list() == [complete]


def test_an_hourly_reference_value_is_a_whole_hour(tmp_path):
    frame = readings({"pm2_5_ugm3": wavy(10)}, model="reference", step_s=3600)
    _, hours = built(tmp_path, frame)
    assert hours["completeness_pct"].to_list() == [100.0] * 10


def test_channels_that_disagree_are_left_out_and_counted(tmp_path):
    a = wavy(60)
    b = [value + (40 if number < 6 else 1) for number, value in enumerate(a)]
    account, hours = built(
        tmp_path, readings({"pm2_5_cf1_a_ugm3": a, "pm2_5_cf1_b_ugm3": b}), calibration="none"
    )
    assert account.rejected["channels_disagree"] == 6
    assert hours["n_rejected"].item() == 6
    assert hours["raw_hourly_mean"].item() == pytest.approx(sum(a[6:]) / 54 + 0.5)


def test_a_silent_channel_of_two_makes_the_reading_useless(tmp_path):
    b = [None if number < 30 else 21.0 + number % 3 for number in range(60)]
    frame = readings({"pm2_5_cf1_a_ugm3": wavy(60), "pm2_5_cf1_b_ugm3": b})
    account, hours = built(tmp_path, frame)
    assert account.rejected["channels_disagree"] == 30
    assert hours["complete"].to_list() == [False]


def test_a_sensor_with_one_channel_is_not_asked_for_two(tmp_path):
    account, hours = built(tmp_path, readings({"pm2_5_cf1_a_ugm3": wavy(60)}))
    assert account.rejected["channels_disagree"] == 0
    assert hours["n_readings"].item() == 60


def test_the_shipped_calibration_is_named_beside_the_raw_value(tmp_path):
    frame = readings({"pm2_5_cf1_a_ugm3": [34.0, 35.0, 36.0] * 20, "humidity_pct": [40.0] * 60})
    _, hours = built(tmp_path, frame)
    hour = hours.row(0, named=True)
    assert hour["raw_hourly_mean"] == pytest.approx(35.0)
    assert hour["calibrated_hourly_mean"] == pytest.approx(20.642, abs=5e-4)
    assert (hour["calibration_id"], hour["calibrated_sd"]) == ("barkjohn_2021_us", 6.0)


@pytest.mark.parametrize(
    ("model", "columns", "option"),
    [
        ("pms5003", {"humidity_pct": [40.0] * 60}, "none"),
        ("sds011", {"humidity_pct": [40.0] * 60}, None),  # not made for this model
        ("pms5003", {}, None),  # no humidity
    ],
)
def test_no_calibration_is_made_up(tmp_path, model, columns, option):
    frame = readings({"pm2_5_cf1_a_ugm3": wavy(60), **columns}, model=model)
    _, hours = built(tmp_path, frame, calibration=option)
    assert hours["calibration_id"].to_list() == ["none"]
    assert hours["calibrated_hourly_mean"].to_list() == [None]


def test_an_unknown_calibration_is_refused(tmp_path):
    with pytest.raises(UsageError, match="barkjohn_2021_us"):
        built(tmp_path, readings({"no2_ppb": [1.0]}), calibration="best")


def test_a_spike_goes_and_a_real_rise_stays(tmp_path):
    values = [*wavy(30), *wavy(30, level=200.0)]
    values[10] = 400.0
    account, hours = built(tmp_path, readings({"pm10_cf1_ugm3": values}))
    assert account.rejected["spike"] == 1
    assert hours["n_readings"].item() == 59


def test_six_hours_of_one_value_are_a_dead_channel(tmp_path):
    dead = [12.0] * 361
    account, _ = built(tmp_path, readings({"no2_ppb": dead[:360]}, model="no2-cell"))
    assert account.rejected["stuck"] == 0
    account, hours = built(tmp_path / "b", readings({"no2_ppb": dead}, model="no2-cell"))
    assert account.rejected["stuck"] == 361
    assert hours["raw_hourly_mean"].null_count() == hours.height


@pytest.mark.parametrize("flag", ["warming_up", "sensor_error", "observed_at_far_from_clock"])
def test_readings_that_the_gateway_found_useless_are_left_out(tmp_path, flag):
    flags = [flag] * 3 + [None] * 57
    account, _ = built(tmp_path, readings({"pm2_5_cf1_a_ugm3": wavy(60)}, flags=flags))
    assert account.rejected["sensor_fault"] == 3


def test_a_count_beyond_the_sensors_range_is_left_out_but_not_a_references_negative(tmp_path):
    account, _ = built(tmp_path, readings({"pm2_5_cf1_a_ugm3": [1001.0, *wavy(59)]}))
    assert account.rejected["out_of_range"] == 1
    reference = readings({"pm2_5_ugm3": [-2.0, *wavy(59)]}, model="reference")
    account, hours = built(tmp_path / "b", reference)
    assert account.rejected["out_of_range"] == 0
    assert hours["n_readings"].item() == 60


def test_repeated_readings_and_their_order_change_nothing(tmp_path):
    frame = readings({"pm2_5_cf1_a_ugm3": wavy(50), "humidity_pct": wavy(50, level=50.0)})
    again = frame.head(20).with_columns(seq=pl.col("seq") + 1000)
    mixed = pl.concat([frame, again]).sample(fraction=1.0, shuffle=True, seed=3)
    _, plain = built(tmp_path / "plain", frame)
    account, other = built(tmp_path / "mixed", mixed)
    assert account.rejected["duplicate"] == 20
    assert_frame_equal(plain.drop("n_rejected"), other.drop("n_rejected"), check_exact=True)


def test_hours_and_days_follow_each_other_over_midnight(tmp_path):
    frame = readings({"co_ppm": wavy(180)}, start=HOUR.replace(hour=22, minute=30), model="co")
    account, hours = built(tmp_path, frame)
    assert account.days == (date(2026, 3, 10), date(2026, 3, 11))
    assert hours["n_readings"].to_list() == [30, 60, 60, 30]
    assert hours["n_readings"].sum() == account.n_values


def test_a_local_hour_that_begins_before_utc_midnight_is_whole(tmp_path):
    kathmandu = City(
        folder=tmp_path,
        name="Kathmandu",
        country="NP",
        time_zone=ZoneInfo("Asia/Kathmandu"),  # +05:45
        currency=None,
        price_year=None,
        service_area_deg=(85.0, 27.5, 85.6, 27.9),
        synthetic=False,
    )
    frame = readings({"co_ppm": wavy(60)}, start=HOUR.replace(hour=0), model="co")
    _, hours = built(tmp_path, frame, city=kathmandu)
    assert hours["hour_start"].to_list() == [
        datetime(2026, 3, 9, 23, 15, tzinfo=UTC) + timedelta(hours=n) for n in (0, 1)
    ]
    assert hours["n_readings"].to_list() == [15, 45]


def test_humidity_of_a_few_readings_is_not_enough_for_a_calibration(tmp_path):
    humidity = [40.0 if number < 44 else None for number in range(60)]
    frame = readings({"pm2_5_cf1_a_ugm3": wavy(60), "humidity_pct": humidity})
    _, hours = built(tmp_path, frame)
    assert hours["calibration_id"].to_list() == ["none"]


def test_without_readings_the_answer_says_what_to_do(tmp_path):
    with pytest.raises(InsufficientData, match="clearway ingest run"):
        jobs.build_air(Lake(tmp_path))
