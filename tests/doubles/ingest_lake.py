"""A lake that loses power, or fails, at a chosen commit, and what a lake holds, for comparing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from doubles.power_cut import PowerCut

from clearway_core.lake import Lake, Table

PLACE = ("topic", "log_partition", "log_offset", "gateway", "boot", "seq")
DATA = ("gps_pings", "air_readings", "gateway_health", "quarantine", "dead_letters")


class FailingLake(Lake):
    """Works until commit number `cut_at` (from 0), then something happens.

    Parameters
    ----------
    root
        Folder.
    cut_at
        The commit that no longer happens; None never fails.
    torn
        Whether that commit reaches the disk before the process can learn of it.
    fault
        What happens: the power goes, or an error that a program can see.
    """

    def __init__(
        self,
        root: Path,
        *,
        cut_at: int | None = None,
        torn: bool = False,
        fault: BaseException | None = None,
    ) -> None:
        super().__init__(root)
        self.cut_at = cut_at
        self.torn = torn
        self.fault = PowerCut() if fault is None else fault
        self.commits: list[str] = []

    def table(self, name: str) -> Table:
        table = super().table(name)
        write = table.append

        def append(frame: pl.DataFrame, **options: object) -> int:
            if len(self.commits) == self.cut_at:
                if self.torn:
                    write(frame, **options)
                raise self.fault
            version = write(frame, **options)
            self.commits.append(name)
            return version

        table.append = append
        return table


def places(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """Return the place of every row, by table, sorted; doubles show as doubles."""
    found = {}
    for name in DATA:
        rows = lake.table(name).scan()
        columns = [c for c in PLACE if c in rows.collect_schema()]
        found[name] = sorted(rows.select(columns).collect().rows())
    return found


def committed_sums(lake: Lake) -> Mapping[str, int]:
    """Return the sums of all counts in ``ingest_commits``."""
    rows = lake.table("ingest_commits").scan().select(pl.col("^n_.*$").sum()).collect()
    return rows.row(0, named=True)
