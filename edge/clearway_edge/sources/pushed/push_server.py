"""A small HTTP server for senders: bounded threads, bodies and patience; nothing is logged of them.

What a request means is the desk's matter (`Desk`); here it is only received and answered.
"""

from __future__ import annotations

import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer
from typing import Protocol, cast

import orjson

from clearway_core.errors import SourceUnavailable
from clearway_core.hosts import is_loopback
from clearway_core.settings import Section
from clearway_edge.sources.host_port import MAX_PORT

log = logging.getLogger(__name__)

REQUEST_S = 30.0
"""A request must be here whole within this, or its connection is closed: a sender that gives a byte
now and then would hold a thread for ever. [s]"""

CONNECTIONS = 32
"""Connections at once; one more is told to come again (429), or closed where TLS is spoken."""

ROOM_BYTES = 8 * 1024 * 1024
"""Bodies in memory at once; a request that does not fit is told to come again (429). [B]"""

_ACCEPT_S = 0.2
_ANSWER_S = 10.0
_DRAIN_S = 2.0
_DRAIN_BYTES = 16 * 1024 * 1024
_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where a server listens.

    Parameters
    ----------
    certificate_file, key_file
        PEM files for TLS; both or none.
    max_body_bytes
        Larger requests are refused before they are read. [B]
    """

    host: str
    port: int
    certificate_file: Path | None
    key_file: Path | None
    max_body_bytes: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def listen_settings(
    section: Section, folder: Path, *, port: int, max_body_kib: int
) -> ListenSettings:
    """Read ``host``, ``port``, ``certificate_file``, ``key_file`` and ``max_body_kib``."""
    certificate = section.optional_text("certificate_file")
    key = section.optional_text("key_file")
    if (certificate is None) != (key is None):
        section.fault("certificate_file", "TLS needs certificate_file and key_file, both of them")
    return ListenSettings(
        host=section.text("host", "127.0.0.1"),
        port=section.whole("port", port, maximum=MAX_PORT),
        certificate_file=None if certificate is None else folder / certificate,
        key_file=None if key is None else folder / key,
        max_body_bytes=section.whole("max_body_kib", max_body_kib, minimum=1) * 1024,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request before its body is read; header names are small letters."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a sender is told, as JSON."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, error: str, **headers: str) -> Answer:
    """Return an answer that says what was expected; underscores in header names are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body={"error": error}, headers=named)


class Desk(Protocol):
    """Who decides about requests; asked from several threads."""

    def refused(self, head: Head) -> Answer | None:
        """Return why a request is not even read, or None."""
        ...

    def take(self, head: Head, body: bytes) -> Answer:
        """Return the answer to a request that was read."""
        ...


class Room:
    """Memory that requests share.

    Parameters
    ----------
    n_bytes
        All of it. [B]
    """

    def __init__(self, n_bytes: int) -> None:
        self._lock = threading.Lock()
        self._left = n_bytes

    def take(self, n_bytes: int) -> bool:
        """Return whether so much was left; it is taken then."""
        with self._lock:
            if n_bytes > self._left:
                return False
            self._left -= n_bytes
            return True

    def give_back(self, n_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += n_bytes


class PushServer:
    """Listens until it is closed.

    Parameters
    ----------
    settings
        Where and how.
    desk
        Answers.
    """

    def __init__(self, settings: ListenSettings, desk: Desk) -> None:
        self.desk = desk
        self.max_body_bytes = settings.max_body_bytes
        self._context = _tls(settings)
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.room = Room(max(ROOM_BYTES, settings.max_body_bytes))
        self._socket = _listening(settings)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, name=f"push-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept no more; requests that are here get their answer, who has sent none is let go."""
        self.closing.set()
        self._thread.join()
        self._socket.close()
        with self._lock:
            for connection in self._open:
                # The plain socket's: that of TLS would also end what is still to be answered.
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RD)

    def _serve(self) -> None:
        while not self.closing.is_set():
            try:
                connection, address = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:
                # Out of file descriptors, for one: the next connection may find some.
                log.warning("push_accept_failed", extra={"error": str(error)})
                self.closing.wait(_ACCEPT_S)
                continue
            if self._slots.acquire(blocking=False):
                # No daemon: a process that stops answers first whom it has stored readings of, and
                # notes their requests.
                threading.Thread(target=self._talk, args=(connection, address)).start()
            else:
                self._turn_away(connection)

    def _talk(self, connection: socket.socket, address: object) -> None:
        try:
            # A handshake that does not come to its end must not hold up other senders.
            connection.settimeout(_ANSWER_S)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            _Exchange(connection, address, cast("BaseServer", self))
        except (OSError, ValueError) as error:
            # The sender is gone, or speaks something else.
            log.debug("push_connection_ended", extra={"error": type(error).__name__})
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            self._slots.release()

    def _turn_away(self, connection: socket.socket) -> None:
        with connection:
            if self._context is None:
                try:
                    connection.settimeout(0.1)
                    connection.sendall(_TOO_MANY)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    return


_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def _tls(settings: ListenSettings) -> ssl.SSLContext | None:
    if settings.certificate_file is None or settings.key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    except OSError as error:  # ssl.SSLError is one too
        message = (
            f"TLS cannot start with {settings.certificate_file} and {settings.key_file}: {error}. "
            "Expected a PEM certificate and its key, readable by this user."
        )
        raise SourceUnavailable(message) from error
    return context


def _listening(settings: ListenSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        message = (
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror or error}. "
            "Another program may use the port: end it, or set another `port`."
        )
        raise SourceUnavailable(message) from error
    listener.settimeout(_ACCEPT_S)
    return listener


class _Timed(io.RawIOBase):
    """Bytes of a connection until a moment, however they drip."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.ends_s = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        left_s = self.ends_s - time.monotonic()
        if left_s <= 0:
            message = "the request came too slowly"
            raise TimeoutError(message)
        self._connection.settimeout(left_s)
        return self._connection.recv_into(memoryview(cast("bytearray", buffer)))


class _Exchange(BaseHTTPRequestHandler):
    """One connection's requests, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "clearway"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self._push = cast("PushServer", self.server)
        self._timed = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._timed, _PIECE_BYTES)

    def handle_one_request(self) -> None:
        self._timed.ends_s = time.monotonic() + REQUEST_S
        super().handle_one_request()

    def parse_request(self) -> bool:
        # An idle connection has its own time, a request that has begun the whole of it.
        self._timed.ends_s = time.monotonic() + REQUEST_S
        return super().parse_request()

    def do_POST(self) -> None:
        head = Head(
            method=self.command,
            path=self.path.partition("?")[0],
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        answer = self._push.desk.refused(head) or self._too_much(head)
        if answer is not None:
            self._send(answer, unread=True)
            return
        length = int(head.headers["content-length"])
        if not self._push.room.take(length):
            error = "too many requests are being read"
            self._send(refusal(429, error, Retry_After="2"), unread=True)
            return
        try:
            body = self.rfile.read(length)
            if len(body) == length:
                self._send(self._push.desk.take(head, body))
            else:
                self.close_connection = True  # the sender went away in the middle
        finally:
            self._push.room.give_back(length)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815 -- named by the base class

    def _too_much(self, head: Head) -> Answer | None:
        length = head.headers.get("content-length", "")
        # Two lengths, or a length and chunks: a proxy before us may have read them another way.
        lengths = self.headers.get_all("content-length", [])
        if len(lengths) > 1 or "transfer-encoding" in head.headers:
            length = ""
        if not length.isascii() or not length.isdigit():
            return refusal(411, "expected a Content-Length; chunked bodies are not taken")
        if head.headers.get("content-encoding", "identity") != "identity":
            return refusal(415, "expected a body without Content-Encoding")
        limit = self._push.max_body_bytes
        if len(length) > 18 or int(length) > limit:  # noqa: PLR2004 -- digits that no body has
            return refusal(413, f"expected at most {limit} bytes: send it in several requests")
        return None

    def _send(self, answer: Answer, *, unread: bool = False) -> None:
        body = orjson.dumps(answer.body) + b"\n"
        self.close_connection = self.close_connection or unread or self._push.closing.is_set()
        self.connection.settimeout(_ANSWER_S)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if unread:
            self._drain()

    def _drain(self) -> None:
        """Take what is still on its way: a connection that is closed before loses the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self._timed.ends_s = time.monotonic() + _DRAIN_S
        left = _DRAIN_BYTES
        while left > 0 and (piece := self.rfile.read1(_PIECE_BYTES)):
            left -= len(piece)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no proper request; the base class would repeat what it got."""
        del message, explain
        self.command = getattr(self, "command", None) or "POST"
        self.request_version = "HTTP/1.1"
        self.close_connection = True
        self._send(refusal(code, "expected an HTTP/1.1 POST request"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing: lines and headers hold what senders must keep to themselves."""
