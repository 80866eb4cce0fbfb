"""The doctor's look at the settings of the commands and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping

from clearway_cli.doctor.finding import Findings, Installation
from clearway_core.data_dir import DEFAULT

SETTINGS: Mapping[str, str] = {
    "CLEARWAY_DATA_DIR": str(DEFAULT),
    "CLEARWAY_LOG": "the data folder's embedded log",
    "CLEARWAY_LAKE": "the data folder's lake",
    "CLEARWAY_CITY": "the data folder's city, if any",
    "CLEARWAY_ZONE": "the city's only zone",
    "CLEARWAY_MAP": "none",
    "CLEARWAY_ALERTS": "alerts.toml in the data folder",
    "CLEARWAY_INGEST": "dag",
    "CLEARWAY_BROKER_JARS": "the usual cache folder",
    "CLEARWAY_APPROVAL_URL": "none",
    "CLEARWAY_KAFKA_TLS": "false",
    "CLEARWAY_KAFKA_CA_FILE": "the system's certificates",
    "CLEARWAY_KAFKA_CERTIFICATE_FILE": "none",
    "CLEARWAY_KAFKA_KEY_FILE": "none",
    "CLEARWAY_KAFKA_SASL_MECHANISM": "none",
    "CLEARWAY_KAFKA_USERNAME": "none",
    "CLEARWAY_KAFKA_PASSWORD": "none",
    "CLEARWAY_KAFKA_PASSWORD_FILE": "none",
}
"""Every variable of the commands, and what holds without it."""

_OTHER_PREFIXES = (
    "CLEARWAY_EDGE__", "CLEARWAY_TEST_", "CLEARWAY_REQUIRE_", "CLEARWAY_CHROMIUM",
)  # fmt: skip
_SECRET_WORDS = ("PASSWORD", "SECRET", "TOKEN", "ACCESS_KEY")
_ALSO_SHOWN = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def check_settings(installation: Installation) -> Findings:
    """Yield each setting that holds, with its origin, and variables that nothing reads."""
    environment = installation.environment
    effective = {
        "CLEARWAY_DATA_DIR": str(installation.data_dir),
        "CLEARWAY_LOG": installation.log_address,
        "CLEARWAY_LAKE": installation.lake_address,
        "CLEARWAY_CITY": installation.city_name,
    }
    for name, default in SETTINGS.items():
        given = environment.get(name) or None
        value = effective.get(name, given)
        if value is not None and value == given:
            yield "green", name, f"{_masked(name, value)} (environment)"
        elif value is not None and value != default:
            yield "green", name, f"{_masked(name, value)} (option)"
        elif name in effective:
            yield "green", name, f"{default} (default)"
    for name in _ALSO_SHOWN:
        if value := environment.get(name):
            yield "green", name, f"{_masked(name, value)} (environment)"
    for name in sorted(environment):
        known = name in SETTINGS or name.startswith(_OTHER_PREFIXES)
        if name.startswith("CLEARWAY_") and not known:
            yield "yellow", name, "is set, but nothing reads it: is it misspelt?"


def _masked(name: str, value: str) -> str:
    """Return a value that may be shown: a file with a secret may, a secret may not."""
    secret = any(word in name for word in _SECRET_WORDS) and not name.endswith("_FILE")
    return "***" if secret else value
