"""One trial: a gateway at work, one fault, and a reckoning of every reading."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from clearway_edge.condition.gateway_status import read_status
from trials import faults
from trials.accounts import Account, account_of, filled_lake
from trials.gateway_process import GatewayProcess
from trials.senders import Device, instant_ms

GATEWAY = "gw-t"
RATE_PER_S = 200.0
COMMIT_EVERY_S = 0.2
MOST_UNCOMMITTED_S = 1.0
"""What a kill may cost of a line that cannot send again, as promised. Trials commit every 0.2 s,
but a machine at its limits commits late."""

DRAIN_PATIENCE_S = 240.0
"""Ten gateways whose Kafka comes back on a machine with other work need over a minute."""

MOST_IN_THE_SOURCE = 16
"""Readings that a killed process may have had in its hands: read from the line and not yet given
to a commit. What the system held for it is counted exactly."""

_SETTINGS = """
[gateway]
name = "{name}"
data_dir = "{data_dir}"
time_zone = "UTC"
commit_every_s = {commit_every_s}
health_every_s = 1.0

[forward]
latency_s = 0.1

[log]
{log}

[[source]]
kind = "nmea"
tcp = "127.0.0.1:{port}"
provider = "trial"
vehicle = "vehicle"
vehicle_class = "taxi"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a gateway of a trial works.

    Parameters
    ----------
    port
        Of its device.
    log
        ``kafka://host:port``; None: the embedded log.
    """

    name: str
    data_dir: Path
    port: int
    log: str | None = None


def settings_text(site: Site) -> str:
    """Return the settings of a trial's gateway."""
    return _SETTINGS.format(
        name=site.name,
        data_dir=site.data_dir,
        port=site.port,
        commit_every_s=COMMIT_EVERY_S,
        log="" if site.log is None else f'address = "{site.log}"',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial found.

    Parameters
    ----------
    fault, seed
        Repeat it with these.
    account
        Every reading.
    n_never_committed
        Readings that kills can have cost: what the system still held for the gateway, and a second
        of what the line had given. Once a start has committed, the books say so too; of
        one that was killed before its first commit only the health record tells.
    slowest_start_s
        Of all starts. [s]
    verdict
        ``ok`` or what is wrong.
    """

    fault: str
    seed: int
    account: Account
    n_never_committed: int
    slowest_start_s: float
    verdict: str

    def as_json(self) -> dict[str, object]:
        """Return it for a file of results."""
        return {**asdict(self), "account": asdict(self.account)}


def run_trial(fault: str, seed: int, *, folder: Path, shim: Path | None) -> Outcome:
    """Run one trial and return what became of every reading.

    Parameters
    ----------
    fault
        One of `trials.faults.EMBEDDED`.
    seed
        Decides when and how.
    folder
        Empty; deleted afterwards if all is well.
    shim
        The preloaded library of power cuts.
    """
    random = Random(f"{fault}-{seed}")
    data_dir = folder / "data"
    data_dir.mkdir(parents=True)
    small_disk = fault == "disk_full" and faults.mounted(data_dir)
    try:
        outcome = _run(fault, seed, folder=folder, shim=shim, random=random)
    finally:
        if small_disk:
            faults.unmount(data_dir)
    if outcome.verdict == "ok":
        shutil.rmtree(folder)
    return outcome


def _run(fault: str, seed: int, *, folder: Path, shim: Path | None, random: Random) -> Outcome:
    data_dir = folder / "data"
    device = Device(RATE_PER_S)
    site = Site(name=GATEWAY, data_dir=data_dir, port=device.port)
    (folder / "gateway.toml").write_text(settings_text(site), encoding="utf-8")
    gateway = GatewayProcess(folder, n_unread=device.n_unread)
    scene = faults.Scene(gateway, data_dir, random, folder / "journal", folder / "clock", GATEWAY)
    gateway.environment = faults.environment(fault, scene, shim)
    device.start()
    try:
        gateway.start()
        time.sleep(random.uniform(0.1, 1.5))
        faults.EMBEDDED[fault](scene)
        device.wait_for_reader()
        time.sleep(random.uniform(0.2, 0.6))
    except BaseException:
        gateway.kill()
        raise
    finally:
        device.stop()
    time.sleep(COMMIT_EVERY_S * 2)
    drain(scene)
    gateway.stop()
    given = [instant_ms(n) for n in range(device.n_sent)]
    account = account_of(filled_lake(data_dir), GATEWAY, given)
    slowest = max(gateway.start_times_s)
    return Outcome(
        fault=fault,
        seed=seed,
        account=account,
        n_never_committed=never_committed(gateway, RATE_PER_S),
        slowest_start_s=slowest,
        verdict=verdict(
            account,
            fault=fault,
            n_never_committed=never_committed(gateway, RATE_PER_S),
            slowest_start_s=slowest,
        ),
    )


def never_committed(gateway: GatewayProcess, rate_per_s: float) -> int:
    """Return how many readings the kills of a gateway can have cost at most."""
    return gateway.n_never_read + round(gateway.n_kills * MOST_UNCOMMITTED_S * rate_per_s)


def drain(scene: faults.Scene) -> None:
    """Wait until everything has left: what still waited would be counted, not lost."""
    until_s = time.monotonic() + DRAIN_PATIENCE_S
    while time.monotonic() < until_s:
        if read_status(scene.outbox).get("spooled_bytes") == 0:
            return
        time.sleep(0.05)


def verdict(account: Account, *, fault: str, n_never_committed: int, slowest_start_s: float) -> str:
    """Return ``ok``, or what is wrong with what a trial found."""
    wrong = []
    if account.stored == 0:
        wrong.append("nothing arrived at all: the trial proves nothing")
    if account.duplicates:
        wrong.append(f"{account.duplicates} duplicates")
    if account.strangers:
        wrong.append(f"{account.strangers} readings that nobody gave")
    if slowest_start_s > 2.0:
        wrong.append(f"a start took {slowest_start_s:.1f} s")
    excused = max(account.unclean_at_most, n_never_committed) + MOST_IN_THE_SOURCE
    if account.lost > excused and account.missing <= 0:
        wrong.append(f"{account.lost} readings lost, {excused} excused, the books see none")
    if account.missing and fault not in faults.MAY_DAMAGE:
        wrong.append(f"the books miss {account.missing}")
    return "; ".join(wrong) or "ok"
