"""What the processes of a soak need and what lies on the disk, looked at again and again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a process and all that it started need at a moment.

    Parameters
    ----------
    rss
        Resident memory; what several of them share counts several times. [MiB]
    own
        Memory that no file backs; what forks share counts once. Mapped files are left out, whose
        share changes with whoever else maps them. [MiB]
    main
        Resident memory of the first process alone. [MiB]
    cpu_s
        Of those that live and those that they have waited for. [s]
    """

    rss: float
    own: float
    main: float
    threads: int
    files: int
    processes: int
    cpu_s: float


def need_of(pid: int) -> Need | None:
    """Return what a process and its descendants need, or None if it has ended."""
    try:
        first = psutil.Process(pid)
        tree = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    found = [need for need in map(_need_of_one, tree) if need is not None]
    if not found:
        return None
    together = [sum(values) for values in zip(*(asdict(n).values() for n in found), strict=True)]
    names = list(asdict(found[0]))
    summed = dict(zip(names, together, strict=True))
    return Need(
        rss=summed["rss"],
        own=summed["own"],
        main=found[0].main,
        threads=round(summed["threads"]),
        files=round(summed["files"]),
        processes=round(summed["processes"]),
        cpu_s=summed["cpu_s"],
    )


def _need_of_one(process: psutil.Process) -> Need | None:
    folder = Path("/proc", str(process.pid))
    try:
        rollup = dict(
            line.split(":", 1)
            for line in (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
        )
        rss, own = (int(rollup[name].split()[0]) / 1024 for name in ("Rss", "Pss_Anon"))
        after_name = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return Need(
            rss=rss,
            own=own,
            main=rss,
            threads=int(after_name[17]),
            files=len(list((folder / "fd").iterdir())),
            processes=1,
            cpu_s=sum(map(int, after_name[11:15])) / _TICKS_PER_S,
        )
    except (OSError, KeyError, ValueError):  # it has just ended
        return None


def size_of(path: Path) -> tuple[int, int]:
    """Return files and bytes below a folder, or of a file."""
    if path.is_file():
        return 1, path.stat().st_size
    n_files = n_bytes = 0
    for file in path.rglob("*"):
        try:
            if file.is_file():
                n_bytes += file.stat().st_size
                n_files += 1
        except OSError:  # gone meanwhile
            continue
    return n_files, n_bytes
