"""Asks a URL for its newest document, now and then; what has not changed is not sent again."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from clearway_core.clock import Clock
from clearway_core.errors import SourceUnavailable
from clearway_core.settings import Section
from clearway_edge.sources.source import Intake
from clearway_edge.sources.tokens import read_token

MAX_BYTES = 16 * 1024 * 1024
"""The largest feeds of positions have 2 MB; more is no feed and would fill the memory. [B]"""

_ANSWER_S = 10.0
_LONGEST_S = 3600.0
_PIECE_BYTES = 65_536
_NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSettings:
    """Where to ask, and how often.

    Parameters
    ----------
    every_s
        From one question to the next. [s]
    ca_file
        Certificates that may sign the server's; None for those that the system trusts.
    key_header, key_file
        Header that carries the key of a feed that wants one, and the file that holds it.
    """

    url: str
    every_s: float
    ca_file: Path | None = None
    key_header: str | None = None
    key_file: Path | None = None


def poll_settings(section: Section, folder: Path, *, every_s: float) -> PollSettings:
    """Read ``url``, ``every_s``, ``ca_file``, ``key_header`` and ``key_file``."""
    url = section.text("url")
    parts = _split(url)
    if "url" in section and (parts is None or not parts[1]):
        section.fault("url", f"expected http://HOST/PATH or https://HOST/PATH, got {url!r}")
    header, file = section.optional_text("key_header"), section.optional_text("key_file")
    ca_file = section.optional_text("ca_file")
    if (header is None) != (file is None):
        section.fault("key_file", "a key needs key_header and key_file, both of them")
    if header is not None and not header.replace("-", "").isalnum():
        section.fault("key_header", f"expected the name of an HTTP header, got {header!r}")
    return PollSettings(
        url=url,
        every_s=section.number("every_s", every_s, minimum=1.0, maximum=_LONGEST_S),
        ca_file=None if ca_file is None else folder / ca_file,
        key_header=header,
        key_file=None if file is None else folder / file,
    )


def _split(url: str) -> tuple[str, str] | None:
    """Return host and path of an http address, or None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable():
        return None
    return parts.hostname + ("" if port is None else f":{port}"), parts.path or "/"


class HttpPoll:
    """Documents of one URL.

    Parameters
    ----------
    settings
        Where and how often.
    clock
        Says when it is time.
    """

    def __init__(self, settings: PollSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._opener: urllib.request.OpenerDirector | None = None
        self._headers = {"User-Agent": "clearway", "Accept-Encoding": "identity"}
        self._known: dict[str, str] = {}
        self._next_s: float | None = None
        self._problem = ""
        # Never with its query: some feeds have their key there.
        self.where = "".join(_split(settings.url) or ("an unknown address",))

    def fetch(self, timeout_s: float) -> bytes | None:
        """Return a new document, or None while there is none.

        Raises
        ------
        SourceUnavailable
            If the server cannot be reached or does not give it; asked again at the next turn.
        """
        now_s = self._clock.monotonic_s()
        if self._next_s is not None and now_s < self._next_s:
            self._clock.sleep(min(timeout_s, self._next_s - now_s))
            if self._problem:
                raise SourceUnavailable(self._problem)
            return None
        self._next_s = now_s + self._settings.every_s
        try:
            document = self._asked()
        except SourceUnavailable as error:
            self._problem = str(error)
            raise
        self._problem = ""
        return document

    def unusable(self, problem: str) -> None:
        """Say until the next turn that what came cannot be used."""
        self._problem = f"{self.where} {problem}"
        self._known = {}

    def _asked(self) -> bytes | None:
        if self._opener is None:
            self._opener = self._opened()
        # The settings allow http and https only; redirections to anything else are refused.
        request = urllib.request.Request(  # noqa: S310
            self._settings.url, headers={**self._headers, **self._known}
        )
        try:
            with cast("HTTPResponse", self._opener.open(request, timeout=_ANSWER_S)) as answer:
                document = self._whole(answer)
                self._remember(answer)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
            return None
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            message = (
                f"{self.where} cannot be asked: {reason or type(error).__name__}. Check the "
                "address, the network and, with https, the certificates."
            )
            raise SourceUnavailable(message) from error
        return document

    def _refused(self, error: urllib.error.HTTPError) -> None:
        if error.code == _NOT_MODIFIED:
            return
        wait = error.headers.get("Retry-After", "")
        if wait.isascii() and wait.isdigit() and self._next_s is not None:
            self._next_s += min(float(wait[:9]), _LONGEST_S)
        message = (
            f"{self.where} answers {error.code}: expected 200. Check the address and, where the "
            "feed wants one, the key."
        )
        raise SourceUnavailable(message) from error

    def _whole(self, answer: HTTPResponse) -> bytes:
        ends_s = time.monotonic() + _ANSWER_S
        document = b""
        while piece := answer.read1(_PIECE_BYTES):
            document += piece
            if len(document) > MAX_BYTES:
                message = f"more than {MAX_BYTES} bytes"
                raise ValueError(message)
            if time.monotonic() > ends_s:
                message = f"the answer is not whole after {_ANSWER_S:g} s"
                raise TimeoutError(message)
        return document

    def _remember(self, answer: HTTPResponse) -> None:
        pairs = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
        self._known = {ours: value for ours, name in pairs if (value := answer.headers.get(name))}

    def _opened(self) -> urllib.request.OpenerDirector:
        about = self._settings
        if about.key_header is not None and about.key_file is not None:
            self._headers[about.key_header] = read_token(about.key_file, shortest=1).reveal()
        try:
            context = ssl.create_default_context(cafile=about.ca_file)
        except OSError as error:
            message = f"ca_file {about.ca_file} cannot be used: {error}. Expected PEM certificates."
            raise SourceUnavailable(message) from error
        return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


class PolledSource:
    """Readings of the documents of one URL.

    Parameters
    ----------
    poll
        Fetches them.
    decode
        Makes readings of a document; a `ValueError` says what was expected instead.
    contract
        Of the readings.
    """

    UNPARSABLE = "unparsable_document"

    def __init__(self, poll: HttpPoll, decode: Callable[[bytes], Intake], *, contract: str) -> None:
        self._poll = poll
        self._decode = decode
        self._contract = contract

    def read(self, timeout_s: float) -> Intake:
        """Return the readings of a new document, or none while there is none."""
        document = self._poll.fetch(timeout_s)
        if document is None:
            return Intake()
        try:
            return self._decode(document)
        except ValueError as error:
            self._poll.unusable(str(error))
            intake = Intake()
            intake.dropped[self._contract, self.UNPARSABLE] += 1
            return intake

    def close(self) -> None:
        """Nothing is open between two questions."""
