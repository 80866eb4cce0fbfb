"""Batches survive the wire, and nothing that arrives there can do harm."""

from __future__ import annotations

import math
import random

import cramjam
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import Contract, DataType, Field
from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.errors import ContractViolation
from clearway_core.stream.batch import MAX_RECORDS, Batch, decode, encode

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WIRE_VALUES = {
    DataType.STRING: TEXT,
    DataType.DATE: TEXT,
    DataType.BOOL: st.booleans(),
    DataType.INT32: st.integers(-(2**31), 2**31 - 1),
    DataType.INT64: INT64,
    DataType.INSTANT: INT64,
    DataType.UINT64: st.integers(0, 2**64 - 1),
    DataType.FLOAT64: st.floats(allow_nan=False, allow_infinity=False) | INT64,
}
# What a garbled gateway or a hostile one may put where a value should be.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def batches(draw) -> tuple[Batch, Contract]:
    contract = draw(st.sampled_from(list(WIRE_CONTRACTS.values())))
    n = draw(st.integers(0, 12))
    columns = {
        field.name: draw(st.lists(WIRE_VALUES[field.dtype] | st.none(), min_size=n, max_size=n))
        for field in contract.fields
        if draw(st.booleans())
    }
    batch = Batch(
        contract=contract.identifier,
        gateway=draw(TEXT),
        boot=draw(st.integers(0, 2**63 - 1)),
        seq=sorted(draw(st.sets(st.integers(0, 2**63 - 1), min_size=n, max_size=n))),
        columns=columns,
    )
    return batch, contract


@settings(max_examples=100)
@given(batches())
def test_decode_gives_back_what_was_encoded(given_batch):
    batch, contract = given_batch
    back = decode(encode(batch, contract))
    assert (back.contract, back.gateway, back.boot) == (batch.contract, batch.gateway, batch.boot)
    assert list(back.seq) == list(batch.seq)
    # A column without any value is left out; the reader fills it with null.
    expected = {k: v for k, v in batch.columns.items() if any(x is not None for x in v)}
    assert {name: list(column) for name, column in back.columns.items()} == expected
    for name, column in expected.items():
        assert [type(value) for value in back.columns[name]] == [type(value) for value in column]


RECEIVER_VALUES = {
    "lon_deg": st.integers(-1_800_000_000, 1_800_000_000).map(lambda k: k / 1e7)
    | st.integers(-(180 * 6_000_000), 180 * 6_000_000).map(lambda k: round(k / 6e6, 8)),
    "speed_kmh": st.integers(0, 200_000).map(lambda k: round(k / 1000 * 1.852, 4))
    | st.integers(0, 8000).map(lambda k: round(k / 100 * 3.6, 4)),
    "heading_deg": st.integers(0, 35_999).map(lambda k: k / 100) | st.just(-0.0),
    "accuracy_m": st.floats(allow_nan=False, allow_infinity=False),
    "occupied": st.booleans(),
}


@st.composite
def fleets(draw) -> Batch:
    """Some vehicles, many fixes each, values as receivers give them, some missing."""
    n = draw(st.integers(2, 40))
    columns = {"vehicle": draw(st.lists(st.sampled_from("abcdef"), min_size=n, max_size=n))}
    for name, given_values in RECEIVER_VALUES.items():
        values = draw(st.sampled_from([given_values, given_values | st.none()]))
        columns[name] = draw(st.lists(values, min_size=n, max_size=n))
    return Batch(contract="gps_ping/1", gateway="g", boot=1, seq=range(n), columns=columns)


def exact(value: object) -> object:
    return value.hex() if isinstance(value, float) else value


@settings(max_examples=200)
@given(fleets())
def test_every_value_of_a_fleet_comes_back_to_the_last_bit_and_at_its_place(batch):
    back = decode(encode(batch, WIRE_CONTRACTS["gps_ping/1"]))
    for name, column in batch.columns.items():
        found = back.columns.get(name, [None] * len(batch))
        assert [*map(exact, found)] == [*map(exact, column)], name


def zipped(body: object) -> bytes:
    return bytes(cramjam.zstd.compress(orjson.dumps(body), 3))


def decoded_or_violation(payload: bytes) -> None:
    try:
        batch = decode(payload)
    except ContractViolation:
        return
    assert all(len(column) == len(batch) for column in batch.columns.values())


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_batch_or_a_contract_violation(payload):
    decoded_or_violation(payload)


@settings(max_examples=100)
@given(JSON)
def test_any_json_gives_a_batch_or_a_contract_violation(body):
    decoded_or_violation(zipped(body))


COLUMN = (
    st.lists(JSON, max_size=3)
    | st.fixed_dictionaries({"values": JSON | st.lists(JSON, max_size=3)})
    | st.fixed_dictionaries(
        {
            "steps": JSON | st.lists(INT64, max_size=3),
            "unit": JSON | st.lists(st.floats(allow_nan=False) | INT64, min_size=1, max_size=3),
        },
        optional={"missing": JSON | st.lists(st.integers(-1, 4), max_size=3)},
    )
    | st.fixed_dictionaries({"delta": JSON | st.lists(INT64, max_size=3)})
    | st.fixed_dictionaries(
        {"words": JSON | st.lists(TEXT, max_size=3), "index": JSON | st.lists(INT64, max_size=3)}
    )
    | JSON
)


@settings(max_examples=100)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "contract": TEXT | JSON,
            "gateway": TEXT | JSON,
            "boot": INT64 | JSON,
            "n": st.integers(-1, 4) | JSON,
            "track": TEXT | JSON,
            "columns": st.dictionaries(st.just("seq") | TEXT, COLUMN, max_size=4) | JSON,
        },
    )
)
def test_any_garbled_batch_gives_a_batch_or_a_contract_violation(body):
    decoded_or_violation(zipped(body))


@settings(max_examples=100)
@given(batches(), st.data())
def test_a_payload_with_flipped_bytes_gives_a_batch_or_a_contract_violation(given_batch, data):
    payload = bytearray(encode(*given_batch))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    decoded_or_violation(bytes(payload))


def good_body(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "contract": "gps_ping/1",
        "gateway": "gw",
        "boot": 1,
        "n": 2,
        "columns": {"seq": {"delta": [0, 1]}, "lon_deg": [1.0, 2.0]},
    }
    return body | changes


STEP = {"steps": [1], "unit": [1, 10]}
WORDS = {"words": ["a", "b"], "index": [1, 0]}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (good_body(n=3), "n = 3"),
        (good_body(n=True), "n of a batch"),
        (good_body(n=MAX_RECORDS + 1), "n of a batch"),
        (good_body(columns={"lon_deg": [1.0, 2.0]}), "seq"),
        (good_body(columns=[]), "columns"),
        (good_body(boot=-1), "boot"),
        (good_body(boot=2**63), "boot"),
        (good_body(boot=1.0), "boot"),
        (good_body(contract=None), "contract"),
        (good_body(gateway=7), "gateway"),
        (good_body(columns={"seq": {"delta": [0, -1]}}), "seq"),
        (good_body(columns={"seq": {"delta": "ab"}}), "garbled"),
        (good_body(columns={"seq": {"delta": [2**63 - 1, 2**63 - 1]}}), "seq"),
        (good_body(columns={"seq": [0, 1], "x": {"delta": [2**63 - 1] * 2 + [2]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"words": ["a"], "index": [0, 1]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"words": ["a"], "index": [0, -1]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"words": "ab", "index": [0, 1]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"words": [{}], "index": [0, 0]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": None}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"newer": [0, 1]}}), "upgrade"),
        (good_body(columns={"seq": [0, 1], "x": {"steps": [1, 2], "unit": [1, 0]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"steps": [1, 2], "unit": [1]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {"steps": [1, 2.5], "unit": [1, 1]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {**STEP, "missing": [2]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {**STEP, "missing": [0, 0]}}), "garbled"),
        (good_body(columns={"seq": [0, 1], "x": {**STEP, "missing": [0, 1]}}), "x.* has 3 values"),
        (good_body(track="x"), "track"),
        (good_body(track=["seq"]), "track"),
        (good_body(track="x", columns={"seq": [0, 1], "x": WORDS, "y": {"values": [1]}}), "has 1"),
        (
            good_body(track="x", columns={"seq": [0, 1], "x": {"words": ["a"], "index": [0]}}),
            "track",
        ),
        ([], "list"),
    ],
)
def test_garbled_batch_is_refused_with_what_is_wrong(body, complaint):
    with pytest.raises(ContractViolation, match=complaint):
        decode(zipped(body))


def test_good_body_is_a_good_batch():
    assert decode(zipped(good_body())).columns == {"lon_deg": [1.0, 2.0]}


def test_columns_of_a_track_come_back_in_the_order_of_the_records():
    columns = {
        "seq": {"delta": [0, 1, 1, 1]},
        "vehicle": {"words": ["a", "b"], "index": [0, 1, 1, 0]},
        "lon_deg": {"steps": [1005, 1, 1], "unit": [1, 10], "missing": [2]},
        "occupied": {"values": [True, False, None, None]},
        "heading_deg": [1.0, 2.0, 3.0, 4.0],
    }
    back = decode(zipped(good_body(n=4, track="vehicle", columns=columns))).columns
    assert list(back["vehicle"]) == ["a", "b", "b", "a"]
    assert list(back["lon_deg"]) == [100.5, None, 100.7, 100.6]
    assert list(back["occupied"]) == [True, None, None, False]
    assert list(back["heading_deg"]) == [1.0, 2.0, 3.0, 4.0]


def test_a_receivers_own_unit_is_found_and_takes_less_than_the_digits():
    contract = WIRE_CONTRACTS["gps_ping/1"]
    draw = random.Random(3)
    knots = [draw.randrange(40_000) / 1000 for _ in range(2000)]

    def size(column: list[float]) -> int:
        batch = Batch(contract="gps_ping/1", gateway="g", boot=0, seq=range(2000),
                      columns={"speed_kmh": column})  # fmt: skip
        payload = encode(batch, contract)
        assert decode(payload).columns["speed_kmh"] == column
        return len(payload)

    in_knots = size([round(speed * 1.852, 4) for speed in knots])
    assert in_knots < 1.03 * size(knots)
    assert in_knots < 0.75 * size([speed * 1.852 for speed in knots])


def test_decompression_bomb_is_refused_without_unpacking_it():
    bomb = bytes(cramjam.zstd.compress(bytes(300_000_000), 19))
    assert len(bomb) < 200_000
    with pytest.raises(ContractViolation, match="at most 67108864 bytes"):
        decode(bomb)


@pytest.mark.parametrize("unit", [b"[],", b"{},"])
def test_bomb_of_lists_is_refused_before_they_are_made(unit):
    raw = b'{"n": 1, "columns": {"seq": [' + unit * 1_000_001 + b"0]}}"
    with pytest.raises(ContractViolation, match="at most 1000000 lists and objects"):
        decode(bytes(cramjam.zstd.compress(raw)))


def test_text_bomb_is_refused_before_it_is_spread_over_the_records():
    n = 10_000
    column = {"words": ["x" * 1_000_000], "index": [0] * n}
    with pytest.raises(ContractViolation, match="garbled"):
        decode(zipped(good_body(n=n, columns={"seq": {"delta": [0] + [1] * (n - 1)}, "x": column})))


def test_well_packed_batch_of_the_largest_size_still_unpacks():
    contract = WIRE_CONTRACTS["gps_ping/1"]
    batch = Batch(
        contract=contract.identifier,
        gateway="gw",
        boot=1,
        seq=range(MAX_RECORDS),
        columns={"provider": ["p"] * MAX_RECORDS, "lon_deg": [1.5] * MAX_RECORDS},
    )
    payload = encode(batch, contract)
    assert len(payload) < 10_000  # shrinks to far less than the first buffer expects
    assert len(decode(payload)) == MAX_RECORDS


def test_batch_over_the_largest_size_is_refused_by_the_sender():
    batch = Batch(contract="numbers/1", gateway="g", boot=0, seq=range(MAX_RECORDS + 1), columns={})
    with pytest.raises(ContractViolation, match="split it"):
        encode(batch, NUMBERS)


def test_not_a_number_travels_as_missing():
    contract = WIRE_CONTRACTS["gps_ping/1"]
    batch = Batch(
        contract=contract.identifier, gateway="g", boot=0, seq=[0, 1],
        columns={"lon_deg": [math.nan, 1.0]},
    )  # fmt: skip
    assert decode(encode(batch, contract)).columns == {"lon_deg": [None, 1.0]}


NUMBERS = Contract(
    name="numbers",
    version=1,
    description="For tests.",
    fields=(
        Field(name="count", dtype=DataType.INT64, description="Any."),
        Field(name="text", dtype=DataType.STRING, description="Any."),
    ),
)


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"other": [1]}, "must be known"),
        ({"count": [1, 2]}, "has 2 values, expected 1"),
        ({"count": [2**70]}, "cannot carry"),
        ({"text": ["\ud800"]}, "cannot carry"),
    ],
)
def test_encode_refuses_what_the_wire_cannot_carry(columns, complaint):
    batch = Batch(contract="numbers/1", gateway="g", boot=0, seq=[0], columns=columns)
    with pytest.raises(ContractViolation, match=complaint):
        encode(batch, NUMBERS)
