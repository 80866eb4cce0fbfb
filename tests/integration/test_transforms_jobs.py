"""The jobs over a real lake: what is written, what is replaced, what may leave."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import typer
from doubles import transforms_pings as pings
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from clearway_cli.commands import build
from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.data_dir import DataDir
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake, open_lake
from clearway_transforms import jobs

TABLES = ("vehicle_travel", "cell_travel", "cell_speed", "free_flow", "congestion")
LATE_EVENING = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
CITY = City(
    folder=Path("nowhere"),
    name="Nowhere",
    country="TH",
    time_zone=ZoneInfo("Asia/Bangkok"),
    currency=None,
    price_year=None,
    service_area_deg=(100.0, 13.0, 101.0, 14.0),
    synthetic=True,
)


def fleet(n: int = 12, *, start: datetime = LATE_EVENING, hours: float = 1, **columns: object):
    """Return vehicles that follow each other north across two cells and midnight."""
    steps = round(hours * 60)
    return pl.concat(
        pings.drive(
            f"cab-{number}",
            start=start + timedelta(seconds=number),
            speeds_kmh=[20.0 + number, 15.0] * (steps // 2),
            **columns,
        )
        for number in range(n)
    )


def store(lake: Lake, rows: pl.DataFrame) -> None:
    """Store fixes in two buckets: a build reads each by itself, and more of them change no bit."""
    pings.store(lake, rows, n_buckets=2)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake with two drives, five days apart, that was built; to be copied, not changed."""
    root = tmp_path_factory.mktemp("built")
    store(Lake(root), pl.concat([fleet(), fleet(start=LATE_EVENING - timedelta(days=5))]))
    jobs.build_congestion(Lake(root))
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(built_once, tmp_path / "lake"))


def everything(lake: Lake) -> dict[str, pl.DataFrame]:
    return {
        name: lake.table(name).scan().sort(LAKE_CONTRACTS[name].key).collect() for name in TABLES
    }


def assert_same(left: Lake, right: Lake) -> None:
    others = everything(right)
    for name, rows in everything(left).items():
        assert rows.height > 0
        assert_frame_equal(rows, others[name], check_exact=True)


def test_arrival_order_batches_and_buckets_change_no_bit(tmp_path):
    fixes = fleet()
    rows = fixes.with_columns(seq=pl.int_range(pl.len()))
    one, many = Lake(tmp_path / "one"), Lake(tmp_path / "many")
    pings.store(one, rows, n_buckets=1)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=4)
    for part in range(3):
        pings.store(many, shuffled.gather_every(3, part))
    for lake in (one, many):
        jobs.build_congestion(lake)
        jobs.build_congestion(lake, resolution=8, window_minutes=60)
    assert_same(one, many)


def test_building_twice_changes_no_bit_and_adds_no_row(tmp_path):
    lake = Lake(tmp_path / "a")
    store(lake, fleet())
    first = jobs.build_congestion(lake)
    again = Lake(shutil.copytree(tmp_path / "a", tmp_path / "b"))
    assert jobs.build_congestion(again, time_from=LATE_EVENING - timedelta(days=1)) == first
    assert_same(lake, again)


def test_late_fixes_are_taken_up_by_the_days_they_touch(tmp_path):
    rows = fleet(hours=2).with_columns(seq=pl.int_range(pl.len()))
    late = pl.col("observed_at").is_between(
        LATE_EVENING + timedelta(minutes=20), LATE_EVENING + timedelta(minutes=40)
    )
    whole, patched = Lake(tmp_path / "whole"), Lake(tmp_path / "patched")
    store(whole, rows)
    jobs.build_congestion(whole)
    store(patched, rows.filter(~late))
    jobs.build_congestion(patched)
    store(patched, rows.filter(late))
    account = jobs.build_congestion(
        patched,
        time_from=LATE_EVENING + timedelta(minutes=20),
        time_to=LATE_EVENING + timedelta(minutes=40),
    )
    assert account.days == (date(2026, 3, 10), date(2026, 3, 11))
    assert_same(whole, patched)


def test_only_the_days_that_were_asked_for_are_read_again(built):
    noon = LATE_EVENING.replace(day=10, hour=12)
    account = jobs.build_congestion(built, time_from=noon, time_to=noon + timedelta(hours=1))
    assert account.days == (date(2026, 3, 10),)
    held = built.table("congestion").scan().select("window_date").unique().collect()
    assert held.height == 4


def test_building_an_old_day_again_does_not_turn_free_flow_back(built):
    before = everything(built)["free_flow"]
    old = LATE_EVENING - timedelta(days=5)
    jobs.build_congestion(built, time_from=old, time_to=old + timedelta(minutes=1))
    assert_frame_equal(everything(built)["free_flow"], before, check_exact=True)


def test_fixes_that_say_nothing_give_empty_tables_and_a_full_account(tmp_path):
    lake = Lake(tmp_path)
    store(lake, pings.drive(speeds_kmh=[]))
    account = jobs.build_congestion(lake)
    assert (account.n_fixes, account.n_kept, account.n_rows) == (1, 1, 0)
    assert account.city_mean_kmh is None
    assert lake.table("congestion").scan().collect().is_empty()
    with pytest.raises(InsufficientData, match="clearway build congestion"):
        released(lake)


def test_nothing_of_a_drive_across_midnight_is_lost(tmp_path):
    lake = Lake(tmp_path)
    store(lake, fleet(1, hours=1))
    account = jobs.build_congestion(lake)
    travel = lake.table("vehicle_travel").scan().collect()
    assert travel["duration_ms"].sum() == 3_600_000
    assert travel["distance_mm"].sum() == pytest.approx((20 + 15) / 2 * 1_000_000, rel=1e-5)
    assert travel["n_pings"].sum() == account.n_kept == 61


def test_every_fix_is_kept_or_counted_under_its_rule(tmp_path):
    good = fleet(3)
    bad = pl.concat(
        [
            good.head(2).with_columns(seq=pl.lit(10_000_000)),  # the same instants again
            pings.drive("lost", lon_deg=0.0, lat_deg=0.0, speeds_kmh=[]),
            pings.drive("far", lat_deg=15.0, speeds_kmh=[]),
            pings.drive("vague", speeds_kmh=[], accuracy_m=80.0),
        ],
        how="diagonal_relaxed",
    )
    rows = pl.concat([good.with_columns(seq=pl.int_range(pl.len())), bad], how="diagonal_relaxed")
    lake = Lake(tmp_path)
    store(lake, rows.with_columns(pl.col("seq").fill_null(1)))
    account = jobs.build_congestion(lake, city=CITY)
    assert account.n_fixes == rows.height
    assert account.n_kept + sum(account.dropped.values()) == account.n_fixes
    assert {rule: n for rule, n in account.dropped.items() if n} == {
        "zero_position": 1,
        "outside_service_area": 1,
        "low_accuracy": 1,
        "duplicate": 2,
    }
    stored = lake.table("cleaning_counts").scan().filter(pl.col("subject") == "left_out")
    assert stored.collect()["n"].sum() == 5


def test_local_days_hold_what_fell_on_two_utc_days(tmp_path):
    lake = Lake(tmp_path)
    store(lake, fleet())
    jobs.build_congestion(lake, window_minutes=1440, city=CITY)
    days = lake.table("cell_travel").scan().select("window_start").unique().collect()
    assert days["window_start"].to_list() == [datetime(2026, 3, 10, 17, tzinfo=UTC)]
    sums = lake.table("cell_travel").scan().select(pl.col("duration_ms").sum()).collect()
    assert sums.item() == 12 * 3_600_000


def test_without_fixes_the_answer_says_what_to_do(tmp_path):
    with pytest.raises(InsufficientData, match="clearway replay"):
        jobs.build_congestion(Lake(tmp_path))


@pytest.mark.parametrize("shape", [{"resolution": 6}, {"resolution": 11}, {"window_minutes": 30}])
def test_a_product_that_does_not_exist_is_refused(tmp_path, shape):
    with pytest.raises(UsageError, match="got"):
        jobs.build_congestion(Lake(tmp_path), **shape)


def released(lake: Lake, **options: object) -> pl.DataFrame:
    shape = {"resolution": 8, "window_minutes": 60} | options
    return jobs.released(lake, "congestion", **shape).collect()


def test_what_was_never_built_is_released_as_if_it_had_been(tmp_path):
    computed = Lake(tmp_path / "computed")
    store(computed, fleet(14))
    jobs.build_congestion(computed)
    built = Lake(shutil.copytree(tmp_path / "computed", tmp_path / "built"))
    jobs.build_congestion(built, resolution=8, window_minutes=60)
    rows = released(built)
    assert rows.height > 0
    assert rows["n_vehicles"].min() >= 10
    assert_frame_equal(rows, released(computed), check_exact=True)


def test_windows_with_few_vehicles_each_are_released_as_an_hour_only_if_enough_differ(tmp_path):
    def waves(n_cabs: int) -> pl.DataFrame:
        # Six cabs per quarter of an hour, four times: 24 by adding up.
        quarters = [LATE_EVENING.replace(hour=12, minute=15 * q) for q in range(4)]
        return pl.concat(
            pings.drive(f"c{(6 * q + n) % n_cabs}", start=at, speeds_kmh=[20.0] * 4)
            for q, at in enumerate(quarters)
            for n in range(6)
        )

    for n_cabs, passes in ((9, False), (12, True)):
        lake = Lake(tmp_path / str(n_cabs))
        store(lake, waves(n_cabs))
        jobs.build_congestion(lake)
        assert (released(lake).height > 0) is passes
        assert released(lake, resolution=9, window_minutes=15).is_empty()


def test_from_two_providers_on_a_row_needs_two(tmp_path):
    alone = fleet(12, provider="one")
    other = fleet(12, provider="two", lon_deg=100.9)
    mixed = pl.concat([fleet(12, provider="one"), fleet(12, provider="two")]).with_columns(
        vehicle=pl.col("vehicle") + pl.col("provider")
    )
    for name, rows, passes in (
        ("a", alone, True),
        ("b", [alone, other], False),
        ("c", mixed, True),
    ):
        lake = Lake(tmp_path / name)
        store(lake, pl.concat(rows) if isinstance(rows, list) else rows)
        jobs.build_congestion(lake, resolution=8, window_minutes=60)
        assert (released(lake).height > 0) is passes


def test_a_row_that_is_mostly_one_vehicle_is_held_back(tmp_path):
    passing = pl.concat(
        pings.drive(f"c{n}", start=LATE_EVENING.replace(hour=12), step_s=10, speeds_kmh=[30.0] * 2)
        for n in range(12)
    )
    circling = pings.drive(
        "long", start=LATE_EVENING.replace(hour=12), step_s=30, speeds_kmh=[15.0, -15.0] * 50
    )
    lake = Lake(tmp_path)
    store(lake, pl.concat([passing, circling]))
    jobs.build_congestion(lake, resolution=8, window_minutes=60)
    sums = lake.table("cell_travel").scan().collect()
    assert sums["n_vehicles"].max() == 13
    assert released(lake).is_empty()


def test_rows_of_single_classes_are_never_released(tmp_path):
    lake = Lake(tmp_path)
    classes = pl.concat([fleet(12, vehicle_class="taxi"), fleet(12, vehicle_class="bus")])
    store(lake, classes.with_columns(vehicle=pl.col("vehicle") + pl.col("vehicle_class")))
    jobs.build_congestion(lake, resolution=8, window_minutes=60)
    held = set(lake.table("congestion").scan().collect()["vehicle_class"])
    assert held == {"all", "taxi", "bus"}
    assert set(released(lake)["vehicle_class"]) == {"all"}


def test_an_old_version_is_released_as_it_was(tmp_path):
    lake = Lake(tmp_path)
    store(lake, fleet(14))
    jobs.build_congestion(lake, resolution=8, window_minutes=60)
    version = lake.table("congestion").version()
    before = released(lake, version=version)
    jobs.build_congestion(lake)
    assert_frame_equal(released(lake, version=version), before)
    with pytest.raises(InsufficientData, match="at version"):
        released(lake, window_minutes=1440, version=version)


def test_raw_tables_do_not_pass_through_the_gate(tmp_path):
    with pytest.raises(UsageError, match="vehicle_travel"):
        jobs.released(Lake(tmp_path), "vehicle_travel", resolution=9, window_minutes=15)


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    build.register(app)
    app.callback()(lambda: None)
    return app


def test_the_command_prints_its_account_as_json(tmp_path, command):
    store(open_lake(tmp_path), fleet(12))
    arguments = ["build", "congestion", "--data-dir", str(tmp_path), "--json", "--window", "1h"]
    result = CliRunner().invoke(command, [*arguments, "--resolution", "8"])
    assert result.exit_code == 0, result.output
    account = json.loads(result.stdout)
    assert account["n_vehicles"] == 12
    assert account["n_kept"] == account["n_fixes"] == 12 * 61
    assert DataDir(tmp_path).lake.is_dir()


def test_the_command_tells_people_what_was_left_out(tmp_path, command):
    store(open_lake(tmp_path), fleet(2))
    result = CliRunner().invoke(command, ["build", "congestion", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0, result.output
    for words in ("zero_position", "city mean", "rows held back"):
        assert words in result.stdout


@pytest.mark.parametrize("option", [["--window", "30m"], ["--from", "yesterday"]])
def test_the_command_refuses_what_it_does_not_know(tmp_path, command, option):
    arguments = ["build", "congestion", "--data-dir", str(tmp_path), *option]
    result = CliRunner().invoke(command, arguments)
    assert getattr(result.exception, "exit_code", result.exit_code) == 2


def test_building_all_says_what_had_no_input(tmp_path, command):
    store(open_lake(tmp_path), fleet(12))
    result = CliRunner().invoke(command, ["build", "all", "--data-dir", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert set(answer["built"]) == {"congestion", "emissions"}
    assert "air readings" in answer["skipped"]["air"]


def test_building_all_of_nothing_fails(tmp_path, command):
    result = CliRunner().invoke(command, ["build", "all", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, InsufficientData)
