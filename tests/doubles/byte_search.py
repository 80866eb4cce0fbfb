"""Looks for a name in bytes, as somebody would who holds the disk and the log."""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
import urllib.parse
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import cramjam

_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b\x08"
_ENOUGH_BYTES = 8
_GZIP_BITS = 31
_UNPACKED_BYTES = 1_000_000
_SQLITE = b"SQLite format 3\x00"


def forms(name: str) -> dict[str, bytes]:
    """Return what a name may look like, and what stands for it to everybody who can count.

    A hash without a key is found by trying all names, so that it counts as the name.
    """
    raw = name.encode()
    found = {
        "utf-8": raw,
        "lower": name.lower().encode(),
        "upper": name.upper().encode(),
        "reversed": raw[::-1],
        "utf-16-le": name.encode("utf-16-le"),
        "utf-16-be": name.encode("utf-16-be"),
        "utf-32-le": name.encode("utf-32-le"),
        "hex": raw.hex().encode(),
        "hex upper": raw.hex().upper().encode(),
        "url": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "url, as browsers do": urllib.parse.quote(name).encode(),
        "json escapes": "".join(f"\\u{ord(char):04x}" for char in name).encode(),
        "rot13": name.translate(_ROT13).encode(),
    }
    for offset in range(3):
        # Without the characters that the neighbours share.
        coded = base64.b64encode(b"\0" * offset + raw)[offset + 1 : -4]
        found[f"base64 at {offset}"] = coded
        found[f"base64url at {offset}"] = coded.translate(bytes.maketrans(b"+/", b"-_"))
    found |= summed(raw)
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name):
        found["uuid bytes"] = bytes.fromhex(name.replace("-", ""))
        found["uuid without dashes"] = name.replace("-", "").encode()
    return found


_ROT13 = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)


def everything_in(data: bytes, depth: int = 4) -> Iterator[bytes]:
    """Yield bytes, and what unpacks from any place inside of them."""
    yield data
    if depth == 0:
        return
    for match in re.finditer(re.escape(_ZSTD), data):
        yield from everything_in(_unzstd(data[match.start() :]), depth - 1)
    for match in re.finditer(re.escape(_GZIP), data):
        with suppress(zlib.error):
            unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
            yield from everything_in(unpacker.decompress(data[match.start() :]), depth - 1)


def everything_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file below a folder, its name, and every value that its tables hold.

    Files are read raw first: so free pages, journals and what was deleted but not overwritten are
    in it. Then the rows, because SQLite tears large values over several pages.
    """
    seen: set[bytes] = set()
    for file in sorted(folder.rglob("*")):
        yield f"name of {file}", str(file.relative_to(folder)).encode()
        if not file.is_file():
            continue
        data = file.read_bytes()
        digest = hashlib.blake2b(data).digest()
        if digest in seen:
            continue
        seen.add(digest)
        for found in everything_in(data):
            yield str(file), found
        if data.startswith(_SQLITE):
            for found in _values(file):
                yield f"row of {file}", found


def summed(text: bytes) -> dict[str, bytes]:
    """Return what stands for bytes to everybody who can try all that they may have been."""
    kinds = ("md5", "sha1", "sha224", "sha256", "sha512", "blake2b", "blake2s", "sha3_256")
    digests = {kind: hashlib.new(kind, text).digest() for kind in kinds}
    digests |= {
        f"blake2b of {n}": hashlib.blake2b(text, digest_size=n).digest() for n in (8, 16, 32)
    }
    raw = {kind: digest[:_ENOUGH_BYTES] for kind, digest in digests.items()}
    return raw | {f"{kind} hex": digest.hex()[:16].encode() for kind, digest in digests.items()}


def leaks(
    folder: Path,
    more: dict[str, bytes],
    names: list[str],
    *,
    requests: dict[str, list[bytes]] | None = None,
) -> list[str]:
    """Return where and how each of the names is found, and each of the requests' digests.

    Parameters
    ----------
    requests
        By what they are called: texts with a vehicle in it that somebody could make up for each
        vehicle there is, from what the log says about one that has no name.
    """
    wanted = [(name, form, code) for name in names for form, code in forms(name).items()]
    for title, texts in (requests or {}).items():
        wanted += [(title, form, code) for text in texts for form, code in summed(text).items()]
    found = set()
    places = [*everything_below(folder)]
    places += [(where, part) for where, data in more.items() for part in everything_in(data)]
    for where, data in places:
        found.update(f"{name} as {form} in {where}" for name, form, code in wanted if code in data)
    return sorted(found)


def _values(file: Path) -> Iterator[bytes]:
    # A copy in memory: looking must not change what is looked at.
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(file)) as db:
        tables = [row[0] for row in db.execute("select name from sqlite_master where type='table'")]
        for table in tables:
            for row in db.execute(f'select * from "{table}"'):  # noqa: S608 -- names of its own
                for value in row:
                    if isinstance(value, bytes):
                        yield from everything_in(value)
                    else:
                        yield str(value).encode()


def _unzstd(data: bytes) -> bytes:
    """Return what a frame unpacks to, whatever follows it."""
    buffer = bytearray(_UNPACKED_BYTES)
    with suppress(cramjam.DecompressionError):
        return bytes(buffer[: cramjam.zstd.decompress_into(data, buffer)])
    # What came before the trouble is there all the same.
    return bytes(buffer.rstrip(b"\0"))
