"""What the gateway's own component lends to those who prepare devices: its settings."""

from __future__ import annotations

from collections.abc import Sequence

from clearway_edge.settings.sample_settings import sample_settings
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.kinds import KINDS
from clearway_fleet.device_settings import Device
from clearway_fleet.provisioning import Workshop


def workshop(time_zone: str) -> Workshop:
    """Return how settings of devices in a time zone are written and checked."""

    def compose(device: Device, kinds: Sequence[str]) -> str:
        plan = device.plan
        return sample_settings(
            name=device.gateway,
            site=plan.site,
            time_zone=time_zone,
            sources=kinds,
            position_deg=(plan.lon_deg, plan.lat_deg),
        )

    return Workshop(kinds=frozenset(KINDS), compose=compose, check=read_settings)
