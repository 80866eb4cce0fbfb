"""Sixty gateways that report, an embedded log that takes it, ingest, and people who are told."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
from aiosmtpd.controller import Controller
from doubles.edge_doubles import TurnableClock
from doubles.ingest_messages import columnar

from clearway_core.contracts.wire import GATEWAY_HEALTH, TOPICS
from clearway_core.lake import Lake, open_lake
from clearway_core.schema import polars_schema
from clearway_core.stream.embedded import EmbeddedLog
from clearway_fleet.sites import Register, Site, State, read_register, write_sites
from clearway_ingest.jobs import ingest

START = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
TOPIC = TOPICS[GATEWAY_HEALTH.identifier]


def site(number: int, state: State = State.ACTIVE, at: datetime = START) -> Site:
    return Site(
        site=f"site-{number:02}",
        site_name=f"Crossing {number}",
        lon_deg=100.5 + number / 1000,
        lat_deg=13.75,
        gateway=f"gw-{number:03}",
        state=state,
        valid_from_at=at,
        reason="put up",
        decided_by="Anna",
        decided_at=at,
    )


def health(now: datetime, about: str = "air_reading/1", **changes: object) -> dict[str, object]:
    """A report of a gateway that is well; `changes` make it ill."""
    sources = {"air": {"kind": "pms5003", "state": "working", "error": "", "last_reading_age_s": 1}}
    return {
        "observed_at": round(now.timestamp() * 1000),
        "about_contract": about,
        "about_boot": 7,
        "n_read": 10_000,
        "n_delivered": 10_000,
        "n_spooled": 0,
        "n_dropped": 0,
        "dropped_by_reason": "{}",
        "disk_free_bytes": 8_000_000_000,
        "unclean_stops": 0,
        "version": "0.1.0",
        "settings_hash": "0" * 64,
        "forwarder_state": "up to date",
        "clock_synchronised": True,
        "clock_offset_s": 0.01,
        "spooled_bytes": 0,
        "set_aside": 0,
        "cpu_temperature_c": 51.0,
        "sources_json": json.dumps(sources),
        "certificate_expires_at": round((now + timedelta(days=400)).timestamp() * 1000),
    } | changes


@dataclass
class Street:
    """Gateways whose reports wait while they are cut off, and arrive when they are not.

    Parameters
    ----------
    folder
        For log and lake.
    n_sites
        How many gateways.
    every_s
        How often each reports. [s]
    """

    folder: Path
    n_sites: int = 60
    every_s: float = 60.0
    clock: TurnableClock = field(default_factory=lambda: TurnableClock(START))
    cut_off: set[str] = field(default_factory=set)
    ill: dict[str, dict[str, object]] = field(default_factory=dict)
    behind: dict[str, timedelta] = field(default_factory=dict)
    waiting: dict[str, deque[dict[str, object]]] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = EmbeddedLog(self.folder / "log.sqlite", self.clock)
        self.lake: Lake = open_lake(self.folder)
        self.gateways = [f"gw-{number:03}" for number in range(self.n_sites)]
        write_sites(
            self.lake,
            [site(number) for number in range(self.n_sites)],
            Register(rows=(), version=None),
        )

    def pass_minutes(self, minutes: float) -> None:
        """Let time go by: every gateway reports, and ingest takes what arrived."""
        end = self.clock.now() + timedelta(minutes=minutes)
        while self.clock.now() < end:
            self.clock.forward(self.every_s)
            self._report()
        ingest(self.lake, self.log, until_idle=True)

    def _report(self) -> None:
        messages = []
        for gateway in self.gateways:
            waiting = self.waiting.setdefault(gateway, deque())
            waiting.append(
                health(
                    self.clock.now() - self.behind.get(gateway, timedelta(0)),
                    **self.ill.get(gateway, {}),
                )
            )
            if gateway in self.cut_off:
                continue
            first = self.seqs.get(gateway, 0)
            seqs = range(first, first + len(waiting))
            self.seqs[gateway] = first + len(waiting)
            messages.append(columnar(GATEWAY_HEALTH, gateway, 7, seqs, list(waiting)))
            waiting.clear()
        self.log.append(TOPIC, messages)

    def decide(self, number: int, state: State) -> None:
        """Put a site into another state from now on."""
        now = self.clock.now()
        write_sites(self.lake, [site(number, state, now)], read_register(self.lake))

    def close(self) -> None:
        self.log.close()


def write_rows(lake: Lake, table: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows to a table; columns that are left out get a harmless value."""
    contract = lake.table(table).contract
    harmless: dict[str, object] = {"string": "x", "instant": START, "date": START.date()}
    full = [
        {
            f.name: row.get(f.name, None if f.nullable else harmless.get(f.dtype, 0))
            for f in contract.fields
        }
        for row in rows
    ]
    lake.table(table).append(pl.DataFrame(full, schema=polars_schema(contract)))


def write_fixes(
    lake: Lake, provider: str, minutes: Sequence[datetime], gateway: str = "gw-fleets"
) -> None:
    """Write one fix of a provider for each of these moments."""
    write_rows(
        lake,
        "gps_pings",
        [
            {
                "provider": provider,
                "gateway": gateway,
                "vehicle": "0" * 32,
                "observed_at": at,
                "received_at": at,
                "observed_date": at.date(),
                "lon_deg": 100.5,
                "lat_deg": 13.7,
                "seq": number,
            }
            for number, at in enumerate(minutes)
        ],
    )


class Postbox:
    """Where a mail server puts what it takes."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses: str | None = None
        self.unknown: str | None = None

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802
        if address == self.unknown:
            return "550 unknown here"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.refuses:
            return self.refuses
        mail = message_from_bytes(envelope.content.replace(b"\r\n", b"\n"), policy=policy.default)
        self.mails.append(mail)
        return "250 taken"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]).strip() for mail in self.mails]


@contextmanager
def mail_server(port: int = 0, **options: object) -> Iterator[tuple[Postbox, int]]:
    """A real SMTP server on loopback."""
    postbox = Postbox()
    controller = Controller(postbox, hostname="127.0.0.1", port=port or _free_port(), **options)
    controller.start()
    try:
        yield postbox, controller.port
    finally:
        controller.stop()


def _free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Hook:
    """What a web server was posted, and how it answers."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200


@contextmanager
def web_server() -> Iterator[tuple[Hook, int]]:
    """A real HTTP server on loopback."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.headers.append(dict(self.headers))
            if hook.status == 200:
                hook.bodies.append(json.loads(body))
            self.send_response(hook.status)
            if hook.status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def alert_file(
    folder: Path, *, mail_port: int | None = None, hook_port: int | None = None, more: str = ""
) -> Path:
    """Write settings of the watch."""
    text = '[watch]\ntime_zone = "Asia/Bangkok"\n' + more
    if mail_port is not None:
        text += (
            f'[email]\nserver = "127.0.0.1"\nport = {mail_port}\nsecurity = "none"\n'
            'from = "clearway@example.org"\nto = ["duty@example.org"]\ntimeout_s = 3.0\n'
        )
    if hook_port is not None:
        text += (
            f'[[webhook]]\nname = "chat"\nurl = "http://127.0.0.1:{hook_port}/hook"\n'
            "timeout_s = 3.0\n"
        )
    file = folder / "alerts.toml"
    file.write_text(text, encoding="utf-8")
    return file
