"""What is done to a gateway in the middle of its work; each returns when the gateway runs again."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from trials import power_cut
from trials.gateway_process import GatewayProcess

DISK_BYTES = 16 * 1024 * 1024
"""Size of the disk of a trial with a full disk."""


@dataclass(slots=True)
class Scene:
    """What a fault may touch.

    Parameters
    ----------
    gateway
        The process.
    data_dir
        Its data folder.
    random
        Seeded.
    journal
        Of the preloaded shim, in trials with a power cut.
    clock_file
        Of libfaketime, in trials with clock jumps.
    name
        The gateway's name.
    """

    gateway: GatewayProcess
    data_dir: Path
    random: Random
    journal: Path
    clock_file: Path
    name: str

    @property
    def outbox(self) -> Path:
        """The outbox's file."""
        return self.data_dir / "gateways" / self.name / "outbox.sqlite"

    @property
    def log_file(self) -> Path:
        """The embedded log's file."""
        return self.data_dir / "log.sqlite"


def kill(scene: Scene) -> None:
    """SIGKILL at any moment."""
    scene.gateway.kill()
    scene.gateway.start()


def stall(scene: Scene) -> None:
    """SIGSTOP: everything stands still, the sensors go on."""
    scene.gateway.stall(scene.random.uniform(0.3, 1.5))


def power(scene: Scene) -> None:
    """A power cut: unsynced writes are lost in part and out of order."""
    scene.gateway.kill()
    power_cut.cut(scene.journal, scene.random)
    scene.gateway.start()


def torn_spool(scene: Scene) -> None:
    """The newest bytes of the outbox are gone: a card that lied about having written them."""
    scene.gateway.kill()
    files = [scene.outbox.with_name(scene.outbox.name + "-wal"), scene.outbox]
    files = [file for file in files if file.exists() and file.stat().st_size > 0]
    if files:
        file = scene.random.choice(files)
        size = file.stat().st_size
        with file.open("r+b") as stream:
            stream.truncate(max(0, size - scene.random.randint(1, max(1, min(size, 20_000)))))
    scene.gateway.start()


def bit_flips(scene: Scene) -> None:
    """Some bytes of the outbox are not what was written."""
    scene.gateway.kill()
    files = [scene.outbox, scene.outbox.with_name(scene.outbox.name + "-wal")]
    files = [file for file in files if file.exists() and file.stat().st_size > 0]
    for _ in range(scene.random.randint(1, 5)):
        if not files:
            break
        file = scene.random.choice(files)
        with file.open("r+b") as stream:
            place = scene.random.randrange(file.stat().st_size)
            stream.seek(place)
            byte = stream.read(1)[0]
            stream.seek(place)
            stream.write(bytes([byte ^ (1 << scene.random.randrange(8))]))
    scene.gateway.start()


def disk_full(scene: Scene) -> None:
    """Something else fills the disk for a while; in half of the trials the gateway dies."""
    ballast = scene.data_dir / "ballast"
    left = shutil.disk_usage(scene.data_dir).free - scene.random.randrange(0, 40_000)
    with contextlib.suppress(OSError), ballast.open("wb") as stream:
        stream.write(b"\0" * max(0, left))
    time.sleep(scene.random.uniform(0.3, 1.0))
    if scene.random.random() < 0.5:
        scene.gateway.kill()
        ballast.unlink(missing_ok=True)
        scene.gateway.start()
    else:
        ballast.unlink(missing_ok=True)


def clock_jump(scene: Scene) -> None:
    """The wall clock is set, years or minutes, forward or back; in half of the trials twice."""
    for _ in range(scene.random.randint(1, 2)):
        days = scene.random.choice([-3650.0, -1.0, -0.02, 0.02, 1.0, 3650.0])
        scene.clock_file.write_text(f"{days * 86_400:+.0f}s\n", encoding="ascii")
        time.sleep(scene.random.uniform(0.2, 0.6))
    if scene.random.random() < 0.5:
        scene.gateway.kill()
        scene.gateway.start()


def log_away(scene: Scene) -> None:
    """The log takes nothing for a while; in half of the trials the gateway dies meanwhile."""
    db = sqlite3.connect(scene.log_file, timeout=10, isolation_level=None)
    try:
        db.execute("begin exclusive")
        time.sleep(scene.random.uniform(0.3, 1.2))
        if scene.random.random() < 0.5:
            scene.gateway.kill()
            scene.gateway.start()
        db.execute("rollback")
    except sqlite3.OperationalError:
        time.sleep(0.3)
    finally:
        db.close()


EMBEDDED: dict[str, Callable[[Scene], None]] = {
    "kill": kill,
    "stall": stall,
    "power": power,
    "torn_spool": torn_spool,
    "bit_flips": bit_flips,
    "disk_full": disk_full,
    "clock_jump": clock_jump,
    "log_away": log_away,
}

MAY_DAMAGE = frozenset({"torn_spool", "bit_flips"})
"""Faults after which bytes that were safe are gone: the loss must be counted or found."""


def environment(fault: str, scene: Scene, shim: Path | None) -> dict[str, str]:
    """Return the variables that a gateway needs so that a fault can be done to it."""
    if fault == "power" and shim is not None:
        return power_cut.environment(shim, scene.data_dir, scene.journal)
    library = faketime_library()
    if fault == "clock_jump" and library is not None:
        scene.clock_file.write_text("+0s\n", encoding="ascii")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(scene.clock_file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_RESET": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    return {}


def mounted(folder: Path) -> bool:
    """Mount a small disk there; return whether this user may."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "clearway-trial", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Take the small disk away."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def faketime_library() -> Path | None:
    """Return libfaketime, or None where it is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None
