"""Reads the week of 207 loop detectors on motorways of Los Angeles as a panel."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from clearway_core.calendar import Calendar
from clearway_models.forecast.panel import Panel, make_panel

KMH_PER_MPH = 1.609344
ZONE = ZoneInfo("America/Los_Angeles")
START = datetime(2012, 3, 1, tzinfo=ZONE)
"""The file has no times. METR-LA begins on Thursday 1 March 2012, and the third and fourth day here
lack a morning peak, as a Saturday and Sunday do."""

STEP_MINUTES = 5
HORIZONS = (3, 6, 12)
TEST_SHARE = 0.2


def speeds_mph(folder: Path) -> np.ndarray:
    """Return 2,016 windows x 207 detectors; this copy holds no zeros, gaps were filled. [mph]"""
    return (
        pl.read_csv(folder / "los_speed.csv.gz", infer_schema_length=None).to_numpy().astype(float)
    )


def panel(folder: Path, *, first_windows: int | None = None) -> Panel:
    """Return the detectors as a panel; neighbours weigh as the file's adjacency says."""
    weights = pl.read_csv(folder / "los_adj.csv.gz", has_header=False).to_numpy()
    return make_panel(
        speeds_mph(folder)[:first_windows] * KMH_PER_MPH,
        start=START,
        step_minutes=STEP_MINUTES,
        weights=csr_array(weights),
        calendar=Calendar(time_zone=ZONE),
    )


def first_tested(windows: int) -> int:
    """Return the first window of the newest fifth."""
    return int(windows * (1 - TEST_SHARE))
