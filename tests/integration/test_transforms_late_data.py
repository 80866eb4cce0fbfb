"""A build makes again what late fixes touch, and nothing else."""

from __future__ import annotations

from dataclasses import replace
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
from clearway_core.lake import Lake, open_lake
from clearway_core.lake_changes import files_added, rows_held
from clearway_core.lake_upkeep import compact, delete_received_before
from clearway_transforms import jobs
from clearway_transforms.jobs import late_data
from clearway_transforms.jobs.product import Product

BASE = Product(resolution=9, window_minutes=15)
MONDAY = datetime(2026, 3, 9, 12, tzinfo=UTC)


def fleet(n: int = 3, *, day: int = 0, hour: int = 12, **columns: object) -> pl.DataFrame:
    """Return vehicles that drive for twenty minutes, one after the other."""
    start = MONDAY.replace(hour=hour) + timedelta(days=day)
    return pl.concat(
        pings.drive(
            f"cab-{number}",
            start=start + timedelta(seconds=number),
            speeds_kmh=[20.0 + number] * 20,
            **columns,
        )
        for number in range(n)
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return a lake in which two days have been built."""
    lake = Lake(tmp_path / "lake")
    pings.store(lake, pl.concat([fleet(), fleet(day=1)]))
    jobs.build_congestion(lake)
    return lake


def versions(lake: Lake) -> dict[str, int | None]:
    names = ("vehicle_travel", "cleaning_counts", "cell_travel", "cell_speed", "congestion")
    return {name: lake.table(name).version() for name in (*names, "free_flow", "build_states")}


def test_with_nothing_new_nothing_is_written(lake):
    before = versions(lake)
    account = jobs.build_congestion(lake)
    assert account.days == ()
    assert (account.n_fixes, account.n_rows, account.city_mean_kmh) == (0, 0, None)
    assert versions(lake) == before


def test_compaction_of_raw_fixes_is_nothing_new(lake):
    compact(lake.table("gps_pings"))
    assert jobs.build_congestion(lake).days == ()


def test_late_fixes_of_one_vehicle_touch_its_day_and_bucket_only(lake):
    late = pings.drive("late", start=MONDAY, speeds_kmh=[30.0] * 20)
    pings.store(lake, late)
    bucket = int(pings.pseudonym("late")[:2], 16) % 8
    assert late_data.plan(lake, BASE).units == {date(2026, 3, 9): [bucket]}
    account = jobs.build_congestion(lake)
    assert account.days == (date(2026, 3, 9),)
    assert account.n_fixes == account.n_kept == 4 * 21
    travel = lake.table("vehicle_travel").scan().collect()
    assert travel["vehicle"].n_unique() == 4
    assert travel["duration_ms"].sum() == 7 * 20 * 60_000


def test_counts_of_a_day_stay_whole_when_a_part_of_it_is_cleaned_again(lake):
    doubled = pings.drive("cab-1", start=MONDAY + timedelta(seconds=1), speeds_kmh=[21.0] * 20)
    pings.store(lake, doubled.with_columns(seq=pl.lit(900) + pl.int_range(pl.len())))
    jobs.build_congestion(lake)
    counts = lake.table("cleaning_counts").scan().collect()
    found = {
        (subject, name): n
        for subject, name, n in counts.filter(pl.col("observed_date") == date(2026, 3, 9))
        .select("subject", "name", "n")
        .iter_rows()
    }
    assert found["fixes", "read"] == 4 * 21
    assert found["fixes", "kept"] == 3 * 21
    assert found["left_out", "duplicate"] == 21
    assert counts.filter(pl.col("observed_date") == date(2026, 3, 10))["n"].sum() > 0


def test_a_drive_just_after_midnight_touches_the_day_before_as_well(lake):
    pings.store(lake, fleet(1, day=1, hour=0))
    assert sorted(late_data.plan(lake, BASE).units) == [date(2026, 3, 9), date(2026, 3, 10)]


def test_an_evening_touches_the_day_after_if_that_has_fixes(lake):
    pings.store(lake, fleet(1, day=0, hour=23))
    assert sorted(late_data.plan(lake, BASE).units) == [date(2026, 3, 9), date(2026, 3, 10)]
    pings.store(lake, fleet(1, day=1, hour=23))
    assert date(2026, 3, 11) not in late_data.plan(lake, BASE).units


def test_a_second_product_takes_the_vehicle_travel_that_is_there(lake):
    before = lake.table("vehicle_travel").version()
    account = jobs.build_congestion(lake, resolution=8, window_minutes=60)
    assert account.days == (date(2026, 3, 9), date(2026, 3, 10))
    assert account.n_rows > 0
    assert lake.table("vehicle_travel").version() == before


def test_a_product_that_was_built_earlier_catches_up_with_all_it_has_missed(lake):
    jobs.build_congestion(lake, resolution=8, window_minutes=60)
    pings.store(lake, fleet(5))
    jobs.build_congestion(lake)
    account = jobs.build_congestion(lake, resolution=8, window_minutes=60)
    assert account.days == (date(2026, 3, 9),)
    assert jobs.build_congestion(lake, resolution=8, window_minutes=60).days == ()


def test_other_parameters_build_everything_again(lake, monkeypatch, tmp_path):
    for file in late_data.PARAMETER_FOLDER.glob("*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "congestion.toml").open("a") as stream:
        stream.write("\n# another threshold\n")
    monkeypatch.setattr(late_data, "PARAMETER_FOLDER", tmp_path)
    assert jobs.build_congestion(lake).days == (date(2026, 3, 9), date(2026, 3, 10))
    assert jobs.build_congestion(lake).days == ()


def test_a_build_for_another_city_in_between_is_not_taken_for_ours(lake, tmp_path):
    city = City(
        folder=tmp_path,
        name="Nowhere",
        country="TH",
        time_zone=ZoneInfo("Asia/Bangkok"),
        currency=None,
        price_year=None,
        service_area_deg=(100.0, 13.0, 101.0, 14.0),
        synthetic=True,
    )
    (tmp_path / "city.toml").write_text("# a pack\n")
    later = MONDAY + timedelta(hours=1)
    jobs.build_congestion(lake, city=city, time_from=MONDAY, time_to=later)
    assert len(jobs.build_congestion(lake).days) == 2
    assert len(jobs.build_congestion(lake, city=replace(city, name="Elsewhere")).days) == 2


def test_a_day_of_which_fixes_were_deleted_stays_as_it_is(lake):
    received = pings.ARRIVAL + timedelta(days=40)
    before = lake.table("congestion").scan().collect()
    delete_received_before(lake.table("gps_pings"), pings.ARRIVAL + timedelta(days=1))
    assert rows_held(lake.table("gps_pings")).is_empty()
    pings.store(lake, fleet(1, received_at=received))
    account = jobs.build_congestion(lake)
    assert account.days == ()
    assert account.left_alone == (date(2026, 3, 9),)
    assert_frame_equal(lake.table("congestion").scan().collect(), before, check_row_order=False)


def test_deletion_alone_is_nothing_new(lake):
    pings.store(lake, fleet(1, day=2, received_at=pings.ARRIVAL + timedelta(days=9)))
    jobs.build_congestion(lake)
    delete_received_before(lake.table("gps_pings"), pings.ARRIVAL + timedelta(days=1))
    assert jobs.build_congestion(lake).days == ()


def test_where_the_log_was_shortened_everything_counts_as_new(lake):
    raw = lake.table("gps_pings")
    now = raw.version()
    assert now is not None
    assert files_added(raw, now + 1) is None
    added = files_added(raw, now)
    assert added is not None
    assert added.is_empty()
    log = Path(raw.uri) / "_delta_log"
    raw.handle().create_checkpoint()
    (log / f"{0:020}.json").unlink()
    pings.store(lake, fleet(1, day=1))
    assert files_added(Lake(Path(raw.uri).parent).table("gps_pings"), 0) is None


def test_the_command_says_that_nothing_is_new(tmp_path):
    pings.store(open_lake(tmp_path), fleet())
    app = typer.Typer()
    build.register(app)
    app.callback()(lambda: None)
    arguments = ["build", "congestion", "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "nothing has come since the last build" in result.stdout
