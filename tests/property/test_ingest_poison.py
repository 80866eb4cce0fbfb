"""No bytes stop ingest: they end as records, quarantined rows or dead letters."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import cramjam
import orjson
import polars as pl
from doubles.ingest_lake import committed_sums
from doubles.ingest_messages import GPS_TOPIC, gps, raw
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import DataType
from clearway_core.contracts.wire import GPS_PING, WIRE_CONTRACTS
from clearway_core.lake import Lake
from clearway_core.stream.batch import CONTENT_TYPE, RECORD_CONTENT_TYPE
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import StoredMessage
from clearway_ingest.batch import Portion, sort_out
from clearway_ingest.decode import Records, Undecodable, decode
from clearway_ingest.jobs import ingest

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=4)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELD_NAMES = st.one_of(st.sampled_from(GPS_PING.columns), st.text(max_size=4))
NUMBERS = st.lists(st.integers(-3, 2**63), max_size=3)
COLUMN = st.one_of(
    JSON,
    st.lists(JSON, max_size=3),
    st.fixed_dictionaries({"delta": NUMBERS}),
    st.fixed_dictionaries({"words": st.lists(JSON, max_size=3), "index": NUMBERS}),
)
ALMOST_BATCH = st.fixed_dictionaries(
    {
        "contract": st.one_of(st.just("gps_ping/1"), JSON),
        "gateway": st.one_of(st.just("gw-1"), JSON),
        "boot": st.one_of(st.just(1), JSON),
        "n": st.one_of(st.integers(0, 3), JSON),
        "columns": st.one_of(
            JSON,
            st.dictionaries(FIELD_NAMES, COLUMN, max_size=4).map(
                lambda columns: {"seq": {"delta": [0, 1]}, **columns}
            ),
        ),
    }
)
ALMOST_RECORD = st.dictionaries(FIELD_NAMES, JSON, max_size=4)
ZIPPED = st.one_of(JSON, ALMOST_BATCH).map(
    lambda body: bytes(cramjam.zstd.compress(orjson.dumps(body)))
)
PLAIN = st.one_of(JSON, ALMOST_RECORD, st.lists(ALMOST_RECORD, max_size=3)).map(orjson.dumps)
PAYLOAD = st.one_of(st.binary(max_size=60), ZIPPED, PLAIN)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.one_of(
            st.sampled_from([CONTENT_TYPE, RECORD_CONTENT_TYPE, "application/json; charset=utf-8"]),
            st.text(max_size=8),
        ),
        "clearway-contract": st.one_of(
            st.sampled_from(["gps_ping/1", "gps_ping/2", "air_reading/1"]), st.text(max_size=8)
        ),
    },
)


def _stored(value, headers):
    return StoredMessage(
        topic=GPS_TOPIC,
        partition=0,
        offset=0,
        key=b"k",
        value=value,
        headers=headers,
        appended_at=datetime(2026, 1, 15, tzinfo=UTC),
    )


@given(PAYLOAD, HEADERS)
@settings(max_examples=100, deadline=None)
def test_any_bytes_under_any_headers_are_records_or_have_a_cause(value, headers):
    decoded = decode(_stored(value, headers))
    assert isinstance(decoded, Records | Undecodable)


@given(
    st.one_of(
        st.tuples(ZIPPED, st.just(CONTENT_TYPE)), st.tuples(PLAIN, st.just(RECORD_CONTENT_TYPE))
    )
)
@settings(max_examples=100, deadline=None)
def test_every_record_of_what_can_be_decoded_is_valid_or_quarantined(given_):
    value, content_type = given_
    headers = {"content-type": content_type, "clearway-contract": "gps_ping/1"}
    message = _stored(value, headers)
    records = decode(message)
    if isinstance(records, Undecodable) or not len(records):
        return
    rows = sort_out(GPS_PING, [Portion(records, message)])
    assert len(rows.valid) + len(rows.quarantined) == len(records)
    assert rows.quarantined["rule"].null_count() == 0
    for shown in rows.quarantined["row_json"]:
        assert isinstance(orjson.loads(shown), dict)


@given(st.lists(st.tuples(PAYLOAD, HEADERS), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_poison_between_good_batches_costs_nothing_but_itself(poison):
    with tempfile.TemporaryDirectory() as folder:
        log = EmbeddedLog(Path(folder) / "log.sqlite")
        messages = [raw(value, **headers) for value, headers in poison]
        log.append(GPS_TOPIC, [gps("good", 1, range(5)), *messages, gps("good", 1, range(5, 10))])
        lake = Lake(Path(folder) / "lake")
        account = ingest(lake, log)
        again = ingest(lake, log)
        log.close()
        good = lake.table("gps_pings").scan().filter(pl.col("gateway") == "good").collect()
        assert good["seq"].sort().to_list() == list(range(10))
        assert account.is_closed()
        assert account.messages == len(poison) + 2
        assert again.messages == 0
        sums = committed_sums(lake)
        assert sums["n_dead_letters"] == sum(account.dead_letters.values())
        assert len(lake.table("dead_letters").scan().collect()) == sums["n_dead_letters"]


def test_the_contracts_hold_no_type_that_the_wire_cannot_carry():
    held = {field.dtype for contract in WIRE_CONTRACTS.values() for field in contract.fields}
    assert held <= {
        DataType.STRING,
        DataType.DATE,
        DataType.BOOL,
        DataType.INT32,
        DataType.INT64,
        DataType.INSTANT,
        DataType.FLOAT64,
    }
