"""Until when a certificate is valid, read without any library for certificates.

An idle gateway need not load 10 MiB of `cryptography` for one date; an old Pi may not have it.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL | re.MULTILINE
)
_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_GENERALISED_TIME = 0x18
_LONG_FORM = 0x80
_CENTURY_TURN = 50
"""UTCTime has two digits: 50 to 99 are of the 20th century (RFC 5280, 4.1.2.5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """From when until when a certificate is valid."""

    starts_at: datetime
    expires_at: datetime


def validity_of(file: Path) -> Validity:
    """Return the validity of the first certificate in a PEM file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds no certificate.
    """
    found = _PEM.search(file.read_bytes())
    if found is None:
        message = f"{file} holds no certificate (PEM)"
        raise ValueError(message)
    try:
        return _validity(base64.b64decode(b"".join(found[1].split()), validate=True))
    except (IndexError, ValueError) as error:
        message = f"{file} holds a damaged certificate: {error}"
        raise ValueError(message) from error


def _validity(der: bytes) -> Validity:
    """Walk to the fifth part: version?, serial, algorithm, issuer, validity (RFC 5280, 4.1)."""
    _, certificate, _ = _element(der, _SEQUENCE)
    _, rest, _ = _element(certificate, _SEQUENCE)
    tag, _, after = _element(rest)
    if tag == _VERSION:
        rest = after
    for _ in ("serial", "algorithm", "issuer"):
        _, _, rest = _element(rest)
    _, dates, _ = _element(rest, _SEQUENCE)
    first_tag, first, dates = _element(dates)
    last_tag, last, _ = _element(dates)
    return Validity(starts_at=_instant(first_tag, first), expires_at=_instant(last_tag, last))


def _element(data: bytes, wanted: int | None = None) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first DER element, and what follows it."""
    tag, length, start = data[0], data[1], 2
    if length >= _LONG_FORM:
        start += length - _LONG_FORM
        length = int.from_bytes(data[2:start], "big")
    if wanted is not None and tag != wanted:
        message = f"expected DER element {wanted:#x}, got {tag:#x}"
        raise ValueError(message)
    if start + length > len(data):
        raise IndexError("it ends too early")
    return tag, data[start : start + length], data[start + length :]


def _instant(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii")
    if tag == _UTC_TIME:
        digits = ("19" if int(digits[:2]) >= _CENTURY_TURN else "20") + digits
    elif tag != _GENERALISED_TIME:
        message = f"expected a date, got DER element {tag:#x}"
        raise ValueError(message)
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
