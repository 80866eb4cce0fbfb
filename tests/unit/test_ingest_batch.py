"""Rows of the lake and rows for quarantine."""

from __future__ import annotations

from datetime import UTC, date, datetime

import orjson
import pytest
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, fix, gps, pseudonym, third_party

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.raw_tables import N_VEHICLE_BUCKETS
from clearway_core.contracts.wire import AIR_READING, GPS_PING
from clearway_core.schema import conform
from clearway_core.stream.log import StoredMessage
from clearway_ingest.batch import HAS_IDENTITY, Portion, sort_out
from clearway_ingest.decode import decode

TAKEN_AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
PLATE = "AB-1234"


def _portion(message, offset=0, topic=GPS_TOPIC):
    stored = StoredMessage(
        topic=topic,
        partition=1,
        offset=offset,
        key=message.key,
        value=message.value,
        headers=message.headers,
        appended_at=TAKEN_AT,
    )
    return Portion(decode(stored), stored)


def _refused(record):
    rows = sort_out(GPS_PING, [_portion(third_party(record))])
    assert rows.valid.is_empty()
    assert conform(rows.quarantined, LAKE_CONTRACTS["quarantine"]).height == 1
    return rows.quarantined.row(0, named=True)


def test_valid_rows_have_every_column_of_the_table():
    rows = sort_out(
        GPS_PING, [_portion(gps("gw-1", 1, [0, 1]), 5), _portion(gps("gw-2", 2, [7]), 6)]
    )
    table = conform(rows.valid.drop(HAS_IDENTITY), LAKE_CONTRACTS["gps_pings"])
    assert table["seq"].to_list() == [0, 1, 7]
    assert table["gateway"].to_list() == ["gw-1", "gw-1", "gw-2"]
    assert table["log_offset"].to_list() == [5, 5, 6]
    assert table["received_at"].unique().to_list() == [TAKEN_AT]
    assert table["observed_at"][0] == datetime(2026, 1, 14, 23, 30, 0, 1000, tzinfo=UTC)


def test_the_day_is_that_of_the_observation_in_utc():
    rows = sort_out(GPS_PING, [_portion(gps("gw-1", 1, [29, 30]))])
    assert rows.valid["observed_date"].to_list() == [date(2026, 1, 14), date(2026, 1, 15)]


def test_the_bucket_is_the_first_byte_of_the_pseudonym():
    rows = sort_out(GPS_PING, [_portion(gps("gw-1", 1, range(5)))])
    for vehicle, bucket in rows.valid.select("vehicle", "vehicle_bucket").iter_rows():
        assert bucket == bytes.fromhex(vehicle)[0] % N_VEHICLE_BUCKETS


def test_all_broken_rules_are_named_and_the_first_one_leads():
    refused = _refused({**fix("tp", 1, 0), "lat_deg": 91.0, "lon_deg": None, "speed_kmh": "fast"})
    assert refused["rule"] == "lon_deg_missing"
    assert refused["all_rules"] == "lon_deg_missing lat_deg_range speed_kmh_type"
    assert orjson.loads(refused["row_json"])["lat_deg"] == 91.0


def test_one_broken_row_does_not_take_its_batch_along():
    records = [fix("tp", 1, 0), {**fix("tp", 1, 1), "lat_deg": 91.0}, fix("tp", 1, 2)]
    rows = sort_out(GPS_PING, [_portion(third_party(records))])
    assert rows.valid["seq"].to_list() == [0, 2]
    assert rows.quarantined["seq"].to_list() == [1]


@pytest.mark.parametrize(
    "change",
    [
        {"vehicle": PLATE},
        {"vehicle": pseudonym("x").upper(), "provider": PLATE},
        {"provider": PLATE},
        {"lon_deg": PLATE},
        {"vehicle": [PLATE]},
        {"vehicle": {"plate": PLATE}},
        {"pseudonym_epoch": PLATE},
        {"licence": PLATE},
        {PLATE: [13.7, 100.5]},
        {PLATE.lower(): 1},
        {"vehicle_class": PLATE},
    ],
    ids=str,
)
def test_what_may_name_a_vehicle_is_written_nowhere(change):
    refused = _refused({**fix("tp", 1, 0), **change})
    text = " ".join(str(value) for value in refused.values()).lower()
    assert PLATE.lower() not in text
    assert "(masked)" in refused["row_json"]


def test_a_vehicle_that_is_a_number_is_masked():
    refused = _refused({**fix("tp", 1, 0), "vehicle": 4711_4711})
    assert refused["rule"] == "vehicle_type"
    assert "47114711" not in " ".join(str(value) for value in refused.values())


def test_a_pseudonym_stays_readable():
    refused = _refused({**fix("tp", 1, 0), "lat_deg": 91.0})
    assert orjson.loads(refused["row_json"])["vehicle"] == pseudonym("tp-0")


def test_a_sensor_row_shows_what_was_wrong():
    portion = _portion(air("gw-1", 1, [0], sensor="über sensor"), topic=AIR_TOPIC)
    rows = sort_out(AIR_READING, [portion])
    refused = rows.quarantined.row(0, named=True)
    assert refused["rule"] == "sensor_pattern"
    assert orjson.loads(refused["row_json"])["sensor"] == "über sensor"


def test_a_huge_text_is_cut():
    portion = _portion(air("gw-1", 1, [0], sensor="x" * 10_000), topic=AIR_TOPIC)
    row = sort_out(AIR_READING, [portion]).quarantined.row(0, named=True)
    assert len(row["row_json"]) < 1_000


def test_a_column_that_one_batch_lacks_is_null_for_its_rows_alone():
    with_speed, without = gps("gw-1", 1, [1]), gps("gw-2", 1, [1], speed_kmh=None)
    rows = sort_out(GPS_PING, [_portion(with_speed), _portion(without)])
    assert rows.valid["speed_kmh"].null_count() == 1
