"""What a gateway's settings come to, defaults included and without any secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo

from clearway_core.settings import Secret
from clearway_core.stream.security import KafkaSecurity
from clearway_edge.outbox.outbox import Bounds
from clearway_edge.settings.settings import GatewaySettings

HIDDEN = "***"

_SECRET = re.compile(r"password|passphrase|secret|token|api_?key|\bpin\b|credential", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET_IN_QUERY = re.compile(
    r"([?&][^=&\s]*(?:key|token|secret|password|auth|sig)[^=&\s]*=)[^&\s]+", re.IGNORECASE
)


def effective(settings: GatewaySettings) -> dict[str, object]:
    """Return every setting by table and key, as JSON knows values.

    Secrets stand in files of their own, of which the path is told; a text that may be one all the
    same, by the name of its key or inside of an address, is shown as ``***``.
    """
    return {
        "gateway": {
            "name": settings.name,
            "site": settings.site,
            "position_deg": settings.position_deg,
            "data_dir": str(settings.data_dir),
            "time_zone": settings.time_zone.key,
            "commit_every_s": settings.commit_every_s,
            "health_every_s": settings.health_every_s,
        },
        "log": {
            "address": settings.log_address or "embedded",
            **(_table(settings.security) if settings.security else {}),
        },
        "outbox": {
            "kind": "memory" if settings.in_memory else "disk",
            **_table(settings.bounds),
        },
        "forward": _table(settings.forward),
        "clock": {"synchronised_file": _value("", settings.synchronised_file)},
        "page": None if settings.page is None else _table(settings.page),
        "source": [
            {"name": source.name, "kind": source.kind, **_about(source.about)}
            for source in settings.sources
        ],
    }


def _about(about: object) -> dict[str, object]:
    return _table(about) if _is_table(about) else {}


def _is_table(value: object) -> bool:
    if not is_dataclass(value) or isinstance(value, type):
        return False
    return isinstance(value, KafkaSecurity | Bounds) or type(value).__name__.endswith("Settings")


def _table(value: object) -> dict[str, object]:
    return {
        field.name: _value(field.name, getattr(value, field.name))
        for field in fields(value)  # type: ignore[arg-type]
    }


def _value(name: str, value: object) -> object:  # noqa: PLR0911 -- one line for each kind of value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Secret | bytes) or (_SECRET.search(name) and isinstance(value, str)):
        return HIDDEN
    if isinstance(value, ZoneInfo):
        return value.key
    if isinstance(value, Enum):
        return _value(name, value.value)
    if isinstance(value, str):
        return _SECRET_IN_QUERY.sub(rf"\1{HIDDEN}", _USER_IN_URL.sub(f"{HIDDEN}@", value))
    if _is_table(value):
        return _table(value)
    if isinstance(value, Mapping):
        return {str(key): _value(str(key), item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [_value(name, item) for item in value]
    return f"{type(value).__name__}"
