"""Vehicle positions of public transport, recorded and made up, over a real server."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

import pytest
from doubles.document_server import DocumentServer
from doubles.edge_doubles import TurnableClock
from google.protobuf.json_format import ParseDict
from google.transit.gtfs_realtime_pb2 import FeedMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.polled import gtfs_realtime
from clearway_edge.sources.polled.gtfs_realtime import FLAG_FEED_TIME, FeedDecoder, GtfsSettings
from clearway_edge.sources.polled.gtfs_routes import class_of_type, read_routes
from clearway_edge.sources.polled.http_poll import PollSettings

NOW_S = 1_770_000_000


def about(url="http://x/y", **more):
    given_ = {"routes_file": None, "vehicle_class": "bus", "trip_ends": None, **more}
    return GtfsSettings(poll=PollSettings(url=url, every_s=15), provider="transit", **given_)


def feed(*entities, timestamp=NOW_S):
    message = FeedMessage()
    header = {"gtfs_realtime_version": "2.0", "timestamp": timestamp}
    ParseDict({"header": header, "entity": list(entities)}, message, ignore_unknown_fields=True)
    return message.SerializePartialToString()


def entity(name="bus-1", *, timestamp=NOW_S - 5, route=None, **position):
    place = {"latitude": 42.36, "longitude": -71.06, "bearing": 283, **position}
    vehicle = {"position": place, "vehicle": {"id": name}}
    if timestamp is not None:
        vehicle["timestamp"] = timestamp
    if route is not None:
        vehicle["trip"] = {"route_id": route}
    return {"id": f"e-{name}", "vehicle": vehicle}


def decoded(decoder, *entities, **more):
    intake = decoder.decode(feed(*entities, **more))
    return intake.readings, {reason: n for (_, reason), n in intake.dropped.items()}


def test_missing_speed_stays_null_and_speed_becomes_kmh():
    [first, second], dropped = decoded(FeedDecoder(about()), entity(), entity("bus-2", speed=8.54))
    assert dropped == {}
    assert first.values["speed_kmh"] is None
    assert second.values["speed_kmh"] == 30.744
    assert first.values | {
        "provider": "transit", "vehicle": "bus-1", "vehicle_class": "bus",
        "observed_at": (NOW_S - 5) * 1000, "lon_deg": -71.06, "lat_deg": 42.36,
        "heading_deg": 283.0, "occupied": None, "flags": None,
    } == first.values  # fmt: skip


def test_same_vehicle_and_time_is_counted_and_not_sent_again():
    decoder = FeedDecoder(about())
    assert len(decoded(decoder, entity(), entity("bus-2"))[0]) == 2
    readings, dropped = decoded(
        decoder, entity(), entity("bus-2", timestamp=NOW_S), entity("bus-2", timestamp=NOW_S)
    )
    assert [r.values["vehicle"] for r in readings] == ["bus-2"]
    assert dropped == {"repeated_position": 2}


def test_vehicle_without_a_time_takes_the_feeds_and_says_so_once_it_has_moved():
    decoder = FeedDecoder(about())
    [reading], _ = decoded(decoder, entity(timestamp=None))
    assert reading.values["observed_at"] == NOW_S * 1000
    assert reading.values["flags"] == FLAG_FEED_TIME
    assert decoded(decoder, entity(timestamp=None), timestamp=NOW_S + 15) == (
        [], {"repeated_position": 1}
    )  # fmt: skip
    moved, _ = decoded(decoder, entity(timestamp=None, latitude=42.37), timestamp=NOW_S + 30)
    assert moved[0].values["observed_at"] == (NOW_S + 30) * 1000
    assert decoded(decoder, entity("b", timestamp=None), timestamp=0)[1] == {
        "missing_observed_at": 1
    }


def test_route_types_tell_buses_from_trains(tmp_path):
    routes = tmp_path / "routes.txt"
    routes.write_text("route_id,route_type\n47,3\nRed,1\nSL,11\ntaxi,1500\n")
    decoder = FeedDecoder(about(routes_file=routes, vehicle_class="unknown"))
    readings, dropped = decoded(
        decoder, entity("a", route="47"), entity("b", route="Red"), entity("c", route="SL"),
        entity("d", route="taxi"), entity("e", route="new"), entity("f"),
    )  # fmt: skip
    assert [(r.values["vehicle_class"], r.cut_trip_ends) for r in readings] == [
        ("bus", False), ("bus", False), ("taxi", False), ("unknown", True), ("unknown", True)
    ]  # fmt: skip
    assert dropped == {"not_on_road": 1}
    [kept], _ = decoded(FeedDecoder(about(vehicle_class="van", trip_ends="keep")), entity())
    assert not kept.cut_trip_ends
    assert {class_of_type(kind) for kind in (0, 1, 2, 4, 109, 900, 1000)} == {""}
    assert {class_of_type(kind) for kind in (3, 11, 200, 704, 800)} == {"bus"}


def test_routes_that_cannot_be_read_are_one_clear_line(tmp_path):
    for text in (None, "route,type\n1,3\n", "route_id,route_type\n1,bus\n"):
        file = tmp_path / "routes.txt"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        with pytest.raises(SourceUnavailable, match=r"routes\.txt of a GTFS timetable"):
            read_routes(file)


@pytest.mark.parametrize(
    ("status", "occupied"),
    [("EMPTY", False), ("MANY_SEATS_AVAILABLE", True), ("FULL", True), ("NO_DATA_AVAILABLE", None)],
)
def test_occupancy_tells_whether_somebody_is_aboard(status, occupied):
    one = entity()
    one["vehicle"]["occupancy_status"] = status
    [reading], _ = decoded(FeedDecoder(about()), one)
    assert reading.values["occupied"] is occupied


def test_entities_that_are_no_fix_are_counted_by_reason():
    nowhere = entity("n")
    del nowhere["vehicle"]["position"]
    nameless = entity("")
    nameless["id"] = " "
    gone = {**entity("g"), "is_deleted": True}
    readings, dropped = decoded(
        FeedDecoder(about()), {"id": "x"}, nowhere, nameless, gone,
        entity("z", latitude=0.0, longitude=0.001), entity("w", latitude="NaN"),
        entity("ms", timestamp=NOW_S * 1000), entity("inf", speed="Infinity"),
    )  # fmt: skip
    assert dropped == {
        "no_vehicle_position": 2, "missing_position": 2, "missing_vehicle": 1, "null_island": 1,
        "missing_observed_at": 1,
    }  # fmt: skip
    assert [r.values["speed_kmh"] for r in readings] == [None]


@pytest.mark.real_data
def test_recorded_feeds_of_boston(real_data):
    folder = real_data / "gps/mbta_gtfsrt_json"
    found = {}
    for file in sorted(folder.glob("*.json.gz")):
        document = json.loads(gzip.decompress(file.read_bytes()))
        message = FeedMessage()
        document["header"].setdefault("gtfs_realtime_version", "2.0")
        ParseDict(document, message, ignore_unknown_fields=True)
        decoder = FeedDecoder(about())
        intake = decoder.decode(message.SerializePartialToString())
        again = decoder.decode(message.SerializePartialToString())
        assert len(intake.readings) + intake.dropped.total() == len(document["entity"])
        assert not again.readings
        assert again.dropped.total() == len(document["entity"])
        for reading in intake.readings:
            masked = {**reading.values, "vehicle": "0" * 32}
            assert broken_rules(GPS_PING, masked) == []
        places = [one["vehicle"]["position"] for one in document["entity"] if one]
        # Single precision has about 1 m here.
        for place, reading in zip(places, intake.readings, strict=True):
            assert reading.values["lon_deg"] == pytest.approx(place["longitude"], abs=1e-5)
            assert reading.values["lat_deg"] == pytest.approx(place["latitude"], abs=1e-5)
        speeds = sum(r.values["speed_kmh"] is not None for r in intake.readings)
        assert speeds == sum(place.get("speed") is not None for place in places)
        found[file.name[:10]] = (len(intake.readings), speeds, intake.dropped.total())
    assert found == RECORDED


RECORDED = {
    "2019-12-12": (735, 60, 0),
    "2022-01-01": (426, 34, 0),
    "2022-07-05": (683, 57, 0),
    "empty.json": (0, 0, 0),
    "one_blank_": (0, 0, 1),
}
"""Positions, those with a speed, and entities that are none, of each recorded feed."""


def test_feed_over_http_with_etag_is_read_once():
    server = DocumentServer()
    try:
        clock = TurnableClock()
        tools = Tools(clock=clock)
        source = gtfs_realtime.open_source(about(server.url), tools)
        server.body, server.headers = feed(entity(), entity("bus-2")), {"ETag": "1"}
        assert len(source.read(0).readings) == 2
        clock.forward(15)
        assert source.read(0).dropped == {}  # 304: nothing was even sent
        server.body, server.headers = feed(entity(), entity("bus-2", timestamp=NOW_S)), {}
        clock.forward(15)
        intake = source.read(0)
        assert (len(intake.readings), intake.dropped.total()) == (1, 1)
        server.body = b"<html>maintenance</html>"
        clock.forward(15)
        assert source.read(0).dropped == {("gps_ping/1", "unparsable_document"): 1}
        with pytest.raises(SourceUnavailable, match="no GTFS-Realtime feed"):
            source.read(0)
    finally:
        server.close()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_feed_or_refused(data):
    decoder = FeedDecoder(about())
    for body in (data, feed() + data):
        with suppress(ValueError):  # no feed
            intake = decoder.decode(body)
            assert all(type(r.values["observed_at"]) is int for r in intake.readings)


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "latitude": st.floats(width=32), "longitude": st.floats(width=32),
        "speed": st.floats(width=32), "bearing": st.floats(width=32),
    },
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=4), VALUES, st.integers(0, 2**64 - 1)), max_size=5))
def test_every_entity_is_read_or_counted(found):
    message = FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    for name, values, timestamp in found:
        one = message.entity.add()
        one.id = name
        one.vehicle.timestamp = timestamp
        for key, value in values.items():
            setattr(one.vehicle.position, key, value)
    intake = FeedDecoder(about()).decode(message.SerializePartialToString())
    assert len(intake.readings) + intake.dropped.total() == len(found)
