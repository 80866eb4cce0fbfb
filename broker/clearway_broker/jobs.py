"""What `clearway broker`, the demo and the tests call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clearway_broker import artifacts
from clearway_broker.java import find_java
from clearway_broker.server import Broker, running_broker
from clearway_core.errors import ClearwayError
from clearway_core.stream.kafka import answers

__all__ = ["Broker", "BrokerStatus", "install", "running_broker", "status"]

install = artifacts.install


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """What is there and what runs.

    Parameters
    ----------
    kafka_version
        Version that this Clearway runs.
    java
        The Java that would run it, or None with the reason in `problems`.
    jars
        Folder of the verified jars, or None with the reason in `problems`.
    address
        Where a broker of this data folder answers now, or None.
    problems
        What stands in the way of a start.
    """

    kafka_version: str
    java: str | None
    jars: str | None
    address: str | None
    problems: tuple[str, ...]


def status(
    environment: Mapping[str, str], data_dir: Path, *, jars: Path | None = None
) -> BrokerStatus:
    """Return what is installed, what is missing and whether a broker answers.

    Parameters
    ----------
    environment
        Usually ``os.environ``.
    data_dir
        Folder that `clearway broker run` was given.
    jars
        Folder of Kafka's jars; left out, the usual one.
    """
    problems: list[str] = []
    java = None
    try:
        found = find_java(environment)
        java = f"{found.command} (version {found.version})"
    except ClearwayError as error:
        problems.append(str(error))
    folder = jars or artifacts.default_folder()
    try:
        artifacts.verify(folder)
    except ClearwayError as error:
        problems.append(str(error))
    return BrokerStatus(
        kafka_version=artifacts.kafka_version(),
        java=java,
        jars=str(folder) if folder.is_dir() else None,
        address=_answering_address(data_dir),
        problems=tuple(problems),
    )


def _answering_address(data_dir: Path) -> str | None:
    settings = data_dir / "server.properties"
    if not settings.is_file():
        return None
    prefix = "advertised.listeners=PLAINTEXT://"
    for line in settings.read_text(encoding="utf-8").splitlines():
        if line.startswith(prefix):
            bootstrap = line.removeprefix(prefix)
            return f"kafka://{bootstrap}" if answers([bootstrap]) else None
    return None
