"""What the machine tells about itself: memory, temperature, disks; unknown is None, no guess."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = 4096
_THERMAL = Path("/sys/class/thermal")
_MOUNTS = Path("/proc/self/mounts")
_PROCESSOR_ZONES = ("cpu", "soc", "x86_pkg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The disk that a folder lies on.

    Parameters
    ----------
    free_bytes
        [B]
    kind
        File system as the system names it, such as ext4 or tmpfs; empty if unknown.
    """

    free_bytes: int
    kind: str


def resident_bytes() -> int | None:
    """Return the memory of this process, or None where the system does not tell [B]."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None


def cpu_temperature_c(thermal: Path = _THERMAL) -> float | None:
    """Return the temperature of the processor, or None where there is no sensor [°C].

    Parameters
    ----------
    thermal
        The system's folder of thermal zones. A zone named after the processor is taken first (a Pi
        calls it ``cpu-thermal``), else the hottest one.
    """
    found: list[tuple[bool, float]] = []
    for zone in sorted(thermal.glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text(encoding="ascii").strip().lower()
            temperature_c = int((zone / "temp").read_text(encoding="ascii")) / 1000
        except (OSError, ValueError):
            continue
        found.append((name.startswith(_PROCESSOR_ZONES), temperature_c))
    return max(found)[1] if found else None


def disk_of(folder: Path, mounts: Path = _MOUNTS) -> Disk | None:
    """Return the disk that a folder lies on, or will lie on once it is made.

    Parameters
    ----------
    folder
        May not exist yet: its nearest parent that does counts.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return Disk(free_bytes=usage.free, kind=_file_system(place.resolve(), mounts))


def _file_system(place: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    longest, kind = -1, ""
    for line in lines:
        fields = line.split()
        point = Path(fields[1].replace("\\040", " "))
        # Of two mounts on one place the later one hides the earlier.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            longest, kind = len(point.parts), fields[2]
    return kind
