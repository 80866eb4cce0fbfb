"""Sending a notice: by mail and by webhook. What cannot be sent now is tried at the next look."""

from __future__ import annotations

import http.client
import json
import logging
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from clearway_core.errors import DeliveryFailed
from clearway_core.settings import Secret
from clearway_fleet.alert_settings import (
    EMAIL,
    NONE,
    TLS,
    AlertSettings,
    EmailSettings,
    WebhookSettings,
    url_problem,
)
from clearway_fleet.ledger import Notice

log = logging.getLogger(__name__)

_OK = range(200, 300)


class Channel(Protocol):
    """Takes a notice to people."""

    def send(self, notice: Notice, at: datetime) -> None:
        """Send it.

        Raises
        ------
        DeliveryFailed
            If it was not taken; no secret stands in the message.
        """
        ...


def channels_of(settings: AlertSettings) -> Mapping[str, Channel]:
    """Return the channels of the settings by name; nothing is opened yet."""
    channels: dict[str, Channel] = {webhook.name: Webhook(webhook) for webhook in settings.webhooks}
    if settings.email is not None:
        channels[EMAIL] = Mail(settings.email)
    return channels


@dataclass(frozen=True, slots=True)
class Mail:
    """SMTP, encrypted unless the settings say otherwise."""

    settings: EmailSettings

    def send(self, notice: Notice, at: datetime) -> None:
        """Send it as one mail to all recipients; whom the server refuses is logged."""
        settings = self.settings
        where = f"{settings.server}:{settings.port}"
        try:
            with self._connected() as server:
                if settings.username is not None and settings.password_file is not None:
                    server.login(settings.username, _secret(settings.password_file).reveal())
                refused = server.send_message(self._message(notice, at))
        except smtplib.SMTPAuthenticationError as error:
            message = f"{where} refused the password ({error.smtp_code}): check password_file"
            raise DeliveryFailed(message) from error
        except (smtplib.SMTPException, OSError) as error:
            message = f"{where} did not take the mail: {type(error).__name__}: {error}"
            raise DeliveryFailed(message) from error
        if refused:  # the others have it: once more would tell them twice
            log.warning("recipients_refused", extra={"server": where, "addresses": list(refused)})

    def _connected(self) -> smtplib.SMTP:
        settings = self.settings
        if settings.security == NONE:
            return smtplib.SMTP(settings.server, settings.port, timeout=settings.timeout_s)
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.security == TLS:
            return smtplib.SMTP_SSL(
                settings.server, settings.port, timeout=settings.timeout_s, context=context
            )
        server = smtplib.SMTP(settings.server, settings.port, timeout=settings.timeout_s)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, notice: Notice, at: datetime) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"[Clearway] {notice.subject}"
        message["From"] = self.settings.sender
        message["To"] = ", ".join(self.settings.recipients)
        message["Date"] = at
        # The same notice has the same id, however often it had to be sent: readers show it once.
        message["Message-ID"] = f"<{notice.alarm_id}.{notice.kind}@clearway>"
        if notice.kind == "all_clear":
            message["In-Reply-To"] = f"<{notice.alarm_id}.alarm@clearway>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notice.words + "\n")
        return message


@dataclass(frozen=True, slots=True)
class Webhook:
    """One POST of JSON."""

    settings: WebhookSettings

    def send(self, notice: Notice, at: datetime) -> None:
        """Post it; anything but an answer of 200 to 299 is a failure, a redirection too."""
        settings = self.settings
        request = urllib.request.Request(  # noqa: S310 -- http and https only, see _url
            self._url(), data=_body(notice, at), headers=self._headers(), method="POST"
        )
        opener = urllib.request.build_opener(_NoRedirection)
        try:
            with opener.open(request, timeout=settings.timeout_s) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            message = f"webhook {settings.name} did not answer: {reason}"
            raise DeliveryFailed(message) from error
        if status not in _OK:
            message = f"webhook {settings.name} answered {status}, expected 200: check its address"
            raise DeliveryFailed(message)

    def _url(self) -> str:
        settings = self.settings
        if settings.url is not None:
            return settings.url
        if settings.url_file is None:
            message = f"webhook {settings.name} has no address"
            raise DeliveryFailed(message)
        url = _secret(settings.url_file).reveal()
        if problem := url_problem(url, secret=True):
            message = f"{settings.url_file}: {problem}"
            raise DeliveryFailed(message)
        return url

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "clearway"}
        if self.settings.token_file is not None:
            headers["Authorization"] = f"Bearer {_secret(self.settings.token_file).reveal()}"
        return headers


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """A followed redirection turns a POST into a GET whose answer looks like success."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none."""


def _body(notice: Notice, at: datetime) -> bytes:
    body = {
        "id": notice.alarm_id,
        "kind": notice.kind.value,
        "cause": notice.cause,
        "about": list(notice.about),
        "since": notice.since_at.isoformat(),
        "at": at.isoformat(),
        "subject": notice.subject,
        "text": notice.words,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _secret(file: Path) -> Secret:
    """Return the secret of a file.

    Raises
    ------
    DeliveryFailed
        If it cannot be read, or is empty.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read ({type(error).__name__}): check path and rights"
        raise DeliveryFailed(message) from error
    if not text or not text.isascii() or not text.isprintable():
        message = f"{file} must hold one line of plain text: write nothing but the secret into it"
        raise DeliveryFailed(message)
    return Secret(text)
