"""The gateway's clock: whether it is believed, how time is found again, what is flagged."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from doubles.edge_doubles import NOON, TurnableClock
from hypothesis import given
from hypothesis import strategies as st

from clearway_core.clock import SystemClock, to_ms, wall_and_monotonic_ms
from clearway_core.stream.batch import decode
from clearway_edge.batching import (
    FLAG_CLOCK,
    FLAG_STEPPED,
    FLAG_UNSYNCHRONISED,
    Batcher,
    Gathered,
)
from clearway_edge.clock import clock_state, kernel_clock
from clearway_edge.clock.clock_bases import MAX_STARTS, ClockBases
from clearway_edge.clock.clock_state import UNKNOWN, ClockState
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.sources.source import Intake, Reading
from clearway_edge.sources.stamps import stamp

WRONG = datetime(2023, 5, 3, 2, 1, tzinfo=UTC)


class Reference:
    """A time service that answers as it is told to."""

    def __init__(self, *, synchronised: bool | None) -> None:
        self.synchronised = synchronised

    def __call__(self) -> bool | None:
        return self.synchronised


def state_of(clock, *, synchronised, start="start-1", bases=None):
    reference = Reference(synchronised=synchronised)
    state = ClockState(clock, ask=reference, bases=bases)
    state.start = start
    return state, reference


def batcher(tmp_path, clock, state):
    names = Pseudonymiser(KeyRing(tmp_path / "keys", clock), ZoneInfo("Asia/Bangkok"))
    return Batcher("gw-1", 7, pseudonyms=names, clock=clock, clock_state=state)


def air(clock):
    """A reading of a sensor without a clock, taken now."""
    values = {
        "sensor": "s-1", "sensor_model": "sds011", **stamp(clock),
        "lon_deg": 100.5, "lat_deg": 13.7, "pm2_5_atm_ugm3": 12.0,
    }  # fmt: skip
    return Reading(contract="air_reading/1", values=values)


def fix(observed_at):
    """A fix of a receiver, with the time of its satellites."""
    values = {
        "provider": "f", "vehicle": "v", "observed_at": observed_at,
        "lon_deg": 100.5, "lat_deg": 13.7,
    }  # fmt: skip
    return Reading(contract="gps_ping/1", values=values)


def parcels(batcher, *readings):
    gathered = Gathered()
    gathered.add(Intake(readings=list(readings)))
    made = batcher.parcels(gathered)
    batcher.took(made)
    return made


def test_both_clocks_are_read_together_though_the_process_was_stopped_between():
    class Stopped(TurnableClock):
        looks = 0

        def now(self):
            self.looks += 1
            if self.looks <= 3:
                self.forward(60)
            return super().now()

    clock = Stopped()
    wall_ms, monotonic_ms = wall_and_monotonic_ms(clock)
    assert wall_ms - monotonic_ms == to_ms(NOON)
    assert clock.looks == 4


def test_real_clocks_are_read_within_a_moment():
    first = wall_and_monotonic_ms(SystemClock())
    second = wall_and_monotonic_ms(SystemClock())
    assert abs((second[0] - first[0]) - (second[1] - first[1])) <= 20


def test_kernel_tells_what_its_own_call_answers():
    answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    expected = None if answer < 0 else answer != 5
    assert kernel_clock.kernel_says_synchronised() is expected


class Library:
    """A C library whose kernel answers what it is told to."""

    def __init__(self, answer, offset=0, status=0):
        self.answer, self.offset, self.status = answer, offset, status

    def adjtimex(self, pointer):
        assert pointer._obj.modes == 0
        pointer._obj.offset = self.offset
        pointer._obj.status = self.status
        return self.answer


@pytest.mark.parametrize(
    ("library", "synchronised", "offset_s"),
    [
        (Library(0, offset=-1500, status=0x0001), True, 0.0015),
        (Library(0, offset=-1500, status=0x2001), True, 1.5e-6),
        (Library(5, offset=7, status=0x0040), False, None),
        (Library(-1), None, None),
    ],
)
def test_kernel_tells_the_offset_in_its_own_unit(monkeypatch, library, synchronised, offset_s):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    assert kernel_clock.kernel_says_synchronised() is synchronised
    assert kernel_clock.kernel_offset_s() == offset_s
    assert ClockState(TurnableClock(), offset=kernel_clock.kernel_offset_s).offset_s == offset_s


def test_clock_of_a_system_that_does_not_tell_is_believed(monkeypatch):
    def no_library(*_, **__):
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    state = ClockState(TurnableClock(), ask=kernel_clock.kernel_says_synchronised)
    assert state.synchronised


def test_file_goes_before_what_the_kernel_says(tmp_path):
    file = tmp_path / "synchronized"
    state = ClockState(TurnableClock(), file, ask=lambda: True)
    assert not state.synchronised
    file.touch()
    assert state.synchronised


def test_every_start_of_the_machine_has_a_name_even_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(clock_state, "BOOT_ID", tmp_path / "none")
    first, second = ClockState(TurnableClock()).start, ClockState(TurnableClock()).start
    assert first.startswith("process-")
    assert first != second


def test_base_is_not_known_yet_until_the_clock_is_synchronised():
    clock = TurnableClock(WRONG)
    state, reference = state_of(clock, synchronised=False)
    assert state.tag == "start-1"
    assert state.base_ms("start-1") is None
    clock.forward(100)
    clock.jump_to(NOON)
    reference.synchronised = True
    assert state.tag is None
    assert state.base_ms("start-1") == to_ms(NOON) - 100_000


def test_start_before_a_reboot_is_dated_if_it_was_synchronised_and_else_unknown(tmp_path):
    file = tmp_path / "gw/clock.json"
    first, _ = state_of(TurnableClock(), synchronised=True, bases=ClockBases(file))
    first.look()
    second, _ = state_of(
        TurnableClock(WRONG), synchronised=False, start="start-2", bases=ClockBases(file)
    )
    second.look()
    third, _ = state_of(TurnableClock(), synchronised=True, start="start-3", bases=ClockBases(file))
    assert third.base_ms("start-1") == to_ms(NOON)
    assert third.base_ms("start-2") == UNKNOWN


def test_clock_that_loses_its_reference_keeps_the_base_it_had():
    clock = TurnableClock()
    state, reference = state_of(clock, synchronised=True)
    state.look()
    reference.synchronised = False
    clock.forward(3600)
    assert state.base_ms(state.tag) == to_ms(NOON)


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": "b"}'])
def test_damaged_bases_make_earlier_starts_unknown_and_stop_nothing(tmp_path, damage):
    file = tmp_path / "clock.json"
    file.write_bytes(damage)
    state, _ = state_of(TurnableClock(), synchronised=True, bases=ClockBases(file))
    assert state.base_ms("a") == UNKNOWN
    state.look()
    assert ClockBases(file).get("start-1") == to_ms(NOON)


def test_bases_are_written_when_they_change_and_not_at_every_look(tmp_path):
    file = tmp_path / "clock.json"
    bases = ClockBases(file)
    bases.set("a", 1_000_000)
    before = file.stat().st_ino
    for base_ms in range(1_000_000, 1_000_400, 50):
        bases.set("a", base_ms)
    assert file.stat().st_ino == before
    assert bases.get("a") == 1_000_350
    bases.set("a", 1_000_500)
    assert ClockBases(file).get("a") == 1_000_500


def test_bases_of_many_starts_stay_bounded_and_the_newest_are_kept(tmp_path):
    file = tmp_path / "clock.json"
    bases = ClockBases(file)
    for number in range(MAX_STARTS + 20):
        bases.set(f"start-{number}", number)
    again = ClockBases(file)
    assert again.get("start-19") is None
    assert again.get("start-20") == 20
    assert again.get(f"start-{MAX_STARTS + 19}") == MAX_STARTS + 19


def test_bases_that_cannot_be_written_serve_from_memory(tmp_path, caplog):
    folder = tmp_path / "gateway"
    folder.write_text("a file where the folder should be")
    bases = ClockBases(folder / "clock.json")
    bases.set("a", 5)
    assert bases.get("a") == 5
    assert "clock_bases_not_written" in caplog.text
    folder.unlink()
    bases.set("a", 5)
    assert ClockBases(folder / "clock.json").get("a") == 5


def test_reading_without_a_clock_of_its_own_carries_monotonic_time_until_there_is_one(tmp_path):
    clock = TurnableClock(WRONG)
    state, reference = state_of(clock, synchronised=False)
    works = batcher(tmp_path, clock, state)
    clock.forward(5)
    [before] = parcels(works, air(clock))
    assert before.clock == "start-1"
    columns = decode(before.payload).columns
    assert columns["monotonic_ms"] == [5000]
    assert columns["observed_at"] == [to_ms(WRONG) + 5000]
    assert columns["flags"] == [FLAG_UNSYNCHRONISED]
    clock.jump_to(NOON)
    reference.synchronised = True
    [after] = parcels(works, air(clock))
    assert after.clock is None
    assert "monotonic_ms" not in decode(after.payload).columns
    assert "flags" not in decode(after.payload).columns


def test_reading_of_before_the_synchronisation_is_not_believed_because_it_is_committed_after(
    tmp_path,
):
    clock = TurnableClock(WRONG)
    state, reference = state_of(clock, synchronised=False)
    works = batcher(tmp_path, clock, state)
    clock.forward(5)
    late = air(clock)
    clock.jump_to(NOON)
    reference.synchronised = True
    parcels(works)  # a commit that the reading just missed
    clock.forward(60)
    [parcel] = parcels(works, late, air(clock))
    columns = decode(parcel.payload).columns
    assert parcel.clock == "start-1"
    assert columns["monotonic_ms"] == [5000, None]
    assert columns["flags"] == [FLAG_UNSYNCHRONISED, None]


def test_receiver_with_satellite_time_is_left_alone_while_the_clock_is_wrong(tmp_path):
    clock = TurnableClock(WRONG)
    state, _ = state_of(clock, synchronised=False)
    works = batcher(tmp_path, clock, state)
    gps, pm = parcels(works, fix(to_ms(NOON)), air(clock))[::-1]
    assert gps.clock is None
    assert set(decode(gps.payload).columns) & {"monotonic_ms", "flags"} == set()
    assert pm.clock == "start-1"
    state, _ = state_of(clock, synchronised=True)
    [believed] = parcels(batcher(tmp_path, clock, state), fix(to_ms(NOON)))
    assert decode(believed.payload).columns["flags"] == [FLAG_CLOCK]


def test_step_of_a_synchronised_clock_is_flagged_measured_and_told_once(tmp_path, caplog):
    clock = TurnableClock()
    state, _ = state_of(clock, synchronised=True)
    works = batcher(tmp_path, clock, state)
    clock.forward(1)
    before = air(clock)
    clock.jump_to(clock.now() + timedelta(seconds=90))
    [stepped] = parcels(works, before, air(clock), fix(to_ms(clock.now())))[:1]
    assert decode(stepped.payload).columns["flags"] == [FLAG_STEPPED] * 2
    assert "monotonic_ms" not in decode(stepped.payload).columns
    clock.forward(1)
    [after] = parcels(works, air(clock))
    assert "flags" not in decode(after.payload).columns
    assert [record.by_s for record in caplog.records if record.msg == "clock_stepped"] == [90.0]


@given(slips_ms=st.lists(st.integers(-1900, 1900), max_size=6))
def test_clock_that_is_only_turned_slowly_makes_no_step(slips_ms):
    clock = TurnableClock()
    state, _ = state_of(clock, synchronised=True)
    state.look()
    for slip_ms in slips_ms:
        clock.forward(1)
        clock.jump_to(clock.now() + timedelta(milliseconds=slip_ms))
        assert state.look().step_ms is None


@given(
    offline_s=st.integers(0, 30 * 86_400),
    wrong_by_s=st.integers(-50 * 365 * 86_400, 50 * 365 * 86_400),
    taken_s=st.data(),
)
def test_monotonic_time_and_base_give_the_true_time_however_wrong_the_clock_was(
    offline_s, wrong_by_s, taken_s
):
    clock = TurnableClock(NOON + timedelta(seconds=wrong_by_s))
    state, reference = state_of(clock, synchronised=False)
    at_s = taken_s.draw(st.integers(0, offline_s))
    clock.forward(at_s)
    times = stamp(clock)
    clock.forward(offline_s - at_s)
    clock.jump_to(NOON + timedelta(seconds=offline_s))
    reference.synchronised = True
    base_ms = state.base_ms("start-1")
    assert times["monotonic_ms"] + base_ms == to_ms(NOON + timedelta(seconds=at_s))
