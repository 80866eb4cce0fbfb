"""What the guide and the runbook show is what the programs say and know."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from doubles.edge_doubles import TurnableClock
from doubles.fleet_street import START, health, site, web_server, write_rows

from clearway_core.lake import open_lake
from clearway_fleet import jobs
from clearway_fleet.alert_settings import read_alert_settings
from clearway_fleet.causes import NO_ALARM, causes
from clearway_fleet.sites import Register, write_sites

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs" / "guides" / "fleet.md"
RUNBOOK = REPOSITORY / "docs" / "runbooks" / "alarms.md"


def test_the_sample_settings_of_the_watch_are_good() -> None:
    settings = read_alert_settings(REPOSITORY / "fleet" / "alerts.toml")

    assert settings.channels == ("email", "duty-chat")
    assert settings.digest_hour == 7


def test_the_runbook_has_a_section_for_every_cause() -> None:
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(sections) == sorted(causes().keys() - NO_ALARM)


def test_the_guide_shows_an_alarm_as_it_is_sent(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    write_sites(lake, [site(1)], Register(rows=(), version=None))
    clock = TurnableClock(START + timedelta(hours=5))
    air = {"kind": "pms5003", "state": "lost", "last_reading_age_s": 21_600}
    sources = json.dumps({"pm": {**air, "error": "/dev/ttyUSB0: no such device"}})
    times = [clock.now() - timedelta(minutes=minutes) for minutes in range(80, -1, -10)]
    row = {"gateway": "gw-001", "observed_date": START.date(), "certificate_expires_at": None}
    write_rows(
        lake,
        "gateway_health",
        [
            health(at, sources_json=sources) | row | {"observed_at": at, "received_at": at}
            for at in times
        ],
    )
    file = tmp_path / "alerts.toml"
    with web_server() as (hook, port):
        file.write_text(
            '[watch]\ntime_zone = "Asia/Bangkok"\n[[webhook]]\nname = "chat"\n'
            f'url = "http://127.0.0.1:{port}/"\n',
            encoding="utf-8",
        )
        jobs.watch(lake, file, clock=clock)

    [body] = hook.bodies
    guide = GUIDE.read_text(encoding="utf-8")
    assert body["subject"] in guide, body["subject"]
    assert body["text"] in guide, body["text"]
