"""The doctor's look at the machine: Python, disk, packages, Java, clock."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from clearway_cli.doctor.finding import Findings, Installation
from clearway_core.data_dir import DataDir

_OLDEST_PYTHON, _TOO_NEW_PYTHON = (3, 11), (3, 14)
_GB = 1e9
_LOW_DISK_GB, _NO_DISK_GB = 5.0, 1.0
_LOW_MEMORY_GB = 2.0
_SHOWN = ("polars", "deltalake", "h3", "pyarrow", "orjson", "kafka-python")
"""Packages whose versions people are asked for when something is odd."""

_OPTIONAL = {
    "serving": "no map, no exports and no reports",
    "airflow": "no schedules and no approval page",
}
"""Parts of Clearway that a machine may do without, and what it does not have then."""

_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def check_machine(installation: Installation) -> Findings:
    """Yield Python, platform, the data folder and its disk, and memory."""
    held = sys.version_info[:2]
    good = _OLDEST_PYTHON <= held < _TOO_NEW_PYTHON
    wanted = "" if good else "; Clearway runs on 3.11 to 3.13"
    yield ("green" if good else "red", "Python", platform.python_version() + wanted)
    windows = platform.system() == "Windows"
    advice = "; use WSL 2" if windows else ""
    yield ("red" if windows else "green", "Platform", platform.platform() + advice)
    yield from _data_folder(installation.data_dir)
    yield from _memory()


def _data_folder(data_dir: Path) -> Findings:
    """Yield whether the folder can be written, or made, and the room on its disk."""
    held = data_dir
    while not held.exists() and held != held.parent:
        held = held.parent
    if not held.is_dir():
        text = f"{held} is a file: name a folder with --data-dir"
        yield "red", "Data folder", text
        return
    if not os.access(held, os.W_OK | os.X_OK):
        text = f"{held} cannot be written by this user: give it the right, or take another folder"
        yield "red", "Data folder", text
    else:
        made = "" if held == data_dir else "; is made when something is stored"
        yield "green", "Data folder", f"{data_dir}{made}"
    free_gb = shutil.disk_usage(held).free / _GB
    state = "red" if free_gb < _NO_DISK_GB else "yellow" if free_gb < _LOW_DISK_GB else "green"
    advice = "" if state == "green" else f"; make room, {_LOW_DISK_GB:g} GB or more"
    yield state, "Disk", f"{free_gb:.1f} GB free for {data_dir}{advice}"


def _memory() -> Findings:
    import psutil

    free_gb = psutil.virtual_memory().available / _GB
    enough = free_gb >= _LOW_MEMORY_GB
    advice = "" if enough else f"; {_LOW_MEMORY_GB:g} GB or more make a city comfortable"
    yield "green" if enough else "yellow", "Memory", f"{free_gb:.1f} GB available{advice}"


def check_packages(installation: Installation) -> Findings:
    """Yield what is installed, and what is missing of each part of Clearway."""
    del installation
    lacking = _lacking("edge") + _lacking("pipeline")
    if lacking:
        text = f"{', '.join(lacking)} missing: install 'clearway[pipeline]' once more"
        yield "red", "Packages", text
    else:
        shown = ", ".join(f"{name} {_version(name)}" for name in _SHOWN)
        yield "green", "Packages", shown
    for extra, consequence in _OPTIONAL.items():
        lacking = _lacking(extra)
        if lacking:
            missing = ", ".join(lacking)
            text = f"{missing} missing, so {consequence}: install 'clearway[{extra}]'"
            yield "yellow", f"Part {extra}", text
        else:
            yield "green", f"Part {extra}", "whole"


def _lacking(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed; those of some machines only aside."""
    lacking = []
    for line in metadata.requires("clearway") or ():
        wanted, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", wanted)
        mine = re.fullmatch(rf"\s*extra == ['\"]{extra}['\"]\s*", marker)
        if name and mine and _version(name.group()) is None:
            lacking.append(name.group())
    return lacking


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_broker(installation: Installation) -> Findings:
    """Yield whether this machine could run Kafka by itself."""
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


def check_browser(installation: Installation) -> Findings:
    """Yield the browser of the page tests."""
    wanted = installation.environment.get("CLEARWAY_CHROMIUM")
    found = wanted or next((path for name in _CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        yield "yellow", "Chromium", "not found; only the page tests use it"
    else:
        yield "green", "Chromium", found


def check_clock(installation: Installation) -> Findings:
    """Yield whether the clock follows a time server."""
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
