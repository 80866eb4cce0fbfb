"""Sixty devices from a list, their first start, and the commands that show the fleet."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import time
import tomllib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest
import typer
from doubles.fleet_street import Street
from typer.testing import CliRunner

from clearway_cli.commands import gateway
from clearway_core.errors import ClearwayError, SettingsError, UsageError
from clearway_core.lake import open_lake
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.kinds import KINDS
from clearway_fleet import jobs
from clearway_fleet.causes import SENSOR_SILENT, causes
from clearway_fleet.looking import SiteStatus, look
from clearway_fleet.site_file import COLUMNS
from clearway_fleet.sites import State

SAMPLES = resources.files("clearway_edge") / "settings" / "samples"

SOURCES = "pmsx003:/dev/ttyUSB0;nmea:tcp:127.0.0.1:2947"


def run(*arguments: object, code: int = 0) -> str:
    """Run `clearway …` in this process and return what it printed."""
    app = typer.Typer()
    gateway.register(app)

    @app.callback()
    def _only() -> None:
        """Keep the group's name."""

    done = CliRunner().invoke(
        app, [str(each) for each in arguments], env={"NO_COLOR": "1", "COLUMNS": "200"}
    )
    if isinstance(done.exception, ClearwayError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def write_list(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    file = folder / "sites.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return file


def row(number: int, **changes: object) -> list[object]:
    values = {
        "site": f"asok-{number:02}",
        "site_name": f"Asok Junction {number}",
        "lon_deg": round(100.5 + number / 500, 4),
        "lat_deg": 13.75,
        "gateway": "",
        "sources": SOURCES,
        "state": "",
    }
    return [(values | changes)[name] for name in COLUMNS]


def provision(folder: Path, *more: object) -> dict:
    arguments = ["gateway", "provision", folder / "sites.csv", "--out", folder / "out"]
    arguments += ["--by", "Anna", "--time-zone", "Asia/Bangkok", "--data-dir", folder / "data"]
    return json.loads(run(*arguments, *more, "--json"))


def test_sixty_devices_are_prepared_in_well_under_five_minutes_and_again_nothing_changes(
    tmp_path: Path,
) -> None:
    write_list(tmp_path, [row(number) for number in range(60)])
    ca = tmp_path / "authority.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "utf-8")
    options = ("--broker", "kafka://broker.example:9093", "--ca-file", ca)

    begun_s = time.monotonic()
    first = provision(tmp_path, *options)
    took_s = time.monotonic() - begun_s
    again = provision(tmp_path, *options)

    assert took_s < 60
    assert len(first["devices"]) == len(set(first["devices"].values())) == 60
    assert len(first["written"]) == 60 * 3 + 3
    assert (again["written"], again["registered"], again["unchanged"]) == ([], [], 183)
    assert again["devices"] == first["devices"]
    device = first["devices"]["asok-07"]
    settings = read_settings(tmp_path / "out" / device / "gateway.toml")
    assert (settings.name, settings.site) == (device, "asok-07")
    assert settings.log_address == "kafka://broker.example:9093"
    assert settings.security is not None
    assert settings.security.tls
    assert settings.position_deg == (100.514, 13.75)
    assert [source.name for source in settings.sources] == ["pm", "receiver"]
    assert '"asok-07.pm"' in settings.file.read_text(encoding="utf-8")
    sites = jobs.list_sites(open_lake(tmp_path / "data"))
    assert {site.state for site in sites} == {State.PLANNED}
    every_byte = "".join(
        file.read_text(encoding="utf-8") for file in (tmp_path / "out").rglob("*.*")
    )
    assert "PRIVATE KEY" not in every_byte


def test_a_list_tells_all_its_faults_at_once_and_writes_nothing(tmp_path: Path) -> None:
    write_list(
        tmp_path,
        [
            row(1),
            row(1, lon_deg=100.6, site_name="Other"),
            row(2, lon_deg="100,7", lat_deg=95),
            row(3, sources="pms:/dev/ttyUSB0;pmsx003:nowhere", state="ready"),
            row(4, gateway="GW 4", sources="nmea:/dev/ttyUSB0;pmsx003:/dev/ttyUSB0"),
            row(5, lon_deg=13.75, lat_deg=100.5 - 50),
            row(6, lon_deg=100.502),
        ],
    )
    with pytest.raises(SettingsError) as error:
        provision(tmp_path)

    faults = [fault.split(", ", 1)[1] for fault in error.value.faults]
    expected = [
        "line 3: site = 'asok-01' stands in line 2 too",
        "line 4: lon_deg: expected -180 to 180, got '100,7'; write a decimal point",
        "line 4: lat_deg: expected -90 to 90, got '95'",
        "line 5: state: expected one of planned, active, maintenance, got 'ready'",
        "line 5: sources: expected KIND:ADDRESS with a kind out of",
        "line 5: sources: expected an address such as /dev/ttyUSB0",
        "line 6: gateway: expected small letters, digits, . _ or -, got 'GW 4'",
        "line 6: sources: /dev/ttyUSB0 is given twice",
        "line 7: lon_deg, lat_deg = 13.75, 50.5 is ",
        "line 8: asok-06 stands where asok-01 of line 2 does",
    ]
    assert len(faults) == len(expected), faults
    for words in expected:
        assert any(fault.startswith(words) for fault in faults), (words, faults)
    assert not (tmp_path / "out").exists()
    assert jobs.list_sites(open_lake(tmp_path / "data")) == []


def test_outside_of_the_city_swapped_positions_are_named(tmp_path: Path) -> None:
    write_list(tmp_path, [row(1, lon_deg=13.75, lat_deg=60.5)])
    city = tmp_path / "city"
    city.mkdir()
    (city / "city.toml").write_text(
        '[city]\nname = "X"\ncountry = "TH"\ntime_zone = "Asia/Bangkok"\n'
        "service_area_deg = [60.0, 13.0, 61.0, 14.0]\n",
        encoding="utf-8",
    )

    with pytest.raises(SettingsError, match="longitude and latitude are swapped"):
        provision(tmp_path, "--city", city)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: expected the columns site, site_name"),
        ("site;site_name;lon_deg", "columns are separated by commas"),
        (",".join(COLUMNS), "expected a line for each site, got none"),
        (",".join(COLUMNS) + "\na,b", "line 2: expected 7 values, got 2"),
    ],
)
def test_a_file_that_is_no_list_of_sites_says_so(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sites.csv").write_text(text + "\n", encoding="utf-8")

    with pytest.raises(SettingsError, match=words):
        provision(tmp_path)


def test_settings_that_the_gateway_would_refuse_are_told_with_their_line(tmp_path: Path) -> None:
    write_list(tmp_path, [row(1), row(2, sources="pmsx003:https://example.org/json")])

    with pytest.raises(SettingsError, match=r"line 3: asok-02: sources: pmsx003 takes serial, got"):
        provision(tmp_path)
    write_list(tmp_path, [row(1)])
    with pytest.raises(SettingsError, match=r"line 2: asok-01: gateway\.toml, line \d+: log\.addr"):
        provision(tmp_path, "--broker", "broker:9092")


def test_what_differs_is_never_written_over_in_silence(tmp_path: Path) -> None:
    write_list(tmp_path, [row(1), row(2)])
    provision(tmp_path)
    edited = tmp_path / "out" / "gw-001" / "gateway.toml"
    edited.write_text(edited.read_text(encoding="utf-8") + "\n# mine\n", encoding="utf-8")
    write_list(tmp_path, [row(1), row(2), row(3)])

    with pytest.raises(UsageError, match=r"other contents of gw-001/gateway\.toml; nothing was"):
        provision(tmp_path)
    assert not (tmp_path / "out" / "gw-003").exists()
    assert "# mine" in edited.read_text(encoding="utf-8")

    done = provision(tmp_path, "--replace")
    assert sorted(done["written"]) == [
        "checklist.html",
        "gw-001/gateway.toml",
        "gw-003/first-boot.sh",
        "gw-003/gateway.toml",
        "labels.html",
    ]
    assert done["registered"] == ["asok-03"]


def test_what_people_have_decided_since_stays(tmp_path: Path) -> None:
    write_list(tmp_path, [row(1, gateway="gw-017")])
    provision(tmp_path)
    lake = open_lake(tmp_path / "data")
    jobs.set_site(lake, "asok-01", state="active", reason="GO", decided_by="Ben")
    provision(tmp_path)
    [site] = jobs.list_sites(lake)
    assert (site.state, site.decided_by) == (State.ACTIVE, "Ben")

    jobs.set_site(lake, "asok-01", gateway="gw-061", reason="flooded", decided_by="Ben")
    with pytest.raises(SettingsError, match="served by gw-061, not by gw-017: for a swap"):
        provision(tmp_path)
    write_list(tmp_path, [row(1, site_name="Asok North")])
    with pytest.raises(SettingsError, match=r"site_name = 'Asok North' .registered: 'Asok Junct"):
        provision(tmp_path)
    assert provision(tmp_path, "--replace")["devices"] == {"asok-01": "gw-061"}
    [site] = jobs.list_sites(lake)
    assert (site.site_name, site.gateway, site.state) == ("Asok North", "gw-061", State.ACTIVE)


def test_labels_hold_site_device_and_a_code_but_no_secret(tmp_path: Path) -> None:
    write_list(tmp_path, [row(1, site_name="Asok <North> & co"), row(2)])
    provision(tmp_path)

    labels = (tmp_path / "out" / "labels.html").read_text(encoding="utf-8")
    assert labels.count("<svg") == labels.count('class="label"') == 2
    assert "Asok &lt;North&gt; &amp; co" in labels
    assert "http://gw-001.local:8470/" in labels
    assert 'PIN: <span class="pin">&nbsp;</span>' in labels
    assert "<script" not in labels


def test_the_first_start_makes_the_key_on_the_device_and_a_second_one_changes_nothing(
    tmp_path: Path,
) -> None:
    write_list(tmp_path, [row(1)])
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "utf-8")
    provision(tmp_path, "--broker", "kafka://b:9093", "--ca-file", ca)
    root, calls = tmp_path / "root", tmp_path / "calls"
    environment = _device(tmp_path, root, calls)
    script = tmp_path / "out" / "gw-001" / "first-boot.sh"

    def boot(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", script, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    first = boot()
    assert first.returncode == 0, first.stderr
    done = calls.read_text(encoding="utf-8")
    assert f"check --settings {root}/etc/clearway/gateway.toml" in done
    assert f"enrol --settings {root}/etc/clearway/gateway.toml" in done
    assert "hostnamectl set-hostname gw-001" in done
    assert "systemctl enable --now clearway-gateway.service" in done
    assert (root / "etc/clearway/ca.crt").read_bytes() == ca.read_bytes()
    assert (root / "var/lib/clearway/first-boot.done").exists()
    assert boot().returncode == 0

    installed = root / "etc/clearway/gateway.toml"
    installed.write_text("# another device\n", encoding="utf-8")
    refused = boot()
    assert refused.returncode == 1
    assert "holds other settings" in refused.stderr
    assert installed.read_text(encoding="utf-8") == "# another device\n"
    assert boot("--replace").returncode == 0
    assert 'name = "gw-001"' in installed.read_text(encoding="utf-8")


def _device(tmp_path: Path, root: Path, calls: Path) -> dict[str, str]:
    """Make a machine whose commands that need root only note that they were called."""
    commands = tmp_path / "commands"
    program = root / "opt/clearway/bin/clearway-gateway"
    commands.mkdir()
    program.parent.mkdir(parents=True)
    note = f'#!/bin/sh\necho "$(basename "$0") $*" >> "{calls}"\n'
    install = '#!/bin/sh\nshift_owner() { while [ $# -gt 0 ]; do case "$1" in -o|-g) shift 2;; *) '
    install += 'printf "%s\\n" "$1"; shift;; esac; done; }\n'
    install += 'exec /usr/bin/install $(shift_owner "$@")\n'
    texts = dict.fromkeys(("useradd", "hostnamectl", "systemctl"), note)
    texts |= {"runuser": note + 'shift 3\nexec "$@"\n', "install": install}
    for name, text in texts.items():
        (commands / name).write_text(text, encoding="utf-8")
        (commands / name).chmod(0o755)
    program.write_text(note, encoding="utf-8")
    program.chmod(0o755)
    return os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "CLEARWAY_ROOT": str(root)}


ADDRESSES = {
    "url": "http://192.0.2.7/json",
    "serial": "/dev/ttyACM3",
    "tcp": "tcp:192.0.2.7:2947",
    "broker": "192.0.2.7:1883",
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_source_can_be_prepared(tmp_path: Path, kind: str) -> None:
    sample = (resources.files("clearway_edge") / "settings" / "samples" / f"{kind}.toml").read_text(
        "utf-8"
    )
    [table] = tomllib.loads(sample)["source"]
    address = next((ADDRESSES[key] for key in ADDRESSES if key in table), None)
    wish = kind if address is None else f"{kind}:{address}"
    write_list(tmp_path, [row(1, sources=f"{wish};my-own={kind}" if address else wish)])
    provision(tmp_path)

    settings = read_settings(tmp_path / "out" / "gw-001" / "gateway.toml")
    assert settings.sources[0].kind == kind
    text = settings.file.read_text(encoding="utf-8")
    if address is not None:
        assert settings.sources[1].name == "my-own"
        assert address.removeprefix("tcp:") in text
    assert ('"asok-01.' in text) == ("sensor" in table or "vehicle" in table)


def test_every_kind_of_source_says_what_to_bring() -> None:
    assert set(KINDS) <= set(causes()[SENSOR_SILENT].kinds)


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path, n_sites=4, every_s=300.0)
    yield made
    made.close()


def test_the_fleet_lists_the_most_urgent_first_and_what_to_bring(street: Street) -> None:
    street.ill["gw-002"] = {
        "dropped_by_reason": '{"outbox_full": 5, "trip_end": 70}',
        "n_spooled": 900,
        "spooled_bytes": 120_000,
        "oldest_spooled_age_s": 3600.0,
        "sources_json": '{"air": {"kind": "sds011", "state": "lost", "error": "unplugged", '
        '"last_reading_age_s": 21600}}',
    }
    street.cut_off = {"gw-001"}
    street.pass_minutes(30)
    jobs.set_site(
        street.lake, "site-03", state="decommissioned", reason="gone", decided_by="Anna",
        clock=street.clock,
    )  # fmt: skip

    seen = look(street.lake, street.clock.now())

    assert [(status.site, status.urgency) for status in seen.statuses] == [
        ("site-02", 1),
        ("site-01", 2),
        ("site-00", 9),
    ]
    ill = seen.statuses[0]
    assert (ill.n_spooled, ill.spooled_bytes, ill.losses) == (900, 120_000, {"outbox_full": 5})
    assert (ill.lost_sensors, ill.oldest_sensor_age_s) == (("air",), 21_600.0)
    assert [repair.cause for repair in ill.repairs] == [
        "readings_lost",
        "backlog_growing",
        "sensor_silent",
    ]
    assert ill.repairs[2].bring == "an SDS011 and a USB cable"
    assert seen.statuses[1].last_seen_at is None
    assert seen.unknown == ("gw-003",)  # it still reports, but serves no site


def test_the_command_ends_with_1_when_something_needs_a_hand(
    street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearway_fleet.jobs.SystemClock", lambda: street.clock)
    street.pass_minutes(10)
    fine = json.loads(run("gateway", "fleet", "--data-dir", tmp_path, "--json"))
    assert [site["urgency"] for site in fine["sites"]] == [9] * 4
    assert "Nothing to do." in run("gateway", "fleet", "--data-dir", tmp_path)

    street.ill["gw-001"] = {"disk_free_bytes": 1000}
    street.pass_minutes(5)
    text = run("gateway", "fleet", "--data-dir", tmp_path, code=1)
    assert "The disk is nearly full" in text
    assert "bring: a larger SD card" in text
    assert "100.5" not in text
    one = run("gateway", "fleet", "--site", "site-00", "--data-dir", tmp_path)
    assert "up to date" in one
    with pytest.raises(UsageError, match="no site 'asok' is known"):
        run("gateway", "fleet", "--site", "asok", "--data-dir", tmp_path)
    changed = run(
        "gateway", "site", "set", "site-01", "--state", "maintenance", "--reason", "card",
        "--by", "Anna", "--data-dir", tmp_path,
    )  # fmt: skip
    assert "site-01 (Crossing 1) is maintenance with gw-001 from now on." in changed
    assert "(Anna: card)" in run("gateway", "site", "list", "--data-dir", tmp_path)
    run("gateway", "fleet", "--data-dir", tmp_path)


def test_a_gateway_whose_clock_stands_in_another_year_is_still_heard(street: Street) -> None:
    street.behind["gw-001"] = timedelta(days=2000)
    street.ill["gw-001"] = {
        "clock_synchronised": False,
        "certificate_expires_at": None,
        "clock_offset_s": None,
    }
    street.pass_minutes(30)

    seen = {status.site: status for status in look(street.lake, street.clock.now()).statuses}

    assert seen["site-01"].last_seen_at == street.clock.now()
    assert [repair.cause for repair in seen["site-01"].repairs] == ["clock_wrong"]
    assert [repair.detail for repair in seen["site-01"].repairs] == ["not synchronised"]


def test_what_a_gateway_said_last_stays_known_for_two_days_and_when_it_was_for_longer(
    street: Street,
) -> None:
    street.pass_minutes(10)
    heard_at = street.clock.now()
    street.cut_off = {"gw-001"}

    def status_after(hours: float) -> SiteStatus:
        street.clock.jump_to(heard_at + timedelta(hours=hours))
        street.pass_minutes(40)
        seen = look(street.lake, street.clock.now())
        return next(status for status in seen.statuses if status.site == "site-01")

    day, week = status_after(24), status_after(7 * 24)

    assert (day.last_seen_at, day.version, day.n_spooled) == (heard_at, "0.1.0", 0)
    assert (week.last_seen_at, week.version) == (heard_at, None)
    assert [repair.cause for repair in week.repairs] == ["gateway_silent"]
