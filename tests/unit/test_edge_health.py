"""What health reports say beside the books, and where it comes from."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.edge_authority import Authority
from doubles.edge_doubles import MemoryLog, TurnableClock
from doubles.edge_pole import write_settings
from hypothesis import given
from hypothesis import strategies as st

from clearway_core.clock import to_ms
from clearway_core.contracts.wire import GATEWAY_HEALTH
from clearway_core.stream.batch import decode
from clearway_edge import jobs
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.condition.device import cpu_temperature_c, disk_of, resident_bytes
from clearway_edge.condition.health import health_record
from clearway_edge.condition.observer import Observer
from clearway_edge.condition.service_manager import ManagerSocket, ServiceManager
from clearway_edge.condition.source_states import SourceStates
from clearway_edge.condition.state_file import StateFile, is_running, read_state
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Account, Parcel, Stream
from clearway_edge.outbox.reports import report_parcel
from clearway_edge.page.commit_times import CommitTimes
from clearway_edge.page.lake_receipts import LakeReceipts
from clearway_edge.settings.settings import read_settings

TLS = '\n[log]\ntls = true\nkey_file = "tls/k.key"\ncertificate_file = "tls/k.crt"\n'


def observer(folder, clock, *, more="", file=None):
    settings = read_settings(write_settings(folder, more=more))
    box = MemoryOutbox(clock=clock)
    states = SourceStates({s.name: s.kind for s in settings.sources}, clock)
    return Observer(
        settings,
        box,
        states=states,
        clock=clock,
        clock_state=ClockState(clock, settings.synchronised_file),
        forwarder=Forwarder(box, MemoryLog, gateway="gw-017", clock=clock),
        manager=ServiceManager(ManagerSocket(), clock),
        receipts=LakeReceipts(MemoryLog, gateway="gw-017", clock=clock),
        state_file=StateFile(file, clock),
    ), states


def test_every_column_beside_the_books_is_filled_and_travels(tmp_path):
    clock = TurnableClock()
    seen, states = observer(tmp_path, clock, more=TLS)
    authority = Authority(tmp_path / "ca")
    made = jobs.enrol(tmp_path / "gw.toml")
    ends_at = clock.now() + timedelta(days=99)
    authority.sign(Path(str(made["request_file"])), tmp_path / "tls/k.crt", ends_at=ends_at)
    states.works("air", n_readings=3)
    clock.forward(12)
    states.lost("receiver", "unplugged")
    stream = Stream(contract="gps_ping/1", boot=5, run=5)
    seen._outbox.put(Parcel(stream=stream, payload=b"x" * 4711, n_read=1, n_records=1, next_seq=1))
    seen._forwarder.send_once()
    record = health_record(
        stream, Account(read=1, delivered=1), spool=MemoryOutbox(clock=clock), clock=clock,
        settings_hash="0" * 64, vitals=seen.vitals(),
    )  # fmt: skip
    assert set(record) == set(GATEWAY_HEALTH.columns)
    own = Stream(contract="gateway_health/1", boot=5, run=5)
    batch = decode(report_parcel("gw-017", [record], stream=own, first_seq=0).payload)
    told = {name: values[0] for name, values in batch.columns.items()}
    assert told["site"] == "asok-north"
    assert told["forwarder_state"] == "up to date"
    assert told["clock_synchronised"] is True
    assert told["sent_bytes"] == 4711
    assert told["certificate_expires_at"] == to_ms(ends_at.replace(microsecond=0))
    assert json.loads(str(told["sources_json"])) == {
        "air": {"kind": "pmsx003", "state": "working", "error": "", "n_readings": 3,
                "last_reading_age_s": 12.0},
        "receiver": {"kind": "nmea", "state": "lost", "error": "unplugged", "n_readings": 0,
                     "last_reading_age_s": None},
    }  # fmt: skip


def test_a_receiver_on_the_pole_is_compared_with_the_site_and_its_place_is_told_to_nobody(tmp_path):
    clock = TurnableClock()
    seen, states = observer(tmp_path, clock)
    assert seen.snapshot().receiver_distance_m is None
    states.works("receiver", n_readings=1, position_deg=(100.5601, 13.7471))
    assert seen.snapshot().receiver_distance_m == pytest.approx(1112, abs=1)
    # A sensor's own position is what the settings say: it proves nothing.
    states.works("receiver", n_readings=1, position_deg=(100.5601, 13.7371))
    states.works("air", n_readings=1, position_deg=(0.0, 0.0))
    assert seen.snapshot().receiver_distance_m == pytest.approx(0, abs=1)
    assert "13.73" not in json.dumps(seen.vitals(), default=str)


def zone(folder, number, kind, text):
    place = folder / f"thermal_zone{number}"
    place.mkdir(parents=True)
    (place / "type").write_text(f"{kind}\n")
    (place / "temp").write_text(text)


def test_the_processors_temperature_is_taken_before_that_of_other_parts(tmp_path):
    zone(tmp_path, 0, "acpitz", "91000\n")
    zone(tmp_path, 1, "cpu-thermal", "61300\n")
    zone(tmp_path, 2, "broken", "not a number")
    assert cpu_temperature_c(tmp_path) == 61.3
    shutil.rmtree(tmp_path / "thermal_zone1")
    assert cpu_temperature_c(tmp_path) == 91.0
    assert cpu_temperature_c(tmp_path / "none") is None


def test_a_disk_is_known_before_the_folder_is_made_and_by_its_deepest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\ntmpfs {tmp_path} tmpfs rw 0 0\n")
    found = disk_of(tmp_path / "not/yet/made", mounts)
    assert found is not None
    assert found.kind == "tmpfs"
    assert found.free_bytes > 0
    other = disk_of(tmp_path.parent, mounts)
    assert other is not None
    assert other.kind == "ext4"
    nothing = disk_of(tmp_path, tmp_path / "none")
    assert nothing is not None
    assert nothing.kind == ""
    assert (resident_bytes() or 0) > 1 << 20


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(0, 2100))
def test_each_reading_was_put_on_the_disk_by_the_commit_that_took_its_number(sizes, seq):
    times, at_ms, first, expected = CommitTimes(), 0, 0, None
    for size in sizes:
        at_ms += 1000
        if first <= seq < first + size:
            expected = at_ms
        first += size
        times.committed({"gps_ping/1": first}, at_ms)
        times.committed({"gps_ping/1": first}, at_ms + 500)  # a commit without new readings
    assert times.committed_at_ms("gps_ping/1", seq) == expected
    assert times.committed_at_ms("air_reading/1", seq) is None


def test_of_readings_long_ago_nothing_is_known_any_more():
    times = CommitTimes()
    for number in range(2000):
        times.committed({"a": number + 1}, number)
    assert times.committed_at_ms("a", 0) is None
    assert times.committed_at_ms("a", 1999) == 1999


def test_the_state_file_spares_the_card_and_is_whole_at_any_moment(tmp_path):
    clock = TurnableClock()
    file = tmp_path / "state.json"
    seen, states = observer(tmp_path, clock, file=file)
    written = []
    for second in range(180):
        if second % 2:
            states.lost("air", "flickers")
        else:
            states.works("air", n_readings=1)
        seen.beat(5, {"air_reading/1": second})
        written.append(file.stat().st_mtime_ns)
        state = read_state(file)
        assert state is not None
        assert state["boot"] == 5
        clock.forward(1)
    assert len(set(written)) <= 180 / 5 + 1
    # Nobody is disturbed where it cannot be written.
    shutil.rmtree(tmp_path, ignore_errors=True)
    clock.forward(100)
    seen.beat(5, {})
    assert read_state(file) is None
    assert not is_running(tmp_path / "lock")
