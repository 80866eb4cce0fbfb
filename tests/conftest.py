"""Fixtures that every kind of test shares."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from clearway_core.errors import ClearwayError

if TYPE_CHECKING:
    from doubles.mosquitto_broker import Mosquitto

    from clearway_broker.server import Broker

REPOSITORY = Path(__file__).parents[1]

# A busy machine takes its time: how long an example took says nothing about the law.
settings.register_profile("clearway", deadline=None)
settings.load_profile("clearway")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets, or skip with the reason."""
    folder = Path(
        os.environ.get("CLEARWAY_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    ).resolve()
    if folder.is_dir():
        return folder
    reason = f"no real data at {folder}; set CLEARWAY_TEST_DATA"
    if os.environ.get("CLEARWAY_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


LONG_FOLDERS = ("e2e", "faults", "integration", "golden", "attacks")
"""Where most of the time goes, in this order; all others need seconds."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores: in most long files somebody waits."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shared out to several processes, the longest files go first: none is left for the end."""
    if not hasattr(config, "workerinput"):
        return
    rank = {folder: place for place, folder in enumerate(LONG_FOLDERS)}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, rank.get(item.path.parent.name, len(rank))))


def pytest_configure(config: pytest.Config) -> None:
    """Pass over what kafka-python 3.0 itself does: both would fail whichever test runs then."""
    for warning in (
        "ignore:(read|open)_text is deprecated:DeprecationWarning",  # on import, Python 3.11
        # One for each failed attempt at a broker. Its sockets know their protocol (6); those of our
        # servers say 0, so that one which is left open fails.
        r"ignore:unclosed <(socket|ssl).*proto=6:ResourceWarning",
    ):
        config.addinivalue_line("filterwarnings", warning)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return ``kafka://127.0.0.1:port`` of one real Apache Kafka for the whole session.

    Topics stay between tests: use names of your own.
    """
    broker = _started_broker(tmp_path_factory.mktemp("kafka"))
    yield broker.address
    broker.stop()


@pytest.fixture
def broker_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Broker]]:
    """Return a function that starts a private Kafka, for tests that break it.

    The result has ``address``, ``kill()`` (SIGKILL), ``start()`` (again, on the same port and
    data) and ``stop()``. A start takes 3 s, one after a kill 6 s.
    """
    brokers: list[Broker] = []

    def start() -> Broker:
        brokers.append(_started_broker(tmp_path_factory.mktemp("private-kafka")))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Return a function that starts a real Mosquitto, or skip with the reason."""
    from doubles.mosquitto_broker import Mosquitto, mosquitto_program  # noqa: PLC0415

    if mosquitto_program() is None:
        reason = "no Mosquitto on this machine: install the package mosquitto"
        if os.environ.get("CLEARWAY_REQUIRE_MOSQUITTO") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    brokers: list[Mosquitto] = []

    def start(*lines: str) -> Mosquitto:
        folder = tmp_path_factory.mktemp("mosquitto")
        brokers.append(Mosquitto(folder, lines) if lines else Mosquitto(folder))
        return brokers[-1].start()

    yield start
    for broker in brokers:
        broker.stop()


def _started_broker(data_dir: Path) -> Broker:
    # Only now: tests without Kafka must not pay for it.
    from clearway_broker.artifacts import install  # noqa: PLC0415
    from clearway_broker.java import find_java  # noqa: PLC0415
    from clearway_broker.server import Broker  # noqa: PLC0415

    try:
        broker = Broker(data_dir, install(os.environ), find_java(os.environ))
        broker.start()
    except ClearwayError as error:
        reason = f"no real Kafka: {error}"
        if os.environ.get("CLEARWAY_REQUIRE_KAFKA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    atexit.register(broker.kill)  # a second Ctrl-C skips the fixtures' ends
    return broker
