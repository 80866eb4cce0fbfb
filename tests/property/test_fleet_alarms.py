"""Whatever happens at the street: one alarm for a cause until its all-clear, and none forgotten."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_fleet.alarms import Due, Kind, OpenAlarm, decide
from clearway_fleet.causes import (
    CERTIFICATE_EXPIRES,
    CERTIFICATE_EXPIRES_SOON,
    CLOCK_WRONG,
    NOTHING_HEARD,
    SENSOR_SILENT,
)
from clearway_fleet.finding import Finding
from clearway_fleet.silence import EVERYWHERE, Listening, silences
from clearway_fleet.thresholds import thresholds

START = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
LIMITS = thresholds()


@dataclass
class People:
    """Those who are told: they remember every alarm and all-clear."""

    open: dict[str, OpenAlarm] = field(default_factory=dict)
    told: list[Due] = field(default_factory=list)
    ids: count = field(default_factory=count)

    def look(self, findings: list[Finding]) -> None:
        due = decide(
            findings,
            list(self.open.values()),
            roll_up=LIMITS.roll_up_sites,
            new_id=lambda cause, about: f"{cause}-{next(self.ids)}",
        )
        for one in due:
            if one.narrows:
                narrowed = replace(self.open[one.alarm_id], about=frozenset(one.about))
                self.open[one.alarm_id] = narrowed
                continue
            self.told.append(one)
            if one.kind is Kind.ALL_CLEAR:
                del self.open[one.alarm_id]
                continue
            self.open[one.alarm_id] = OpenAlarm(
                alarm_id=one.alarm_id,
                cause=one.cause,
                about=frozenset(one.about),
                named=frozenset(one.about),
                since_at=one.since_at,
            )
        self.check(findings)

    def check(self, findings: list[Finding]) -> None:
        covered = Counter((a.cause, about) for a in self.open.values() for about in a.about)
        present = {(finding.cause, finding.about) for finding in findings}
        assert all(number == 1 for number in covered.values())
        for finding in findings:
            assert not finding.active or (finding.cause, finding.about) in covered
        for alarm in self.open.values():
            assert {(alarm.cause, about) for about in alarm.about} <= present


def finding(cause: str, about: str, *, active: bool = True) -> Finding:
    return Finding(cause=cause, about=about, since_at=START, detail="x", active=active)


FINDINGS = st.lists(
    st.builds(
        finding,
        st.sampled_from(
            [CLOCK_WRONG, SENSOR_SILENT, CERTIFICATE_EXPIRES, CERTIFICATE_EXPIRES_SOON]
        ),
        st.sampled_from([f"site-{number}" for number in range(6)]),
        active=st.booleans(),
    ),
    unique_by=lambda one: (one.cause, one.about),
    max_size=24,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FINDINGS, max_size=8))
def test_every_active_cause_is_covered_by_exactly_one_open_alarm(
    looks: list[list[Finding]],
) -> None:
    people = People()
    for findings in looks:
        people.look(findings)
    people.look([])

    assert people.open == {}
    alarms = [one.alarm_id for one in people.told if one.kind is Kind.ALARM]
    assert sorted(alarms) == sorted(o.alarm_id for o in people.told if o.kind is Kind.ALL_CLEAR)


@given(st.integers(min_value=0, max_value=8))
def test_many_sites_with_one_cause_are_one_alarm_and_few_are_single_ones(n_sites: int) -> None:
    people = People()
    people.look([finding(CLOCK_WRONG, f"site-{number}") for number in range(n_sites)])

    assert len(people.told) == (1 if n_sites >= LIMITS.roll_up_sites else n_sites)


def test_a_later_warning_takes_the_earlier_ones_place_without_a_word() -> None:
    people = People()
    people.look([finding(CERTIFICATE_EXPIRES, "site-1")])
    people.look([finding(CERTIFICATE_EXPIRES_SOON, "site-1")])
    people.look([])

    said = [(one.kind.value, one.cause) for one in people.told if not one.quiet]
    assert said == [
        ("alarm", CERTIFICATE_EXPIRES),
        ("alarm", CERTIFICATE_EXPIRES_SOON),
        ("all_clear", CERTIFICATE_EXPIRES_SOON),
    ]


N_SITES = 7
STEP = timedelta(minutes=5)


@dataclass
class Sites:
    """Gateways that are up or down, a broker that is up or down, people who take sites out."""

    now: datetime = START
    down: set[int] = field(default_factory=set)
    out: set[int] = field(default_factory=set)
    broker_down: bool = False
    since: dict[int, datetime] = field(default_factory=dict)
    heard: dict[int, list[datetime]] = field(
        default_factory=lambda: {number: [START] for number in range(N_SITES)}
    )

    def apply(self, event: tuple[str, int]) -> None:
        what, number = event
        if what == "broker":
            self.broker_down = not self.broker_down
        elif what == "gateway":
            self.down ^= {number}
        elif what == "maintenance":
            self.out ^= {number}
            self.since[number] = self.now

    def step(self) -> None:
        self.now += STEP
        for number in range(N_SITES):
            if number not in self.down and not self.broker_down:
                self.heard[number].append(self.now)

    def findings(self) -> list[Finding]:
        window = self.now - timedelta(minutes=75)
        watched = {}
        for number in set(range(N_SITES)) - self.out:
            valid_from = self.since.get(number, START)
            watched[f"site-{number}"] = Listening(
                last_at=max(valid_from, self.heard[number][-1]),
                first_at=max(valid_from, window),
                times=[at for at in self.heard[number] if at >= max(window, valid_from)],
            )
        return silences(watched, self.now, limits=LIMITS, delay=timedelta(0))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["none", "none", "none", "gateway", "broker", "maintenance"]),
        st.integers(min_value=0, max_value=N_SITES - 1),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_gateways_broker_and_people_in_any_order_never_make_two_alarms_of_one_cause(
    events: list[tuple[str, int]],
) -> None:
    sites, people = Sites(), People()
    for number, event in enumerate(events):
        sites.apply(event)
        sites.step()
        if number % 2:
            n_before = len(people.told)
            people.look(sites.findings())
            out = {f"site-{each}" for each in sites.out}
            new = [one for one in people.told[n_before:] if one.kind is Kind.ALARM]
            assert not any(out.intersection(one.about) for one in new)
    sites.down.clear()
    sites.out.clear()
    sites.broker_down = False
    for _ in range(24):  # two quiet hours
        sites.step()
        people.look(sites.findings())

    assert people.open == {}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(min_value=4, max_value=40),
    st.integers(min_value=1, max_value=5),
    st.integers(min_value=0, max_value=N_SITES - 1),
)
def test_an_outage_of_the_broker_is_one_alarm_however_the_looks_fall(
    outage_steps: int, look_every: int, offset: int
) -> None:
    sites, people = Sites(), People()
    for number in range(20 + outage_steps + 30):
        sites.broker_down = 20 <= number < 20 + outage_steps
        sites.step()
        if number % look_every == offset % look_every:
            people.look(sites.findings())

    told = [(one.kind.value, one.cause, one.about) for one in people.told]
    assert told in (
        [],  # too short for a look to see it
        [("alarm", NOTHING_HEARD, (EVERYWHERE,)), ("all_clear", NOTHING_HEARD, (EVERYWHERE,))],
    )
    if outage_steps >= 10:
        assert told


def test_a_lake_that_is_filled_once_an_hour_raises_no_alarm_but_of_who_was_silent_before() -> None:
    heard = {f"site-{number}": START for number in range(5)} | {
        "site-5": START - timedelta(minutes=30)
    }
    sites = {
        name: Listening(last_at=at, first_at=START - timedelta(minutes=75), times=[])
        for name, at in heard.items()
    }
    now = START + timedelta(minutes=60)

    found = silences(sites, now, limits=LIMITS, delay=timedelta(minutes=65))

    assert [one.about for one in found if one.active] == ["site-5"]
    impatient = silences(sites, now, limits=LIMITS, delay=timedelta(0))
    assert [one.about for one in impatient if one.active] == [EVERYWHERE]
