"""Which programs work in a folder."""

from __future__ import annotations

from pathlib import Path


def processes_in(folder: Path) -> list[int]:
    """Return the ids of processes whose working folder is this one, or below it."""
    import psutil

    home = str(folder.resolve())
    return [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cwd"])
        if (process.info["cwd"] or "").startswith(home)
    ]
