"""Headers and checks that keep the pages to themselves.

The server has no accounts. What protects it: it listens on the loopback address, it answers only
to that address's names (so that a foreign web page cannot reach it by re-binding its own name),
and the browser runs no script and loads nothing but from this origin.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearway_core.hosts import is_loopback

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "worker-src": "'self'",
    "connect-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",  # the map library draws its icons and images itself
    "font-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
CONTENT_SECURITY_POLICY = "; ".join(f"{name} {allowed}" for name, allowed in _SOURCES.items())

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Adds the security headers to every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the answer's headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    # Always ask whether it changed: a stale congestion map misleads.
                    headers["Cache-Control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, send_with_headers)


class KnownHosts:
    """Refuses requests for other host names and, where asked, from other machines.

    Parameters
    ----------
    app
        What answers.
    names
        Host names that the server answers to, without port.
    loopback_only
        Whether the caller itself must be on this machine.
    """

    def __init__(self, app: ASGIApp, *, names: Sequence[str], loopback_only: bool) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        host = _without_port(Headers(scope=scope).get("host", "")).lower()
        if host not in self._names:
            text = f"this server answers to {', '.join(sorted(self._names))}, not to {host!r}"
            return PlainTextResponse(text, status_code=421)
        client = scope.get("client")
        if self._loopback_only and (client is None or not is_loopback(client[0])):
            text = "values that passed no release gate are shown on this machine only"
            return PlainTextResponse(text, status_code=403)
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
