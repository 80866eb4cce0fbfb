"""What devices, feeds, brokers and fleets send to a gateway, up to the parcel that is spooled."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from doubles.edge_doubles import Bytes, TurnableClock
from doubles.edge_frames import pms, sds, sps
from fuzz.scratch import written
from google.transit.gtfs_realtime_pb2 import FeedMessage

from clearway_core.contracts.wire import TOPICS
from clearway_core.stream.batch import CONTENT_TYPE
from clearway_core.stream.log import CONTENT_TYPE_HEADER, CONTRACT_HEADER, StoredMessage
from clearway_edge.batching import Batcher, Gathered
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.settings.settings import GatewaySettings, read_settings
from clearway_edge.sources.devices.air_sensor import AirSensor, Asking, Decoder, SensorKind
from clearway_edge.sources.devices.gpsd import GpsdSource
from clearway_edge.sources.devices.nmea import NmeaSource, checksum
from clearway_edge.sources.devices.pmsx003 import PmsDecoder
from clearway_edge.sources.devices.sds011 import SdsDecoder
from clearway_edge.sources.devices.sps30 import SpsDecoder
from clearway_edge.sources.kinds import Tools, kind
from clearway_edge.sources.mapping import RowMapping
from clearway_edge.sources.place import PlaceSettings
from clearway_edge.sources.polled import airgradient
from clearway_edge.sources.polled.gtfs_realtime import FeedDecoder
from clearway_edge.sources.polled.http_poll import PolledSource
from clearway_edge.sources.polled.purpleair import PurpleAirDecoder
from clearway_edge.sources.pushed.http_push import HttpPushSource
from clearway_edge.sources.pushed.push_desk import FleetDesk, Job, Sender
from clearway_edge.sources.pushed.push_memory import RequestMemory
from clearway_edge.sources.pushed.push_server import PushServer
from clearway_edge.sources.pushed.sensor_community import SensorCommunitySource
from clearway_edge.sources.source import Intake, Source
from clearway_edge.sources.subscribed.mqtt import MqttSource
from clearway_edge.sources.subscribed.mqtt_session import Delivery
from clearway_edge.sources.tokens import read_token
from clearway_ingest.decode import Records, decode

TOKENS = {name: f"{name}-token-0123456789" for name in ("mds", "rows", "lines")}

_SETTINGS = """
[gateway]
name = "gw"
time_zone = "Asia/Bangkok"
[[source]]
kind = "mqtt"
broker = "127.0.0.1:1883"
profile = "mqtt_fixes"
topic = "fleet/{provider}/{vehicle}"
[[source]]
kind = "gtfs_realtime"
url = "http://127.0.0.1/feed"
provider = "transit"
[[source]]
kind = "gpsd"
provider = "city"
vehicle = "van-7"
[[source]]
kind = "sensor_community"
username = "sensors"
password_file = "tokens/mds"
[[source.device]]
id = "esp8266-1"
sensor = "s1"
lon_deg = 100.5
lat_deg = 13.7
[[source]]
kind = "http_push"
max_body_kib = 8
[[source.sender]]
provider = "mds"
token_file = "tokens/mds"
[[source.sender]]
provider = "rows"
token_file = "tokens/rows"
profile = "fleet_csv"
[[source.sender]]
provider = "lines"
token_file = "tokens/lines"
profile = "fleet_json"
"""

PLACE = PlaceSettings(sensor="s1", position_deg=(100.5, 13.7))
CLOCK = TurnableClock()


@cache
def _settings() -> GatewaySettings:
    for name, token in TOKENS.items():
        written(f"tokens/{name}", token.encode())
    return read_settings(written("gateway.toml", _SETTINGS.encode()))


def _about(name: str) -> object:
    return next(source.about for source in _settings().sources if source.kind == name)


def _tools() -> Tools:
    return Tools(clock=CLOCK)


def spool(intake: Intake) -> bool:
    """Take an intake the whole way to ingest, where every reading must arrive as a record.

    Return whether there were readings.
    """
    gathered = Gathered()
    gathered.add(intake)
    # A folder that cannot be: keys stay in memory.
    keys = KeyRing(Path("/dev/null/keys"), CLOCK)
    batcher = Batcher(
        "gw",
        1,
        pseudonyms=Pseudonymiser(keys, _settings().time_zone),
        clock=CLOCK,
        clock_state=ClockState(CLOCK),
    )
    parcels = batcher.parcels(gathered)
    assert sum(parcel.n_records for parcel in parcels) == len(intake.readings)
    assert sum(sum(parcel.dropped.values()) for parcel in parcels) == intake.dropped.total()
    for parcel in parcels:
        if parcel.payload:
            records = decode(_message(parcel.stream.contract, parcel.payload))
            assert isinstance(records, Records), records
            assert len(records) == parcel.n_records
    return bool(intake.readings)


def _message(contract: str, payload: bytes) -> StoredMessage:
    return StoredMessage(
        topic=TOPICS[contract],
        partition=0,
        offset=0,
        key=b"gw",
        value=payload,
        headers={CONTENT_TYPE_HEADER: CONTENT_TYPE, CONTRACT_HEADER: contract},
        appended_at=CLOCK.now(),
    )


# --- devices: lines of GPS receivers, frames of air sensors


def devices(data: bytes) -> bool:
    """Feed a device's bytes in pieces; the first byte says which device, the second the piece."""
    number, piece, *_ = (*data[:2], 0, 0)
    frames, opened = _DEVICES[number % len(_DEVICES)]
    line = Bytes(frames(data[2:]), 1 + piece)
    source = opened(line)
    intake = Intake()
    while not line.is_over:
        _read(source, intake)
    _read(source, intake)  # what waits for a pause of the line
    return spool(intake)


def _read(source: Source, intake: Intake) -> None:
    found = source.read(0)
    intake.readings += found.readings
    intake.dropped.update(found.dropped)


def _air(decoder: Callable[[], Decoder], asking: Asking | None = None) -> Callable[[Bytes], Source]:
    about = SensorKind(model="pms5003", warm_up_s=0.0, asking=asking)
    return lambda line: AirSensor(line, decoder(), kind=about, place=PLACE, clock=CLOCK)


def _as_it_is(data: bytes) -> bytes:
    return data


def _sentences(data: bytes) -> bytes:
    """Behind a checksum that nobody guesses."""
    return b"\r\n".join(b"$%s*%02X" % (body, checksum(body)) for body in data.split(b"\n"))


def _pms_frames(data: bytes) -> bytes:
    words = struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])
    cuts = [(at, n) for n in (9, 11, 13, 17) for at in range(0, len(words), n)]
    return b"".join(pms(words[at : at + n]) for at, n in cuts)


def _sps_frame(data: bytes) -> bytes:
    return sps(data[:255], state=len(data) % 256)


_DEVICES: tuple[tuple[Callable[[bytes], bytes], Callable[[Bytes], Source]], ...] = (
    (_as_it_is, lambda line: NmeaSource(line, _about("gpsd").vehicle)),
    (_sentences, lambda line: NmeaSource(line, _about("gpsd").vehicle)),
    (
        _as_it_is,
        lambda line: GpsdSource(line, _about("gpsd").vehicle, device=None, clock=CLOCK),
    ),
    (_as_it_is, _air(lambda: PmsDecoder("pms5003st"))),
    (_as_it_is, _air(SdsDecoder)),
    (_as_it_is, _air(SpsDecoder, Asking(b"ask", 1.0))),
    (_pms_frames, _air(lambda: PmsDecoder("pms5003t"))),
    (_sps_frame, _air(SpsDecoder)),
)

_RMC = b"GPRMC,120000.50,A,1345.1234,N,10030.5678,E,12.3,45.6,150126,,,A"
_TPV = {
    "class": "TPV", "device": "/dev/ttyACM0", "mode": 3, "time": "2026-01-15T12:00:00.000Z",
    "lat": 13.75, "lon": 100.5, "speed": 4.1, "track": 45.6, "eph": 3.5, "status": 1,
}  # fmt: skip


def device_seeds() -> Iterator[bytes]:
    """Yield good bytes of each device."""
    sentences = [
        _RMC,
        b"GPGGA,120000.50,1345.1234,N,10030.5678,E,1,08,7.9,10.0,M,-30.0,M,,",
        b"GPGST,120000.50,1.0,2.0,1.5,45.0,1.2,1.3,2.0",
        b"GPVTG,45.6,T,,M,12.3,N,22.8,K,A",
        _RMC.replace(b"120000.50", b"120001"),
    ]
    with_sums = b"\r\n".join(b"$%s*%02X" % (body, checksum(body)) for body in sentences) + b"\r\n"
    yield b"\0\x40" + with_sums
    yield b"\1\x40" + b"\n".join(sentences) + b"\n"
    reports = [{"class": "VERSION"}, _TPV, {**_TPV, "mode": 1}, {"class": "ERROR", "message": "x"}]
    yield b"\2\x40" + b"\n".join(json.dumps(each).encode() for each in reports) + b"\n"
    yield b"\3\x07" + pms([5, 6, 7] * 5 + [250, 500]) + pms(range(13))
    yield b"\4\x07" + sds(123, 456) + sds(9999, 1) + sds(1, 1, command=0xC5)
    yield b"\5\x07" + sps(struct.pack(">10f", *range(10))) + sps(b"", state=0x43)
    yield b"\6\0" + bytes(range(100))
    yield b"\7\0" + struct.pack(">10f", *range(10))


# --- feeds that are asked


class _Document:
    """A poll that has one document."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def fetch(self, timeout_s: float) -> bytes:
        return self._body

    def unusable(self, problem: str) -> None:
        """The document is no such one: the source counts it."""


def feeds(data: bytes) -> bool:
    """Read a document of a feed; the first byte says which."""
    decoders = (
        FeedDecoder(_about("gtfs_realtime")).decode,
        PurpleAirDecoder(PLACE, CLOCK).decode,
        lambda body: airgradient.decode(body, place=PLACE, clock=CLOCK),
    )
    decode_body = decoders[(data[:1] or b"\0")[0] % len(decoders)]
    source = PolledSource(_Document(data[1:]), decode_body, contract="air_reading/1")
    return spool(source.read(0))


def feed_seeds() -> Iterator[bytes]:
    """Yield a good document of each feed."""
    feed = FeedMessage()
    feed.header.gtfs_realtime_version = "2.0"
    feed.header.timestamp = 1_768_478_400
    for number in range(3):
        entity = feed.entity.add()
        entity.id = f"e{number}"
        entity.vehicle.vehicle.id = f"bus-{number}"
        entity.vehicle.trip.route_id = "r1"
        entity.vehicle.position.latitude = 13.75
        entity.vehicle.position.longitude = 100.5
        entity.vehicle.position.speed = 8.5
        entity.vehicle.occupancy_status = number
        entity.vehicle.timestamp = number
    yield b"\0" + feed.SerializeToString()
    purple = {
        "DateTime": "2026/01/15T12:00:00z", "pm2_5_cf_1": 12.5, "pm2_5_cf_1_b": 13,
        "pm10_0_atm": "20.1", "p_0_3_um": 1000.5, "current_temp_f": 80, "current_humidity": 55,
    }  # fmt: skip
    yield b"\1" + json.dumps(purple).encode()
    gradient = {
        "model": "I-9PSL", "pm02Standard": 12, "atmp": 30.1, "rhum": 60,
        "channels": {"1": {"pm02": 11, "pm003Count": 900}, "2": {"pm02": 13}},
    }  # fmt: skip
    yield b"\2" + json.dumps(gradient).encode()


# --- a broker


@cache
def _subscription() -> MqttSource:
    source = kind("mqtt").open_source(_about("mqtt"), _tools())
    assert isinstance(source, MqttSource)
    return source


def mqtt(data: bytes) -> bool:
    """Read messages; topic and payload of each stand between zero bytes."""
    parts = data.split(b"\0")
    deliveries = [
        Delivery(
            topic=topic.decode("utf-8", "replace"),
            payload=payload,
            retained=False,
            number=0,
            session=0,
        )
        for topic, payload in zip(parts[::2], parts[1::2], strict=False)
    ]
    return spool(_subscription()._intake(deliveries))


_FIX = {
    "vehicle": "car-1", "observed_at": "2026-01-15T12:00:00Z", "lon_deg": 100.5, "lat_deg": 13.75,
    "speed_kmh": 30.5, "heading_deg": 90, "accuracy_m": 4.0, "occupied": True,
}  # fmt: skip


def mqtt_seeds() -> Iterator[bytes]:
    """Yield good messages."""
    one = json.dumps(_FIX).encode()
    yield b"fleet/cabs/c1\0" + one + b"\0fleet/cabs/c2\0" + one
    yield b"fleet/cabs/c1\0[" + one + b"," + one + b"]"


# --- fleets and sensors that push


class _AtOnce:
    """A queue whose jobs are read and stored before the sender waits for them."""

    def __init__(self, take: Callable[[object], None]) -> None:
        self.put_nowait = take


def _take_job(job: Job) -> None:
    HttpPushSource._convert(job)
    spool(Intake(readings=job.mapped.readings, dropped=job.mapped.dropped))
    job.accepted = len(job.mapped.readings)
    job.settle(stored=True)


def _take_push(push) -> None:
    spool(push.intake)
    push.settle(stored=True)


@cache
def _fleet() -> PushServer:
    about = _about("http_push")
    senders = [
        Sender(
            provider=sender.provider,
            token=read_token(sender.token_file),
            path=sender.path,
            mapping=RowMapping(sender.profile),
        )
        for sender in about.senders
    ]
    desk = FleetDesk(senders, RequestMemory(None, requests=50, clock=CLOCK))
    desk.jobs = _AtOnce(_take_job)
    return PushServer(replace(about.listen, port=0), desk)


@cache
def _sensors() -> PushServer:
    about = _about("sensor_community")
    desk = SensorCommunitySource(about, CLOCK)
    desk._password = read_token(about.password_file)
    desk._pushes = _AtOnce(_take_push)
    return PushServer(replace(about.listen, port=0), desk)


_TYPES = {"mds": "application/json", "rows": "text/csv", "lines": "application/jsonl"}


def http(data: bytes) -> bool:
    """Talk to a server: the whole request in the data, or its body only behind a good head."""
    number, data = (data[:1] or b"\0")[0] % 5, data[1:]
    server = _sensors() if number in {1, 4} else _fleet()
    if number == 2:
        name = tuple(TOKENS)[(data[:1] or b"\0")[0] % len(TOKENS)]
        data = _request(name, data[1:])
    elif number == 3:
        data = _request("mds", gzip.compress(data))
    elif number == 4:
        data = _request("sensors", data)
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)  # noqa: FBT003
        with suppress(BlockingIOError):
            ours.send(data)
        ours.shutdown(socket.SHUT_WR)
        assert server._slots.acquire(blocking=False)
        server._talk(theirs, None)
        answer = b""
        with suppress(BlockingIOError):
            answer = ours.recv(65_536)
    # Who speaks HTTP 0.9 gets no status line.
    assert re.match(rb'$|\{"error"|HTTP/1\.1 ([1-4]\d\d|50[135]) ', answer), answer
    return answer.startswith(b"HTTP/1.1 200")


def _request(name: str, body: bytes) -> bytes:
    if name == "sensors":
        pair = b64encode(b"sensors:" + TOKENS["mds"].encode()).decode()
        head = f"POST /data.php HTTP/1.1\r\nX-Sensor: esp8266-1\r\nAuthorization: Basic {pair}\r\n"
        head += "Content-Type: application/json\r\n"
    else:
        path = "/telemetry" if name == "mds" else "/readings"
        head = f"POST {path} HTTP/1.1\r\nAuthorization: Bearer {TOKENS[name]}\r\n"
        head += f"Content-Type: {_TYPES[name]}\r\n"
    return head.encode() + f"Host: gw\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def http_seeds() -> Iterator[bytes]:
    """Yield good requests and bodies."""
    point = {
        "device_id": "d1", "timestamp": 1_768_478_400_000,
        "location": {"lat": 13.75, "lng": 100.5, "speed": 8.5, "heading": 90},
    }  # fmt: skip
    mds = json.dumps({"telemetry": [point, {**point, "timestamp": "x"}]}).encode()
    rows = f"{','.join(_FIX)}\n{','.join(map(str, _FIX.values()))}\n".encode()
    lines = json.dumps(_FIX).encode() + b"\n" + json.dumps(_FIX).encode()
    values = [
        {"value_type": "SDS_P1", "value": "20.5"},
        {"value_type": "BME280_pressure", "value": "1e5"},
    ]
    sensor = json.dumps({"esp8266id": "1", "sensordatavalues": values}).encode()
    bodies = {"mds": mds, "rows": rows, "lines": lines}
    for number, (name, body) in enumerate(bodies.items()):
        yield b"\0" + _request(name, body)
        yield bytes((2, number)) + body
    yield b"\1" + _request("sensors", sensor)
    yield b"\4" + sensor
