"""Bytes broken at random: bits, pieces, splices, and words that parsers trip over."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

WORDS = (
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"'", b",", b";", b"{", b"}", b"[",
    b"]", b"[" * 2000, b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 20, b"9" * 400, b"null",
    b"true", b"-0", b"1_0", b"0001-01-01", b"9999-12-31T23:59:59.999+23:59", b"\xd8\x00",
    b"\\ud800", "ü".encode(), b" " * 50,
)  # fmt: skip


def broken(good: Sequence[bytes], chance: Random) -> bytes:
    """Return bytes that are nearly good."""
    data = bytearray(chance.choice(good))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((0, 1, 1, 2, 4, 16, 64)))
        match chance.randrange(5):
            case 0:
                data[at:to] = bytes(byte ^ 1 << chance.randrange(8) for byte in data[at:to])
            case 1:
                del data[at:to]
            case 2:
                data[at:to] = chance.choice(WORDS)
            case 3:
                data[at:at] = data[at:to] * chance.choice((1, 1, 2, 30))
            case _:
                other = chance.choice(good)
                start = chance.randrange(len(other) + 1)
                data[at:to] = other[start : start + chance.choice((4, 16, 64, 1000))]
    return bytes(data)
