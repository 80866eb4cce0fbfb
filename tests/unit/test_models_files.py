"""Parameter files: what is wrong with them is said, all at once, with file and key."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from doubles.models_lake import write_city

from clearway_core.calendar import Calendar, public_holidays
from clearway_core.errors import SettingsError
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.periods import with_period
from clearway_models.charge.valuation import european_reference, value_for
from clearway_models.emissions.factors import read_factor_set, read_fleet
from clearway_models.expansion.counts import read_counts
from clearway_models.parameters import PARAMETER_FOLDER, Status


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PARAMETER_FOLDER, tmp_path / "params"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_shipped_number_has_a_source_and_a_status() -> None:
    parameters = read_charge_parameters().all_parameters()

    assert len(parameters) > 50
    assert all(p.source and p.status in tuple(Status) for p in parameters)
    assert all(p.valid_from > date(1900, 1, 1) for p in parameters)


def test_general_knowledge_is_marked_unverified() -> None:
    parameters = read_charge_parameters()

    assert parameters.damage_cost["nox"].status is Status.UNVERIFIED
    assert parameters.classes["car"].elasticity.status is Status.UNVERIFIED


def test_at_least_eight_vehicle_classes_have_factors() -> None:
    factor_set = read_factor_set()

    assert len({name for name, _ in factor_set.hot}) >= 8
    assert set(read_fleet(factor_set.classes).shares) <= set(factor_set.classes)


def test_wrong_unit_and_unknown_key_are_both_reported(folder: Path) -> None:
    edit(folder / "charge.toml", 'unit = "EUR/kg"', 'unit = "EUR/t"')
    edit(folder / "charge.toml", "[transfer]", '[transfer]\nsurprise = "x"')

    with pytest.raises(SettingsError) as caught:
        read_charge_parameters(folder / "charge.toml")

    text = str(caught.value)
    assert "damage_cost.nox.unit: expected EUR/kg, got 'EUR/t'" in text
    assert "transfer.surprise: unknown key" in text


def test_periods_that_leave_an_hour_out_are_a_fault(folder: Path) -> None:
    edit(folder / "charge.toml", "end_hour = 10", "end_hour = 9")

    with pytest.raises(SettingsError, match="hours of a working day"):
        read_charge_parameters(folder / "charge.toml")


def test_class_without_a_curve_is_a_fault(folder: Path) -> None:
    rows = (folder / "hot_exhaust.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [row for row in rows if not row.startswith("car_diesel_euro_5,nox")]
    (folder / "hot_exhaust.csv").write_text("".join(kept), encoding="utf-8")

    with pytest.raises(SettingsError, match="car_diesel_euro_5 has no row for nox"):
        read_factor_set(folder)


def test_number_that_is_none_names_line_and_column(folder: Path) -> None:
    edit(folder / "hot_exhaust.csv", "-0.0002638081162", "n/a")

    with pytest.raises(SettingsError, match=r"line 2: alpha = 'n/a' is not a number"):
        read_factor_set(folder)


def test_fleet_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text(
        "emission_class,share,source\ncar_petrol_euro_4,0.5,x\nsteam_car,0.2,x\n", encoding="utf-8"
    )

    with pytest.raises(SettingsError) as caught:
        read_fleet(read_factor_set().classes, file)

    assert "line 3: unknown emission_class 'steam_car'" in str(caught.value)
    assert "add up to 0.7000" in str(caught.value)


def test_european_values_are_the_filed_ones() -> None:
    valuation = european_reference(read_charge_parameters())

    assert valuation.damage_per_kg["nox"] == 21.3
    assert valuation.cap_minor_per_km == 100


def test_currency_that_is_not_filed_has_no_prices(tmp_path: Path) -> None:
    city = write_city(tmp_path / "city", currency="XAU")

    assert value_for(read_charge_parameters(), city) is None


def test_citys_own_prices_replace_the_transferred_ones(tmp_path: Path) -> None:
    city = write_city(tmp_path / "city", currency="THB")
    transferred = value_for(read_charge_parameters(), city)
    (city.folder / "prices.toml").write_text(
        'source = "Council paper 12"\ncap_minor_per_km = 1000\n[damage_per_kg]\nnox = 90.0\n',
        encoding="utf-8",
    )

    own = value_for(read_charge_parameters(), city)

    assert transferred is not None
    assert own is not None
    assert own.damage_per_kg["nox"] == 90.0
    assert own.damage_per_kg["pm2_5"] == transferred.damage_per_kg["pm2_5"]
    assert (own.cap_minor_per_km, own.status, own.source) == (1000, "city", "Council paper 12")


def test_own_cap_off_the_rounding_unit_is_refused(tmp_path: Path) -> None:
    city = write_city(tmp_path / "city", currency="THB")
    (city.folder / "prices.toml").write_text(
        'source = "x"\ncap_minor_per_km = 1001\n', encoding="utf-8"
    )

    with pytest.raises(SettingsError, match="1001 is not a multiple of rounding_minor 50"):
        value_for(read_charge_parameters(), city)


def test_each_hour_has_one_period_in_local_time() -> None:
    parameters = read_charge_parameters()
    hours = pl.datetime_range(
        pl.datetime(2026, 1, 4, time_zone="UTC"),
        pl.datetime(2026, 1, 17, 23, time_zone="UTC"),
        "1h",
        eager=True,
    )
    frame = with_period(
        pl.LazyFrame({"window_start": hours}),
        parameters.periods,
        Calendar(
            time_zone=ZoneInfo("Asia/Kathmandu"), named={date(2026, 1, 14): ("holiday", "Festival")}
        ),
    ).collect()

    assert frame["period"].null_count() == 0
    # 00:15 UTC would be 06:00 in Kathmandu (+5:45); the window of 01:00 UTC starts at 06:45.
    by_start = dict(frame.select("window_start", "period").iter_rows())
    starts = {start.strftime("%m-%d %H"): period for start, period in by_start.items()}
    assert starts["01-05 00"] == "night"
    assert starts["01-05 01"] == "am_peak"
    assert starts["01-14 01"] == "free_day"
    assert starts["01-10 05"] == "free_day"


def test_free_days_are_those_of_the_countrys_calendar_and_the_packs() -> None:
    calendar = Calendar(
        public=public_holidays("US"),
        named={
            date(2026, 1, 24): ("workday", "worked Saturday"),
            date(2026, 1, 22): ("holiday", "x"),
        },
    )
    days = {
        date(2026, 1, 19): "free_day",  # Martin Luther King Jr. Day, a Monday
        date(2026, 1, 20): "am_peak",
        date(2026, 1, 22): "free_day",
        date(2026, 1, 24): "am_peak",
        date(2026, 1, 25): "free_day",
    }
    starts = [datetime(day.year, day.month, day.day, 8, tzinfo=UTC) for day in days]

    rows = with_period(
        pl.LazyFrame({"window_start": starts}), read_charge_parameters().periods, calendar
    ).collect()

    assert rows["period"].to_list() == list(days.values())


def test_counts_add_up_classes(tmp_path: Path) -> None:
    file = tmp_path / "traffic_counts.csv"
    file.write_text(
        "lon_deg,lat_deg,hour_start,vehicle_class,vehicles_per_hour,source\n"
        "100.6,12.9,2026-01-12T08:00:00+07:00,car,150,x\n"
        "100.6,12.9,2026-01-12T08:00:00+07:00,van,50,x\n",
        encoding="utf-8",
    )

    (count,) = read_counts(file, 9)

    assert count.vehicles == 200
    assert count.place == (100.6, 12.9)


def test_count_without_offset_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "traffic_counts.csv"
    file.write_text(
        "lon_deg,lat_deg,hour_start,vehicle_class,vehicles_per_hour\n"
        "100.6,12.9,2026-01-12T08:00:00,all,150\n",
        encoding="utf-8",
    )

    with pytest.raises(SettingsError, match="line 2: expected hour_start with offset"):
        read_counts(file, 9)
