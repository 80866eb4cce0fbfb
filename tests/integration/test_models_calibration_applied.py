"""From a sensor beside a reference to calibrated hours in the lake."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import clearway_cities
from clearway_cli.commands import build
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_core.schema import conform
from clearway_transforms.air.calibration import chosen, read_trained
from clearway_transforms.jobs import build_air

AIR = Path(clearway_cities.__file__).parent / "demo_city" / "air.csv.gz"
MORNING = pl.lit("2026-01-14T23:00:00Z").str.to_datetime(time_zone="UTC")
"""The simulated morning; the pair's fourteen days lie before it."""
PAIR = ("gw-02", "ref-01")


@pytest.fixture(scope="module")
def minutes() -> pl.DataFrame:
    time = pl.col("observed_at").str.to_datetime(time_zone="UTC")
    readings = pl.read_csv(AIR, infer_schema_length=None).with_columns(time)
    return readings.filter(pl.col("sensor").is_in(PAIR))


@pytest.fixture(scope="module")
def collocation(minutes: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    hours = (
        minutes.filter(pl.col("observed_at") < MORNING)
        .group_by("sensor", pl.col("observed_at").dt.truncate("1h").alias("hour_start"))
        .agg(
            ((pl.col("pm2_5_cf1_a_ugm3") + pl.col("pm2_5_cf1_b_ugm3")) / 2)
            .mean()
            .alias("pm2_5_cf1_ugm3"),
            pl.col("humidity_pct", "temperature_c").mean(),
            pl.col("pm2_5_ugm3").mean().alias("reference_ugm3"),
        )
    )
    reference = hours.filter(pl.col("sensor") == "ref-01").select("hour_start", "reference_ugm3")
    file = tmp_path_factory.mktemp("collocation") / "pair.csv"
    (
        hours.filter(pl.col("sensor") == "gw-02")
        .drop("reference_ugm3")
        .join(reference, on="hour_start")
        .sort("hour_start")
        .with_columns(
            pl.col("hour_start").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), pl.lit("corner").alias("site")
        )
        .write_csv(file)
    )
    return file


def lake_of(root: Path, minutes: pl.DataFrame) -> Lake:
    contract = LAKE_CONTRACTS["air_readings"]
    rows = minutes.filter(pl.col("observed_at") >= MORNING).with_columns(
        pl.col("observed_at").dt.date().alias("observed_date"),
        pl.col("observed_at").alias("received_at"),
        pl.lit("gw").alias("gateway"),
        pl.lit(1).alias("boot"),
        pl.int_range(pl.len()).alias("seq"),
        pl.lit("air").alias("topic"),
        pl.lit(0).alias("log_partition"),
        pl.int_range(pl.len()).alias("log_offset"),
    )
    lake = Lake(root / "lake")
    lake.table("air_readings").append(conform(rows, contract))
    return lake


def pair_errors(lake: Lake, column: str) -> pl.Series:
    hours = lake.table("air_hourly").scan().filter(pl.col("pollutant") == "pm2_5").collect()
    sensor, reference = (hours.filter(pl.col("sensor") == name) for name in PAIR)
    both = sensor.join(reference, on="hour_start", suffix="_of_reference")
    return (both[column] - both["raw_hourly_mean_of_reference"]).abs()


def test_a_pair_is_trained_on_and_the_next_morning_is_calibrated(
    minutes: pl.DataFrame, collocation: Path, tmp_path: Path
) -> None:
    lake = lake_of(tmp_path, minutes)
    runner, app = CliRunner(), typer.Typer()
    build.register(app)

    trained = runner.invoke(
        app,
        f"build calibration {collocation} --sensor-model pms5003 --data-dir {tmp_path} --json",
    )
    name = json.loads(trained.stdout)["calibration_id"]
    built = runner.invoke(
        app, ["build", "air", "--calibration", name, "--data-dir", str(tmp_path), "--json"]
    )

    assert built.exit_code == 0, built.output
    own = pair_errors(lake, "calibrated_hourly_mean")
    raw = pair_errors(lake, "raw_hourly_mean")
    build_air(lake)
    shipped = pair_errors(lake, "calibrated_hourly_mean")
    assert json.loads(built.stdout)["calibrations"][name] >= 3
    # The morning was not trained on.
    assert own.len() >= 3
    assert own.null_count() == 0
    assert own.mean() < 0.5 * raw.mean()
    assert own.mean() < shipped.mean()


def write_record(folder: Path, name: str = "mine", **changes: object) -> Path:
    record = {
        "calibration_id": name,
        "sensor_model": "pms5003",
        "pollutant": "pm2_5",
        "unit": "µg/m³",
        "intercept": 1.0,
        "coefficients": {"pm2_5_cf1_ugm3": 0.5, "humidity_pct": -0.1, "temperature_c": 0.2},
        "domain": {
            "pm2_5_cf1_ugm3": [0, 50],
            "humidity_pct": [30, 90],
            "temperature_c": [20, 35],
        },
        "residual_sd": 2.0,
    } | changes
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("raw", "humidity", "temperature", "value", "sd"),
    [
        (40.0, 60.0, 25.0, 20.0, 2.0),
        (40.0, 60.0, 40.0, 23.0, 4.0),
        (40.0, 95.0, 25.0, 16.5, 4.0),
        (60.0, 60.0, 25.0, 30.0, 4.0),
        (40.0, 60.0, None, None, 2.0),
    ],
)
def test_outside_of_its_domain_a_calibration_is_half_as_sure(
    tmp_path: Path,
    raw: float,
    humidity: float,
    temperature: float | None,
    value: float | None,
    sd: float,
) -> None:
    calibration = read_trained(write_record(tmp_path))
    frame = pl.DataFrame(
        {"r": [raw], "h": [humidity], "t": pl.Series([temperature], dtype=pl.Float64)}
    )
    inputs = (pl.col("r"), pl.col("h"))

    got = frame.select(
        value=calibration.apply(*inputs, temperature_c=pl.col("t")),
        sd=calibration.uncertainty(*inputs, temperature_c=pl.col("t")),
    ).row(0)

    assert got == (pytest.approx(value) if value is not None else None, pytest.approx(sd))


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "ppb"},
        {"intercept": "NaN"},
        {"coefficients": {"humidity_pct": 1}},
        {"calibration_id": "other"},
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    write_record(tmp_path, **changes)

    with pytest.raises(UsageError, match=r"mine\.json"):
        chosen("mine", tmp_path)


def test_a_trained_calibration_is_used_only_by_name(tmp_path: Path) -> None:
    write_record(tmp_path)

    assert [c.calibration_id for c in chosen(None, tmp_path)] == ["barkjohn_2021_us"]
    assert [c.calibration_id for c in chosen("mine", tmp_path)] == ["mine"]
    with pytest.raises(UsageError, match="mine, got 'yours'"):
        chosen("yours", tmp_path)
    with pytest.raises(UsageError, match="one of"):
        chosen("../mine", tmp_path / "below")
