"""Secrets of senders: read from files, compared in constant time, never shown."""

from __future__ import annotations

import hmac
from pathlib import Path

from clearway_core.errors import SourceUnavailable
from clearway_core.settings import Secret

SHORTEST = 16
"""Characters of a token, at least: one that is shorter can be tried out."""


def read_token(file: Path, *, shortest: int = SHORTEST) -> Secret:
    """Return the token of a file.

    Parameters
    ----------
    shortest
        Characters that it must have; others choose the keys that they give.

    Raises
    ------
    SourceUnavailable
        If the file cannot be read or holds no token.
    """
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        message = f"the token file {file} cannot be read ({reason}): check path and permissions"
        raise SourceUnavailable(message) from error
    if len(text) < shortest or not text.isprintable() or " " in text:
        message = (
            f"the token file {file} holds no token: expected one line of at least {shortest} "
            "characters without spaces, such as `openssl rand -hex 32` writes"
        )
        raise SourceUnavailable(message)
    return Secret(text)


def same(secret: Secret, given: str) -> bool:
    """Return whether a text is the secret; how long that takes tells nothing about it."""
    return hmac.compare_digest(secret.reveal().encode(), given.encode("utf-8", "replace"))


def bearer(authorization: str) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header, or None."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
