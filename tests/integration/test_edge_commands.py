"""The gateway's commands as a person types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from doubles.edge_authority import Authority
from doubles.edge_doubles import profile_file, write_csv
from typer.testing import CliRunner

from clearway_cli.commands import gateway, inspect, replay
from clearway_core.errors import UsageError
from clearway_edge import jobs
from clearway_edge.sources.kinds import KINDS


@pytest.fixture
def run():
    app = typer.Typer()
    for module in (replay, gateway, inspect):
        module.register(app)

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def recording(tmp_path):
    rows = [f"v{i},{1_768_440_000 + i},100.5,13.7" for i in range(7)]
    return write_csv(tmp_path / "f.csv", [*rows, "v,soon,1,1"]), profile_file(tmp_path)


def test_replay_prints_read_delivered_spooled_and_dropped_by_reason(run, recording, tmp_path):
    file, profile = recording
    result = run("replay", file, "--profile", profile, "--speed", "max", "--data-dir", tmp_path)
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    assert "read 8 delivered 7 spooled 0 dropped 1 dropped: unparsable_observed_at 1" in words
    assert "line 9, column at" in words


def test_replay_json_balances(run, recording, tmp_path):
    file, profile = recording
    result = run("replay", file, "--profile", profile, "--data-dir", tmp_path, "--json")
    account = json.loads(result.stdout)
    assert account["read"] == account["delivered"] + account["spooled"] + sum(
        account["dropped"].values()
    )
    assert account["complete"] is True


def test_file_without_a_record_is_asked_about(run, tmp_path):
    file, profile = write_csv(tmp_path / "f.csv", []), profile_file(tmp_path)

    result = run("replay", file, "--profile", profile, "--data-dir", tmp_path)

    assert result.exit_code == 0
    assert "are these the files that the profile is for?" in result.stderr


def test_speed_that_is_no_number_is_wrong_use(run, recording, tmp_path):
    file, profile = recording
    with pytest.raises(UsageError, match="--speed is max or a number"):
        run("replay", file, "--profile", profile, "--speed", "fast", "--data-dir", tmp_path)


def test_inspect_lists_its_questions_and_writes_the_draft_once(run, recording, tmp_path):
    file, _ = recording
    out = tmp_path / "draft.toml"
    answer = json.loads(run("inspect", file, "--json", "--out", out).stdout)
    assert {question["key"] for question in answer["questions"]} >= {"provider", "position.datum"}
    assert out.read_text(encoding="utf-8") == answer["draft"]
    with pytest.raises(UsageError, match="exists already"):
        run("inspect", file, "--out", out)
    shown = run("inspect", file)
    assert "questions:" in shown.output


def test_gateway_init_check_and_status(run, recording, tmp_path):
    file, profile = recording
    settings = tmp_path / "gw.toml"
    assert run("gateway", "init", settings, "--name", "gw-3").exit_code == 0
    checked = json.loads(run("gateway", "check", "--settings", settings, "--json").stdout)
    assert checked["gateway"] == "gw-3"
    with pytest.raises(UsageError, match="no gateway has run"):
        run("gateway", "status", "--data-dir", tmp_path / "empty")
    run("replay", file, "--profile", profile, "--data-dir", tmp_path)
    assert run("gateway", "status", "--data-dir", tmp_path).exit_code == 0


def test_init_puts_together_the_sources_that_stand_on_the_pole(run, tmp_path):
    settings = tmp_path / "gw.toml"
    answer = run(
        "gateway", "init", settings, "--name", "gw-017", "--site", "asok-north", "--lon", "100.56",
        "--lat", "13.737", "--source", "pmsx003", "--source", "pmsx003", "--source", "gpsd",
    )  # fmt: skip
    assert "clearway gateway check" in " ".join(answer.output.split())
    found = json.loads(run("gateway", "check", "--settings", settings, "--json").stdout)["settings"]
    assert found["gateway"]["site"] == "asok-north"
    assert found["gateway"]["position_deg"] == [100.56, 13.737]
    assert [(s["kind"], s["name"]) for s in found["source"]] == [
        ("pmsx003", "air"), ("pmsx003", "air-2"), ("gpsd", "receiver"),
    ]  # fmt: skip
    sensors = [str(s["place"]["sensor"]) for s in found["source"][:2]]
    assert sensors == ["asok-north-air-1", "asok-north-air-2"]
    assert found["source"][0]["place"]["position_deg"] == [100.56, 13.737]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_sample_of_each_kind_is_good_and_shows_no_secret(run, tmp_path, kind):
    settings = tmp_path / "gw.toml"
    run("gateway", "init", settings, "--source", kind, "--source", kind)
    found = json.loads(run("gateway", "check", "--settings", settings, "--json").stdout)
    assert [source["kind"] for source in found["settings"]["source"]] == [kind, kind]
    assert len({source["name"] for source in found["settings"]["source"]}) == 2


def test_wrong_use_of_init_is_told_before_anything_is_written(run, tmp_path):
    settings = tmp_path / "gw.toml"
    with pytest.raises(UsageError, match=r"out of .*nmea.*, got radar"):
        run("gateway", "init", settings, "--source", "radar")
    with pytest.raises(UsageError, match="both --lon and --lat"):
        run("gateway", "init", settings, "--lon", "100")
    with pytest.raises(UsageError, match="-90 to 90"):
        run("gateway", "init", settings, "--lon", "13", "--lat", "100")
    with pytest.raises(UsageError, match=r"nothing was written.*IANA time zone.*got 'Mars/X'"):
        run("gateway", "init", settings, "--time-zone", "Mars/X")
    with pytest.raises(UsageError, match=r"(?s)nothing was written.*gateway.name.*gw 1"):
        run("gateway", "init", settings, "--name", "gw 1")
    with pytest.raises(UsageError, match="nothing was written"):
        run("gateway", "init", settings, "--name", 'gw"1')
    assert not settings.exists()


WARNED = """
[gateway]
name = "gw-1"
time_zone = "UTC"
data_dir = "{memory}"
[log]
address = "kafka://broker.example:9093"
tls = true
ca_file = "ca.crt"
key_file = "gw.key"
certificate_file = "gw.crt"
sasl_mechanism = "SCRAM-SHA-256"
username = "gw"
password_file = "password"
[outbox]
max_mib = 1e9
[page]
host = "0.0.0.0"
pin_file = "pin"
[[source]]
kind = "pmsx003"
serial = "/dev/ttyNOT"
sensor = "s-1"
lon_deg = 1.5
lat_deg = 0.0
[[source]]
kind = "nmea"
file = "none.log"
provider = "p"
vehicle = "v"
vehicle_class = "bus"
"""


def warnings(run, settings):
    return json.loads(run("gateway", "check", "--settings", settings, "--json").stdout)["warnings"]


def test_check_warns_of_everything_that_is_probably_not_meant_with_line_and_remedy(run, tmp_path):
    authority = Authority(tmp_path / "ca")
    settings = tmp_path / "gw.toml"
    text = WARNED.format(memory="/dev/shm/clearway-none")  # noqa: S108 -- a tmpfs everywhere
    settings.write_text(text)
    for name in ("password", "pin"):
        (tmp_path / name).write_text("12345678")
        (tmp_path / name).chmod(0o644)
    missing = warnings(run, settings)
    made = json.loads(run("gateway", "enrol", "--settings", settings, "--json").stdout)
    (tmp_path / "gw.key").chmod(0o640)
    soon = datetime.now(UTC) + timedelta(days=29)
    authority.sign(Path(made["request_file"]), tmp_path / "gw.crt", ends_at=soon)
    found = warnings(run, settings)
    lines = text.splitlines()

    def of(key, warned):
        [one] = [w for w in warned if f": {key}: " in w]
        number = int(one.partition("line ")[2].partition(":")[0])
        assert lines[number - 1].startswith(key.rpartition(".")[2]), one
        return one

    assert "no city" in of("gateway.time_zone", found)
    assert "'enrol' makes it" in of("log.key_file", missing)
    assert "chmod 600" in of("log.key_file", found)
    assert "chmod 600" in of("log.password_file", found)
    assert "chmod 600" in of("page.pin_file", found)
    assert "is not there" in of("log.ca_file", found)
    assert "how to get it" in of("log.certificate_file", missing)
    assert f"expires on {soon:%Y-%m-%d}" in of("log.certificate_file", found)
    assert "which a restart empties" in of("gateway.data_dir", found)
    assert "make room" in of("outbox.max_mib", found)
    assert "ls /dev/serial/by-id" in of("source[0].serial", found)
    assert "check the path" in of("source[1].file", found)
    assert len(found) == 10
    shown = run("gateway", "check", "--settings", settings)
    assert shown.exit_code == 0
    assert shown.output.count("warning: ") == len(found)
    assert "12345678" not in shown.output


@pytest.mark.parametrize(("days", "words"), [(31, None), (30, "expires on"), (-1, "expired on")])
def test_a_certificate_is_warned_of_from_thirty_days_before_its_end(run, tmp_path, days, words):
    settings = tmp_path / "gw.toml"
    run("gateway", "init", settings)
    text = settings.read_text().replace("[log]", '[log]\ntls = true\nkey_file = "k"', 1)
    settings.write_text(text.replace("[outbox]", 'certificate_file = "c.crt"\n[outbox]', 1))
    made = json.loads(run("gateway", "enrol", "--settings", settings, "--json").stdout)
    ends_at = datetime.now(UTC) + timedelta(days=days, minutes=-5 if days == 30 else 5)
    Authority(tmp_path / "ca").sign(Path(made["request_file"]), tmp_path / "c.crt", ends_at=ends_at)
    found = [w for w in warnings(run, settings) if ": log.certificate_file: " in w]
    assert [str(words) in w for w in found] == ([] if words is None else [True])


def test_check_opens_no_connection_and_no_device(tmp_path):
    settings = tmp_path / "gw.toml"
    jobs.init(settings, name="gw-1", time_zone="Asia/Bangkok", sources=sorted(KINDS))
    traced = tmp_path / "trace"
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not here")
    done = subprocess.run(
        [strace, "-f", "-e", "trace=socket,connect,bind,openat", "-o", str(traced), sys.executable,
         "-m", "clearway_edge.main", "check", "--settings", str(settings)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = traced.read_text()
    assert "gw.toml" in calls
    assert not [line for line in calls.splitlines() if " connect(" in line or " bind(" in line]
    assert "/dev/tty" not in calls
    assert not (tmp_path / ".clearway").exists()
