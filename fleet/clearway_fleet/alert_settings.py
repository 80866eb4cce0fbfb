"""Settings of the watch: who is told, how, and when; no secret stands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from clearway_core.hosts import is_loopback
from clearway_core.settings import Section, open_toml, raise_faults

_MAX_PORT = 65_535
_LAST_HOUR = 23
_ADDRESS = r"[^@\s,<>\"]+@[^@\s,<>\"]+"
_CHANNEL = r"[a-z0-9][a-z0-9_.-]{0,31}"

STARTTLS, TLS, NONE = "starttls", "tls", "none"
EMAIL = "email"
"""Name of the channel that sends mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings:
    """How mail is sent.

    Parameters
    ----------
    server, port
        SMTP server.
    security
        One of starttls, tls and none; none only without a password.
    ca_file
        Certificates that may sign the server's; None for those that the system trusts.
    username, password_file
        For servers that want to know who sends.
    sender, recipients
        Addresses.
    timeout_s
        [s]
    """

    server: str
    port: int
    security: str
    ca_file: Path | None
    username: str | None
    password_file: Path | None
    sender: str
    recipients: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where a message is posted as JSON.

    Parameters
    ----------
    name
        Of the channel.
    url, url_file
        The address, or the file that holds it where the address itself is a secret.
    token_file
        File with a token for ``Authorization: Bearer``; None: without.
    timeout_s
        [s]
    """

    name: str
    url: str | None
    url_file: Path | None
    token_file: Path | None
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Everything that the watch needs to know.

    Parameters
    ----------
    time_zone
        In which people read times, and the hour of the digest counts.
    delay
        How long readings take to the lake where ingest does not run all the time.
    look_at
        An address for the end of each message, or None.
    digest_hour
        Local hour of the daily digest; None: no digest.
    email, webhooks
        Where messages go.
    """

    time_zone: ZoneInfo
    delay: timedelta
    look_at: str | None
    digest_hour: int | None
    email: EmailSettings | None
    webhooks: tuple[WebhookSettings, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of all channels."""
        mail = () if self.email is None else (EMAIL,)
        return (*mail, *(webhook.name for webhook in self.webhooks))


def read_alert_settings(file: Path) -> AlertSettings:
    """Return the settings of the watch; nothing is opened but the file.

    Raises
    ------
    SettingsError
        With every fault: file, line and key, what was expected, what came.
    """
    top, faults = open_toml(file)
    watch = top.section("watch")
    zone = watch.time_zone("time_zone")
    delay_minutes = watch.number("delay_minutes", 0.0, minimum=0.0, maximum=1440.0)
    look_at = watch.optional_text("look_at")
    watch.finish()
    email = _email(top.section(EMAIL), file.parent) if EMAIL in top else None
    webhooks = tuple(_webhook(section, file.parent) for section in top.sections("webhook"))
    settings = AlertSettings(
        time_zone=zone,
        delay=timedelta(minutes=delay_minutes),
        look_at=look_at,
        digest_hour=_digest(top.section("digest")) if "digest" in top else None,
        email=email,
        webhooks=webhooks,
    )
    if not settings.channels:
        top.fault(EMAIL, "missing; expected an [email] table or a [[webhook]], else nobody is told")
    if len(set(settings.channels)) != len(settings.channels):
        names = ", ".join(settings.channels)
        top.fault("webhook", f"every channel needs a name of its own, got {names}")
    top.finish()
    raise_faults(faults)
    return settings


def _digest(section: Section) -> int:
    hour = section.whole("hour", maximum=_LAST_HOUR)
    section.finish()
    return hour


def _email(section: Section, folder: Path) -> EmailSettings:
    security = section.text("security", STARTTLS, allowed=(STARTTLS, TLS, NONE))
    recipients = section.texts("to")
    wrong = [address for address in recipients if re.fullmatch(_ADDRESS, address) is None]
    if wrong or not recipients:
        section.fault("to", f"expected addresses such as duty@example.org, got {wrong or 'none'}")
    username = section.optional_text("username")
    password_file = _file(section, "password_file", folder)
    if (username is None) != (password_file is None):
        section.fault("username", "username and password_file belong together: give both or none")
    if security == NONE and password_file is not None:
        section.fault("security", "none would send the password in the clear: use starttls or tls")
    settings = EmailSettings(
        server=section.matching("server", r"[^\s/:]+"),
        port=section.whole(
            "port", {TLS: 465, NONE: 25}.get(security, 587), minimum=1, maximum=_MAX_PORT
        ),
        security=security,
        ca_file=_file(section, "ca_file", folder),
        username=username,
        password_file=password_file,
        sender=section.matching("from", _ADDRESS),
        recipients=recipients,
        timeout_s=section.number("timeout_s", 20.0, minimum=1.0, maximum=60.0),
    )
    section.finish()
    return settings


def _webhook(section: Section, folder: Path) -> WebhookSettings:
    name = section.text("name", "webhook")
    if re.fullmatch(_CHANNEL, name) is None or name == EMAIL:
        section.fault("name", f"expected small letters, digits, . _ or -, got {name!r}")
    url = section.optional_text("url")
    url_file = _file(section, "url_file", folder)
    token_file = _file(section, "token_file", folder)
    if (url is None) == (url_file is None):
        section.fault("url", "expected url, or url_file where the address itself is a secret")
    if url is not None:
        problem = url_problem(url, secret=token_file is not None)
        if problem is not None:
            section.fault("url", problem)
    settings = WebhookSettings(
        name=name,
        url=url,
        url_file=url_file,
        token_file=token_file,
        timeout_s=section.number("timeout_s", 10.0, minimum=1.0, maximum=60.0),
    )
    section.finish()
    return settings


def url_problem(url: str, *, secret: bool) -> str | None:
    """Return what is wrong with the address of a webhook, or None.

    Parameters
    ----------
    url
        The address.
    secret
        Whether a secret travels with it; then it has to be encrypted, but for loopback.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "expected https://host/path"
    if parts.scheme not in {"http", "https"} or not host or not url.isascii():
        return "expected https://host/path"
    if parts.username is not None or parts.password is not None:
        return "a password in the address is a secret: put the whole address into url_file"
    if secret and parts.scheme == "http" and not is_loopback(host):
        return "http would send a secret in the clear: use https"
    return None


def _file(section: Section, key: str, folder: Path) -> Path | None:
    text = section.optional_text(key)
    return None if text is None else folder / text
