"""What a message is taken for."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, START_MS, fix, gps, raw, third_party

from clearway_core.contracts.wire import GPS_PING
from clearway_core.stream.batch import Batch, encode
from clearway_core.stream.log import StoredMessage
from clearway_ingest.decode import Undecodable, decode


def _stored(message, topic=GPS_TOPIC):
    return StoredMessage(
        topic=topic,
        partition=0,
        offset=7,
        key=message.key,
        value=message.value,
        headers=message.headers,
        appended_at=datetime(2026, 1, 15, tzinfo=UTC),
    )


def test_a_gateway_batch_keeps_its_identity():
    records = decode(_stored(gps("gw-1", 9, [3, 4])))
    assert (records.gateway, records.boot, list(records.seq)) == ("gw-1", 9, [3, 4])
    assert records.has_identity
    assert records.contract is GPS_PING


@pytest.mark.parametrize("body", [fix("tp", 1, 0), [fix("tp", 1, 0)]], ids=["object", "list"])
def test_a_third_party_sends_one_record_or_a_list(body):
    records = decode(_stored(third_party(body)))
    assert len(records) == 1
    assert not records.has_identity
    assert records.columns["observed_at"] == [START_MS + 1]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-14T23:30:00Z",
        "2026-01-15T06:30:00+07:00",
        "2026-01-15t06:30:00.000+07:00",
        "2026-01-14 18:00:00.0009-05:30",
    ],
)
def test_rfc_3339_time_becomes_milliseconds(text):
    records = decode(_stored(third_party({**fix("tp", 1, 0), "observed_at": text})))
    assert records.columns["observed_at"] == [START_MS]


@pytest.mark.parametrize(
    "text", ["2026-01-14", "2026-01-14T23:30:00", "20260114T233000Z", "2026-02-30T00:00:00Z", "now"]
)
def test_a_time_without_offset_or_not_of_rfc_3339_is_left_for_the_rules(text):
    records = decode(_stored(third_party({**fix("tp", 1, 0), "observed_at": text})))
    assert records.columns["observed_at"] == [text]


def test_a_media_type_parameter_is_no_other_media_type():
    message = third_party(fix("tp", 1, 0), content_type="application/json; charset=utf-8")
    assert len(decode(_stored(message))) == 1


def test_an_empty_list_is_a_message_without_records():
    assert len(decode(_stored(third_party([])))) == 0


def test_unknown_fields_are_named_per_record():
    records = decode(_stored(third_party([fix("tp", 1, 0), {**fix("tp", 1, 1), "driver": "x"}])))
    assert list(records.unknown) == [(), ("driver",)]
    assert "driver" not in records.columns


NAMELESS = encode(
    Batch(contract="gps_ping/1", gateway="", boot=1, seq=[0], columns={"provider": ["x"]}), GPS_PING
)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (raw(b""), Undecodable.PAYLOAD),
        (raw(b"\x28\xb5\x2f\xfdtruncated"), Undecodable.PAYLOAD),
        (third_party("text"), Undecodable.PAYLOAD),
        (third_party([fix("tp", 1, 0), None]), Undecodable.PAYLOAD),
        (raw(b"{", content_type="application/json"), Undecodable.PAYLOAD),
        (raw(b"x", content_type="text/csv"), Undecodable.CONTENT_TYPE),
        (raw(b"x", clearway_contract=""), Undecodable.CONTRACT),
        (raw(b"x", clearway_contract="bike_ping/1"), Undecodable.CONTRACT),
        (raw(b"x", clearway_contract="gps_ping/2"), Undecodable.NEWER),
        (raw(b"x", clearway_contract="gps_ping/0"), Undecodable.CONTRACT),
        (raw(b"x", clearway_contract="air_reading/1"), Undecodable.MISMATCH),
        (raw(NAMELESS), Undecodable.IDENTITY),
    ],
)
def test_what_is_no_records_has_a_cause(message, cause):
    why = decode(_stored(message))
    assert isinstance(why, Undecodable)
    assert why.cause == cause
    assert why.detail


def test_a_batch_that_says_another_contract_than_its_header_is_refused():
    batch = Batch(contract="air_reading/1", gateway="g", boot=1, seq=[0], columns={})
    why = decode(_stored(raw(encode(batch, GPS_PING))))
    assert why.cause == Undecodable.MISMATCH


def test_a_contract_on_the_wrong_topic_is_refused():
    assert decode(_stored(gps("gw-1", 1, [0]), AIR_TOPIC)).cause == Undecodable.MISMATCH


def test_json_numbers_keep_their_type():
    records = decode(_stored(third_party({**fix("tp", 1, 0), "lon_deg": 100, "occupied": 1})))
    assert records.columns["lon_deg"] == [100]
    assert type(records.columns["occupied"][0]) is int
    assert orjson.dumps(records.columns["speed_kmh"]) == b"[null]"
