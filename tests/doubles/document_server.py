"""A real HTTP server with one document, which a test may change, withhold or spoil."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class DocumentServer:
    """Serves `body` under any path until it is closed.

    Parameters
    ----------
    certificate, key
        For TLS.
    """

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.drip_s = 0.0
        self.asked: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append({name.lower(): value for name, value in self.headers.items()})
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/feed"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request; an ETag that the asker knows is answered 304."""
        tag = self.headers.get("ETag")
        known = tag is not None and handler.headers.get("If-None-Match") == tag
        body = b"" if known else self.body
        handler.send_response(304 if known else self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        try:
            for at in range(0, len(body), 1000 if self.drip_s else max(len(body), 1)):
                handler.wfile.write(body[at : at + 1000] if self.drip_s else body)
                time.sleep(self.drip_s)
        except OSError:
            pass

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
