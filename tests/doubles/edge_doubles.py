"""Fakes of the gateway's tests: a clock that is turned, a log that refuses, files."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from clearway_core.data_dir import DataDir
from clearway_core.errors import DeliveryFailed, MessageTooLarge
from clearway_core.stream.batch import Batch, decode
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Message, StoredMessage, TopicPartition

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)

CAR_PROFILE = """
contract = "gps_ping/1"
provider = "fleet"
time_zone = "Asia/Bangkok"

[format]
kind = "csv"

[vehicle]
column = "vehicle"
class = "taxi"

[time]
column = "at"
format = "unix_s"

[position]
lon = "lon"
lat = "lat"
datum = "wgs84"
"""


class TurnableClock:
    """A clock that moves only when it is told to, or slept on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.instant = now
        self.elapsed_s = 0.0
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        return self.instant

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        self.forward(duration_s)

    def forward(self, duration_s: float) -> None:
        self.instant += timedelta(seconds=duration_s)
        self.elapsed_s += duration_s

    def jump_to(self, instant: datetime) -> None:
        """Set the wall clock only, as a time server does."""
        self.instant = instant


class MemoryLog:
    """A log that keeps messages, refuses for a while, and takes no large ones."""

    def __init__(self, *, failures: int = 0, max_bytes: int = 1_000_000) -> None:
        self.failures = failures
        self.max_bytes = max_bytes
        self.messages: list[tuple[str, Message]] = []
        self.closed = 0

    def ensure_topic(self, topic: str, partitions: int = 3) -> None:
        """Topics need no making here."""

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise DeliveryFailed("the broker is down", retry_after_s=0.01)
        for message in messages:
            if len(message.value) > self.max_bytes:
                raise MessageTooLarge("too large")
        self.messages += [(topic, message) for message in messages]

    def first_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        return {TopicPartition(topic, 0): 0}

    def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        return {TopicPartition(topic, 0): len(self.messages)}

    def read(
        self, positions: Mapping[TopicPartition, int], *, timeout_s: float = 1.0
    ) -> Sequence[StoredMessage]:
        return []

    def close(self) -> None:
        self.closed += 1

    def batches(self) -> list[Batch]:
        return [decode(message.value) for _, message in self.messages]


class Bytes:
    """A line that gives its bytes in pieces."""

    def __init__(self, data: bytes, piece: int = 7) -> None:
        self._pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
        self.sent: list[bytes] = []
        self.closed = False

    def receive(self, timeout_s: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    @property
    def is_over(self) -> bool:
        return not self._pieces


def batches_in(data_dir: Path, topic: str = "clearway.gps_ping.v1") -> list[Batch]:
    """Return every batch that the embedded log of a data folder holds."""
    log = EmbeddedLog(DataDir(data_dir).log_file)
    positions = dict.fromkeys(log.end_offsets(topic), 0)
    batches = []
    while found := log.read(positions, timeout_s=0):
        for stored in found:
            where = TopicPartition(stored.topic, stored.partition)
            positions[where] = stored.offset + 1
            batches.append(decode(stored.value))
    log.close()
    return batches


def rows_in(data_dir: Path, topic: str = "clearway.gps_ping.v1") -> list[dict[str, object]]:
    """Return every record that the embedded log holds, with its identity."""
    return [
        {"boot": batch.boot, "seq": seq, **{n: v[i] for n, v in batch.columns.items()}}
        for batch in batches_in(data_dir, topic)
        for i, seq in enumerate(batch.seq)
    ]


def write_csv(file: Path, rows: Sequence[str], header: str = "vehicle,at,lon,lat") -> Path:
    """Write a CSV file, gzipped if its name says so."""
    text = "\n".join([header, *rows]) + "\n"
    data = text.encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


def write_archive(file: Path, members: Mapping[str, str]) -> Path:
    """Write a tar.gz of text files."""
    with tarfile.open(file, "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, BytesIO(text.encode()))
    return file


def profile_file(folder: Path, text: str = CAR_PROFILE, **changes: str) -> Path:
    """Write a profile; each change replaces the text left of it by the text right of it."""
    for old, new in changes.items():
        text = text.replace(old, new)
    file = folder / "profile.toml"
    file.write_text(text, encoding="utf-8")
    return file


def all_bytes(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below a folder with what it holds."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file, file.read_bytes()
