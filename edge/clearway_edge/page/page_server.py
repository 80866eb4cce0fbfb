"""Serves the gateway's page and figures: read only, few at a time, never in the readings' way."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import resources
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import cast

from clearway_core.clock import Clock
from clearway_core.errors import ClearwayError, MissingDependency
from clearway_core.hosts import is_loopback
from clearway_edge.condition.snapshot import Snapshot
from clearway_edge.page.page import page_values
from clearway_edge.page.page_access import SESSION_S, Access, device_pin
from clearway_edge.settings.settings import PageSettings

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Requests that are answered at a time; whoever comes then is turned away."""

RETRY_S = 10.0
"""How soon a port that was in use is tried again. [s]"""

_REQUEST_S = 10.0
_POLL_S = 0.5
_FRESH_S = 1.0
_LONGEST_PIN_BYTES = 128
_COOKIE = "clearway_gateway"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class PageServer:
    """The page of one gateway.

    Parameters
    ----------
    settings
        Where it listens.
    pin_file
        Holds the PIN; it is asked for unless the page listens on loopback.
    look
        Returns the gateway as it is; told apart so that ten phones cost one look a second.
    clock
        For limits of PINs.
    """

    def __init__(
        self, settings: PageSettings, pin_file: Path, *, look: Callable[[], Snapshot], clock: Clock
    ) -> None:
        self._settings = settings
        self._pin_file = settings.pin_file or pin_file
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[float, Snapshot] | None = None
        self.address = ""
        self.fault = ""

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; a port that is in use is tried again."""
        while not stop.is_set():
            try:
                server = self._open()
            except (OSError, ClearwayError) as error:
                self._failed(error)
                stop.wait(RETRY_S)
                continue
            self.fault = ""
            host, port = server.server_address[:2]
            shown = f"[{host!s}]" if ":" in str(host) else str(host)
            self.address = f"http://{shown}:{port}"
            log.info("page_opened", extra={"address": self.address})
            with server:
                while not stop.is_set():
                    server.handle_request()

    def snapshot(self) -> Snapshot:
        """Return the gateway as it was at most a second ago."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._seen is None or now_s - self._seen[0] >= _FRESH_S:
                self._seen = (now_s, self._look())
            return self._seen[1]

    def _open(self) -> _Server:
        local = is_loopback(self._settings.host)
        access = None if local else Access(device_pin(self._pin_file), self._clock)
        handler = partial(_Handler, access=access, look=self.snapshot)
        return _Server((self._settings.host, self._settings.port), handler)

    def _failed(self, error: Exception) -> None:
        where = f"{self._settings.host}:{self._settings.port}"
        fault = str(error)
        if isinstance(error, OSError):
            fault = (
                f"the page cannot be opened on {where}: {error.strerror or error}. Take another "
                "page.port or page.host, or end the program that has it; readings go on."
            )
        if fault != self.fault:
            log.error("page_not_opened", extra={"error": fault})
        self.fault = fault


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    timeout = _POLL_S

    def __init__(self, address: tuple[str, int], handler: Callable[..., _Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._room = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, cast("type[_Handler]", handler))

    def server_bind(self) -> None:
        # Not HTTPServer's: that asks the name service who we are, which may take half a minute.
        super(HTTPServer, self).server_bind()

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002
        return self._room.acquire(blocking=False)

    def process_request(self, request: object, client_address: object) -> None:
        try:
            super().process_request(request, client_address)  # type: ignore[arg-type]
        except RuntimeError:  # no more threads: the place must not be lost with them
            self._room.release()
            raise

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        log.debug("page_request_failed", extra={"error": repr(sys.exception())})


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_S
    server_version = "clearway-gateway"
    sys_version = ""

    def __init__(
        self, *arguments: object, access: Access | None, look: Callable[[], Snapshot]
    ) -> None:
        self._access = access
        self._look = look
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._is_our_name():
            self._text(HTTPStatus.MISDIRECTED_REQUEST, "open this page as http://localhost")
        elif path in _FILES:
            name, kind = _FILES[path]
            file = resources.files("clearway_edge") / "page" / "files" / name
            self._answer(HTTPStatus.OK, file.read_bytes(), kind)
        elif path == "/status.json":
            if self._is_let_in():
                values = page_values(self._look())
                body = json.dumps(values, ensure_ascii=False).encode()
                self._answer(HTTPStatus.OK, body, "application/json")
        elif path == "/metrics":
            if self._is_let_in():
                self._figures()
        else:
            self._text(HTTPStatus.NOT_FOUND, "there is /, /status.json and /metrics")

    def do_POST(self) -> None:
        if self.path != "/login" or self._access is None:
            self._text(HTTPStatus.NOT_FOUND, "nothing is written here")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LONGEST_PIN_BYTES:
            self._text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "expected a PIN")
            return
        text = self.rfile.read(int(length)).decode("utf-8", "replace").strip()
        if self._pin_is_right(text):
            cookie = (
                f"{_COOKIE}={self._access.open_session()}; HttpOnly; SameSite=Strict; Path=/; "
                f"Max-Age={SESSION_S:.0f}"
            )
            self._answer(HTTPStatus.NO_CONTENT, b"", "text/plain", {"Set-Cookie": cookie})

    def _figures(self) -> None:
        try:
            from clearway_edge.page import prometheus_figures  # noqa: PLC0415 -- only where it is asked
        except MissingDependency as error:
            self._text(HTTPStatus.NOT_IMPLEMENTED, str(error))
            return
        body = prometheus_figures.exposition(self._look())
        self._answer(HTTPStatus.OK, body, prometheus_figures.CONTENT_TYPE)

    def _is_our_name(self) -> bool:
        """Return whether the page was asked for by a name of this machine.

        Without a PIN a foreign web page in a browser on this machine could otherwise read ours,
        by a name of its own that leads here (DNS rebinding).
        """
        name = self.headers.get("Host", "localhost").strip()
        bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        return self._access is not None or is_loopback(bare)

    def _is_let_in(self) -> bool:
        if self._access is None:
            return True
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and self._access.has_session(cookie.value):
            return True
        scheme, _, text = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._pin_is_right(text.strip())
        self._text(HTTPStatus.UNAUTHORIZED, "the PIN on the label is needed")
        return False

    def _pin_is_right(self, text: str) -> bool:
        if self._access is None:
            return True
        right = self._access.try_pin(text, str(self.client_address[0]))
        if right is None:
            words = "too many wrong PINs: wait a minute"
            self._text(HTTPStatus.TOO_MANY_REQUESTS, words, {"Retry-After": "60"})
        elif not right:
            log.warning("page_pin_wrong", extra={"address": self.client_address[0]})
            self._text(HTTPStatus.UNAUTHORIZED, "this is not the PIN on the label")
        return right is True

    def _text(self, code: HTTPStatus, words: str, headers: dict[str, str] | None = None) -> None:
        self._answer(code, f"{words}\n".encode(), "text/plain; charset=utf-8", headers)

    def _answer(
        self, code: HTTPStatus, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(code)
        for name, value in {**_HEADERS, "Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        if code != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request of ours, under the same policy as every answer."""
        del message, explain  # what was asked is not repeated
        self._text(HTTPStatus(code), HTTPStatus(code).phrase)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        log.debug("page_request", extra={"line": format % arguments})
