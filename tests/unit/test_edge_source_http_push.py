"""The endpoint that fleets push to: real sockets, the real agent, the real outbox."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from doubles.edge_agents import live_agent
from doubles.edge_certificates import self_signed
from doubles.edge_doubles import TurnableClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearway_core.clock import SystemClock
from clearway_core.errors import SettingsError, SourceUnavailable
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Bounds, WhenFull
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.pushed import push_desk, push_server
from clearway_edge.sources.pushed.http_push import HttpPushSource
from clearway_edge.sources.pushed.push_memory import LONGEST_S, Known, RequestMemory, digest_of

CABS = "cabs-token-0123456789abcdef"
VANS = "vans-token-0123456789abcdef"
NOW_MS = 1_770_000_000_000


def endpoint_settings(folder: Path, *, more: str = "", vans: str = 'profile = "fleet_csv"'):
    (folder / "cabs").write_text(CABS + "\n")
    (folder / "vans").write_text(VANS + "\n")
    file = folder / "gateway.toml"
    file.write_text(
        '[gateway]\nname = "centre"\ntime_zone = "Asia/Bangkok"\n'
        f'[[source]]\nkind = "http_push"\nport = 0\n{more}\n'
        '[[source.sender]]\nprovider = "cabs"\ntoken_file = "cabs"\nvehicle_class = "taxi"\n'
        '[[source.sender]]\nprovider = "vans"\ntoken_file = "vans"\nvehicle_class = "van"\n'
        f"{vans}\n"
    )
    return read_settings(file)


class Endpoint:
    """A running endpoint and somebody who talks to it."""

    def __init__(self, agent, source, outbox):
        self.agent, self.source, self.outbox = agent, source, outbox
        deadline = time.monotonic() + 5
        while source.port is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def post(self, body, *, token=CABS, path="/telemetry", kind="application/json", method="POST"):
        connection = http.client.HTTPConnection("127.0.0.1", self.source.port, timeout=20)
        headers = {"Content-Type": kind}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        self.headers = response.headers
        return response.status, json.loads(answer) if answer else {}

    def csv(self, body, **more):
        return self.post(body, token=VANS, path="/readings", kind="text/csv", **more)

    def account(self):
        total = {"read": 0, "spooled": 0, "dropped": {}}
        for stream in self.outbox.streams():
            if stream.contract == "gps_ping/1":
                account = self.outbox.account(stream)
                assert account.missing == 0
                total["read"] += account.read
                total["spooled"] += account.spooled
                for reason, count in account.dropped.items():
                    total["dropped"][reason] = total["dropped"].get(reason, 0) + count
        return total


@pytest.fixture
def endpoint(tmp_path):
    started = []

    def start(*, outbox=None, **more):
        about = endpoint_settings(tmp_path, **more)
        source = HttpPushSource(about.sources[0].about, tmp_path / "state")
        box = outbox or SqliteOutbox(tmp_path / "outbox.sqlite", Bounds(), SystemClock())
        running = live_agent(about, box, {"http_push": source}, tmp_path / "keys")
        started.append((running, box))
        return Endpoint(running, source, box)

    yield start
    for running, box in started:
        running.stop()
        box.close()


def telemetry(n=1, first=0, **location):
    return [
        {
            "device_id": f"veh-{i:08d}", "provider_id": "p", "telemetry_id": f"t{i}",
            "timestamp": NOW_MS + i * 1000, "trip_ids": ["SECRET-TRIP"], "journey_id": "SECRET-J",
            "location": {"lat": 13.75, "lng": 100.5, "speed": 10.0, "heading": 90.0,
                         "horizontal_accuracy": 4.0, **location},
        }
        for i in range(first, first + n)
    ]  # fmt: skip


def rows(n=1, first=0):
    text = "\n".join(
        f"van-{i},2026-02-02T02:{i // 60 % 60:02d}:{i % 60:02d}Z,100.5,13.7,40,90,5,1"
        for i in range(first, first + n)
    )
    header = "vehicle,observed_at,lon_deg,lat_deg,speed_kmh,heading_deg,accuracy_m,occupied"
    return f"{header}\n{text}\n".encode()


@pytest.mark.parametrize("wrapped", ["list", "telemetry", "data", "data.telemetry"])
def test_mds_telemetry_is_stored_before_200_without_trips(endpoint, tmp_path, wrapped):
    centre = endpoint()
    points = telemetry(3)
    document = {
        "list": points, "telemetry": {"telemetry": points}, "data": {"data": points},
        "data.telemetry": {"version": "2.0.2", "data": {"telemetry": points}},
    }[wrapped]  # fmt: skip
    status, answer = centre.post(json.dumps(document))
    assert status == 200
    assert (answer["accepted"], answer["success"], answer["total"]) == (3, 3, 3)
    assert answer["failures"] == []
    assert centre.account() == {"read": 3, "spooled": 3, "dropped": {}}
    columns = centre.agent.sent()[0].columns
    assert columns["speed_kmh"] == [36.0] * 3
    assert columns["observed_at"] == [NOW_MS, NOW_MS + 1000, NOW_MS + 2000]
    assert set(columns["provider"]) == {"cabs"}
    assert set(columns["vehicle_class"]) == {"taxi"}
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("outbox.sqlite*"))
    assert b"SECRET" not in kept
    assert b"veh-0000" not in kept


def test_partial_acceptance_is_stated_exactly_and_nothing_is_repeated_back(endpoint):
    centre = endpoint()
    points = telemetry(4)
    points[1]["timestamp"] = "TAXI-4711"
    del points[2]["location"]["lat"]
    points[3]["location"]["speed"] = "fast-as-4711"
    status, answer = centre.post(json.dumps([*points, "not-an-object-4711"]))
    assert status == 200
    assert answer["accepted"] == 2
    assert answer["dropped"] == {
        "missing_lat_deg": 1, "unparsable_line": 1, "unparsable_observed_at": 1
    }  # fmt: skip
    assert answer["set_to_null"] == {"speed_kmh_unparsable": 1}
    assert "telemetry, line 2, column timestamp" in " ".join(answer["faults"])
    assert "4711" not in json.dumps(answer)
    assert (answer["success"], answer["total"], len(answer["failures"])) == (2, 5, 3)
    assert centre.account()["read"] == 5


@pytest.mark.parametrize(
    ("body", "says"),
    [(b"{", "JSON"), (b'{"x": 1}', "list"), (b"[1, 2]", "object"), (b"\xff\x00", "JSON")],
)
def test_request_without_one_good_record_is_400_and_counted(endpoint, body, says):
    centre = endpoint()
    status, answer = centre.post(body)
    assert status == 400
    assert answer["accepted"] == 0
    assert says in json.dumps(answer)
    account = centre.account()
    assert account["read"] == sum(account["dropped"].values()) == sum(answer["dropped"].values())


def test_empty_list_is_400(endpoint):
    assert endpoint().post("[]") == (400, {
        "error": "expected records", "accepted": 0, "dropped": {}, "set_to_null": {},
        "faults": [], "repeated": False, "total": 0, "success": 0, "failures": [],
    })  # fmt: skip


def test_csv_by_profile_names_line_and_column_of_what_is_wrong(endpoint):
    centre = endpoint()
    body = rows(3).replace(b"100.5,13.7", b"x,13.7", 1)
    status, answer = centre.csv(body)
    assert (status, answer["accepted"]) == (200, 2)
    assert answer["faults"] == [
        "request, line 2, column lon_deg: unparsable_lon_deg, found 'a'. Expected degrees."
    ]
    assert "success" not in answer


def test_csv_with_other_columns_is_400_and_says_which_are_wanted(endpoint):
    status, answer = endpoint().csv(b"taxi-7,more\n1,2\n")
    assert status == 400
    assert "observed_at" in answer["faults"][0]
    assert "taxi-7" not in json.dumps(answer)


def test_packed_body_is_refused_unopened(endpoint):
    status, answer = endpoint().csv(b"\x1f\x8b" + b"\0" * 100)
    assert (status, answer["dropped"]) == (400, {"unparsable_request": 1})


def test_json_lines_by_profile(endpoint):
    centre = endpoint(vans='profile = "fleet_json"')
    line = {"vehicle": "v", "observed_at": "2026-02-02T09:00:00+07:00", "lon_deg": 100.5,
            "lat_deg": 13.7, "speed_kmh": 0, "occupied": True}  # fmt: skip
    body = "\n".join([json.dumps(line), "junk", json.dumps({**line, "vehicle": None})])
    status, answer = centre.post(
        body, token=VANS, path="/readings", kind="application/x-ndjson; charset=utf-8"
    )
    assert (status, answer["accepted"]) == (200, 1)
    assert answer["dropped"] == {"unparsable_line": 1, "missing_vehicle": 1}


def test_private_vehicles_lose_trip_ends_unless_the_sender_may_keep_them(tmp_path):
    cabs, vans = endpoint_settings(tmp_path).sources[0].about.senders
    assert (cabs.profile.trip_ends, vans.profile.trip_ends) == ("keep", "cut")
    kept = endpoint_settings(tmp_path, vans='profile = "fleet_csv"\ntrip_ends = "keep"')
    assert kept.sources[0].about.senders[1].profile.trip_ends == "keep"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"token": None}, 401),
        ({"token": "x"}, 401),
        ({"token": CABS + "x"}, 401),
        ({"token": VANS}, 403),
        ({"path": "/other"}, 404),
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
        ({"method": "BREW"}, 501),
        ({"kind": "text/csv"}, 415),
        ({"kind": ""}, 415),
    ],
)
def test_wrong_requests_are_refused_unread(endpoint, change, status):
    centre = endpoint()
    found, answer = centre.post(json.dumps(telemetry()), **change)
    assert found == status
    assert "expected" in answer["error"] or status == 403
    assert centre.account()["read"] == 0
    assert centre.headers.get("Allow") == ("POST" if status == 405 else None)


def test_too_large_request_is_413_and_its_answer_arrives(endpoint):
    centre = endpoint(more="max_body_kib = 1")
    status, answer = centre.post(b"[" + b" " * 3_000_000)
    assert (status, "1024 bytes" in answer["error"]) == (413, True)
    assert centre.post(json.dumps(telemetry()))[0] == 200


def raw(centre, data):
    answer = b""
    with socket.create_connection(("127.0.0.1", centre.source.port), timeout=20) as line:
        line.sendall(data)
        with suppress(ConnectionError):
            while piece := line.recv(65_536):
                answer += piece
    return answer


def test_chunked_and_absent_lengths_are_411(endpoint):
    centre = endpoint()
    head = f"POST /telemetry HTTP/1.1\r\nAuthorization: Bearer {CABS}\r\n"
    head += "Content-Type: application/json\r\n"
    for more in ("Transfer-Encoding: chunked\r\n", "", "Content-Length: -1\r\n"):
        answer = raw(centre, f"{head}{more}Connection: close\r\n\r\n".encode())
        assert b" 411 " in answer.split(b"\r\n")[0]


def test_two_lengths_are_refused(endpoint):
    centre = endpoint()
    head = f"POST /telemetry HTTP/1.1\r\nAuthorization: Bearer {CABS}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 2\r\n"
    for more in ("Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"):
        assert b" 411 " in raw(centre, f"{head}{more}\r\n[]".encode()).split(b"\r\n")[0]


def test_bodies_share_a_bounded_memory(endpoint, monkeypatch):
    monkeypatch.setattr(push_server, "ROOM_BYTES", 0)
    centre = endpoint(more="max_body_kib = 2")
    head = f"POST /telemetry HTTP/1.1\r\nAuthorization: Bearer {CABS}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 2048\r\n\r\n"
    with socket.create_connection(("127.0.0.1", centre.source.port)) as large:
        large.sendall(head.encode())
        status, ends_s = 200, time.monotonic() + 5
        while status == 200 and time.monotonic() < ends_s:
            status, answer = centre.post(json.dumps(telemetry()))
        assert (status, "too many" in answer["error"]) == (429, True)
        assert centre.headers["Retry-After"] == "2"
    while status == 429 and time.monotonic() < ends_s:
        status, _ = centre.post(json.dumps(telemetry()))
    assert status == 200


def test_more_requests_than_may_wait_are_told_to_come_again(tmp_path):
    source = HttpPushSource(endpoint_settings(tmp_path).sources[0].about, None)
    source.read(0)  # it listens, and from now on nobody reads
    centre = Endpoint(None, source, None)
    told = []

    def send(number):
        told.append(centre_post(centre, json.dumps(telemetry(first=number)))[0])

    threads = [threading.Thread(target=send, args=(i,)) for i in range(push_desk.WAITING + 3)]
    for thread in threads:
        thread.start()
    ends_s = time.monotonic() + 5
    while len(told) < 3 and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert told == [429] * 3
    source.close()
    for thread in threads:
        thread.join()
    assert sorted(told) == [429] * 3 + [503] * push_desk.WAITING


def test_tokens_and_content_are_never_logged(endpoint, caplog):
    caplog.set_level(0)
    centre = endpoint()
    centre.post(json.dumps(telemetry()))
    centre.post(json.dumps(telemetry()), token=VANS + "x")
    centre.post(b"veh-4711")
    raw(centre, f"GET /veh-4711?{CABS} HTTP/1.1\r\nAuthorization: {CABS}\r\n\r\n".encode())
    text = " ".join(str(vars(record)) for record in caplog.records)
    assert CABS not in text
    assert VANS not in text
    assert "veh-" not in text


def test_what_is_no_http_is_answered_without_repeating_it(endpoint):
    centre = endpoint()
    assert b"cab-77" not in raw(centre, b"cab-77 13.7 100.5 hello you\r\n\r\n")
    assert b"cab-77" not in raw(centre, b"POST /cab-77\r\n\r\n")
    assert centre.post(json.dumps(telemetry()))[0] == 200


def test_any_bytes_on_the_wire_are_survived(endpoint):
    centre = endpoint()
    random = Random(4)
    begins = [
        b"",
        b"POST /telemetry HTTP/1.1\r\n",
        b"POST " + b"/" * 70_000,
        b"GET / HTTP/9.9\r\n\r\n",
    ]
    for number in range(40):
        noise = random.randbytes(random.randrange(300))
        with socket.create_connection(("127.0.0.1", centre.source.port), timeout=5) as line:
            line.sendall(begins[number % 4] + noise)
            line.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while line.recv(65_536):
                    pass
    assert centre.post(json.dumps(telemetry()))[0] == 200
    assert centre.account()["read"] == 1


def test_full_outbox_is_429_and_the_same_request_is_taken_later(endpoint):
    box = MemoryOutbox(Bounds(max_bytes=2000, when_full=WhenFull.REFUSE), SystemClock())
    centre = endpoint(outbox=box)
    statuses = []
    for i in range(30):
        statuses.append(centre.post(json.dumps(telemetry(20, first=i * 20)))[0])
        if statuses[-1] == 429:
            break
    assert statuses[-1] == 429
    assert int(centre.headers["Retry-After"]) > 0
    stored = 20 * (len(statuses) - 1)
    assert centre.account() == {"read": stored, "spooled": stored, "dropped": {}}
    box.accept([batch.id for batch in box.waiting(99)])
    again = centre.post(json.dumps(telemetry(20, first=(len(statuses) - 1) * 20)))
    assert (again[0], again[1]["repeated"]) == (200, False)


def test_repeated_request_is_stored_once_also_after_a_restart(endpoint, tmp_path):
    centre = endpoint()
    body = json.dumps([*telemetry(5), 7])
    first = centre.post(body)[1]
    second = centre.post(body)[1]
    assert second == {**first, "repeated": True}
    centre.agent.stop()
    centre.outbox.close()
    later = endpoint(outbox=SqliteOutbox(tmp_path / "outbox.sqlite", Bounds(), SystemClock()))
    assert later.post(body)[1] == second
    assert later.account() == {"read": 6, "spooled": 5, "dropped": {"unparsable_line": 1}}
    assert later.csv(rows())[1]["repeated"] is False


def test_memory_of_requests_is_bounded_and_survives_a_torn_end(tmp_path):
    memory = RequestMemory(tmp_path, requests=10)
    digests = [digest_of("p", "/x", str(i).encode()) for i in range(100)]
    for digest in digests:
        assert memory.begin(digest) is Known.NEW
        assert memory.begin(digest) is Known.UNDER_WAY
        memory.stored(digest)
    # Two files, each with its key and when it was begun.
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == 20 * 16 + 2 * 40
    with (tmp_path / "requests").open("ab") as stream:
        stream.write(b"torn")
    again = RequestMemory(tmp_path, requests=10)
    assert [again.begin(digest) for digest in digests[80:]] == [Known.STORED] * 20
    new = digest_of("p", "/x", b"new")
    again.stored(new)
    assert RequestMemory(tmp_path, requests=10).begin(new) is Known.STORED


def test_memory_of_requests_lasts_for_half_a_day_and_its_keys_for_a_day(tmp_path):
    clock = TurnableClock()
    memory = RequestMemory(tmp_path, clock=clock)
    first, second = (digest_of("p", "/x", body) for body in (b"first", b"second"))
    memory.stored(first)
    first_key = (tmp_path / "requests").read_bytes()[:32]
    clock.forward(LONGEST_S - 1)
    memory.forget_old()
    memory.stored(second)
    clock.forward(2)
    memory.forget_old()
    assert memory.begin(first) is Known.STORED
    assert RequestMemory(tmp_path, clock=clock).begin(second) is Known.STORED
    clock.forward(LONGEST_S)
    RequestMemory(tmp_path, clock=clock)
    assert not any(first_key in file.read_bytes() for file in tmp_path.iterdir())
    clock.forward(LONGEST_S)
    assert RequestMemory(tmp_path, clock=clock).begin(second) is Known.NEW


def test_clock_that_jumps_forgets_no_request_of_the_last_half_day(tmp_path):
    clock = TurnableClock()
    memory = RequestMemory(tmp_path, clock=clock)
    digest = digest_of("p", "/x", b"first")
    memory.stored(digest)
    for years in (-20, 40, -20):
        clock.jump_to(clock.now().replace(year=clock.now().year + years))
        memory.forget_old()
        assert memory.begin(digest) is Known.STORED
    clock.jump_to(clock.now().replace(year=2040))
    assert RequestMemory(tmp_path, clock=clock).begin(digest) is Known.STORED


def test_memory_that_cannot_be_written_still_knows_this_run(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    memory = RequestMemory(tmp_path / "file", requests=10)
    memory.stored(b"a" * 16)
    memory.stored(b"b" * 16)
    assert memory.begin(b"a" * 16) is Known.STORED
    assert [record.message for record in caplog.records] == ["push_memory_unusable"]


def test_same_request_at_the_same_time_is_stored_once(endpoint):
    centre = endpoint()
    body = json.dumps(telemetry(200))
    answers = []

    def send():
        while (answer := centre_post(centre, body))[0] == 429:
            time.sleep(0.02)
        answers.append(answer[1])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer["repeated"] for answer in answers) == [False] + [True] * 7
    assert centre.account()["spooled"] == 200


def centre_post(centre, body):
    connection = http.client.HTTPConnection("127.0.0.1", centre.source.port, timeout=20)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {CABS}"}
    connection.request("POST", "/telemetry", body, headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer else {}


def test_many_senders_at_once_are_all_stored_or_told_to_come_again(endpoint):
    centre = endpoint()
    told = []

    def send(number):
        body = json.dumps(telemetry(10, first=number * 10))
        while True:
            try:
                status, _ = centre_post(centre, body)
            except (OSError, http.client.HTTPException):
                continue
            told.append(status)
            if status == 200:
                return
            time.sleep(0.05)

    threads = [threading.Thread(target=send, args=(i,)) for i in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(told) <= {200, 429}
    assert centre.account() == {"read": 600, "spooled": 600, "dropped": {}}


def test_slow_and_vanishing_senders_do_not_hold_up_others(endpoint, monkeypatch):
    monkeypatch.setattr(push_server, "REQUEST_S", 0.5)
    centre = endpoint()
    address = ("127.0.0.1", centre.source.port)
    head = f"POST /telemetry HTTP/1.1\r\nAuthorization: Bearer {CABS}\r\n"
    slow = [socket.create_connection(address) for _ in range(push_server.CONNECTIONS + 3)]
    for line in slow:
        line.sendall(head.encode())
    with socket.create_connection(address) as vanishing:
        vanishing.sendall(f"{head}Content-Length: 500\r\n\r\n[".encode())
    deadline = time.monotonic() + 10
    status = 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status, _ = centre.post(json.dumps(telemetry()))
        except (OSError, http.client.HTTPException):
            status = 0
    assert status == 200
    assert time.monotonic() < deadline
    for line in slow:
        line.close()


def test_sender_that_gives_a_byte_now_and_then_is_cut_off(endpoint, monkeypatch):
    monkeypatch.setattr(push_server, "REQUEST_S", 0.4)
    centre = endpoint()
    began = time.monotonic()
    address = ("127.0.0.1", centre.source.port)
    with suppress(OSError), socket.create_connection(address, timeout=5) as line:
        while time.monotonic() < began + 5:
            line.sendall(b"P")
            time.sleep(0.05)
    assert time.monotonic() - began < 3


def test_keep_alive_takes_many_requests_on_one_connection(endpoint):
    centre = endpoint()
    connection = http.client.HTTPConnection("127.0.0.1", centre.source.port, timeout=20)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {CABS}"}
    for i in range(3):
        connection.request("POST", "/telemetry", json.dumps(telemetry(2, first=i * 2)), headers)
        response = connection.getresponse()
        assert json.loads(response.read())["accepted"] == 2
    connection.close()
    assert centre.account()["spooled"] == 6


def test_tls_by_certificate_and_key_files(endpoint, tmp_path):
    certificate, key = self_signed(tmp_path)
    more = f'certificate_file = "{certificate.name}"\nkey_file = "{key.name}"'
    centre = endpoint(more=more)
    context = ssl.create_default_context(cafile=certificate)
    connection = http.client.HTTPSConnection("localhost", centre.source.port, context=context)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {CABS}"}
    connection.request("POST", "/telemetry", json.dumps(telemetry()), headers)
    response = connection.getresponse()
    assert response.status == 200
    response.read()
    connection.close()
    assert b"HTTP" not in raw(centre, b"GET / HTTP/1.0\r\n\r\n")  # no TLS: cut off


def test_faults_of_settings_name_line_and_remedy(tmp_path):
    with pytest.raises(SettingsError) as caught:
        endpoint_settings(
            tmp_path,
            more='host = "0.0.0.0"\nmax_body_kib = 0\ncertificate_file = "c"',
            vans='profile = "sumo"\ntrip_ends = "maybe"',
        )
    faults = "\n".join(caught.value.faults)
    for text in ("max_body_kib", "both of them", "got parquet", "maybe", "gateway.toml, line"):
        assert text in faults, text
    with pytest.raises(SettingsError, match="tokens would travel in the clear"):
        endpoint_settings(tmp_path, more='host = "0.0.0.0"')
    (tmp_path / "bad.toml").write_text('contract = "gps_ping/1"')
    with pytest.raises(SettingsError, match=r"gateway\.toml.*bad\.toml: format\.kind: missing"):
        endpoint_settings(tmp_path, vans='profile = "bad.toml"')
    with pytest.raises(SettingsError, match=r"no source profile|atlantis"):
        endpoint_settings(tmp_path, vans='profile = "atlantis"')


def unavailable(tmp_path, match, **more):
    source = HttpPushSource(endpoint_settings(tmp_path, **more).sources[0].about, None)
    return source, pytest.raises(SourceUnavailable, match=match)


def test_port_in_use_is_one_clear_line_and_the_endpoint_comes_back(tmp_path):
    about = endpoint_settings(tmp_path).sources[0].about
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        source = HttpPushSource(replace(about, listen=replace(about.listen, port=port)), None)
        with pytest.raises(SourceUnavailable, match=r"cannot be listened on.*Another program"):
            source.read(0)
    source.read(0)
    assert source.port == port
    source.close()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"cabs": "short"}, "holds no token.*openssl"),
        ({"cabs": "two words that are long enough"}, "holds no token"),
        ({"cabs": None}, "cannot be read.*check path"),
        ({"cabs": "µ" * 20}, "not ASCII"),
        ({"cabs": VANS}, "same token"),
    ],
)
def test_unusable_tokens_are_one_clear_line_each(tmp_path, files, says):
    source = HttpPushSource(endpoint_settings(tmp_path).sources[0].about, None)
    for name, text in files.items():
        (tmp_path / name).unlink()
        if text is not None:
            (tmp_path / name).write_text(text)
    with pytest.raises(SourceUnavailable, match=says) as caught:
        source.read(0)
    assert all(text is None or text not in str(caught.value) for text in files.values())


def test_bad_certificate_is_one_clear_line(tmp_path):
    more = 'certificate_file = "cabs"\nkey_file = "vans"'
    source = HttpPushSource(endpoint_settings(tmp_path, more=more).sources[0].about, None)
    with pytest.raises(SourceUnavailable, match=r"TLS cannot start.*PEM"):
        source.read(0)


def test_stopping_gateway_answers_who_still_waits(tmp_path):
    source = HttpPushSource(endpoint_settings(tmp_path).sources[0].about, None)
    source.read(0)
    centre = Endpoint(None, source, None)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(centre.post(json.dumps(telemetry()))))
    sender.start()
    deadline = time.monotonic() + 5
    while source._desk.jobs.empty() and time.monotonic() < deadline:
        time.sleep(0.01)
    source.close()
    sender.join()
    assert answers[0][0] == 503
    assert "repeat" in answers[0][1]["error"]


@pytest.mark.parametrize("secure", [False, True])
def test_stopping_lets_idle_connections_go_and_answers_stored_requests(tmp_path, secure):
    certificate, key = self_signed(tmp_path)
    more = f'certificate_file = "{certificate.name}"\nkey_file = "{key.name}"' if secure else ""
    about = endpoint_settings(tmp_path, more=more).sources[0].about
    source = HttpPushSource(about, tmp_path / "state")
    source.read(0)
    before = threading.active_count()

    def connected():
        line = socket.create_connection(("127.0.0.1", source.port), timeout=20)
        if not secure:
            return line
        context = ssl.create_default_context(cafile=certificate)
        return context.wrap_socket(line, server_hostname="localhost")

    body = json.dumps(telemetry()).encode()
    head = f"POST /telemetry HTTP/1.1\r\nAuthorization: Bearer {CABS}\r\nContent-Length: "
    head += f"{len(body)}\r\nContent-Type: application/json\r\n\r\n"
    with connected() as idle, connected() as busy:
        busy.sendall(head.encode() + body)
        intake = source.read(5)
        source.close()
        with suppress(ssl.SSLError):  # TLS may complain of the sudden end
            assert idle.recv(100) == b""
        intake.settle(True)  # noqa: FBT003 -- as the agent calls it, after the source was closed
        answer = b""
        while piece := busy.recv(65_536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 ")
    ends_s = time.monotonic() + 5
    while threading.active_count() >= before and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert threading.active_count() < before
    assert list((tmp_path / "state").iterdir())


def test_sender_that_waits_too_long_may_repeat_and_nothing_doubles(tmp_path, monkeypatch):
    monkeypatch.setattr(push_desk, "_COMMIT_S", 0.1)
    source = HttpPushSource(endpoint_settings(tmp_path).sources[0].about, tmp_path / "state")
    source.read(0)
    centre = Endpoint(None, source, None)
    body = json.dumps(telemetry())
    assert centre.post(body)[0] == 503
    assert centre.post(body)[0] == 429  # it is still under way
    source.read(1).settle(True)  # noqa: FBT003 -- as the agent calls it
    deadline = time.monotonic() + 5
    while not (tmp_path / "state/requests").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    reader = threading.Thread(target=source.read, args=(5,))
    reader.start()
    status, answer = centre.post(body)
    reader.join()
    assert (status, answer["repeated"]) == (200, True)
    source.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(
        st.sampled_from(["device_id", "timestamp", "location", "lat", "lng", "speed", "x"]),
        below, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(max_size=200)
    | st.lists(JSON, max_size=5).map(lambda found: json.dumps(found).encode()),
    path=st.sampled_from(["/telemetry", "/readings"]),
    by=st.sampled_from(["fleet_csv", "fleet_json"]),
)
def test_any_body_is_counted_and_nothing_crashes(tmp_path, body, path, by):
    about = endpoint_settings(tmp_path, vans=f'profile = "{by}"').sources[0].about
    wanted = about.senders[0 if path == "/telemetry" else 1]
    sender = push_desk.Sender(
        provider="x", token=None, path=path, mapping=push_desk.RowMapping(wanted.profile)
    )
    job = push_desk.Job(sender, body, repeated=False)
    HttpPushSource._convert(job)
    assert all(type(r.values["observed_at"]) is int for r in job.mapped.readings)
    assert len(job.mapped.faults) <= 20
