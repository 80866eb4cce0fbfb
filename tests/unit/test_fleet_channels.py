"""Each way in which a message cannot be sent says so in one line, without the secret."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.fleet_street import START, alert_file, mail_server, site, web_server

from clearway_core.errors import DeliveryFailed, SettingsError
from clearway_core.lake import Lake, open_lake
from clearway_fleet import jobs, ledger
from clearway_fleet.alarms import Kind
from clearway_fleet.alert_settings import read_alert_settings
from clearway_fleet.channels import channels_of
from clearway_fleet.ledger import Notice, read_ledger
from clearway_fleet.sites import Register, State, read_register, write_sites

NOTICE = Notice(
    alarm_id="a1",
    kind=Kind.ALARM,
    cause="gateway_silent",
    about=("site-01",),
    since_at=START,
    subject="Alarm",
    words="Gateway is silent.",
    channels=("chat",),
)


NO_SECURITY = """url = "https://a"
[email]
security = "none"
server = "m"
from = "a@b"
to = ["a@b"]
username = "u"
password_file = "p"
"""


def settings_file(folder: Path, webhook: str) -> Path:
    file = folder / "alerts.toml"
    file.write_text(
        f'[watch]\ntime_zone = "UTC"\n[[webhook]]\nname = "chat"\ntimeout_s = 1.0\n{webhook}\n',
        encoding="utf-8",
    )
    return file


def send(file: Path) -> None:
    channels_of(read_alert_settings(file))["chat"].send(NOTICE, START)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "address cannot be read .FileNotFoundError.: check path and rights"),
        ("", "address must hold one line of plain text"),
        ("https://example.org/s3cret\nmore", "address must hold one line of plain text"),
        ("http://example.org/s3cret", "http would send a secret in the clear: use https"),
        ("ftp://example.org/s3cret", "expected https://host/path"),
        ("http://127.0.0.1:1/s3cret", "webhook chat did not answer: .*refused"),
    ],
)
def test_an_address_in_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, address: str | None, words: str
) -> None:
    if address is not None:
        (tmp_path / "address").write_text(address, encoding="utf-8")

    with pytest.raises(DeliveryFailed, match=words) as error:
        send(settings_file(tmp_path, 'url_file = "address"'))

    assert "s3cret" not in str(error.value)


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f'url = "http://127.0.0.1:{listener.getsockname()[1]}/"'
        with pytest.raises(DeliveryFailed, match="webhook chat did not answer"):
            send(settings_file(tmp_path, url))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('url = "http://example.org"\ntoken_file = "t"', "http would send a secret in the clear"),
        ('url = "https://[::1"', "expected https://host/path"),
        ('url = "https://a"\nurl_file = "b"', "expected url, or url_file where the address"),
        ('url = "https://a"\n[[webhook]]\nname = "chat"\nurl = "https://b"', "a name of its own"),
        ('url = "https://a"\n[email]\nport = 70000\nserver = "m"\nfrom = "a@b"\nto = ["a@b"]',
         "email.port: expected 1 to 65535"),
        (NO_SECURITY, "none would send the password in the clear"),
    ],
)  # fmt: skip
def test_settings_that_would_tell_a_secret_or_nobody_are_refused(
    tmp_path: Path, line: str, words: str
) -> None:
    with pytest.raises(SettingsError) as error:
        read_alert_settings(settings_file(tmp_path, line))

    assert words in str(error.value)


def test_a_refused_recipient_does_not_tell_the_others_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as (postbox, port):
        postbox.unknown = "gone@example.org"
        file = alert_file(tmp_path, mail_port=port)
        text = file.read_text(encoding="utf-8")
        file.write_text(
            text.replace('"duty@example.org"', '"duty@example.org", "gone@example.org"'),
            encoding="utf-8",
        )
        channels_of(read_alert_settings(file))["email"].send(NOTICE, START)

    assert len(postbox.mails) == 1
    assert "recipients_refused" in caplog.text


def test_names_in_any_script_arrive_as_they_are(tmp_path: Path) -> None:
    notice = replace(NOTICE, subject="Alarm: แยกอโศก · north", words="แยกอโศก (asok-north)")
    with mail_server() as (postbox, port):
        file = alert_file(tmp_path, mail_port=port)
        channels_of(read_alert_settings(file))["email"].send(notice, START)

    assert postbox.subjects == ["[Clearway] Alarm: แยกอโศก · north"]
    assert postbox.mails[0].get_content().strip() == "แยกอโศก (asok-north)"


def test_a_channel_that_is_taken_out_of_the_settings_is_waited_for_no_longer(
    tmp_path: Path,
) -> None:
    clock = TurnableClock(START + timedelta(hours=2))
    lake = _silent_site(tmp_path)
    with mail_server() as (_, port), web_server() as (hook, hook_port):
        hook.status = 500
        file = alert_file(tmp_path, mail_port=port, hook_port=hook_port)
        assert jobs.watch(lake, file, clock=clock).failed
        clock.forward(600)
        account = jobs.watch(lake, alert_file(tmp_path, mail_port=port), clock=clock)

    assert (account.sent, dict(account.failed)) == ((), {})


def test_small_files_of_many_alarms_are_joined_and_nothing_is_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_MANY_FILES", 4)
    clock = TurnableClock(START + timedelta(hours=2))
    lake = _silent_site(tmp_path)
    with web_server() as (hook, port):
        file = alert_file(tmp_path, hook_port=port)
        for state in [State.MAINTENANCE, State.ACTIVE] * 3:
            jobs.watch(lake, file, clock=clock)
            write_sites(lake, [site(1, state, clock.now())], read_register(lake))
            clock.forward(1800)

    handle = lake.table("gateway_alarms").handle()
    assert handle is not None
    assert len(handle.file_uris()) <= 5
    assert [body["kind"] for body in hook.bodies] == ["alarm", "all_clear"] * 3
    assert len(read_ledger(lake, clock.now()).known) == 6


def _silent_site(folder: Path) -> Lake:
    lake = open_lake(folder)
    write_sites(lake, [site(1)], Register(rows=(), version=None))
    return lake
