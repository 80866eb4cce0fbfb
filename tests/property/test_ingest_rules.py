"""The rules on whole columns give every record the verdict that the rules on one record give."""

from __future__ import annotations

import pytest
from doubles.ingest_messages import pseudonym
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import DataType, broken_rules
from clearway_core.contracts.wire import AIR_READING, GATEWAY_HEALTH, GPS_PING
from clearway_ingest.rules import judge

CONTRACTS = {c.name: c for c in (GPS_PING, AIR_READING, GATEWAY_HEALTH)}

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.text(alphabet="0123456789abcdef-", max_size=34),
    st.lists(st.none(), max_size=1),
    st.dictionaries(st.text(max_size=1), st.none(), max_size=1),
    st.sampled_from(
        [
            "2026-01-15",
            "2026-02-30",
            "0000-01-01",
            "9999-12-31",
            "2026-1-1",
            "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0661\u0665",
            "2026-01-15\n",
            pseudonym("a"),
            pseudonym("a") + "\n",
            pseudonym("a").upper(),
            "cabs",
            "cabs\x00",
            "Cabs",
            -0.0,
            2**63,
            2**63 - 1,
            -(2**63),
            -(2**63) - 1,
            float("inf"),
            float("nan"),
        ]
    ),
)


def _near(bound):
    return st.sampled_from([bound, bound - 1, bound + 1, bound + 1e-9, float(bound), int(bound)])


def _values(field):
    options = [STRANGE]
    if field.minimum is not None:
        options.append(_near(field.minimum))
    if field.maximum is not None:
        options.append(_near(field.maximum))
    if field.allowed:
        options.append(st.sampled_from(field.allowed))
    if field.dtype in {DataType.STRING, DataType.DATE} and field.pattern is not None:
        options.append(st.from_regex(field.pattern, fullmatch=True))
    return st.one_of(options)


def _records(contract):
    return st.lists(
        st.fixed_dictionaries({}, optional={f.name: _values(f) for f in contract.fields}),
        max_size=6,
    )


@pytest.mark.parametrize("name", CONTRACTS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_columns_and_records_break_the_same_rules(name, data):
    contract = CONTRACTS[name]
    records = data.draw(_records(contract))
    columns = {
        field.name: [record.get(field.name) for record in records] for field in contract.fields
    }
    judged = judge(contract, columns)
    assert all(len(series) == len(records) for series in judged.columns.values())
    found = [[rule for rule, mask in judged.broken if mask[row]] for row in range(len(records))]
    assert found == [broken_rules(contract, record) for record in records]


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_values_that_break_no_rule_arrive_unchanged(data):
    records = data.draw(_records(GPS_PING))
    columns = {f.name: [r.get(f.name) for r in records] for f in GPS_PING.fields}
    judged = judge(GPS_PING, columns)
    for row, record in enumerate(records):
        if broken_rules(GPS_PING, record):
            continue
        for field in GPS_PING.fields:
            assert judged.columns[field.name][row] == record.get(field.name)
