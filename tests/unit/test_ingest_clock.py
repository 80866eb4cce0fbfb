"""Instants derived from monotonic time: exact, at each reading the same, refused without base."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest
from doubles.ingest_lake import FailingLake
from doubles.ingest_messages import (
    AIR_TOPIC,
    GPS_TOPIC,
    START_MS,
    STEP_MS,
    air,
    columnar,
    gps,
    third_party,
)
from doubles.power_cut import PowerCut
from hypothesis import given
from hypothesis import strategies as st

from clearway_core.clock import from_ms
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.wire import AIR_READING
from clearway_core.lake import Lake
from clearway_core.schema import conform
from clearway_core.stream.batch import decode as batch_decode
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import CLOCK_HEADER, Message, StoredMessage
from clearway_ingest.batch import HAS_IDENTITY, Portion, sort_out
from clearway_ingest.decode import Records, Undecodable, decode
from clearway_ingest.derived_times import FLAG, RULE
from clearway_ingest.jobs import Settings, ingest

TRUE_MS = START_MS + 1_000_000_000
BASES = st.integers(0, 2_000_000_000_000)
MONOTONIC = st.integers(0, 90 * 86_400_000)


def under(message: Message, clock: str) -> Message:
    return replace(message, headers={**message.headers, CLOCK_HEADER: clock})


def stored(message: Message, *, offset: int = 0, topic: str = AIR_TOPIC) -> StoredMessage:
    return StoredMessage(
        topic=topic,
        partition=0,
        offset=offset,
        key=message.key,
        value=message.value,
        headers=message.headers,
        appended_at=datetime(2026, 1, 15, 12, tzinfo=UTC),
    )


def records(message: Message, topic: str = AIR_TOPIC) -> Records:
    found = decode(stored(message, topic=topic))
    assert isinstance(found, Records)
    return found


def rows_of(*messages: Message) -> pl.DataFrame:
    """Valid rows of air readings, as the lake takes them."""
    portions = []
    for offset, message in enumerate(messages):
        at = stored(message, offset=offset)
        found = decode(at)
        assert isinstance(found, Records)
        portions.append(Portion(found, at))
    rows = sort_out(AIR_READING, portions)
    assert rows.quarantined.is_empty()
    return conform(rows.valid.drop(HAS_IDENTITY), LAKE_CONTRACTS["air_readings"])


@given(base_ms=BASES, monotonic_ms=MONOTONIC)
def test_instant_is_exactly_monotonic_time_plus_base(base_ms, monotonic_ms):
    message = under(air("gw-1", 1, [0], monotonic_ms=monotonic_ms), str(base_ms))
    [row] = rows_of(message).to_dicts()
    assert row["observed_at"] == from_ms(base_ms + monotonic_ms)
    assert row["raw_observed_at"] == from_ms(START_MS)
    assert row["flags"] == FLAG
    assert row["monotonic_ms"] == monotonic_ms
    assert row["observed_date"] == row["observed_at"].date()


def test_flags_of_the_gateway_stay_and_readings_with_their_own_time_are_left_alone():
    own = air("gw-1", 1, [0, 1])
    assert records(under(own, "5")).columns == records(own).columns
    flagged = air("gw-1", 1, [0], monotonic_ms=7, flags="clock_unsynchronised warming_up")
    [row] = rows_of(under(flagged, "1768000000000")).to_dicts()
    assert row["flags"] == f"clock_unsynchronised warming_up {FLAG}"
    [untouched] = rows_of(own).head(1).to_dicts()
    assert (untouched["raw_observed_at"], untouched["flags"]) == (None, None)


@given(times=st.lists(MONOTONIC, min_size=1, max_size=12), base_ms=BASES, data=st.data())
def test_what_is_derived_depends_on_neither_order_nor_grouping(times, base_ms, data):
    single = [
        under(air("gw-1", 1, [seq], monotonic_ms=time_ms), str(base_ms))
        for seq, time_ms in enumerate(times)
    ]
    order = data.draw(st.permutations(single))
    columns = ["seq", "observed_at", "raw_observed_at", "flags"]
    one_way = rows_of(*single).select(columns).sort("seq")
    assert rows_of(*order).select(columns).sort("seq").equals(one_way)
    rows = [
        {name: values[0] for name, values in batch_decode(message.value).columns.items()}
        for message in single
    ]
    together = under(columnar(AIR_READING, "gw-1", 1, range(len(rows)), rows), str(base_ms))
    assert rows_of(together).select(columns).sort("seq").equals(one_way)


@pytest.mark.parametrize("headers", [{}, {CLOCK_HEADER: "unknown"}], ids=["no header", "unknown"])
def test_reading_that_nobody_can_date_is_quarantined_and_its_neighbours_are_not(headers):
    at = [
        stored(replace(message, headers={**message.headers, **headers}), offset=offset)
        for offset, message in enumerate(
            [air("gw-1", 1, [0, 1], monotonic_ms=7), air("gw-1", 1, [2])]
        )
    ]
    rows = sort_out(AIR_READING, [Portion(decode(each), each) for each in at])
    assert rows.valid["seq"].to_list() == [2]
    assert rows.quarantined["rule"].to_list() == [RULE, RULE]
    row = json.loads(rows.quarantined["row_json"][0])
    assert (row["observed_at"], row["monotonic_ms"]) == (START_MS, 7)


def test_third_party_that_says_it_has_no_clock_is_not_believed_either():
    body = {
        "sensor": "s", "sensor_model": "sds011", "observed_at": "2023-05-03T02:01:00Z",
        "lon_deg": 100.5, "lat_deg": 13.7, "monotonic_ms": 12,
    }  # fmt: skip
    at = stored(third_party(body, contract="air_reading/1"))
    rows = sort_out(AIR_READING, [Portion(decode(at), at)])
    assert rows.quarantined["rule"].to_list() == [RULE]


@pytest.mark.parametrize(
    "clock", ["", "soon", "1e12", "12.5", "0x10", "9" * 17, "--5", "1 2", "nan", "unknown?", "١٢"]
)
def test_garbage_in_the_clock_header_is_a_dead_letter_with_its_cause(clock):
    found = decode(stored(under(air("gw-1", 1, [0]), clock)))
    assert isinstance(found, Undecodable)
    assert found.cause == "bad_clock_header"
    assert "milliseconds" in found.detail


@given(
    clock=st.text(max_size=30), times=st.lists(st.none() | st.integers(), min_size=1, max_size=5)
)
def test_no_header_and_no_monotonic_time_ever_raises_or_loses_a_row(clock, times):
    messages = [
        under(air("gw-1", 1, [seq], monotonic_ms=time_ms), clock)
        for seq, time_ms in enumerate(times)
        if time_ms is None or abs(time_ms) < 2**63
    ]
    at = [stored(message, offset=offset) for offset, message in enumerate(messages)]
    decoded = [(decode(each), each) for each in at]
    letters = [found for found, _ in decoded if isinstance(found, Undecodable)]
    portions = [Portion(found, each) for found, each in decoded if isinstance(found, Records)]
    rows = sort_out(AIR_READING, portions)
    assert len(letters) + len(rows.valid) + len(rows.quarantined) == len(messages)


@pytest.mark.parametrize(
    ("changes", "clock", "rule"),
    [
        ({"monotonic_ms": -1}, "1768000000000", "monotonic_ms_range"),
        ({"monotonic_ms": "soon"}, "1768000000000", "monotonic_ms_type"),
        ({"monotonic_ms": True}, "1768000000000", "monotonic_ms_type"),
        ({"monotonic_ms": 5, "observed_at": None}, "1768000000000", "observed_at_missing"),
        ({"monotonic_ms": 5, "observed_at": -7}, "1768000000000", "observed_at_range"),
        ({"monotonic_ms": 5}, "-9000", "observed_at_range"),
        ({"monotonic_ms": 5}, "9" * 16, "observed_at_range"),
        ({"monotonic_ms": 5, "flags": 3}, "1768000000000", "flags_type"),
    ],
)
def test_times_that_break_the_contract_are_judged_by_it(changes, clock, rule):
    at = stored(under(air("gw-1", 1, [0], **changes), clock))
    rows = sort_out(AIR_READING, [Portion(decode(at), at)])
    assert rows.valid.is_empty()
    assert rows.quarantined["rule"].to_list() == [rule]


def test_refused_row_shows_what_came_and_what_was_derived():
    at = stored(under(air("gw-1", 1, [0], monotonic_ms=5, lat_deg=95.0), "1768000000000"))
    [row] = sort_out(AIR_READING, [Portion(decode(at), at)]).quarantined["row_json"].to_list()
    shown = json.loads(row)
    assert shown["observed_at"] == 1_768_000_000_005
    assert shown["raw_observed_at"] == START_MS


def test_fix_is_filed_under_the_day_that_was_derived():
    message = under(gps("gw-1", 1, [0], monotonic_ms=60_000), str(START_MS + 86_400_000))
    found = records(message, GPS_TOPIC)
    assert found.columns["observed_at"] == [START_MS + 86_400_000 + 60_000]
    assert found.columns["raw_observed_at"] == [START_MS + 1]


def _lake_rows(lake: Lake) -> pl.DataFrame:
    return lake.table("air_readings").scan().collect().sort("boot", "seq")


def test_power_cut_at_every_commit_gives_the_same_derived_rows(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    log.append(
        AIR_TOPIC,
        [
            under(air("gw-1", 1, range(n, n + 4), monotonic_ms=n * STEP_MS), str(TRUE_MS))
            for n in range(0, 12, 4)
        ]
        # The same readings again, after a crash of the gateway, with a base 3 ms off.
        + [under(air("gw-1", 1, range(4), monotonic_ms=0), str(TRUE_MS + 3))],
    )
    whole = FailingLake(tmp_path / "whole")
    ingest(whole, log, settings=Settings(rows=4))
    wanted = _lake_rows(whole)
    assert wanted["raw_observed_at"].null_count() == 0
    assert wanted["observed_at"][0] == from_ms(TRUE_MS)
    for cut_at in range(len(whole.commits)):
        root = tmp_path / f"cut-{cut_at}"
        with pytest.raises(PowerCut):
            ingest(FailingLake(root, cut_at=cut_at, torn=True), log, settings=Settings(rows=4))
        ingest(Lake(root), log, settings=Settings(rows=5))
        assert _lake_rows(Lake(root)).equals(wanted)
    log.close()
