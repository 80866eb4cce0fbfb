"""Pseudonyms: golden value, epochs, keys."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from doubles.edge_doubles import TurnableClock

from clearway_core.clock import to_ms
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser, epoch_of, pseudonym

BANGKOK = ZoneInfo("Asia/Bangkok")


def test_pseudonym_is_hmac_sha256_over_vehicle_and_epoch_cut_to_128_bits():
    # METHODS, privacy: computed with OpenSSL's HMAC, not with this code.
    name = pseudonym(b"test-key-0123456789abcdef", "veh-0001", "2025-01-15")
    assert name == "e4806f41568f4524f4cf4bbbc308a032"


@pytest.mark.parametrize(
    ("local", "epoch"),
    [
        ("2026-01-15T03:59:59.999+07:00", "2026-01-14"),
        ("2026-01-15T04:00:00+07:00", "2026-01-15"),
        ("2026-01-16T00:00:00+07:00", "2026-01-15"),
    ],
)
def test_epoch_turns_at_four_in_the_morning(local, epoch):
    assert epoch_of(to_ms(datetime.fromisoformat(local)), BANGKOK) == epoch


def test_epoch_turns_at_four_local_on_the_day_the_clocks_change():
    chicago = ZoneInfo("America/Chicago")
    before = to_ms(datetime(2015, 3, 8, 8, 59, tzinfo=UTC))  # 03:59 daylight time
    assert epoch_of(before, chicago) == "2015-03-07"
    assert epoch_of(before + 60_000, chicago) == "2015-03-08"


def test_epoch_of_a_broken_clock_is_still_a_date():
    assert epoch_of(-(10**15), BANGKOK) == "1970-01-01"
    assert epoch_of(10**17, BANGKOK) == "2100-01-01"


def test_key_file_is_readable_by_its_owner_only(tmp_path):
    KeyRing(tmp_path / "keys", TurnableClock()).key("fleet", "2026-01-15")
    file = tmp_path / "keys/fleet/2026-01-15.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_same_key_after_restart_and_another_for_another_provider_or_epoch(tmp_path):
    first = KeyRing(tmp_path, TurnableClock()).key("fleet", "2026-01-15")
    again = KeyRing(tmp_path, TurnableClock())
    assert again.key("fleet", "2026-01-15") == first
    assert again.key("other", "2026-01-15") != first
    assert again.key("fleet", "2026-01-16") != first
    assert len(first) == 32


@pytest.mark.parametrize("provider", ["../../etc", "", "A B", "x/y"])
def test_provider_from_a_file_never_becomes_a_path(tmp_path, provider):
    KeyRing(tmp_path / "keys", TurnableClock()).key(provider, "2026-01-15")
    assert [f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*.key")] == [
        "keys/_unknown/2026-01-15.key"
    ]


def test_torn_key_is_set_aside_and_replaced(tmp_path):
    keys = KeyRing(tmp_path, TurnableClock())
    first = keys.key("fleet", "2026-01-15")
    (tmp_path / "fleet/2026-01-15.key").write_text("abc")
    second = keys.key("fleet", "2026-01-15")
    assert second != first
    assert len(second) == 32
    assert (tmp_path / "fleet/2026-01-15.damaged").exists()


def test_key_is_destroyed_after_its_epoch_and_thirty_days(tmp_path):
    clock = TurnableClock()
    keys = KeyRing(tmp_path, clock)
    keys.key("fleet", "2026-01-15")
    clock.forward(timedelta(days=31).total_seconds())
    assert keys.destroy_expired() == 0
    clock.forward(timedelta(days=2).total_seconds())
    assert keys.destroy_expired() == 1
    assert not list(tmp_path.rglob("*.key"))


def test_key_of_an_old_recording_lives_on_so_that_its_replay_can_resume(tmp_path):
    keys = KeyRing(tmp_path, TurnableClock())
    key = keys.key("cabspotting", "2008-05-21")
    keys.destroy_expired()
    assert keys.key("cabspotting", "2008-05-21") == key


def test_vehicle_keeps_its_name_within_an_epoch_and_loses_it_after(tmp_path):
    names = Pseudonymiser(KeyRing(tmp_path, TurnableClock()), BANGKOK)
    evening = to_ms(datetime.fromisoformat("2026-01-15T23:00+07:00"))
    night, morning = evening + 3_600_000 * 4, evening + 3_600_000 * 6
    masked, epochs = names.mask(["f"] * 3, ["cab-1"] * 3, [evening, night, morning])
    assert masked[0] == masked[1] != masked[2]
    assert epochs == ["2026-01-15", "2026-01-15", "2026-01-16"]


def test_two_fleets_with_the_same_vehicle_name_do_not_meet(tmp_path):
    names = Pseudonymiser(KeyRing(tmp_path, TurnableClock()), BANGKOK)
    masked, _ = names.mask(["a", "b"], ["1", "1"], [1_768_440_000_000] * 2)
    assert masked[0] != masked[1]
