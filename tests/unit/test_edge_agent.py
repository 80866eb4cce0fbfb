"""The live gateway: forwarder, agent, settings and the command for small machines."""

from __future__ import annotations

import json
import subprocess
import threading
from random import Random

import pytest
from doubles.edge_agents import agent_of
from doubles.edge_doubles import MemoryLog, TurnableClock, profile_file, write_csv
from doubles.small_machine import gateway_without

from clearway_core.contracts.wire import GPS_PING, WIRE_CONTRACTS
from clearway_core.errors import SettingsError, SourceUnavailable, UsageError
from clearway_core.stream.batch import CONTENT_TYPE, Batch, encode
from clearway_core.stream.log import CONTENT_TYPE_HEADER, CONTRACT_HEADER
from clearway_edge import jobs
from clearway_edge.agent import NO_ROOM
from clearway_edge.batching import FLAG_CLOCK
from clearway_edge.forwarding.forwarder import LONGEST_BACKOFF_S, Forwarder
from clearway_edge.gateway_dir import gateway_dir
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import MESSAGE_TOO_LARGE, Bounds, Parcel, Stream, WhenFull
from clearway_edge.privacy.pseudonyms import KeyRing
from clearway_edge.recordings.pacing import AtOnce
from clearway_edge.recordings.replaying import Replay
from clearway_edge.rows.profile_reading import read_profile
from clearway_edge.settings.sample_settings import sample_settings
from clearway_edge.settings.settings import ForwardSettings, read_settings
from clearway_edge.sources.source import Intake, Reading

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)


def parcel(n=1000, first=0):
    batch = Batch(
        contract="gps_ping/1",
        gateway="gw-1",
        boot=7,
        seq=range(first, first + n),
        # Random pseudonyms do not compress, so that the size is that of real names.
        columns={"vehicle": [f"{Random(i).getrandbits(128):032x}" for i in range(n)]},
    )
    return Parcel(
        stream=STREAM, payload=encode(batch, GPS_PING), n_read=n, n_records=n, next_seq=first + n
    )


def forwarder(box, log):
    # One message for each batch, so that a test sees what was committed together.
    alone = ForwardSettings(latency_s=0.0, max_records=1)
    return Forwarder(box, lambda: log, gateway="gw-1", settings=alone, random=Random(1))


def test_sent_batch_is_keyed_by_gateway_and_says_what_it_is():
    box, log = MemoryOutbox(), MemoryLog()
    box.put(parcel())
    assert forwarder(box, log).send_once().n_batches == 1
    [(topic, message)] = log.messages
    assert topic == "clearway.gps_ping.v1"
    assert message.key == b"gw-1"
    assert message.headers == {CONTRACT_HEADER: "gps_ping/1", CONTENT_TYPE_HEADER: CONTENT_TYPE}
    assert box.account(STREAM).delivered == 1000


def test_failed_sending_keeps_the_batch_and_waits_longer_each_time():
    box, log = MemoryOutbox(), MemoryLog(failures=12)
    box.put(parcel())
    sender = forwarder(box, log)
    waits = [sender.send_once().retry_after_s for _ in range(12)]
    assert box.account(STREAM).spooled == 1000
    assert all(0 < wait <= LONGEST_BACKOFF_S for wait in waits)
    assert waits[4] > waits[0]
    assert max(waits) > LONGEST_BACKOFF_S / 2
    assert log.closed == 12  # a connection that failed is opened anew
    assert sender.send_once().n_batches == 1
    assert sender.last_error == ""


def test_log_that_cannot_even_be_opened_is_retried():
    def away():
        raise SourceUnavailable("no broker at localhost")

    box = MemoryOutbox()
    box.put(parcel())
    sender = Forwarder(box, away, gateway="gw-1")
    assert sender.send_once().retry_after_s is not None
    assert "no broker" in sender.last_error
    assert box.account(STREAM).spooled == 1000


def test_message_too_large_is_split_until_it_fits_and_nothing_is_lost():
    box, log = MemoryOutbox(), MemoryLog(max_bytes=6000)
    box.put(parcel())
    box.put(parcel(10, first=1000))
    sender = forwarder(box, log)
    sender.send_once()
    seqs = [seq for batch in log.batches() for seq in batch.seq]
    assert sorted(seqs) == list(range(1010))
    assert all(len(message.value) <= 6000 for _, message in log.messages)
    account = box.account(STREAM)
    assert (account.delivered, account.spooled, account.dropped) == (1010, 0, {})


def test_single_record_that_never_fits_is_dropped_and_counted_not_retried_for_ever():
    box, log = MemoryOutbox(), MemoryLog(max_bytes=10)
    box.put(parcel(3))
    sender = forwarder(box, log)
    sender.send_once()
    account = box.account(STREAM)
    assert (account.delivered, account.dropped) == (0, {MESSAGE_TOO_LARGE: 3})
    assert sender.send_once().n_batches == 0


def settings(tmp_path, **changes):
    text = sample_settings(name="gw-1", time_zone="Asia/Bangkok", sources=("pmsx003", "nmea"))
    text = text.replace("/var/lib/clearway", str(tmp_path / "data"))
    for old, new in changes.items():
        text = text.replace(old, new)
    file = tmp_path / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings(file)


def agent(tmp_path, box, clock, sources=None):
    keys = KeyRing(tmp_path / "keys", clock)
    return agent_of(settings(tmp_path), box, clock=clock, keys=keys, sources=sources)


def fix(observed_at, **more):
    values = {
        "provider": "fleet", "vehicle": "car-7", "observed_at": observed_at,
        "lon_deg": 100.5, "lat_deg": 13.7, **more,
    }  # fmt: skip
    return Reading(contract="gps_ping/1", values=values)


def sent(box):
    log = MemoryLog()
    sender = forwarder(box, log)
    while sender.send_once().n_batches:
        pass
    return log.batches()


def test_readings_are_numbered_masked_and_flagged(tmp_path):
    clock, box = TurnableClock(), MemoryOutbox()
    now_ms = int(clock.now().timestamp() * 1000)
    works = agent(tmp_path, box, clock)
    works.commit([Intake(readings=[fix(now_ms), fix(now_ms, speed_kmh=900.0)])])
    works.commit([Intake(readings=[fix(now_ms - 2 * 86_400_000)])])
    first, second = sent(box)
    assert [*first.seq, *second.seq] == [0, 1, 2]
    assert first.boot == second.boot == works.boot
    assert first.columns["flags"] == [None, "speed_kmh_range"]
    assert first.columns["speed_kmh"][1] == 900.0
    assert second.columns["flags"] == [FLAG_CLOCK]
    assert set(first.columns["vehicle"]) != {"car-7"}
    assert all(len(name) == 32 for name in first.columns["vehicle"])


def test_dropped_records_count_as_read(tmp_path):
    clock, box = TurnableClock(), MemoryOutbox()
    works = agent(tmp_path, box, clock)
    intake = Intake()
    intake.dropped["gps_ping/1", "bad_checksum"] += 3
    works.commit([intake])
    account = box.account(Stream(contract="gps_ping/1", boot=works.boot, run=works.boot))
    assert (account.read, account.dropped, account.missing) == (3, {"bad_checksum": 3}, 0)


def test_readings_that_find_no_room_are_counted_as_soon_as_there_is_some(tmp_path):
    clock = TurnableClock()
    box = MemoryOutbox(Bounds(max_bytes=300, when_full=WhenFull.REFUSE), clock)
    now_ms = int(clock.now().timestamp() * 1000)
    works = agent(tmp_path, box, clock)
    stream = Stream(contract="gps_ping/1", boot=works.boot, run=works.boot)
    for _ in range(5):
        works.commit([Intake(readings=[fix(now_ms)])])
    kept = box.account(stream).spooled
    assert 0 < kept < 5
    box.accept([batch.id for batch in box.waiting(9)])
    works.commit([Intake(readings=[fix(now_ms)])])
    account = box.account(stream)
    assert account.read == 6
    assert account.dropped == {NO_ROOM: 5 - kept}
    assert account.missing == 0
    # A number is given again only if its first bearer never reached the outbox.
    assert [page.seq_next for page in box.pages()] == [kept + 1]


class Feed:
    """A source that gives what it was given, then stops the agent."""

    def __init__(self, intakes, stop):
        self.intakes = intakes
        self.stop = stop
        self.closed = False

    def read(self, timeout_s):
        if not self.intakes:
            self.stop.set()
            return Intake()
        found = self.intakes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self):
        self.closed = True


def test_stopping_spools_everything_that_was_read_and_reports_it(tmp_path):
    clock, box, stop = TurnableClock(), MemoryOutbox(), threading.Event()
    now_ms = int(clock.now().timestamp() * 1000)
    feed = Feed([Intake(readings=[fix(now_ms + i)]) for i in range(50)], stop)
    works = agent(tmp_path, box, clock, {"feed": feed})
    works.run(stop)
    assert feed.closed
    batches = sent(box)
    assert sum(len(b) for b in batches if b.contract == "gps_ping/1") == 50
    [alive, health] = [b for b in batches if b.contract == "gateway_health/1"]
    # Before the first reading it says that it lives, for nothing else may ever come.
    assert alive.columns["about_contract"] == ["gateway_health/1"]
    assert alive.columns["n_read"] == [0]
    assert health.columns["n_read"] == [50]
    assert health.columns["about_boot"] == [works.boot]
    assert len(str(health.columns["settings_hash"][0])) == 64
    assert set(health.columns) <= set(WIRE_CONTRACTS["gateway_health/1"].columns)


def test_clock_set_back_by_years_makes_no_negative_age_and_loses_nothing(tmp_path):
    clock, box, stop = TurnableClock(), MemoryOutbox(Bounds(max_age_s=3600)), threading.Event()
    now_ms = int(clock.now().timestamp() * 1000)
    works = agent(tmp_path, box, clock, {"feed": Feed([Intake(readings=[fix(now_ms)])], stop)})
    works.commit([Intake(readings=[fix(now_ms)])])
    clock.jump_to(clock.now().replace(year=2000))
    works.run(stop)
    batches = sent(box)
    assert sum(len(b) for b in batches if b.contract == "gps_ping/1") == 2
    ages = [b.columns["oldest_spooled_age_s"] for b in batches if b.contract == "gateway_health/1"]
    assert all(age >= 0 for column in ages for age in column if age is not None)


def test_sample_settings_are_good_and_name_their_sources(tmp_path):
    found = settings(tmp_path)
    assert [source.name for source in found.sources] == ["air", "receiver"]
    assert found.log_address is None
    assert found.bounds.max_bytes == 512 * 1024 * 1024


def test_all_faults_of_settings_are_told_at_once(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(
        '[gateway]\nname = "GW 1"\ntime_zone = "Mars/Base"\n[log]\naddress = "broker:9092"\n'
        '[outbox]\nkind = "tape"\n'
        '[[source]]\nkind = "nmea"\nserial = "/dev/x"\ntcp = "nowhere"\n'
        'provider = "F"\nvehicle = ""\n'
        '[[source]]\nkind = "pmsx003"\nname = "nmea"\nserial = "/dev/y"\n'
        'sensor = "s"\nlon_deg = 200\n'
    )
    with pytest.raises(SettingsError) as caught:
        jobs.check(file)
    faults = "\n".join(caught.value.faults)
    for key in (
        "gateway.name", "gateway.time_zone", "log.address", "outbox.kind", "source[0].serial",
        "source[0].tcp", "source[0].provider", "source[0].vehicle", "source[1].lon_deg",
        "source[1].lat_deg", "source: every source needs a name of its own",
    ):  # fmt: skip
        assert key in faults, key


def test_init_writes_settings_that_check_accepts_and_never_overwrites(tmp_path):
    file = jobs.init(tmp_path / "etc/gw.toml", name="gw-9", time_zone="Asia/Kathmandu")
    assert jobs.check(file)["gateway"] == "gw-9"
    with pytest.raises(UsageError, match="exists already"):
        jobs.init(file, name="gw-9", time_zone="UTC")


def test_status_shows_the_books_also_beside_a_damaged_outbox(tmp_path):
    file = write_csv(tmp_path / "f.csv", ["v,1768440000,100.5,13.7"])
    jobs.replay([file], profile_file(tmp_path), data_dir=tmp_path, log_address=None)
    broken = tmp_path / "gateways/broken"
    broken.mkdir()
    (broken / "outbox.sqlite").write_bytes(b"junk" * 1000)
    damaged, good = jobs.status(tmp_path)
    assert "cannot be read" in str(damaged["error"])
    assert (good["gateway"], good["spooled"], good["marked_running"]) == ("replay", 0, 0)


NO_EXTRAS = ("polars", "pandas", "numpy", "h3", "typer", "rich", "pyarrow", "deltalake", "sklearn")


def small_machine(*arguments):
    return subprocess.run(
        gateway_without(NO_EXTRAS, *arguments), capture_output=True, text=True, check=False
    )


def test_gateway_works_where_nothing_but_the_edge_extra_is_installed(tmp_path):
    for command in ([], ["init"], ["check"], ["enrol"], ["run"], ["status"], ["replay"]):
        shown = small_machine(*command, "--help")
        assert (shown.returncode, shown.stderr) == (0, ""), command
    file = write_csv(tmp_path / "f.csv", [f"v,{1_768_440_000 + i},100.5,13.7" for i in range(9)])
    profile = profile_file(tmp_path)
    done = small_machine("replay", file, "--profile", profile, "--data-dir", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["delivered"] == 9
    assert small_machine("init", tmp_path / "gw.toml").returncode == 0
    assert small_machine("check", "--settings", tmp_path / "gw.toml").returncode == 0
    assert small_machine("status", "--data-dir", tmp_path).returncode == 0


def test_parquet_on_a_small_machine_says_what_to_install(tmp_path):
    file = tmp_path / "f.parquet"
    file.write_bytes(b"PAR1")
    done = small_machine("replay", file, "--profile", "sumo", "--data-dir", tmp_path)
    assert done.returncode == 1
    assert "pyarrow" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_use_exits_with_two(tmp_path):
    done = small_machine("replay", "none.csv", "--profile", "sumo", "--data-dir", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_outbox_that_takes_nothing_ends_a_replay_with_what_it_read(tmp_path):
    file = write_csv(
        tmp_path / "f.csv", [f"v{i},{1_768_440_000 + i},100.{i},13.7" for i in range(20_000)]
    )
    folder = gateway_dir(tmp_path, "gw")
    with folder.owned():
        sender = Replay(
            folder, "gw", open_log=lambda: MemoryLog(failures=10**9), clock=TurnableClock(),
            bounds=Bounds(max_bytes=120_000), patience_s=0.2,
        )  # fmt: skip
        other = write_csv(tmp_path / "g.csv", [])
        accounts = sender.send(
            [file, other], read_profile(profile_file(tmp_path)), pace=AtOnce(),
            progress=lambda *_: None,
        )  # fmt: skip
    first, second = accounts
    assert not first.complete
    assert first.account.spooled == first.account.read > 0
    assert first.account.missing == 0
    assert "bring the log back" in first.error
    assert "not begun" in second.error
