"""What is kept of messages that could not be decoded, and sending them again."""

from __future__ import annotations

import json

import pytest
from doubles.ingest_lake import places
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, fix, gps, raw, third_party

from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest import decode as decoding
from clearway_ingest.dead_letters import letter, letters, replay
from clearway_ingest.jobs import ingest

PLATE = "AB-1234"


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def _only(lake):
    rows = lake.table("dead_letters").scan().collect()
    assert len(rows) == 1
    return rows.row(0, named=True)


def test_a_garbled_batch_of_a_gateway_is_kept_whole(lake, log):
    garbled = gps("gw-1", 1, [0]).value[:-3]
    log.append(GPS_TOPIC, [raw(garbled, key=b"gw-1")])
    account = ingest(lake, log)
    kept = _only(lake)
    assert account.dead_letters == {"undecodable_payload": 1}
    assert (kept["payload"], kept["message_key"]) == (garbled, b"gw-1")
    assert json.loads(kept["headers_json"])["clearway-contract"] == "gps_ping/1"


@pytest.mark.parametrize(
    "message",
    [
        third_party(PLATE, key=PLATE.encode()),
        third_party({"vehicle": PLATE}, contract="gps_ping/2", vehicle_id=PLATE),
        raw(f'{{"vehicle": "{PLATE}"'.encode()),
        raw(PLATE.encode(), content_type=f"text/{PLATE}"),
        raw(PLATE.encode(), content_type="application/json", clearway_contract=PLATE),
        third_party([[PLATE]]),
    ],
    ids=["text", "newer", "wrong_type", "content_type", "contract", "list"],
)
def test_nothing_that_may_name_a_vehicle_is_kept(lake, log, message):
    log.append(GPS_TOPIC, [message])
    ingest(lake, log)
    kept = _only(lake)
    assert PLATE.lower() not in str(kept).lower()
    assert kept["payload"] == b""
    assert kept["payload_bytes"] == len(message.value)
    for folder in ("dead_letters", "quarantine"):
        files = [f for f in (lake_folder(lake) / folder).rglob("*") if f.is_file()]
        assert not any(PLATE.encode() in file.read_bytes() for file in files)


def lake_folder(lake):
    from pathlib import Path  # noqa: PLC0415

    return Path(lake.table("dead_letters").uri).parent


def test_a_gps_record_on_another_topic_is_withheld_too(lake, log):
    log.append(AIR_TOPIC, [third_party({"vehicle": PLATE})])
    ingest(lake, log)
    assert _only(lake)["payload"] == b""


def test_a_sensor_message_is_kept_whole(lake, log):
    log.append(AIR_TOPIC, [third_party("no object", contract="air_reading/1")])
    ingest(lake, log)
    assert _only(lake)["payload"] == b'"no object"'


def test_after_an_upgrade_a_replay_brings_the_records_in_once(lake, log, monkeypatch):
    newer = third_party([fix("tp", 1, 0), fix("tp", 1, 1)])
    known = dict(decoding.WIRE_CONTRACTS)
    log.append(GPS_TOPIC, [newer, gps("gw-1", 1, [0])])
    monkeypatch.setattr(
        decoding, "WIRE_CONTRACTS", {n: c for n, c in known.items() if n != "gps_ping/1"}
    )
    assert ingest(lake, log).dead_letters == {"unknown_contract": 2}
    monkeypatch.setattr(decoding, "WIRE_CONTRACTS", known)
    # The third party's payload was withheld: it comes from the log.
    assert replay(lake, log).sent == 2
    assert ingest(lake, log).stored == {"gps_pings": 3}
    assert replay(lake, log).sent == 2
    assert ingest(lake, log).duplicates == 3
    assert len(places(lake)["gps_pings"]) == 3


def test_what_the_log_no_longer_has_is_sent_from_the_lake_or_counted_as_gone(lake, log, tmp_path):
    batch = air("gw-1", 1, [0])
    log.append(AIR_TOPIC, [raw(batch.value, key=b"gw-1", clearway_contract="air_reading/2")])
    log.append(GPS_TOPIC, [third_party({"vehicle": PLATE}, contract="gps_ping/2")])
    ingest(lake, log)
    other = EmbeddedLog(tmp_path / "new.sqlite")
    replayed = replay(lake, other)
    assert (replayed.sent, replayed.gone) == (1, 1)
    (again,) = other.read(dict.fromkeys(other.end_offsets(AIR_TOPIC), 0))
    assert (again.value, again.key) == (batch.value, b"gw-1")
    assert again.headers["clearway-replay-of"].startswith(AIR_TOPIC)
    other.close()


def test_letters_are_listed_newest_first_by_cause_and_shown_by_place(lake, log):
    log.append(GPS_TOPIC, [raw(b"one", key=b"gw-1")])
    log.append(AIR_TOPIC, [raw(b"two", clearway_contract="bike/1")])
    ingest(lake, log)
    assert letters(lake).height == 2
    assert letters(lake, limit=1).height == 1
    found = letters(lake, cause="unknown_contract")
    assert found["cause"].to_list() == ["unknown_contract"]
    place = f"{AIR_TOPIC}/{found['log_partition'][0]}/0"
    assert letter(lake, place)["payload"] == b"two"
    with pytest.raises(UsageError, match="dead-letters list"):
        letter(lake, "nowhere/0/0")


def test_one_letter_alone_can_be_replayed(lake, log):
    log.append(GPS_TOPIC, [raw(b"one", key=b"gw-1"), raw(b"two", key=b"gw-1")])
    ingest(lake, log)
    (partition,) = {row[1] for row in places(lake)["dead_letters"]}
    assert replay(lake, log, place=f"{GPS_TOPIC}/{partition}/1").sent == 1
    assert ingest(lake, log).messages == 1


def test_an_empty_lake_has_no_letters(lake, log):
    assert letters(lake).is_empty()
    assert replay(lake, log).sent == 0
