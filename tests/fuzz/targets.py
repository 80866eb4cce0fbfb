"""Every parser of bytes that come from outside, by name.

A target takes any bytes. It must return, or the bytes must end in one of the component's own
outcomes, which it counts or tells; whatever else it raises is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fuzz import file_bytes, live_bytes, message_bytes, table_bytes


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, and good bytes to begin with.

    Parameters
    ----------
    run
        Returns whether anything of the bytes was taken.
    seeds
        Bytes that are taken.
    """

    run: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]


TARGETS = {
    "devices": Target(live_bytes.devices, live_bytes.device_seeds),
    "feeds": Target(live_bytes.feeds, live_bytes.feed_seeds),
    "mqtt": Target(live_bytes.mqtt, live_bytes.mqtt_seeds),
    "http": Target(live_bytes.http, live_bytes.http_seeds),
    "recordings": Target(file_bytes.recordings, file_bytes.recording_seeds),
    "inspection": Target(file_bytes.inspection, file_bytes.inspection_seeds),
    "messages": Target(message_bytes.messages, message_bytes.message_seeds),
    "settings": Target(table_bytes.settings, table_bytes.settings_seeds),
    "geojson": Target(table_bytes.geojson, table_bytes.geojson_seeds),
    "tables": Target(table_bytes.tables, table_bytes.table_seeds),
    "small_files": Target(file_bytes.small_files, file_bytes.small_file_seeds),
    "outbox": Target(file_bytes.outbox, file_bytes.outbox_seeds),
}

FOUND = Path(__file__).parent / "found"
"""Bytes that broke a parser once, in a folder for each target; the name says what they broke."""


def found(name: str) -> list[Path]:
    """Return the files that broke a target once."""
    return sorted((FOUND / name).glob("*"))
