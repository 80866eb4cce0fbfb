"""Files that a gateway reads: recordings, unknown ones, its own after a disk has turned bits."""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random

import polars as pl
from doubles.edge_certificates import self_signed
from doubles.edge_doubles import CAR_PROFILE, TurnableClock
from faults.test_edge_outbox_damage import FILES, crashed
from fuzz.scratch import scratch, written

from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.errors import SettingsError, SourceUnavailable, UsageError
from clearway_core.stream.batch import Batch, decode, encode
from clearway_edge.certificate import validity_of
from clearway_edge.clock.clock_bases import ClockBases
from clearway_edge.condition.state_file import read_state
from clearway_edge.inspection.inspect_file import inspect_file
from clearway_edge.outbox.counts_copy import CountsCopy
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.page.page_access import device_pin
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.privacy.trip_ends import TripEndCutter
from clearway_edge.rows.convert import Converter
from clearway_edge.rows.files import read_chunks
from clearway_edge.rows.profile import SourceProfile
from clearway_edge.rows.profile_reading import read_profile
from clearway_edge.sources.pushed.push_memory import RequestMemory, digest_of
from clearway_edge.sources.tokens import read_token

CLOCK = TurnableClock()

_SPEED = '[speed]\ncolumn = "v"\n[[speed.era]]\nuntil = "2026-01-01"\nunit = "mps"\n'
_BARE = 'separator = "whitespace"\ncolumns = ["vehicle", "at", "lon", "lat"]\ndecimal_comma = true'


def _profile_text(*changes: tuple[str, str]) -> str:
    text = CAR_PROFILE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


_PROFILES = (
    CAR_PROFILE,
    _profile_text(('"taxi"', '"car"'), ("wgs84", "gcj02")) + _SPEED,
    _profile_text(('"csv"', f'"csv"\n{_BARE}'), ("unix_s", "iso8601")),
    _profile_text(('"csv"', '"jsonl"'), ('"lon"\n', '"at.lon"\n'), ("wgs84", "bd09")),
    _profile_text(('"csv"', '"json"\nrecords = "a.b"'), ("unix_s", "unix_ms")),
    _profile_text(
        ('"csv"', '"archive"\nmember_pattern = "(?P<vehicle>.+)"'), ('column = "vehicle"\n', "")
    ),
    _profile_text(('"csv"', '"parquet"')),
    _profile_text(('lon = "lon"\nlat = "lat"', 'polyline = "lon"\norder = "lat_lon"\nstep_s = 15')),
    _profile_text(('"unix_s"', '"pattern"\npattern = "%d/%m/%Y %H:%M"\nzone = "Europe/Berlin"')),
)


@cache
def _profile(number: int) -> SourceProfile:
    return read_profile(written(f"profile-{number}.toml", _PROFILES[number].encode()))


def recordings(data: bytes) -> bool:
    """Read a recorded file by a profile, which the first byte chooses, up to its messages."""
    profile = _profile((data[:1] or b"\0")[0] % len(_PROFILES))
    file = written("recording", data[1:])
    keys = KeyRing(Path("/dev/null/keys"), CLOCK)  # cannot be: they stay in memory
    converter = Converter(profile, Pseudonymiser(keys, profile.time_zone))
    try:
        converted = map(converter.convert, read_chunks(file, profile))
        for chunk in TripEndCutter(Random(1)).cut(converted):
            assert chunk.read == len(chunk.seq) + chunk.dropped.total()
            batch = Batch(
                contract=profile.contract, gateway="g", boot=1, seq=chunk.seq, columns=chunk.columns
            )
            assert len(decode(encode(batch, WIRE_CONTRACTS[profile.contract]))) == len(chunk.seq)
    except (SourceUnavailable, UsageError):
        return False
    return True


_ROWS = [("cab", 1_768_440_000 + 30 * n, 100.5 + n / 1000, 13.7) for n in range(8)]


def _csv(time: str = "{at}", separator: str = ",", header: str = "vehicle,at,lon,lat\n") -> bytes:
    lines = (
        separator.join((vehicle, time.format(at=at), f"{lon:.3f}", f"{lat}"))
        for vehicle, at, lon, lat in _ROWS
    )
    return (header + "\n".join(lines)).encode()


def _archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("cab-1.txt", "cab-2.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(_csv())
            archive.addfile(info, io.BytesIO(_csv()))
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame(_ROWS, ["vehicle", "at", "lon", "lat"], orient="row").write_parquet(out)
    return out.getvalue()


def _records() -> list[dict[str, object]]:
    return [dict(zip(("vehicle", "at", "lon", "lat"), row, strict=True)) for row in _ROWS]


def recording_seeds() -> Iterator[bytes]:
    """Yield a good file for each profile."""
    lines = b"\n".join(json.dumps(each).encode() for each in _records())
    polyline = b'vehicle,at,lon\ncab,1768440000,"[[13.7,100.5],[13.71,100.51]]"\ncab,1,[]\n'
    samples = (
        _csv(),
        _csv(header="v,vehicle,at,lon,lat\n").replace(b"\ncab", b"\n3.5,cab"),
        _csv("2026-01-15T12:00:00Z", "\t", "").replace(b".", b","),
        lines,
        json.dumps({"a": {"b": _records()}}).encode(),
        _archive(),
        _parquet(),
        polyline,
        _csv("29/03/2026 02:30"),
    )
    for number, sample in enumerate(samples):
        yield bytes((number,)) + sample
    yield b"\0" + gzip.compress(_csv())
    yield b"\5" + gzip.compress(_archive())


def inspection(data: bytes) -> bool:
    """Look at a file that nobody has seen before."""
    file = written("unknown.csv", data)
    try:
        inspect_file(file)
    except SourceUnavailable:
        return False
    return True


def inspection_seeds() -> Iterator[bytes]:
    """Yield files of every kind."""
    yield from (seed[1:] for seed in recording_seeds())
    yield b"time;pm2_5;rh\n2026-01-15 12:00;12,5;60\n2026-01-15 13:00;13,5;61\n"
    yield json.dumps({"entity": [{"vehicle": {"position": each}} for each in _records()]}).encode()


def small_files(data: bytes) -> bool:
    """Read a small file of a gateway; the first byte says which."""
    read, refuses = _SMALL_FILES[(data[:1] or b"\0")[0] % len(_SMALL_FILES)]
    try:
        read(written("requests", data[1:]))
    except refuses:
        return False
    return True


def _requests(file: Path) -> None:
    memory = RequestMemory(file.parent, requests=5, clock=CLOCK)
    memory.stored(digest_of("a", "/", b""))
    memory.forget_old()


def _certificate(file: Path) -> None:
    data = file.read_bytes()
    if not data.startswith(_PEM):
        # Behind a base64 that nobody guesses.
        file.write_bytes(_PEM + base64.b64encode(data) + b"\n-----END CERTIFICATE-----")
    validity_of(file)


_PEM = b"-----BEGIN CERTIFICATE-----\n"

_SMALL_FILES: tuple[tuple[Callable[[Path], object], tuple[type[Exception], ...]], ...] = (
    (read_state, ()),
    (lambda file: ClockBases(file).set("start", 1), ()),
    (_requests, ()),
    (lambda file: CountsCopy(file).load(), ()),
    (_certificate, (ValueError,)),
    (read_token, (SourceUnavailable,)),
    (device_pin, (SettingsError,)),
)


def small_file_seeds() -> Iterator[bytes]:
    """Yield a good file of each kind."""
    yield b"\0" + json.dumps({"forwarder_state": "up to date", "sources_json": "{}"}).encode()
    yield b"\1" + json.dumps({"a" * 32: 1_768_478_400_000}).encode()
    yield b"\2" + bytes(40) + bytes(range(64))
    yield b"\3" + (_crashed() / "outbox.counts").read_bytes()[:4096]
    pem = self_signed(scratch())[0].read_bytes()
    yield b"\4" + pem
    yield b"\4" + base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    yield b"\5" + b"0123456789abcdef0123456789abcdef\n"
    yield b"\6" + b"4711-0815\n"


@cache
def _crashed() -> Path:
    folder = scratch() / "crashed"
    folder.mkdir()
    return crashed(folder, Random(5)).folder


def outbox(data: bytes) -> bool:
    """Turn bytes in the files of a killed gateway's outbox, then start, drain and count.

    Every five bytes say: which file, where (three bytes), and what is there now.
    """
    folder = scratch() / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_crashed(), folder)
    for at in range(0, len(data) - 4, 5):
        file = folder / FILES[data[at] % len(FILES)]
        content = bytearray(file.read_bytes())
        if content:
            place = int.from_bytes(data[at + 1 : at + 4], "big") % len(content)
            content[place] = data[at + 4]
            file.write_bytes(content)
    box = SqliteOutbox(folder / "outbox.sqlite", None, CLOCK)
    while batches := box.waiting(50):
        box.accept([batch.id for batch in batches])
    for stream in box.streams():
        account = box.account(stream)
        assert (account.missing, account.spooled) == (0, 0)
    box.close()
    return True


def outbox_seeds() -> Iterator[bytes]:
    """Yield some damages: in the header, in the middle, in the log of commits, in the counts."""
    yield b""
    yield bytes((0, 0, 0, 20, 255))
    yield bytes((0, 0, 16, 8, 0, 0, 0, 32, 100, 7))
    yield bytes((1, 0, 0, 40, 9, 1, 0, 64, 40, 1))
    yield bytes((2, 0, 4, 10, 1))
