"""A notice is written down, then sent; nothing is lost when sending or a watcher fails."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.fleet_street import START, alert_file, mail_server, site, web_server, write_rows

from clearway_cli import dag_tasks
from clearway_core.errors import DeliveryFailed, InsufficientData, SettingsError
from clearway_core.lake import Lake, open_lake
from clearway_fleet import jobs
from clearway_fleet.alert_settings import read_alert_settings
from clearway_fleet.channels import channels_of
from clearway_fleet.ledger import LEASE, read_ledger
from clearway_fleet.sites import Register, write_sites
from clearway_fleet.watching import watch_once


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock(START + timedelta(hours=2))


@pytest.fixture
def silent(tmp_path: Path) -> Lake:
    """A lake with one site whose gateway was never heard."""
    lake = open_lake(tmp_path)
    write_sites(lake, [site(1)], Register(rows=(), version=None))
    return lake


def steps(lake: Lake) -> list[tuple[str, str, str]]:
    rows = lake.table("gateway_alarms").scan().sort("number", maintain_order=True).collect()
    return [(row["kind"], row["step"], row["channels"]) for row in rows.to_dicts()]


def test_a_mail_server_that_is_down_gets_the_alarm_at_the_next_look(
    silent: Lake, tmp_path: Path, clock: TurnableClock
) -> None:
    with mail_server() as (_, port):
        pass
    settings = alert_file(tmp_path, mail_port=port)

    first = jobs.watch(silent, settings, clock=clock)
    assert first.sent == ()
    [error] = first.failed.values()
    assert f"127.0.0.1:{port} did not take the mail" in error

    with mail_server(port) as (postbox, _):
        clock.forward(60)
        assert len(jobs.watch(silent, settings, clock=clock).sent) == 1
        clock.forward(600)
        assert jobs.watch(silent, settings, clock=clock).sent == ()
    assert len(postbox.mails) == 1


def test_an_alarm_that_could_not_be_sent_is_sent_before_its_all_clear(
    silent: Lake, tmp_path: Path, clock: TurnableClock
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        postbox.refuses = "451 later"
        jobs.watch(silent, settings, clock=clock)
        clock.forward(600)
        jobs.set_site(
            silent, "site-01", state="maintenance", reason="swap", decided_by="Anna", clock=clock
        )
        assert "451" in next(iter(jobs.watch(silent, settings, clock=clock).failed.values()))
        assert postbox.mails == []
        postbox.refuses = None
        clock.forward(600)
        jobs.watch(silent, settings, clock=clock)

    assert [subject.split(":")[0] for subject in postbox.subjects] == [
        "[Clearway] Alarm",
        "[Clearway] All clear",
    ]


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_channel_that_fails_does_not_hold_up_the_other_and_is_tried_alone_later(
    silent: Lake, tmp_path: Path, clock: TurnableClock, status: int
) -> None:
    with mail_server() as (postbox, port), web_server() as (hook, hook_port):
        settings = alert_file(tmp_path, mail_port=port, hook_port=hook_port)
        hook.status = status
        first = jobs.watch(silent, settings, clock=clock)
        assert f"chat: webhook chat answered {status}" in next(iter(first.failed.values()))
        hook.status = 200
        clock.forward(60)
        second = jobs.watch(silent, settings, clock=clock)

    assert first.sent == ()
    assert len(second.sent) == len(postbox.mails) == len(hook.bodies) == 1
    assert hook.bodies[0]["about"] == ["site-01"]
    assert steps(silent) == [
        ("alarm", "decided", "email chat"),
        ("alarm", "sent", "email"),
        ("alarm", "failed", "email"),
        ("alarm", "decided", "chat"),
        ("alarm", "sent", "chat"),
    ]


class DyingChannel:
    """Works like power that fails: before or after the message has left."""

    def send(self, notice: object, at: object) -> None:
        raise SystemExit


def test_a_watcher_that_dies_before_sending_leaves_the_alarm_to_the_next(
    silent: Lake, tmp_path: Path, clock: TurnableClock
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        with pytest.raises(SystemExit):
            watch_once(silent, read_alert_settings(settings), {"email": DyingChannel()}, clock)
        clock.forward(60)
        assert jobs.watch(silent, settings, clock=clock).sent == ()  # it may still be at it
        clock.forward(LEASE.total_seconds())
        assert len(jobs.watch(silent, settings, clock=clock).sent) == 1

    assert len(postbox.mails) == 1


def test_two_watchers_at_once_send_one_alarm(
    silent: Lake, tmp_path: Path, clock: TurnableClock
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port)
        barrier = threading.Barrier(4)
        accounts = []

        def watch() -> None:
            lake = open_lake(tmp_path)
            barrier.wait()
            accounts.append(jobs.watch(lake, settings, clock=clock))

        threads = [threading.Thread(target=watch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(accounts) == 4
    assert len(postbox.mails) == 1
    assert sum(len(account.sent) for account in accounts) == 1


def test_a_digest_is_sent_once_a_day_at_its_local_hour(
    silent: Lake, tmp_path: Path, clock: TurnableClock
) -> None:
    with mail_server() as (postbox, port):
        settings = alert_file(tmp_path, mail_port=port, more="[digest]\nhour = 7\n")
        clock.jump_to(START.replace(hour=23, minute=50))  # 06:50 in Bangkok
        jobs.watch(silent, settings, clock=clock)
        for _ in range(3):
            clock.forward(600)
            jobs.watch(silent, settings, clock=clock)
        assert len(postbox.mails) == 2
        clock.forward(86_400)
        jobs.watch(silent, settings, clock=clock)

    assert postbox.subjects[1:] == [
        "[Clearway] Fleet on 2026-03-05: 1 to do, 1 active",
        "[Clearway] Fleet on 2026-03-06: 1 to do, 1 active",
    ]
    text = postbox.mails[1].get_content()
    assert "- Crossing 1 (site-01): Gateway is silent: not heard for 14 h. Bring: the spare" in text
    assert text.startswith("Sites: 1 active. Need a hand: 1. Open alarms: 1.")
    assert "Said since yesterday:\n- Alarm: Crossing 1 (site-01): gateway is silent" in text


def test_books_that_do_not_close_and_a_high_share_of_quarantine_are_told(
    tmp_path: Path, clock: TurnableClock
) -> None:
    lake = open_lake(tmp_path)
    write_sites(lake, [site(1, at=clock.now())], Register(rows=(), version=None))
    hour = {"about_contract": "gps_ping/1", "about_boot": 1, "hour_start": START}
    old = {"computed_at": START, "state": "difference", "n_missing": 7}
    new = {"computed_at": START + timedelta(hours=1)}
    write_rows(
        lake,
        "books",
        [
            {"gateway": "gw-001", **hour, **old},
            {"gateway": "gw-001", **hour, **new, "state": "difference", "n_missing": 1200},
            {"gateway": "gw-002", **hour, **old},
            {"gateway": "gw-002", **hour, **new, "state": "closed", "n_missing": 0},
        ],
    )
    commit = {"topic": "clearway.gps_ping.v1", "committed_at": clock.now()}
    write_rows(lake, "ingest_commits", [{**commit, "n_rows": 5000, "n_quarantined": 900}])
    with web_server() as (hook, port):
        jobs.watch(lake, alert_file(tmp_path, hook_port=port), clock=clock)

    told = {body["cause"]: body for body in hook.bodies}
    assert told["books_difference"]["about"] == ["site-01"]
    assert "gw-001, gps_ping/1: 1,200 records that nobody" in told["books_difference"]["text"]
    assert told["quarantine_high"]["about"] == ["gps_ping/1"]
    assert "900 of 5,000 records" in told["quarantine_high"]["text"]
    assert len(told) == 2


def test_passwords_and_addresses_of_webhooks_stay_in_their_files(
    silent: Lake, tmp_path: Path, clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "token").write_text("s3cret-token\n", encoding="utf-8")
    with web_server() as (hook, port):
        (tmp_path / "address").write_text(f"http://127.0.0.1:{port}/s3cret-path", encoding="utf-8")
        settings = tmp_path / "alerts.toml"
        settings.write_text(
            '[watch]\ntime_zone = "UTC"\n[[webhook]]\nname = "chat"\nurl_file = "address"\n'
            'token_file = "token"\n',
            encoding="utf-8",
        )
        hook.status = 500
        failed = jobs.watch(silent, settings, clock=clock)
        hook.status = 200
        clock.forward(60)
        jobs.watch(silent, settings, clock=clock)

    assert hook.headers[-1]["Authorization"] == "Bearer s3cret-token"
    everything = f"{failed} {caplog.text} {read_alert_settings(settings)}"
    everything += str(silent.table("gateway_alarms").scan().collect().to_dicts())
    assert "s3cret" not in everything


def test_mail_goes_out_encrypted_with_a_password_and_not_to_a_stranger(
    silent: Lake, tmp_path: Path, clock: TurnableClock, tls: Mapping[str, object]
) -> None:
    (tmp_path / "password").write_text("s3cret\n", encoding="utf-8")
    text = (
        '[watch]\ntime_zone = "UTC"\n[email]\nserver = "localhost"\nport = {port}\n'
        'username = "clearway"\npassword_file = "password"\nfrom = "a@example.org"\n'
        'to = ["b@example.org"]\ntimeout_s = 3.0\n{more}'
    )
    settings = tmp_path / "alerts.toml"
    with mail_server(**tls["server"]) as (postbox, port):  # type: ignore[arg-type]
        settings.write_text(text.format(port=port, more=""), encoding="utf-8")
        stranger = jobs.watch(silent, settings, clock=clock)
        settings.write_text(
            text.format(port=port, more=f'ca_file = "{tls["ca_file"]}"\n'), encoding="utf-8"
        )
        clock.forward(60)
        known = jobs.watch(silent, settings, clock=clock)
        (tmp_path / "password").write_text("wrong\n", encoding="utf-8")
        with pytest.raises(DeliveryFailed, match="refused the password") as refused:
            channels_of(read_alert_settings(settings))["email"].send(
                read_ledger(silent, clock.now()).since_yesterday[0], clock.now()
            )

    assert "certificate verify failed" in next(iter(stranger.failed.values()))
    assert len(known.sent) == len(postbox.mails) == 1
    assert "wrong" not in str(refused.value)


@pytest.fixture
def tls(tmp_path: Path) -> Mapping[str, object]:
    """A server's certificate for localhost, and who may sign in."""
    import ssl  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    from aiosmtpd.smtp import AuthResult, LoginPassword  # noqa: PLC0415

    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def sign_in(*given: object) -> AuthResult:
        right = given[-1] == LoginPassword(b"clearway", b"s3cret")
        return AuthResult(success=right, handled=False)

    return {
        "ca_file": certificate,
        "server": {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": sign_in,
        },
    }


def test_settings_tell_all_faults_at_once_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(
        "[watch]\n"
        'time_zone = "Mars/Olympus"\n'
        "[digest]\n"
        "hour = 24\n"
        "[email]\n"
        'server = "mail.example.org:25"\n'
        'from = "clearway"\n'
        "to = []\n"
        'username = "clearway"\n'
        'password = "hunter2"\n'
        "[[webhook]]\n"
        'name = "Chat!"\n'
        'url = "http://user:pass@example.org/"\n',
        encoding="utf-8",
    )

    with pytest.raises(SettingsError) as error:
        read_alert_settings(file)

    faults = [fault.removeprefix(f"{file}, ") for fault in error.value.faults]
    lines = [fault.split(":")[0] for fault in faults]
    assert lines == [f"line {n}" for n in (2, 8, 9, 6, 7, 10, 12, 13, 4)]
    assert any("password: unknown key" in fault for fault in faults)
    assert "hunter2" not in str(error.value)


def test_settings_that_tell_nobody_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text('[watch]\ntime_zone = "UTC"\n', encoding="utf-8")

    with pytest.raises(SettingsError, match=r"an \[email\] table or a \[\[webhook\]\]"):
        read_alert_settings(file)


def test_the_dag_looks_as_the_command_does_and_skips_without_settings(
    silent: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    with pytest.raises(InsufficientData, match=r"alerts\.toml says whom to tell"):
        dag_tasks.watch()
    with mail_server() as (postbox, port):
        alert_file(tmp_path, mail_port=port)
        assert dag_tasks.watch()["open_alarms"] == 1
    assert len(postbox.mails) == 1
    open_lake(tmp_path).table("gateway_alarms").replace(
        open_lake(tmp_path).table("gateway_alarms").scan().head(0).collect(), {}
    )
    with pytest.raises(DeliveryFailed, match="did not take the mail"):
        dag_tasks.watch()
