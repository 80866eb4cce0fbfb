"""Keys of a live gateway: turned at 04:00 local time, destroyed an hour later, never revived."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from doubles.edge_agents import agent_of
from doubles.edge_doubles import TurnableClock
from doubles.power_cut import PowerCut
from hypothesis import given
from hypothesis import strategies as st

from clearway_core import whole_file
from clearway_core.clock import to_ms
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.privacy import pseudonyms as privacy
from clearway_edge.privacy.pseudonyms import LIVE_GRACE, KeyRing, Pseudonymiser, epoch_end, epoch_of
from clearway_edge.settings.settings import read_settings

BANGKOK = ZoneInfo("Asia/Bangkok")
ZONES = [
    "Asia/Bangkok", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "America/Chicago",
    "America/St_Johns", "Pacific/Kiritimati", "Pacific/Apia", "America/Santiago", "Europe/London",
    "Antarctica/Troll", "Africa/Casablanca", "Asia/Tehran", "UTC",
]  # fmt: skip


def live(folder, clock, zone=BANGKOK):
    return KeyRing(folder, clock, retention=LIVE_GRACE, zone=zone)


def local(text, zone=BANGKOK):
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    day=st.dates(date(1996, 1, 1), date(2037, 12, 30)),
    after=st.integers(0, 30 * 96),
    before=st.integers(1, 18 * 96),
)
def test_epoch_ends_when_nothing_belongs_to_it_any_more_in_every_zone(zone, day, after, before):
    epoch = day.isoformat()
    end_ms = to_ms(epoch_end(epoch, zone))
    assert epoch_of(end_ms + after * 900_000, zone) > epoch
    # The turn itself lies within an hour before: clocks may be changed around 04:00.
    assert epoch_of(end_ms - 3_600_001, zone) <= epoch
    assert epoch_of(end_ms - before * 900_000, zone) <= epoch or before <= 4


@given(zone=st.sampled_from(ZONES).map(ZoneInfo), day=st.dates(date(1996, 1, 1), date(2037, 1, 1)))
def test_days_on_which_clocks_change_have_one_epoch_from_four_to_four(zone, day):
    hours = [
        to_ms(epoch_end((day - timedelta(days=1)).isoformat(), zone)) + quarter * 900_000
        for quarter in range(22 * 4)
    ]
    assert {epoch_of(hour_ms, zone) for hour_ms in hours} == {day.isoformat()}


@pytest.mark.parametrize(
    ("zone", "epoch", "hours"),
    [
        ("America/Chicago", "2015-03-07", 23),  # clocks go forward on the 8th
        ("America/Chicago", "2015-10-31", 25),  # and back on 1 November
        ("Asia/Kathmandu", "2026-01-15", 24),
    ],
)
def test_key_lives_from_four_to_four_and_an_hour_also_when_clocks_change(
    tmp_path, zone, epoch, hours
):
    zone = ZoneInfo(zone)
    start = epoch_end((date.fromisoformat(epoch) - timedelta(days=1)).isoformat(), zone)
    clock = TurnableClock(start)
    keys = live(tmp_path, clock, zone)
    keys.key("fleet", epoch)
    clock.jump_to(start + timedelta(hours=hours + 1) - timedelta(seconds=1))
    assert keys.destroy_expired() == 0
    clock.forward(2)
    assert keys.destroy_expired() == 1
    assert not list(tmp_path.rglob("*.key"))


def test_vehicle_of_a_destroyed_epoch_gets_a_fresh_name_also_from_memory(tmp_path):
    clock = TurnableClock(local("2026-01-15T22:00"))
    keys = live(tmp_path, clock)
    names = Pseudonymiser(keys, BANGKOK)
    at_ms = to_ms(clock.now())
    [before], _ = names.mask(["f"], ["cab-1"], [at_ms])
    clock.jump_to(local("2026-01-16T05:01"))
    keys.destroy_expired()
    [late], [epoch] = names.mask(["f"], ["cab-1"], [at_ms])
    assert epoch == "2026-01-15"
    assert late != before


def test_fixes_that_come_late_share_a_fresh_key_for_an_hour(tmp_path):
    clock = TurnableClock(local("2026-01-16T09:00"))
    keys = live(tmp_path, clock)
    first = keys.key("f", "2026-01-15")
    clock.forward(3599)
    assert keys.destroy_expired() == 0
    assert keys.key("f", "2026-01-15") == first
    clock.forward(2)
    assert keys.destroy_expired() == 1
    assert keys.key("f", "2026-01-15") != first


def test_key_made_while_the_clock_was_years_ahead_goes_as_soon_as_it_is_right(tmp_path):
    clock = TurnableClock(local("2031-06-01T12:00"))
    keys = live(tmp_path, clock)
    keys.key("f", "2031-06-01")
    keys.key("f", "2026-01-14")
    clock.jump_to(local("2026-01-15T12:00"))
    keys.key("f", "2026-01-15")
    assert keys.destroy_expired() == 2
    assert [file.stem for file in tmp_path.rglob("*.key")] == ["2026-01-15"]


def test_vehicle_whose_clock_stands_in_the_future_is_not_linkable_for_years(tmp_path):
    clock = TurnableClock(local("2026-01-15T12:00"))
    keys = live(tmp_path, clock)
    first = keys.key("f", "2030-01-01")
    clock.forward(3601)
    keys.destroy_expired()
    assert keys.key("f", "2030-01-01") != first


def test_vehicle_that_is_minutes_ahead_at_four_keeps_its_key(tmp_path):
    clock = TurnableClock(local("2026-01-16T03:55"))
    keys = live(tmp_path, clock)
    first = keys.key("f", "2026-01-16")
    for _ in range(30):
        clock.forward(600)
        keys.destroy_expired()
    assert keys.key("f", "2026-01-16") == first


def test_damaged_and_half_made_keys_are_destroyed_too(tmp_path):
    clock = TurnableClock(local("2026-01-15T12:00"))
    keys = live(tmp_path, clock)
    keys.key("f", "2026-01-15")
    (tmp_path / "f/2026-01-15.key").write_text("ab")
    keys.key("f", "2026-01-15")
    (tmp_path / "f/.2026-01-15.key.0badcafe").write_text("cd")
    keys.destroy_expired()
    assert sorted(f.name for f in (tmp_path / "f").iterdir()) == [
        "2026-01-15.damaged", "2026-01-15.key",
    ]  # fmt: skip
    clock.jump_to(local("2026-01-17T12:00"))
    keys.destroy_expired()
    assert list((tmp_path / "f").iterdir()) == []


def test_full_disk_at_four_in_the_morning_stops_no_reading_and_splits_no_vehicle(
    tmp_path, monkeypatch, caplog
):
    clock = TurnableClock(local("2026-01-16T04:00"))
    keys = live(tmp_path, clock)
    names = Pseudonymiser(keys, BANGKOK)
    at_ms = to_ms(clock.now())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(whole_file.os, "open", full)
        first, _ = names.mask(["f"], ["cab-1"], [at_ms])
        keys.destroy_expired()
        assert Pseudonymiser(keys, BANGKOK).mask(["f"], ["cab-1"], [at_ms])[0] == first
        assert "pseudonym_key_not_saved" in caplog.text
    assert not list(tmp_path.rglob("*.key"))
    keys.destroy_expired()
    # There is room again: from here on it survives a restart.
    assert Pseudonymiser(live(tmp_path, clock), BANGKOK).mask(["f"], ["cab-1"], [at_ms])[0] == first


def test_key_that_the_disk_never_took_is_forgotten_with_its_epoch(tmp_path, monkeypatch):
    clock = TurnableClock(local("2026-01-15T12:00"))
    keys = live(tmp_path, clock)

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(whole_file.os, "open", read_only)
    first = keys.key("f", "2026-01-15")
    assert keys.key("f", "2026-01-15") == first
    clock.jump_to(local("2026-01-16T05:01"))
    assert keys.destroy_expired() == 1
    assert keys.key("f", "2026-01-15") != first


def test_key_that_cannot_be_deleted_is_said_and_stops_nothing(tmp_path, monkeypatch, caplog):
    clock = TurnableClock(local("2026-01-15T12:00"))
    keys = live(tmp_path, clock)
    keys.key("f", "2026-01-15")
    clock.jump_to(local("2026-01-16T05:01"))

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", read_only)
        assert keys.destroy_expired() == 0
    assert "pseudonym_key_not_destroyed" in caplog.text
    assert keys.destroy_expired() == 1


@pytest.mark.parametrize("step", ["replace", "sync_folder"])
def test_crash_between_making_and_using_a_key_leaves_one_that_works_or_none(
    tmp_path, monkeypatch, step
):
    clock = TurnableClock(local("2026-01-15T12:00"))

    def cut(*_):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "replace" else whole_file, step, cut)
        with pytest.raises(PowerCut):
            live(tmp_path, clock).key("f", "2026-01-15")
    again = live(tmp_path, clock)
    again.destroy_expired()
    first = again.key("f", "2026-01-15")
    assert len(first) == 32
    assert live(tmp_path, clock).key("f", "2026-01-15") == first
    assert [f.name for f in (tmp_path / "f").iterdir()] == ["2026-01-15.key"]


def test_crash_while_keys_are_destroyed_is_finished_by_the_next_look(tmp_path, monkeypatch):
    clock = TurnableClock(local("2026-01-15T12:00"))
    keys = live(tmp_path, clock)
    for provider in "abc":
        keys.key(provider, "2026-01-15")
    clock.jump_to(local("2026-01-16T05:01"))

    def cut(_):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(privacy, "sync_folder", cut)
        with pytest.raises(PowerCut):
            keys.destroy_expired()
    assert live(tmp_path, clock).destroy_expired() == 2
    assert not list(tmp_path.rglob("*.key"))


def _agent(tmp_path, clock, keys, *, synchronised):
    file = tmp_path / "gw.toml"
    file.write_text(
        '[gateway]\nname = "gw-1"\ntime_zone = "Asia/Bangkok"\n'
        '[[source]]\nkind = "nmea"\nfile = "none"\nprovider = "f"\nvehicle = "v"\n'
    )
    state = ClockState(clock, ask=lambda: synchronised)
    box = MemoryOutbox(clock=clock)
    return agent_of(read_settings(file), box, clock=clock, keys=keys, clock_state=state)


@pytest.mark.parametrize(("synchronised", "n_left"), [(True, 0), (None, 0), (False, 1)])
def test_running_gateway_destroys_keys_only_by_a_clock_that_is_believed(
    tmp_path, synchronised, n_left
):
    clock = TurnableClock(local("2026-01-15T12:00"))
    keys = live(tmp_path / "keys", clock)
    keys.key("f", "2026-01-15")
    clock.jump_to(local("2026-01-16T05:01"))
    stop = threading.Event()
    stop.set()
    _agent(tmp_path, clock, keys, synchronised=synchronised).run(stop)
    assert len(list(tmp_path.rglob("*.key"))) == n_left
