"""Ten gateways on one real Kafka that is stopped, stalled and started again meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from clearway_broker.server import Broker
from trials import faults
from trials.engine import COMMIT_EVERY_S, Site, drain, never_committed, settings_text
from trials.gateway_process import GatewayProcess
from trials.senders import Device, instant_ms

RATE_PER_S = 50.0
GATEWAY_FAULTS = ("none", "none", "kill", "stall", "power", "clock_jump")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One gateway of a cohort after its work.

    Parameters
    ----------
    gateway
        Its name; the lake tells what became of its readings.
    fault
        What was done to it, and to the broker.
    given
        Instants of the readings that it was given. [ms since 1970]
    n_never_committed
        Of those, how many its kills can have cost at most.
    slowest_start_s
        [s]
    """

    gateway: str
    fault: str
    seed: int
    given: list[int]
    n_never_committed: int
    slowest_start_s: float


def broker_down(broker: Broker, random: Random) -> None:
    """SIGKILL, some seconds without, then a start on the same port and data."""
    broker.kill()
    time.sleep(random.uniform(0.5, 4.0))
    broker.start()


def broker_restart(broker: Broker, random: Random) -> None:
    """An orderly restart."""
    broker.stop()
    broker.start()


def broker_slow(broker: Broker, random: Random) -> None:
    """It takes connections and answers nothing for a while."""
    for _ in range(3):
        os.kill(broker.pid, signal.SIGSTOP)
        time.sleep(random.uniform(0.5, 3.0))
        os.kill(broker.pid, signal.SIGCONT)
        time.sleep(random.uniform(0.1, 0.5))


BROKER_FAULTS: dict[str, Callable[[Broker, Random], None]] = {
    "broker_down": broker_down,
    "broker_restart": broker_restart,
    "broker_slow": broker_slow,
}


def run_cohort(
    broker: Broker, seed: int, *, folder: Path, shim: Path | None, n_gateways: int = 10
) -> list[Ended]:
    """Run one cohort and return what each gateway was given.

    Parameters
    ----------
    broker
        Runs before and after; nobody else needs it meanwhile.
    seed
        Decides what happens when.
    folder
        Empty.
    shim
        The preloaded library of power cuts.
    """
    random = Random(f"cohort-{seed}")
    broker_fault = list(BROKER_FAULTS)[seed % len(BROKER_FAULTS)]
    members = [
        _Member(f"gw-{seed}-{number}", random.choice(GATEWAY_FAULTS), folder, broker.address)
        for number in range(n_gateways)
    ]
    threads = [
        threading.Thread(target=member.work, args=(Random(f"{seed}-{member.name}"), shim))
        for member in members
    ]
    for thread in threads:
        thread.start()
    time.sleep(random.uniform(2.0, 5.0))
    BROKER_FAULTS[broker_fault](broker, random)
    for thread in threads:
        thread.join()
    return [member.ended(seed, broker_fault) for member in members]


class _Member:
    def __init__(self, name: str, fault: str, folder: Path, address: str) -> None:
        self.name = name
        self._fault = fault
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self._data_dir = self._folder / "data"
        self._data_dir.mkdir()
        self._device = Device(RATE_PER_S)
        site = Site(name=name, data_dir=self._data_dir, port=self._device.port, log=address)
        (self._folder / "gateway.toml").write_text(settings_text(site), encoding="utf-8")
        self._gateway: GatewayProcess | None = None

    def work(self, random: Random, shim: Path | None) -> None:
        """Run, suffer, recover, deliver everything, stop."""
        scene = faults.Scene(
            GatewayProcess(self._folder, n_unread=self._device.n_unread),
            self._data_dir,
            random,
            self._folder / "journal",
            self._folder / "clock",
            self.name,
        )
        scene.gateway.environment = faults.environment(self._fault, scene, shim)
        self._gateway = scene.gateway
        self._device.start()
        try:
            time.sleep(random.uniform(0.0, 3.0))  # ten starts at once would only wait for a core
            scene.gateway.start()
            time.sleep(random.uniform(0.5, 4.0))
            if self._fault != "none":
                faults.EMBEDDED[self._fault](scene)
            self._device.wait_for_reader()
            time.sleep(random.uniform(1.0, 3.0))
        finally:
            self._device.stop()
        time.sleep(COMMIT_EVERY_S * 2)
        drain(scene)
        scene.gateway.stop()

    def ended(self, seed: int, broker_fault: str) -> Ended:
        """Return what it was given."""
        assert self._gateway is not None
        return Ended(
            gateway=self.name,
            fault=f"{broker_fault}+{self._fault}",
            seed=seed,
            given=[instant_ms(number) for number in range(self._device.n_sent)],
            n_never_committed=never_committed(self._gateway, RATE_PER_S),
            slowest_start_s=max(self._gateway.start_times_s),
        )
