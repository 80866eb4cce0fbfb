"""Frames of air sensors, for one suite over every decoder, and the recordings of real devices."""

from __future__ import annotations

import csv
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from clearway_edge.sources.devices.air_sensor import Decoder, Measured, Trouble
from clearway_edge.sources.devices.pmsx003 import PmsDecoder
from clearway_edge.sources.devices.sds011 import SdsDecoder
from clearway_edge.sources.devices.sps30 import SpsDecoder, checksum


def pms(words: Sequence[int]) -> bytes:
    """Return a Plantower frame of any words."""
    body = b"BM" + struct.pack(f">H{len(words)}H", 2 * len(words) + 2, *words)
    return body + struct.pack(">H", sum(body) & 0xFFFF)


def sds(pm2_5: int, pm10: int, command: int = 0xC0, device: int = 0x1234) -> bytes:
    """Return a Nova frame of raw tenths."""
    data = struct.pack("<HHH", pm2_5, pm10, device)
    return bytes((0xAA, command)) + data + bytes((sum(data) & 0xFF, 0xAB))


def sps(data: bytes, *, state: int = 0, command: int = 3) -> bytes:
    """Return a Sensirion answer, stuffed by a way of its own: byte by byte, from the standard."""
    body = bytes((0, command, state, len(data))) + data
    body += bytes((checksum(body),))
    for byte in (0x7D, 0x7E, 0x11, 0x13):  # the escape itself first
        body = body.replace(bytes((byte,)), bytes((0x7D, byte ^ 0x20)))
    return b"\x7e" + body + b"\x7e"


@dataclass(frozen=True)
class Family:
    """A decoder and how a good frame of ten numbers from 0 to 60,000 is made for it."""

    name: str
    decoder: Callable[[], Decoder]
    frame: Callable[[Sequence[int]], bytes]
    max_frame_bytes: int
    is_whole: Callable[[bytes], bool]


def _whole_pms(frame: bytes) -> bool:
    return (
        len(frame) >= 8
        and frame[:2] == b"BM"
        and len(frame) == 4 + frame[2] * 256 + frame[3]
        and sum(frame[:-2]) % 65536 == frame[-2] * 256 + frame[-1]
    )


def _whole_sds(frame: bytes) -> bool:
    marks = len(frame) == 10 and frame[:2] == b"\xaa\xc0" and frame[9] == 0xAB
    return marks and sum(frame[2:8]) % 256 == frame[8]


def _whole_sps(frame: bytes) -> bool:
    if len(frame) < 7 or frame[0] != 0x7E or frame[-1] != 0x7E or 0x7E in frame[1:-1]:
        return False
    plain = frame[1:-1]
    for byte in (0x13, 0x11, 0x7E, 0x7D):  # the escape itself last
        plain = plain.replace(bytes((0x7D, byte ^ 0x20)), bytes((byte,)))
    return plain[:2] == b"\x00\x03" and (sum(plain[:-1]) + plain[-1]) % 256 == 255


FAMILIES = (
    Family("pms3003", lambda: PmsDecoder("pms3003"), lambda n: pms(n[:9]), 24, _whole_pms),
    Family("pms5003", PmsDecoder, lambda n: pms([*n[:10], 0, 0, 0]), 32, _whole_pms),
    Family(
        "pms5003t", lambda: PmsDecoder("pms5003t"), lambda n: pms([*n, 250, 500, 0]), 32, _whole_pms
    ),
    Family(
        "pms5003st", lambda: PmsDecoder("pms5003st"), lambda n: pms([*n, *n[:7]]), 40, _whole_pms
    ),
    Family("sds011", SdsDecoder, lambda n: sds(n[0], n[1]), 10, _whole_sds),
    Family("sps30-float", SpsDecoder, lambda n: sps(struct.pack(">10f", *n)), 95, _whole_sps),
    Family("sps30-uint16", SpsDecoder, lambda n: sps(struct.pack(">10H", *n)), 55, _whole_sps),
)


NOISE_BYTES = (
    b"B", b"BM", b"BM\x00\x1c", b"BM\x00\x24", b"BM\x00\x14", b"BM\xff\xff", b"\xaa", b"\xaa\xc0",
    b"\xaa\xc5", b"\xab",
    b"\x7e", b"\x7d", b"\x7d\x5e", b"\x7e\x00\x03\x00\x28", b"\x00\x03\x00\x14",
)  # fmt: skip
"""What noise must hold to be noise: beginnings of frames."""


def decoded(decoder: Decoder, pieces: Sequence[bytes]) -> list[Measured | Trouble]:
    """Return everything that a decoder finds in bytes that come in pieces."""
    return [found for piece in pieces for found in decoder.feed(piece)]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at places; those beyond the end are taken modulo its length."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ends)]


def recorded(folder: Path, name: str) -> tuple[bytes, list[dict[str, str]]]:
    """Return the bytes of a hexdump and the rows of the table beside it."""
    data = bytes(_hexdump((folder / f"{name}.hexdump").read_text(encoding="utf-8")))
    with (folder / f"{name}.csv").open(encoding="utf-8") as stream:
        return data, list(csv.DictReader(stream, skipinitialspace=True))


def _hexdump(text: str) -> Iterator[int]:
    for line in text.splitlines():
        digits = line.partition(": ")[2].split("  ")[0]
        yield from bytes.fromhex(digits)
