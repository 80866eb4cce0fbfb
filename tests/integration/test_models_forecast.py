"""From the congestion table to forecasts in the lake, and what stops them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import typer
from doubles import forecast_lake
from skops import io
from typer.testing import CliRunner

from clearway_cli.commands import build
from clearway_core.errors import ContractViolation, InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_models.forecast.features import BASELINES
from clearway_models.forecast.parameters import forecast_parameters
from clearway_models.forecast.store import FORECAST_FOLDER
from clearway_models.jobs.forecast import build_forecast
from clearway_quality import jobs as quality
from clearway_transforms.jobs import released

QUICK = replace(
    forecast_parameters(), trees=15, learning_rate=0.25, max_training_rows=6000, retrain_days=30
)
N_DAYS = 9


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a lake of nine days and forecasts from its end."""
    folder = tmp_path_factory.mktemp("forecast")
    lake = forecast_lake.fill(Lake(folder / "lake"), forecast_lake.rows(N_DAYS))
    build_forecast(lake, data_dir=folder, parameters=QUICK)
    return folder


def rows_of(lake: Lake) -> pl.DataFrame:
    return lake.table("forecasts").scan().collect()


def test_every_cell_is_forecast_at_every_horizon(city: Path) -> None:
    rows = rows_of(Lake(city / "lake"))
    end = forecast_lake.FIRST_DAY + timedelta(days=N_DAYS)

    assert rows.height == 3 * len(forecast_lake.CELLS)
    assert rows["issued_at"].unique().to_list() == [end]
    assert rows["window_start"].unique().sort().to_list() == [
        end + timedelta(minutes=minutes) for minutes in (0, 15, 45)
    ]
    assert set(rows["method"]) == {"model"}
    assert rows.filter(pl.col("top_vehicle_share") != 0.2).is_empty()
    assert (rows["interval_low_kmh"] < rows["interval_high_kmh"]).all()


def test_rows_pass_the_quality_gate_and_carry_their_evidence(city: Path, tmp_path: Path) -> None:
    lake = Lake(city / "lake")

    assert quality.check(lake, "forecasts", report_dir=tmp_path).passed
    evidence = (
        lake.table("congestion")
        .scan()
        .select("h3_cell", "n_vehicles", evidence_start="window_start")
    )
    matched = (
        rows_of(lake)
        .lazy()
        .join(evidence, on=["h3_cell", "evidence_start", "n_vehicles"], how="semi")
    )
    assert matched.collect().height == rows_of(lake).height


def test_live_rows_rest_on_enough_vehicles_and_none_is_public_before_its_day_is(
    city: Path,
) -> None:
    lake = Lake(city / "lake")
    live = released(lake, "forecasts", live=True).collect()

    assert 0 < live.height < rows_of(lake).height
    assert live["n_vehicles"].min() >= 10
    assert released(lake, "forecasts").collect().is_empty()  # nothing of this lake is settled


def test_the_same_history_gives_the_same_rows_from_the_kept_model(
    city: Path, tmp_path: Path
) -> None:
    lake = Lake(city / "lake")
    first = rows_of(lake)

    again = build_forecast(lake, data_dir=city, parameters=QUICK)
    anew = build_forecast(lake, data_dir=tmp_path, parameters=QUICK)

    assert not again.trained_now
    assert anew.trained_now
    assert rows_of(lake).equals(first)
    assert "| 15 | **model** |" in Path(again.card).read_text(encoding="utf-8")


def test_a_city_that_changed_is_forecast_by_a_plain_method_until_trained_anew(
    city: Path, tmp_path: Path
) -> None:
    changed = forecast_lake.rows(N_DAYS + 4, slow_from=N_DAYS)
    lake = forecast_lake.fill(Lake(tmp_path / "lake"), changed)

    account = build_forecast(lake, data_dir=city, parameters=QUICK)

    assert account.drift
    assert set(account.methods.values()) <= {f"fallback:{name}" for name in BASELINES}
    assert set(rows_of(lake)["method"]) == set(account.methods.values())


def test_a_stretch_like_the_others_is_no_drift(city: Path, tmp_path: Path) -> None:
    lake = forecast_lake.fill(Lake(tmp_path / "lake"), forecast_lake.rows(N_DAYS + 4))

    account = build_forecast(lake, data_dir=city, parameters=QUICK)

    assert account.drift == ()
    assert set(account.methods.values()) == {"model"}


def test_a_horizon_at_which_a_plain_forecast_was_better_has_no_rows(
    city: Path, tmp_path: Path
) -> None:
    lake = forecast_lake.fill(Lake(tmp_path / "lake"), forecast_lake.rows(N_DAYS))
    models = tmp_path / "models" / "forecast"
    models.mkdir(parents=True)
    for file in (city / "models" / "forecast").iterdir():
        (models / file.name).write_bytes(file.read_bytes())
    (card,) = models.glob("*.json")
    document = json.loads(card.read_text(encoding="utf-8"))
    document["scores"][0]["mae_kmh"]["persistence"] = 0.5
    card.write_text(json.dumps(document), encoding="utf-8")

    account = build_forecast(lake, data_dir=tmp_path, parameters=QUICK)

    assert account.not_published[0].startswith("persistence was better at 15 minutes")
    assert set(rows_of(lake)["horizon_minutes"]) == {30, 60}


def test_too_few_days_are_said_with_the_remedy(tmp_path: Path) -> None:
    lake = forecast_lake.fill(Lake(tmp_path / "lake"), forecast_lake.rows(3))

    with pytest.raises(InsufficientData, match=r"at least 5 days .* got 3: collect more days"):
        build_forecast(lake, data_dir=tmp_path, parameters=QUICK)


def test_an_empty_lake_is_too_few_days(tmp_path: Path) -> None:
    with pytest.raises(InsufficientData, match="got 0"):
        build_forecast(Lake(tmp_path / "lake"), data_dir=tmp_path)


def test_a_day_is_too_long_a_window(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a window is 15m or 1h"):
        build_forecast(Lake(tmp_path / "lake"), data_dir=tmp_path, window_minutes=1440)


def test_a_model_file_with_a_foreign_type_is_not_loaded(city: Path, tmp_path: Path) -> None:
    lake = Lake(city / "lake")
    models = tmp_path / "models" / "forecast"
    models.mkdir(parents=True)
    (card,) = (city / "models" / "forecast").glob("*.json")
    (models / card.name).write_bytes(card.read_bytes())
    io.dump(Path("x"), (models / card.name).with_suffix(".skops"))

    with pytest.raises(ContractViolation, match="expected a forecast model"):
        build_forecast(lake, data_dir=tmp_path, parameters=QUICK)


def test_the_command_shows_errors_beside_the_plain_forecasts(
    city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()
    build.register(app)
    monkeypatch.setattr("clearway_models.jobs.forecast.forecast_parameters", lambda: QUICK)
    command = ["build", "forecast", "--data-dir", str(city)]

    shown = CliRunner().invoke(app, command, env={"COLUMNS": "120"})
    answer = CliRunner().invoke(app, [*command, "--json"])

    assert shown.exit_code == 0, shown.output
    assert "persistence" in shown.output
    assert "90 % intervals held" in shown.output
    values = json.loads(answer.stdout)
    assert values["n_rows"] == 3 * len(forecast_lake.CELLS)
    assert {score["horizon_minutes"] for score in values["scores"]} == {15, 30, 60}
    assert FORECAST_FOLDER in values["card"]
