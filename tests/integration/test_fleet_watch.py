"""Sixty gateways report through a real log and ingest; people are told once, by real servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.fleet_street import (
    START,
    Street,
    alert_file,
    mail_server,
    web_server,
    write_fixes,
)

from clearway_fleet import jobs
from clearway_fleet.sites import State


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path, every_s=120.0)
    yield made
    made.close()


def looks(street: Street, settings: Path, minutes: int, *, every: int = 10) -> None:
    """Let time go by with a look every ten minutes, as the DAG does."""
    for _ in range(minutes // every):
        street.pass_minutes(every)
        jobs.watch(street.lake, settings, clock=street.clock)


def test_an_outage_that_silences_sixty_gateways_is_one_alarm_and_one_all_clear(
    street: Street, tmp_path: Path
) -> None:
    with mail_server() as (postbox, port), web_server() as (hook, hook_port):
        settings = alert_file(tmp_path, mail_port=port, hook_port=hook_port)
        looks(street, settings, 40)
        assert postbox.subjects == []

        street.cut_off = set(street.gateways)
        looks(street, settings, 90)

        assert postbox.subjects == [
            "[Clearway] Alarm: gateways are not heard, since 17:40"  # 10:40 UTC
        ]
        assert (
            "No gateway is heard since then: broker, network or ingest."
            in postbox.mails[0].get_content()
        )

        street.cut_off = set()
        looks(street, settings, 60)

    assert len(postbox.subjects) == 2
    assert postbox.subjects[1] == "[Clearway] All clear, was: gateways are not heard"
    assert [body["kind"] for body in hook.bodies] == ["alarm", "all_clear"]
    assert hook.bodies[0]["id"] == hook.bodies[1]["id"]


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path, n_sites=5, every_s=120.0)
    made.pass_minutes(20)
    yield made
    made.close()


def test_one_silent_gateway_is_an_alarm_of_its_own_that_says_what_to_bring(
    few: Street, tmp_path: Path
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.cut_off = {"gw-003"}
        looks(few, settings, 40, every=20)
        few.cut_off = set()
        looks(few, settings, 40, every=20)

    assert postbox.subjects == [
        "[Clearway] Alarm: Crossing 3 (site-03): gateway is silent, since 17:20",
        "[Clearway] All clear: Crossing 3 (site-03), was: gateway is silent",
    ]
    text = postbox.mails[0].get_content()
    assert "Bring: the spare gateway" in text
    assert "Look:  clearway gateway fleet --site site-03" in text
    assert "100.5" not in text
    assert postbox.mails[1]["In-Reply-To"] == postbox.mails[0]["Message-ID"]


def test_a_gateway_that_stays_silent_after_a_common_outage_gets_an_alarm_of_its_own(
    few: Street, tmp_path: Path
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.cut_off = set(few.gateways)
        looks(few, settings, 60, every=20)
        few.cut_off = {"gw-002"}
        looks(few, settings, 60, every=20)

    assert [subject.removeprefix("[Clearway] ").split(",")[0] for subject in postbox.subjects] == [
        "Alarm: gateways are not heard",
        "All clear",
        "Alarm: Crossing 2 (site-02): gateway is silent",
    ]


def test_a_gateway_that_comes_and_goes_is_told_once(few: Street, tmp_path: Path) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        for _ in range(2):
            few.cut_off = {"gw-001"}
            looks(few, settings, 30)
            few.cut_off = set()
            looks(few, settings, 10)
        assert len(postbox.subjects) == 1
        looks(few, settings, 30)

    assert len(postbox.subjects) == 2


def test_sites_that_fall_silent_together_are_one_alarm(street: Street, tmp_path: Path) -> None:
    street.pass_minutes(20)
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        street.cut_off = set(street.gateways[:8])
        looks(street, settings, 40, every=20)

    assert postbox.subjects == ["[Clearway] Alarm: 8 sites: gateway is silent, since 17:20"]
    assert "Crossing 7 (site-07): not heard for" in postbox.mails[0].get_content()


@pytest.mark.parametrize("state", [State.MAINTENANCE, State.PLANNED, State.DECOMMISSIONED])
def test_only_active_sites_raise_alarms(few: Street, tmp_path: Path, state: State) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.decide(3, state)
        few.cut_off = {"gw-003"}
        looks(few, settings, 60, every=30)

    assert postbox.subjects == []


def test_an_open_alarm_ends_when_somebody_takes_the_site_into_maintenance(
    few: Street, tmp_path: Path
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.cut_off = {"gw-003"}
        looks(few, settings, 40)
        few.decide(3, State.MAINTENANCE)
        looks(few, settings, 20)
        assert (
            "no longer watched, maintenance since 18:00 (Anna: put up)"
            in postbox.mails[1].get_content()
        )
        few.decide(3, State.ACTIVE)
        looks(few, settings, 30)

    kinds = [subject.removeprefix("[Clearway] ").split(":")[0] for subject in postbox.subjects]
    assert kinds == ["Alarm", "All clear", "Alarm"]


SILENT_SENSOR = (
    '{"air": {"kind": "pms5003", "state": "lost", "error": "/dev/ttyUSB0 is gone", '
    '"n_readings": 9, "last_reading_age_s": 21600}}'
)


@pytest.mark.parametrize(
    ("ill", "subject", "words"),
    [
        (
            {"sources_json": SILENT_SENSOR},
            "Crossing 1 (site-01), air: a sensor gives nothing",
            "air: pms5003: no reading for 6 h; /dev/ttyUSB0 is gone",
        ),
        ({"disk_free_bytes": 90_000_000}, "the disk is nearly full", "90 MB free"),
        ({"clock_synchronised": False}, "the clock is wrong", "s off"),
        ({"site": "site-04"}, "the settings of another site", "its settings say site-04"),
        ({"set_aside": 1}, "a damaged part of the outbox", "damaged parts: 1"),
        (
            {"dropped_by_reason": '{"outbox_full": 1200, "trip_end": 90}'},
            "readings are being given up",
            "outbox_full 1,200",
        ),
        (
            {"n_spooled": 9000, "oldest_spooled_age_s": 7200.0, "forwarder_state": "refused: x"},
            "readings pile up",
            "9,000 records wait, the oldest for 2 h; refused: x",
        ),
    ],
    ids=["sensor", "disk", "clock", "site", "set aside", "losses", "backlog"],
)
def test_what_a_device_says_of_itself_is_told_once_and_cleared_once(
    few: Street, tmp_path: Path, ill: dict, subject: str, words: str
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.ill["gw-001"] = ill
        looks(few, settings, 60, every=20)
        assert len(postbox.subjects) == 1
        assert subject in postbox.subjects[0]
        assert words in postbox.mails[0].get_content()
        few.ill.clear()
        looks(few, settings, 40, every=20)
        if "dropped_by_reason" not in ill:  # what was lost stays lost for a day
            assert len(postbox.subjects) == 2


def test_a_gateway_that_drains_after_six_offline_hours_raises_no_alarm_but_of_its_silence(
    few: Street, tmp_path: Path
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.cut_off = {"gw-001"}
        few.ill["gw-001"] = {"n_spooled": 50_000, "oldest_spooled_age_s": 20_000.0}
        looks(few, settings, 60)
        few.cut_off = set()
        for left in range(50_000, 0, -10_000):
            few.ill["gw-001"] = {"n_spooled": left, "oldest_spooled_age_s": 20_000.0}
            looks(few, settings, 10)
        few.ill.clear()
        looks(few, settings, 30)

    assert ["gateway is silent" in subject for subject in postbox.subjects] == [True, True]


def test_a_certificate_is_told_at_30_and_at_7_days_and_cleared_once(
    few: Street, tmp_path: Path
) -> None:
    ends = START + timedelta(days=31)
    few.ill["gw-001"] = {"certificate_expires_at": round(ends.timestamp() * 1000)}
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        for day in (0, 2, 3, 25, 26):
            few.clock.jump_to(START + timedelta(days=day, hours=1))
            looks(few, settings, 10)
        told = [subject.split("): ")[-1].split(",")[0] for subject in postbox.subjects]
        assert told == [
            "the certificate ends within 30 days",
            "the certificate ends within 7 days",
        ]
        n_before = len(postbox.subjects)
        few.ill.clear()
        looks(few, settings, 20)

    assert postbox.subjects[n_before:] == [
        "[Clearway] All clear: Crossing 1 (site-01), was: the certificate ends within 7 days"
    ]


def test_a_provider_that_stops_is_reported_within_30_minutes_and_night_rest_is_not(
    tmp_path: Path,
) -> None:
    street = Street(tmp_path, n_sites=3, every_s=120.0)
    begin = START - timedelta(days=14)
    fixes = [begin + timedelta(minutes=minute) for minute in range(0, 14 * 1440 + 20, 4)]
    write_fixes(street.lake, "cabs", fixes)
    day_shift = [at for at in fixes if 1 <= at.hour < 9]  # rests since 09:00
    write_fixes(street.lake, "buses", day_shift)
    weekdays = [at for at in fixes if at.weekday() != 2]  # rests on this day of the week
    write_fixes(street.lake, "vans", weekdays)
    try:
        with mail_server() as (postbox, port):
            settings = alert_file(tmp_path, mail_port=port)
            looks(street, settings, 30)
            assert postbox.subjects == []
            looks(street, settings, 20)  # the last fix of the cabs was at 10:16
            assert postbox.subjects == [
                "[Clearway] Alarm: cabs: a provider sends nothing, since 17:16"
            ]
            looks(street, settings, 20)
            now = street.clock.now()
            back = [now + timedelta(minutes=minute) for minute in range(40)]
            write_fixes(street.lake, "cabs", back)
            looks(street, settings, 40)
    finally:
        street.close()

    assert postbox.subjects[1:] == ["[Clearway] All clear: cabs, was: a provider sends nothing"]


def test_a_site_that_fails_again_while_others_of_its_alarm_are_still_ill_is_told_again(
    few: Street, tmp_path: Path
) -> None:
    full = {"disk_free_bytes": 90_000_000}
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.ill.update({f"gw-00{number}": full for number in (1, 2, 3)})
        looks(few, settings, 20, every=20)
        del few.ill["gw-001"]
        looks(few, settings, 40, every=20)
        assert len(postbox.subjects) == 1
        few.ill["gw-001"] = full
        looks(few, settings, 20, every=20)
        few.ill.clear()
        looks(few, settings, 40, every=20)

    assert [subject.removeprefix("[Clearway] ").split(",")[0] for subject in postbox.subjects] == [
        "Alarm: 3 sites: the disk is nearly full",
        "Alarm: Crossing 1 (site-01): the disk is nearly full",
        "All clear: 3 sites",
        "All clear: Crossing 1 (site-01)",
    ]


def test_a_provider_behind_a_silent_gateway_is_told_with_the_gateway_only(
    few: Street, tmp_path: Path
) -> None:
    begin = START - timedelta(days=7)
    fixes = [begin + timedelta(minutes=minute) for minute in range(0, 7 * 1440 + 20, 4)]
    write_fixes(few.lake, "cabs", fixes, gateway="gw-001")
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        few.cut_off = {"gw-001"}
        looks(few, settings, 60, every=20)

    assert ["gateway is silent" in subject for subject in postbox.subjects] == [True]
