"""The lake's one door: types, transactions, replacement, compaction, racing writers."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from doubles.core_lake_writers import START, commits, race

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import ClearwayError, ContractViolation, OffsetRegression, TableConflict
from clearway_core.lake import Lake, Table, open_lake
from clearway_core.lake_changes import files_added
from clearway_core.lake_upkeep import compact, most_files, sweep
from clearway_core.schema import polars_schema

CELL = 0x8928308280FFFFF
DAY = date(2008, 5, 21)


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


def free_flow(*rows: tuple[int, float | None, str | None]) -> pl.DataFrame:
    """Return rows of `free_flow`: cell, speed and method."""
    return pl.DataFrame(
        {
            "resolution": [9] * len(rows),
            "window_minutes": [15] * len(rows),
            "h3_cell": [row[0] for row in rows],
            "vehicle_class": ["all"] * len(rows),
            "free_flow_kmh": [row[1] for row in rows],
            "free_flow_method": [row[2] for row in rows],
            "n_windows": [1] * len(rows),
            "n_vehicles": [1] * len(rows),
            "look_back_start": [START] * len(rows),
            "look_back_end": [START] * len(rows),
        },
        schema=polars_schema(LAKE_CONTRACTS["free_flow"]),
    )


def readings(day: date, sensor: str = "s") -> pl.DataFrame:
    contract = LAKE_CONTRACTS["air_readings"]
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    row: dict[str, object] = {
        "sensor": sensor, "sensor_model": "pms5003", "observed_at": at, "lon_deg": 1.0,
        "lat_deg": 2.0, "gateway": "g", "boot": 1, "seq": 0, "received_at": at, "topic": "t",
        "log_partition": 0, "log_offset": 0, "observed_date": day,
    }  # fmt: skip
    return pl.DataFrame(
        [row | {n: row.get(n) for n in contract.columns}], schema=polars_schema(contract)
    )


# --- types


def test_types_come_back_as_they_went_in(lake):
    table = lake.table("free_flow")
    rows = free_flow((CELL, 50.0, "p85"), (CELL - 1, None, None))
    table.append(rows)
    back = table.scan().collect().sort("h3_cell")
    assert back.schema == polars_schema(table.contract)
    assert back.equals(rows.sort("h3_cell"))
    assert back["look_back_start"][0] == START  # to the microsecond, in UTC


def test_number_that_the_lake_cannot_hold_is_refused(lake):
    with pytest.raises(ContractViolation, match="below"):
        lake.table("free_flow").append(free_flow((2**63, 1.0, "x")))


def test_column_without_any_value_is_stored_and_read(lake):
    table = lake.table("free_flow")
    table.append(free_flow((CELL, None, None)))
    table.append(free_flow((CELL + 1, 1.0, "x")))
    assert table.scan().collect()["free_flow_kmh"].null_count() == 1


def test_table_that_was_never_written_reads_as_empty_with_its_schema(lake):
    table = lake.table("free_flow")
    assert not table.exists()
    assert table.version() is None
    assert table.transaction_version("a") is None
    assert table.scan().collect().schema == polars_schema(table.contract)
    assert table.scan([("resolution", "=", 9)]).collect().height == 0
    assert table.partition_values().height == 0
    assert table.partition_times().height == 0
    assert most_files(table) == 0
    compact(table)
    assert not table.exists()


def test_frame_that_breaks_the_contract_leaves_no_table_behind(lake):
    table = lake.table("free_flow")
    with pytest.raises(ContractViolation):
        table.append(free_flow((CELL, 1.0, "x")).drop("h3_cell"))
    assert not table.exists()


def test_unknown_table_is_a_key_error(lake):
    with pytest.raises(KeyError):
        lake.table("nothing")


def test_data_folder_holds_the_lake_unless_an_address_is_given(tmp_path):
    assert open_lake(tmp_path).table("free_flow").uri == f"{tmp_path}/lake/free_flow"
    assert open_lake(tmp_path, "s3://b/p/").table("free_flow").uri == "s3://b/p/free_flow"


# --- versions


def test_table_of_a_newer_clearway_is_refused_with_a_remedy(lake):
    table = lake.table("free_flow")
    newer = Table(replace(table.contract, version=2), table.uri, {})
    newer.append(free_flow((CELL, 1.0, "x")))
    with pytest.raises(TableConflict, match=r"free_flow/2.*free_flow/1.*upgrade Clearway"):
        table.scan()


def test_folder_that_holds_another_table_is_refused(lake):
    lake.table("free_flow").append(free_flow((CELL, 1.0, "x")))
    other = Table(LAKE_CONTRACTS["ingest_commits"], lake.table("free_flow").uri, {})
    with pytest.raises(TableConflict, match="free_flow/1"):
        other.exists()


def test_column_that_an_older_clearway_did_not_have_reads_as_missing(lake):
    table = lake.table("free_flow")
    fields = tuple(f for f in table.contract.fields if f.name != "free_flow_method")
    older = Table(replace(table.contract, fields=fields), table.uri, {})
    older.append(free_flow((CELL, 1.0, "x")).drop("free_flow_method"))
    assert table.scan().collect()["free_flow_method"].to_list() == [None]


def test_an_older_clearway_goes_on_with_a_table_that_a_newer_one_has_widened(lake):
    table = lake.table("free_flow")
    table.append(free_flow((CELL, 1.0, "x")))
    fields = tuple(f for f in table.contract.fields if f.name != "free_flow_method")
    older = Table(replace(table.contract, fields=fields), table.uri, {})
    older.append(free_flow((CELL, 2.0, "x")).drop("free_flow_method"))
    rows = table.scan().sort("free_flow_kmh").collect()
    assert rows["free_flow_kmh"].to_list() == [1.0, 2.0]
    assert rows["free_flow_method"].is_null().to_list() == [False, True]
    older.replace(free_flow((CELL, 3.0, "x")).drop("free_flow_method"), {"h3_cell": [CELL]})
    assert table.scan().collect()["free_flow_kmh"].to_list() == [3.0]


def test_table_of_an_older_clearway_gets_the_columns_added_since(lake):
    table = lake.table("free_flow")
    fields = tuple(f for f in table.contract.fields if f.name != "free_flow_method")
    older = Table(replace(table.contract, fields=fields), table.uri, {})
    older.append(free_flow((CELL, 50.0, None)).drop("free_flow_method"), transactions={"a": 1})
    table.append(free_flow((CELL + 1, 40.0, "own_p85")), transactions={"a": 2})
    table.replace(free_flow((CELL + 1, 30.0, "city_p85")), {"h3_cell": [CELL + 1]})
    methods = lake.table("free_flow").scan().sort("free_flow_kmh").collect()["free_flow_method"]
    assert methods.to_list() == ["city_p85", None]
    assert lake.table("free_flow").transaction_version("a") == 2


def test_earlier_version_is_read_as_it_was(lake):
    table = lake.table("free_flow")
    first = table.append(free_flow((CELL, 1.0, "x")))
    second = table.append(free_flow((CELL + 1, 2.0, "x")))
    assert table.scan(version=first).collect().height == 1
    assert table.scan(version=second).collect().height == 2
    assert table.version() == second == first + 1


# --- transactions


def test_rows_and_offset_are_committed_together_and_survive_reopening(lake):
    table = lake.table("ingest_commits")
    table.append(commits(5), transactions={"t/0": 5, "t/1": 7})
    again = lake.table("ingest_commits")
    assert (again.transaction_version("t/0"), again.transaction_version("t/1")) == (5, 7)
    assert again.transaction_version("t/2") is None


@pytest.mark.parametrize("offset", [5, 4])
def test_same_or_lower_offset_is_refused_and_nothing_is_written(lake, offset):
    table = lake.table("ingest_commits")
    version = table.append(commits(5), transactions={"t/0": 5})
    with pytest.raises(OffsetRegression, match=f"committed 5, {offset} would go back"):
        table.append(commits(offset), transactions={"t/0": offset})
    assert (table.version(), table.transaction_version("t/0")) == (version, 5)


def test_writer_that_believes_something_else_is_refused(lake):
    table = lake.table("ingest_commits")
    table.append(commits(5), transactions={"t/0": 5}, committed={"t/0": None})
    with pytest.raises(OffsetRegression, match="should have committed None"):
        table.append(commits(9), transactions={"t/0": 9}, committed={"t/0": None})
    table.append(commits(9), transactions={"t/0": 9}, committed={"t/0": 5})


def test_second_writer_with_an_open_handle_cannot_commit_the_same_step(lake):
    one, two = lake.table("ingest_commits"), lake.table("ingest_commits")
    one.append(commits(1), transactions={"t/0": 1})
    assert two.transaction_version("t/0") == 1
    one.append(commits(2), transactions={"t/0": 2})
    with pytest.raises(OffsetRegression):
        two.append(commits(2), transactions={"t/0": 2})
    assert sorted(one.scan().collect()["next_offset"]) == [1, 2]


def test_transactions_and_rows_survive_compaction_and_checkpoints(lake):
    table = lake.table("ingest_commits")
    for offset in range(1, 46):  # two checkpoints on the way
        table.append(commits(offset), transactions={"t/0": offset})
    assert most_files(table) == 45
    compact(table)
    again = lake.table("ingest_commits")
    assert most_files(again) == 1
    assert again.transaction_version("t/0") == 45
    assert sorted(again.scan().collect()["next_offset"]) == list(range(1, 46))
    assert list(Path(again.uri, "_delta_log").glob("*.checkpoint.parquet"))


def grown_old(table: Table, *, days: int) -> Path:
    """Let the log of a table look as if it had been written so many days ago; return its folder."""
    log = Path(table.uri, "_delta_log")
    then_s = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    for file in log.iterdir():
        os.utime(file, (then_s, then_s))
    return log


def test_a_built_version_stays_readable_however_long_ago_it_passed(lake):
    table = lake.table("free_flow")
    versions = [table.replace(free_flow((CELL, float(n), "p85")), {}) for n in range(45)]
    grown_old(table, days=400)
    for n in range(45, 90):
        table.replace(free_flow((CELL, float(n), "p85")), {})
    assert table.scan(version=versions[3]).collect()["free_flow_kmh"].to_list() == [3.0]


def test_a_swept_table_in_a_folder_forgets_its_log_and_nothing_else(lake):
    table, sleeper = lake.table("ingest_commits"), lake.table("ingest_commits")
    table.append(commits(1), transactions={"t/0": 1})
    assert sleeper.transaction_version("t/0") == 1
    for offset in range(2, 61):
        table.append(commits(offset), transactions={"t/0": offset})
    log = grown_old(table, days=1)
    for offset in range(61, 101):
        table.append(commits(offset), transactions={"t/0": offset})
    sweep(table)
    oldest = min(int(file.name.split(".")[0]) for file in log.glob("*.json"))
    assert 40 <= oldest <= 60
    for reader in (table, sleeper, lake.table("ingest_commits")):
        assert reader.transaction_version("t/0") == 100
        assert sorted(reader.scan().collect()["next_offset"]) == list(range(1, 101))
    sleeper.append(commits(101), transactions={"t/0": 101})
    assert table.transaction_version("t/0") == 101
    assert files_added(table, 10) is None
    assert files_added(table, 100) is not None


@pytest.mark.slow
def test_racing_processes_under_one_application_id_write_no_duplicate(tmp_path):
    last = 25
    spawn = multiprocessing.get_context("spawn")  # as separate as two services
    workers = [spawn.Process(target=race, args=(str(tmp_path), n, last)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = Lake(tmp_path).table("ingest_commits").scan().collect()
    assert sorted(found["next_offset"]) == list(range(1, last + 1))


# --- replacement


def test_replace_puts_rows_in_the_place_of_those_that_match_only(lake):
    table = lake.table("air_readings")
    for day in (1, 2, 3):
        table.append(readings(date(2010, 1, day), "old"))
    table.replace(readings(date(2010, 1, 2), "new"), {"observed_date": [date(2010, 1, 2)]})
    back = table.scan().collect().sort("observed_date")
    assert back["sensor"].to_list() == ["old", "new", "old"]


def test_replacing_twice_is_the_same_as_once(lake):
    table = lake.table("air_readings")
    for _ in range(2):
        table.replace(readings(DAY), {"observed_date": [DAY]})
        assert table.scan().collect().height == 1


def test_replacing_with_nothing_deletes(lake):
    table = lake.table("air_readings")
    table.append(readings(DAY))
    table.append(readings(DAY + timedelta(days=1)))
    table.replace(readings(DAY).clear(), {"observed_date": [DAY]})
    assert table.scan().collect()["observed_date"].to_list() == [DAY + timedelta(days=1)]


def test_replacing_the_whole_table_needs_no_condition(lake):
    table = lake.table("free_flow")
    table.append(free_flow((CELL, 1.0, "x"), (CELL + 1, 1.0, "x")))
    table.replace(free_flow((CELL + 2, 1.0, "x")), {})
    assert table.scan().collect()["h3_cell"].to_list() == [CELL + 2]


def test_rows_outside_the_replaced_part_are_refused(lake):
    table = lake.table("air_readings")
    table.append(readings(DAY))
    with pytest.raises(ClearwayError):
        table.replace(readings(DAY + timedelta(days=1)), {"observed_date": [DAY]})
    assert table.scan().collect()["observed_date"].to_list() == [DAY]


@pytest.mark.parametrize("value", ["x' OR 1=1", 1.5, True, None])
def test_condition_that_is_no_plain_value_is_refused(lake, value):
    table = lake.table("air_readings")
    table.append(readings(DAY))
    with pytest.raises(ContractViolation, match="partition value"):
        table.replace(readings(DAY), {"sensor": [value]})


# --- partitions


@pytest.mark.parametrize(
    ("conditions", "days"),
    [
        ([("observed_date", "=", date(2010, 1, 2))], [2]),
        ([("observed_date", "!=", date(2010, 1, 2))], [1, 3, 4]),
        ([("observed_date", ">", date(2010, 1, 2))], [3, 4]),
        ([("observed_date", ">=", date(2010, 1, 2)), ("observed_date", "<", "2010-01-04")], [2, 3]),
        ([("observed_date", "<=", date(2010, 1, 1))], [1]),
        ([("observed_date", "in", [date(2010, 1, 1), date(2010, 1, 4)])], [1, 4]),
        ([("observed_date", "=", date(2011, 1, 1))], []),
    ],
)
def test_conditions_on_partitions_give_exactly_their_rows(lake, conditions, days):
    table = lake.table("air_readings")
    for day in (1, 2, 3, 4):
        table.append(readings(date(2010, 1, day)))
    back = table.scan(conditions).collect()
    assert sorted(d.day for d in back["observed_date"]) == days


def test_files_outside_the_condition_are_not_opened(lake):
    table = lake.table("air_readings")
    table.append(readings(DAY))
    table.append(readings(DAY + timedelta(days=1)))
    gone = next(Path(table.uri, f"observed_date={DAY + timedelta(days=1)}").glob("*.parquet"))
    gone.unlink()
    assert table.scan([("observed_date", "=", DAY)]).collect().height == 1


def test_partition_values_and_times_name_what_has_files(lake):
    table = lake.table("air_readings")
    before = datetime.now(UTC) - timedelta(seconds=2)
    table.append(readings(DAY))
    table.append(readings(DAY))
    table.append(readings(DAY + timedelta(days=1)))
    days = [DAY, DAY + timedelta(days=1)]
    assert table.partition_values()["observed_date"].to_list() == days
    times = table.partition_times()
    assert times["observed_date"].to_list() == days
    assert before < times["written_at"].min() <= datetime.now(UTC) + timedelta(seconds=2)
    assert most_files(table) == 2


def test_delta_log_of_raw_tables_names_no_vehicle_and_no_position(lake):
    """Statistics would keep them after the rows are deleted."""
    contract = LAKE_CONTRACTS["gps_pings"]
    vehicle = "deadbeef" * 4
    row: dict[str, object] = {
        "provider": "p", "vehicle": vehicle, "observed_at": START, "lon_deg": -122.31415,
        "lat_deg": 37.27182, "gateway": "g", "boot": 1, "seq": 0, "received_at": START,
        "topic": "t", "log_partition": 0, "log_offset": 0, "observed_date": DAY,
        "vehicle_bucket": 1,
    }  # fmt: skip
    frame = pl.DataFrame(
        [{n: row.get(n) for n in contract.columns}], schema=polars_schema(contract)
    )
    table = lake.table("gps_pings")
    table.append(frame)
    compact(table)
    logged = b"".join(p.read_bytes() for p in Path(table.uri, "_delta_log").iterdir())
    assert vehicle.encode() not in logged
    assert b"-122.31415" not in logged
    assert b"observed_at" in logged
    stats = [
        json.loads(json.loads(line)["add"]["stats"])
        for file in sorted(Path(table.uri, "_delta_log").glob("*.json"))
        for line in file.read_text().splitlines()
        if '"add"' in line
    ]
    assert {name for each in stats for name in each.get("minValues", {})} == {
        "observed_at", "received_at"
    }  # fmt: skip


# --- object store


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, dict[str, str]]]:
    """Return an S3-compatible store that understands conditional writes: address and options."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- slow to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    import boto3  # noqa: PLC0415

    client = boto3.client(
        "s3", endpoint_url=options["AWS_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",  # noqa: S106 -- moto's
    )  # fmt: skip
    client.create_bucket(Bucket="clearway")
    yield "s3://clearway/lake", options
    client.close()
    server.stop()


def test_lake_on_an_object_store_does_what_a_folder_does(bucket):
    root, options = bucket
    table = Lake(root, options).table("ingest_commits")
    assert not table.exists()
    table.append(commits(1), transactions={"t/0": 1})
    again = Lake(root, options).table("ingest_commits")
    again.append(commits(2), transactions={"t/0": 2})
    with pytest.raises(OffsetRegression):
        table.append(commits(2), transactions={"t/0": 2})
    compact(table)
    assert sorted(table.scan().collect()["next_offset"]) == [1, 2]
    assert table.scan(version=1).collect().height == 1
    readings_table = Lake(root, options).table("air_readings")
    readings_table.append(readings(DAY))
    readings_table.replace(readings(DAY, "new"), {"observed_date": [DAY]})
    back = readings_table.scan([("observed_date", "=", DAY)]).collect()
    assert back["sensor"].to_list() == ["new"]


def test_two_writers_on_an_object_store_cannot_commit_the_same_version(bucket, monkeypatch):
    root, options = bucket
    one = Lake(f"{root}2", options).table("ingest_commits")
    one.append(commits(1), transactions={"t/0": 1})
    two = Lake(f"{root}2", options).table("ingest_commits")
    assert two.transaction_version("t/0") == 1
    # Between reading and writing of `two`, `one` commits: the store itself must refuse.
    held = two.handle()
    monkeypatch.setattr(two, "handle", lambda: held)
    one.append(commits(2), transactions={"t/0": 2})
    with pytest.raises(TableConflict, match="another process"):
        two.append(commits(2), transactions={"t/0": 2})
    assert sorted(one.scan().collect()["next_offset"]) == [1, 2]
