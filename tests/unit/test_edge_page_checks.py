"""GO or NO-GO: what stands in the way, and what the technician is told to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from doubles.edge_snapshot import CONFIRMED, GOOD, NOW, WORKS
from hypothesis import given
from hypothesis import strategies as st

from clearway_core.clock import to_ms
from clearway_edge.certificate import Validity
from clearway_edge.condition.device import Disk
from clearway_edge.page.go_no_go import Verdict, checks_of, duration, headline, is_go
from clearway_edge.page.page import page_values


def verdict(seen, name):
    [check] = [check for check in checks_of(seen) if check.name.startswith(name)]
    return check


def test_a_confirmed_reading_and_good_checks_are_go():
    checks = checks_of(GOOD)
    assert is_go(checks)
    assert headline(checks) == "reading 1042 confirmed after 14 s"


def source(**changes):
    return {"sources": {"air": replace(WORKS, **changes)}}


BAD = {
    "nothing confirmed": ({"confirmed": {}}, "Lake", Verdict.WAIT),
    "only the gateway's own words confirmed": (
        {"confirmed": {"gateway_health/1": replace(CONFIRMED, contract="gateway_health/1")}},
        "Lake", Verdict.WAIT,
    ),
    "all in quarantine": (
        {"confirmed": {"air_reading/1": replace(CONFIRMED, n_stored=0)}}, "Lake", Verdict.FIX,
    ),
    "confirmed yesterday": (
        {"confirmed": {"a": replace(CONFIRMED, committed_at_ms=to_ms(NOW) - 86_400_000)}},
        "Lake", Verdict.WAIT,
    ),
    "unplugged": (source(error="port gone. Check the cable."), "air", Verdict.FIX),
    "just plugged in": (
        {**source(last_reading_age_s=None), "uptime_s": 20.0}, "air", Verdict.WAIT,
    ),
    "silent": (source(last_reading_age_s=None), "air", Verdict.FIX),
    "clock": ({"clock_synchronised": False}, "Clock", Verdict.WAIT),
    "refused": (
        {"forwarder_state": "refused: no such host. Check it."},
        "Broker", Verdict.FIX,
    ),
    "not reached": (
        {"forwarder_state": "connecting: no answer from b:9. Wait."},
        "Broker", Verdict.FIX,
    ),
    "connecting": ({"forwarder_state": "connecting"}, "Broker", Verdict.WAIT),
    "expired": (
        {"certificate": Validity(starts_at=NOW - timedelta(days=9), expires_at=NOW)},
        "Certificate", Verdict.FIX,
    ),
    "not valid yet": (
        {"certificate": Validity(starts_at=NOW + timedelta(days=1), expires_at=NOW)},
        "Certificate", Verdict.FIX,
    ),
    "no certificate": (
        {"certificate": None, "certificate_fault": "tls/gateway.crt is not there"},
        "Certificate", Verdict.FIX,
    ),
    "disk full": (
        {"disk": Disk(free_bytes=1000, kind="ext4")}, "Disk", Verdict.FIX,
    ),
    "another pole": ({"receiver_distance_m": 3200.0}, "Place", Verdict.FIX),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_stands_in_the_way_is_no_go_and_named(what):
    changes, name, expected = BAD[what]
    seen = replace(GOOD, **changes)
    checks = checks_of(seen)
    check = verdict(seen, name)
    assert not is_go(checks)
    assert check.verdict == expected
    assert [each.name for each in checks if each.verdict not in {"ok", "look"}] == [check.name]
    if expected == Verdict.FIX:
        assert check.remedy
        assert headline(checks) == "1 thing to fix"
    else:
        assert headline(checks).startswith("Wait: ")


def test_what_only_pushes_now_and_then_is_waited_for_longer_than_a_sensor_on_a_wire():
    for kind, after_s in (("pmsx003", 60), ("sensor_community", 300), ("gtfs_realtime", 300)):
        told = source(kind=kind, last_reading_age_s=None)
        before = replace(GOOD, **told, uptime_s=after_s - 1)
        after = replace(GOOD, **told, uptime_s=after_s + 1)
        assert verdict(before, "air").verdict == Verdict.WAIT
        assert verdict(after, "air").verdict == Verdict.FIX
        assert ("plug" in verdict(after, "air").remedy) == (kind == "pmsx003")


LOOKS = {
    "quiet for long": (source(last_reading_age_s=3600.0), "air"),
    "expires soon": (
        {"certificate": Validity(starts_at=NOW, expires_at=NOW + timedelta(days=29))},
        "Certificate",
    ),
    "half full": ({"spooled_bytes": 1 << 29}, "Outbox"),
    "damaged": ({"set_aside": 2}, "Outbox"),
    "hot": ({"cpu_temperature_c": 84.0}, "Temperature"),
}


@pytest.mark.parametrize("what", LOOKS)
def test_what_is_worth_a_look_does_not_stand_in_the_way(what):
    changes, name = LOOKS[what]
    seen = replace(GOOD, **changes)
    assert verdict(seen, name).verdict == Verdict.LOOK
    assert verdict(seen, name).remedy
    assert is_go(checks_of(seen))


def test_an_error_of_three_parts_is_told_as_what_happened_and_what_to_do():
    seen = replace(GOOD, **source(error="the port /dev/x is not there. Plug the device in."))
    check = verdict(seen, "air")
    assert check.words == "lost: the port /dev/x is not there"
    assert check.remedy == "Plug the device in."


@given(
    confirmed=st.booleans(),
    stored=st.integers(0, 3),
    own=st.booleans(),
    error=st.sampled_from(["", "gone"]),
    age_s=st.none() | st.floats(0, 1e7),
    synchronised=st.booleans(),
    state=st.sampled_from(
        ["connecting", "draining", "draining: 4 MB left", "up to date", "refused: no"]
    ),
    distance_m=st.none() | st.floats(0, 2e7),
    free_bytes=st.integers(0, 10**12),
)
def test_go_is_never_said_without_a_reading_in_the_lake(  # noqa: PLR0917
    confirmed, stored, own, error, age_s, synchronised, state, distance_m, free_bytes
):
    contract = "gateway_books/1" if own else "gps_ping/1"
    one = replace(CONFIRMED, contract=contract, n_stored=stored)
    seen = replace(
        GOOD,
        **source(error=error, last_reading_age_s=age_s),
        confirmed={contract: one} if confirmed else {},
        clock_synchronised=synchronised,
        forwarder_state=state,
        receiver_distance_m=distance_m,
        disk=Disk(free_bytes=free_bytes, kind="ext4"),
    )
    values = page_values(seen)
    if values["go"]:
        assert confirmed
        assert stored > 0
        assert not own
        assert not error
        assert synchronised
        assert state in {"draining", "draining: 4 MB left", "up to date"}
        assert str(values["headline"]).startswith("reading 1042 confirmed")
    else:
        assert str(values["headline"]).startswith(("Wait: ", "1 thing", *"23456789"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e5, "2 d")],
)
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words
