"""Periods in a real lake: what is written, what stays, what survives the deletion of raw GPS."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
from doubles import transforms_pings as pings
from doubles import transforms_windows as double
from polars.testing import assert_frame_equal

from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import Lake
from clearway_quality import jobs as quality
from clearway_serving.export.jobs import export_table
from clearway_serving.export.request import ExportRequest
from clearway_transforms import jobs
from clearway_transforms.jobs.periods import PeriodAccount, build_reliability, held_days
from clearway_transforms.jobs.product import Product
from clearway_transforms.reliability import periods

TABLES = ("period_travel", "reliability", "bottlenecks", "anomalies")
PRODUCT = Product(resolution=9, window_minutes=15)
LAST = double.MONDAY + timedelta(days=23)
EIGHT, NINE = 8 * 60, 9 * 60


def city(zone: str) -> City:
    return City(
        folder=Path("nowhere"),
        name="Nowhere",
        country="XX",
        time_zone=ZoneInfo(zone),
        currency=None,
        price_year=None,
        service_area_deg=(100.0, 13.0, 101.0, 14.0),
        synthetic=True,
    )


def fleet(start: datetime, *, n: int = 4, minutes: int = 90) -> pl.DataFrame:
    return pl.concat(
        pings.drive(
            f"cab-{number}",
            start=start + timedelta(seconds=number),
            speeds_kmh=[20.0 + number, 15.0] * (minutes // 2),
        )
        for number in range(n)
    )


def store(lake: Lake, fixes: pl.DataFrame) -> None:
    """Store fixes in two buckets: a build reads each by itself, and more of them change no bit."""
    pings.store(lake, fixes, n_buckets=2)


def rows_of(lake: Lake, name: str) -> pl.DataFrame:
    return lake.table(name).scan().sort(LAKE_CONTRACTS[name].key).collect()


def with_zeros(rows: pl.LazyFrame, table: str) -> pl.DataFrame:
    """Return the rows with every other column of a table filled by 0."""
    contract = LAKE_CONTRACTS[table]
    held = rows.collect_schema().names()
    others = [field.name for field in contract.fields if field.name not in held]
    return (
        rows.with_columns(pl.lit(0).alias(name) for name in others)
        .select(contract.columns)
        .collect()
    )


def fill(lake: Lake, rows: pl.DataFrame) -> list[date]:
    """Write windows as a build would have left them; return their local days."""
    product = {
        "resolution": pl.lit(9, dtype=pl.Int32),
        "window_minutes": pl.lit(15, dtype=pl.Int32),
    }
    cell_travel = rows.lazy().with_columns(**product, window_date=pl.col("window_start").dt.date())
    lake.table("cell_travel").replace(with_zeros(cell_travel, "cell_travel"), {})
    placed = double.placed(rows)
    days = placed.select("local_date", "day_type", "day_tags").unique()
    sums = double.sums(placed).drop("day_group").join(days, on="local_date", how="left")
    sums = sums.with_columns(resolution=product["resolution"], time_zone=pl.lit("UTC"))
    lake.table("period_travel").replace(with_zeros(sums, "period_travel"), {})
    free = double.free_flow().with_columns(
        **product,
        look_back_start=rows["window_start"].min(),
        look_back_end=rows["window_start"].max(),
    )
    lake.table("free_flow").replace(with_zeros(free, "free_flow"), {})
    return sorted(days.collect()["local_date"].to_list())


def month_with_a_crash() -> pl.DataFrame:
    """Return workday mornings that are always slow, and one night that was slow once."""

    def speed(day: date, minute: int) -> float:
        if (day, minute) == (LAST, 22 * 60):
            return 6.0
        return 15.0 if day.weekday() < 5 and EIGHT <= minute < NINE else 42.0 + minute % 7

    return double.windows(speed, days=24)


def test_recurring_and_single_congestion_are_told_apart(tmp_path):
    lake = Lake(tmp_path)
    days = fill(lake, month_with_a_crash())
    account = build_reliability(lake, PRODUCT, days)
    assert (account.n_days, account.n_bottlenecks, account.n_anomalies) == (24, 1, 1)
    assert rows_of(lake, "anomalies")["window_start"].to_list() == [
        datetime(2026, 3, 25, 22, tzinfo=UTC)
    ]
    recurring = rows_of(lake, "bottlenecks").filter(pl.col("span") == "newest")
    assert recurring["start_minute"].to_list() == [EIGHT]


def test_spans_are_the_months_that_were_touched_and_the_last_four_weeks(tmp_path):
    lake = Lake(tmp_path)
    days = fill(lake, double.windows(lambda *_: 40.0, first=date(2026, 2, 20), days=24))
    build_reliability(lake, PRODUCT, days)
    spans = (
        rows_of(lake, "reliability").select("span", "span_first_date", "span_last_date").unique()
    )
    assert spans.sort("span").rows() == [
        ("2026-02", date(2026, 2, 1), date(2026, 2, 28)),
        ("2026-03", date(2026, 3, 1), date(2026, 3, 31)),
        ("newest", date(2026, 2, 16), date(2026, 3, 15)),
    ]
    counted = rows_of(lake, "reliability").filter(pl.col("period") == "overnight")
    assert dict(counted.select("span", "n_days").rows()) == {
        "2026-02": 9,
        "2026-03": 15,
        "newest": 24,
    }


def test_a_new_day_changes_its_months_and_leaves_those_before_the_look_back(tmp_path):
    lake = Lake(tmp_path)
    days = fill(lake, double.windows(lambda *_: 40.0, first=date(2026, 1, 20), days=50))
    build_reliability(lake, PRODUCT, days)
    before = lake.table("reliability").version()
    build_reliability(lake, PRODUCT, days[-1:])
    written = lake.table("reliability").version()
    assert written == before + 3  # the newest, February and March


def test_a_month_whose_rows_are_gone_is_empty_and_no_fault(tmp_path):
    lake = Lake(tmp_path)
    fill(lake, double.windows(lambda *_: 40.0, days=3))
    build_reliability(lake, PRODUCT, [date(2026, 1, 7)])
    assert set(rows_of(lake, "reliability")["span"]) == {"2026-03", "newest"}


def test_built_day_by_day_the_look_back_is_that_of_one_build(tmp_path):
    lake, at_once = Lake(tmp_path / "days"), Lake(tmp_path / "once")
    rows = month_with_a_crash()
    build_reliability(at_once, PRODUCT, fill(at_once, rows))
    days = fill(lake, rows)
    for day in (LAST, double.MONDAY + timedelta(days=3), LAST - timedelta(days=2)):
        build_reliability(lake, PRODUCT, [day])
        assert day in days
    for name in TABLES[1:]:
        assert_frame_equal(rows_of(lake, name), rows_of(at_once, name), check_exact=True)


def test_what_periods_say_survives_the_deletion_of_raw_gps(tmp_path):
    lake = Lake(tmp_path)
    for day in (10, 11, 12):
        store(lake, fleet(datetime(2026, 3, day, 8, tzinfo=UTC)))
    jobs.build_congestion(lake)
    before = {name: rows_of(lake, name) for name in TABLES}
    assert before["reliability"].height > 0
    for name in ("gps_pings", "vehicle_travel"):
        shutil.rmtree(tmp_path / name)
    for name in TABLES[1:]:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    held = held_days(Lake(tmp_path), 9)
    build_reliability(Lake(tmp_path), PRODUCT, held)
    for name, rows in before.items():
        assert_frame_equal(rows_of(Lake(tmp_path), name), rows, check_exact=True)


def test_a_day_that_is_partly_deleted_keeps_its_sums(tmp_path):
    lake, there = Lake(tmp_path), city("Asia/Bangkok")
    for day in (10, 11):
        store(lake, fleet(datetime(2026, 3, day, 16, 30, tzinfo=UTC)))  # 23:30 in Bangkok
    jobs.build_congestion(lake, city=there)
    before = rows_of(lake, "period_travel")
    eleventh = pl.col("local_date") == date(2026, 3, 11)
    assert before.filter(eleventh)["duration_ms"].sum() > 0
    keep = (
        lake.table("vehicle_travel")
        .scan()
        .filter(pl.col("window_date") == date(2026, 3, 11))
        .collect()
    )
    lake.table("vehicle_travel").replace(keep, {})
    raw = lake.table("gps_pings").scan().filter(pl.col("observed_date") == date(2026, 3, 11))
    lake.table("gps_pings").replace(raw.collect(), {})
    jobs.build_congestion(lake, city=there)
    after = rows_of(lake, "period_travel")
    assert_frame_equal(after.filter(eleventh), before.filter(eleventh), check_exact=True)


def test_late_fixes_arrival_order_and_buckets_change_no_bit(tmp_path):
    start = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
    fixes = fleet(start, n=12).with_columns(seq=pl.int_range(pl.len()))
    late = pl.col("observed_at") > start + timedelta(minutes=40)
    whole, patched = Lake(tmp_path / "whole"), Lake(tmp_path / "patched")
    pings.store(whole, fixes, n_buckets=1)
    jobs.build_congestion(whole)
    pings.store(patched, fixes.filter(~late).sample(fraction=1.0, shuffle=True, seed=3))
    jobs.build_congestion(patched)
    pings.store(patched, fixes.filter(late))
    pings.store(patched, fixes.filter(late).head(9))  # the same again
    changed = fixes.filter(late)["observed_at"]
    jobs.build_congestion(patched, time_from=changed.min(), time_to=changed.max())
    for name in TABLES:
        assert_frame_equal(rows_of(patched, name), rows_of(whole, name), check_exact=True)


def test_local_days_and_their_kind_are_kept_with_the_sums(tmp_path):
    lake, there = Lake(tmp_path), city("Asia/Bangkok")
    store(lake, fleet(datetime(2026, 3, 13, 16, 30, tzinfo=UTC)))  # Friday 23:30
    jobs.build_congestion(lake, city=there)
    days = rows_of(lake, "period_travel").select("local_date", "day_type", "period", "time_zone")
    assert days.unique().sort("local_date").rows() == [
        (date(2026, 3, 13), "workday", "overnight", "Asia/Bangkok"),
        (date(2026, 3, 14), "saturday", "overnight", "Asia/Bangkok"),
    ]
    base = rows_of(lake, "vehicle_travel")
    kept = rows_of(lake, "period_travel").filter(pl.col("vehicle_class") == "all")
    for name in ("distance_mm", "duration_ms", "n_legs", "n_pings"):
        assert kept[name].sum() == base[name].sum()


def test_other_windows_keep_sums_and_measure_no_reliability(tmp_path):
    lake = Lake(tmp_path)
    store(lake, fleet(datetime(2026, 3, 10, 8, tzinfo=UTC)))
    account = jobs.build_congestion(lake, resolution=8, window_minutes=60)
    assert account.periods == PeriodAccount()
    assert rows_of(lake, "period_travel")["resolution"].unique().to_list() == [8]
    assert rows_of(lake, "reliability").is_empty()


def test_days_are_placed_as_they_were_when_they_were_built(tmp_path):
    lake = Lake(tmp_path)
    days = fill(lake, double.windows(lambda *_: 40.0, days=5))
    sums = lake.table("period_travel").scan().with_columns(day_type=pl.lit("holiday")).collect()
    lake.table("period_travel").replace(
        sums.with_columns(
            period=pl.when(pl.col("period") == "overnight")
            .then("period")
            .otherwise(pl.lit("daytime"))
        ).unique(subset=LAKE_CONTRACTS["period_travel"].key, maintain_order=True),
        {},
    )
    build_reliability(lake, PRODUCT, days)
    assert set(rows_of(lake, "reliability")["day_group"]) == {"holiday", "all"}
    assert set(periods.stored_days(sums.lazy()).collect()["day_type"]) == {"holiday"}


def test_published_tables_pass_the_quality_gate_and_are_exported(tmp_path):
    lake = Lake(tmp_path / "lake")
    build_reliability(lake, PRODUCT, fill(lake, month_with_a_crash()))
    for table in TABLES[1:]:
        check = quality.check(lake, table, report_dir=tmp_path / "quality")
        assert check.passed, check
        out = tmp_path / f"{table}.csv"
        request = ExportRequest(table=table, file_format="csv", out=out)
        account = export_table(lake, request, report_dir=tmp_path / "quality")
        assert account.rows == rows_of(lake, table).height > 0
