"""Looks at an installation and says what works, what works with less, and what is broken."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from clearway_cli.doctor.stores import check_lake, check_log
from clearway_core.data_dir import DEFAULT, DataDir
from clearway_core.errors import ClearwayError


class State(StrEnum):
    """How bad it is."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Parameters
    ----------
    state
        Green: fine; yellow: works with less; red: something needed is broken.
    subject
        What was looked at.
    text
        What was found and, where it is not green, what to do.
    """

    state: State
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What the commands of this installation would work with.

    Parameters
    ----------
    data_dir
        The data folder.
    log_address, lake_address, city_name
        As given; None where the default holds.
    environment
        Usually ``os.environ``.
    """

    data_dir: Path
    log_address: str | None
    lake_address: str | None
    city_name: str | None
    environment: Mapping[str, str]


Findings = Iterator[tuple[str, str, str]]
"""State, subject and text."""

_OLDEST_PYTHON, _TOO_NEW_PYTHON = (3, 11), (3, 14)
_GB = 1e9
_LOW_DISK_GB, _NO_DISK_GB = 5.0, 1.0
_LOW_MEMORY_GB = 2.0
_NEEDED = ("polars", "deltalake", "h3", "pyarrow", "orjson", "kafka-python")
_OPTIONAL = {
    "great-expectations": "no quality gate, so nothing can be published",
    "scikit-learn": "no models",
    "apache-airflow": "no schedules and no approval page",
    "fastapi": "no map",
}
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")

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


def examine(installation: Installation) -> list[Finding]:
    """Return all findings, in the order in which a person would look."""
    checks: tuple[Callable[[Installation], Findings], ...] = (
        _machine,
        _packages,
        _broker,
        _browser,
        _clock,
        _settings,
        _city,
        lambda i: check_lake(i.data_dir, i.lake_address),
        lambda i: check_log(i.data_dir, i.lake_address, i.log_address),
    )
    return [
        Finding(State(state), subject, text)
        for check in checks
        for state, subject, text in check(installation)
    ]


def _machine(installation: Installation) -> Findings:
    held = sys.version_info[:2]
    good = _OLDEST_PYTHON <= held < _TOO_NEW_PYTHON
    wanted = "" if good else "; Clearway runs on 3.11 to 3.13"
    yield ("green" if good else "red", "Python", platform.python_version() + wanted)
    windows = platform.system() == "Windows"
    advice = "; use WSL 2" if windows else ""
    yield ("red" if windows else "green", "Platform", platform.platform() + advice)
    folder = installation.data_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / _GB
    state = "red" if free_gb < _NO_DISK_GB else "yellow" if free_gb < _LOW_DISK_GB else "green"
    advice = "" if state == "green" else f"; make room, {_LOW_DISK_GB:g} GB or more"
    yield state, "Disk", f"{free_gb:.0f} GB free for {installation.data_dir}{advice}"
    yield from _memory()


def _memory() -> Findings:
    import psutil

    free_gb = psutil.virtual_memory().available / _GB
    enough = free_gb >= _LOW_MEMORY_GB
    advice = "" if enough else f"; {_LOW_MEMORY_GB:g} GB or more make a city comfortable"
    yield "green" if enough else "yellow", "Memory", f"{free_gb:.1f} GB available{advice}"


def _packages(installation: Installation) -> Findings:
    del installation
    lacking = [name for name in _NEEDED if _version(name) is None]
    if lacking:
        text = f"{', '.join(lacking)} missing: install 'clearway[pipeline]'"
        yield "red", "Packages", text
    else:
        shown = ", ".join(f"{name} {_version(name)}" for name in _NEEDED)
        yield "green", "Packages", shown
    for name, consequence in _OPTIONAL.items():
        version = _version(name)
        if version is None:
            yield "yellow", name, f"not installed: {consequence}"
        else:
            yield "green", name, version


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _broker(installation: Installation) -> Findings:
    from clearway_broker.jobs import status

    found = status(installation.environment, DataDir(installation.data_dir).broker)
    if found.problems:
        first_lines = [problem.splitlines()[0].rstrip(":. ") for problem in found.problems]
        yield (
            "yellow",
            "Kafka here",
            f"{'; '.join(first_lines)}. Without it, the embedded log serves one machine.",
        )
    else:
        yield "green", "Kafka here", f"{found.kafka_version} can start with {found.java}"
    maven = shutil.which("mvn")
    if maven is None and found.jars is None:
        yield "yellow", "Maven", "not found: `clearway broker install` needs it once"


def _browser(installation: Installation) -> Findings:
    wanted = installation.environment.get("CLEARWAY_CHROMIUM")
    found = wanted or next((path for name in _CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        yield "yellow", "Chromium", "not found; only the page tests use it"
    else:
        yield "green", "Chromium", found


def _clock(installation: Installation) -> Findings:
    del installation
    command = shutil.which("timedatectl")
    answer = ""
    if command is not None:
        try:
            done = subprocess.run(  # noqa: S603 -- a fixed command of the system
                [command, "show", "--property=NTPSynchronized", "--value"],
                capture_output=True,
                text=True,
                timeout=5,
                check=False,
            )
            answer = done.stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            answer = ""
    if answer == "yes":
        yield "green", "Clock", "synchronised"
    elif answer == "no":
        yield "yellow", "Clock", "NOT synchronised: readings would carry wrong times; turn NTP on"
    else:
        yield "green", "Clock", "this machine does not tell whether it is synchronised"


def _settings(installation: Installation) -> Findings:
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


def _city(installation: Installation) -> Findings:
    from clearway_cli.cities import find_city
    from clearway_cli.city_pack.check import check_pack

    try:
        city = find_city(installation.city_name, installation.data_dir)
    except ClearwayError as error:
        yield "red", "City", str(error)
        return
    if city is None:
        yield "yellow", "City", "none: hours are UTC and no price is stated; see `clearway city`"
        return
    faults = check_pack(city.folder).faults
    if faults:
        text = f"{city.name}: {len(faults)} faults, see `clearway city check {city.folder}`"
        yield "red", "City", text
    else:
        lacking = ", ".join(city.missing())
        yield "green", "City", city.name + (f"; missing {lacking}" if lacking else "")
