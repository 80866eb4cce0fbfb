"""Which kinds of source there are: each is one module with settings, a sample and a reader."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from clearway_core.clock import Clock
from clearway_core.settings import Section
from clearway_edge.sources.source import Source

KINDS: Mapping[str, str] = {
    "airgradient": "clearway_edge.sources.polled.airgradient",
    "gtfs_realtime": "clearway_edge.sources.polled.gtfs_realtime",
    "http_push": "clearway_edge.sources.pushed.http_push",
    "mqtt": "clearway_edge.sources.subscribed.mqtt",
    "purpleair": "clearway_edge.sources.polled.purpleair",
    "sensor_community": "clearway_edge.sources.pushed.sensor_community",
    "gpsd": "clearway_edge.sources.devices.gpsd",
    "nmea": "clearway_edge.sources.devices.nmea",
    "pmsx003": "clearway_edge.sources.devices.pmsx003",
    "sds011": "clearway_edge.sources.devices.sds011",
    "sps30": "clearway_edge.sources.devices.sps30",
}
"""Kind as settings name it, and the module that knows it; loaded when it is used, so that a small
gateway carries only what it needs. Each has a sample in `samples/KIND.toml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a gateway lends to its sources.

    Parameters
    ----------
    clock
        The gateway's clock.
    gateway
        The gateway's name.
    state_dir
        Where a source may keep what it must know after a restart; None: nowhere.
    """

    clock: Clock
    gateway: str = "gateway"
    state_dir: Path | None = None


class Kind(Protocol):
    """What a module of `KINDS` has."""

    def settings_of(self, section: Section, folder: Path) -> object:
        """Read the keys of a ``[[source]]`` beside ``kind`` and ``name``; faults go to it."""
        ...

    def open_source(self, settings: object, tools: Tools) -> Source:
        """Return the source; devices and connections are opened when it is first read."""
        ...


def kind(name: str) -> Kind:
    """Return the module of a kind."""
    return cast("Kind", importlib.import_module(KINDS[name]))
