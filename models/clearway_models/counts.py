"""Traffic counts of a city pack, and how they turn a sample of probes into all traffic."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from clearway_core import geo
from clearway_core.settings import raise_faults

COUNTS_FILE = "traffic_counts.csv"
_COLUMNS = ("lon_deg", "lat_deg", "hour_start", "vehicle_class", "vehicles_per_hour")


@dataclass(frozen=True, slots=True)
class Count:
    """One hour of one counting site, all vehicles together.

    Parameters
    ----------
    h3_cell
        Cell of the site.
    hour_start
        UTC.
    vehicles
        Vehicles that passed in the hour.
    """

    h3_cell: int
    hour_start: datetime
    vehicles: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """How many vehicles stand behind one probe.

    Parameters
    ----------
    factor
        All vehicles over probes. [1]
    log_sd
        Standard deviation of its natural logarithm. [1]
    n_probes, n_counted
        Probe passes and counted vehicles that it rests on.
    n_site_hours
        Hours of counting that met probes.
    """

    factor: float
    log_sd: float
    n_probes: int
    n_counted: float
    n_site_hours: int


def read_counts(path: Path, resolution: int) -> list[Count]:
    """Return the counts of a ``traffic_counts.csv``, classes added up per site and hour.

    Parameters
    ----------
    path
        File with lon_deg, lat_deg, hour_start (ISO 8601 with offset), vehicle_class ("all" or
        single classes) and vehicles_per_hour.
    resolution
        H3 resolution of the cells.

    Raises
    ------
    SettingsError
        With every fault, line and value named.
    """
    faults: list[str] = []
    single: dict[tuple[float, float, datetime], float] = {}
    together: dict[tuple[float, float, datetime], float] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or [])]
        raise_faults([f"{path}: column {name} is missing" for name in missing])
        for line, row in enumerate(reader, start=2):
            try:
                lon_deg, lat_deg = float(row["lon_deg"]), float(row["lat_deg"])
                vehicles = float(row["vehicles_per_hour"])
                hour = datetime.fromisoformat(row["hour_start"])
            except (TypeError, ValueError) as error:
                faults.append(f"{path}: line {line}: {error}")
                continue
            if hour.tzinfo is None or not vehicles >= 0 or not math.isfinite(vehicles):
                faults.append(
                    f"{path}: line {line}: expected hour_start with offset and vehicles_per_hour "
                    f"of at least 0, got {row['hour_start']} and {row['vehicles_per_hour']}"
                )
                continue
            key = (lon_deg, lat_deg, hour.astimezone(UTC))
            if row["vehicle_class"] == "all":
                together[key] = vehicles
            else:
                single[key] = single.get(key, 0.0) + vehicles
    raise_faults(faults)
    return [
        Count(geo.cell_at(lon, lat, resolution), hour, vehicles)
        for (lon, lat, hour), vehicles in sorted((single | together).items())
    ]


def probe_passes(vehicles: pl.LazyFrame) -> pl.LazyFrame:
    """Return distinct probes per cell and hour; pseudonyms of one hour are of one epoch or two."""
    return (
        vehicles.with_columns(pl.col("window_start").dt.truncate("1h").alias("hour_start"))
        .group_by("h3_cell", "hour_start")
        .agg(pl.struct("provider", "vehicle").n_unique().alias("n_probes"))
        .sort("h3_cell", "hour_start")
    )


def expansion_of(
    counts: Sequence[Count], probes: pl.DataFrame, *, flow_gsd: float
) -> Expansion | None:
    """Return how many vehicles stand behind one probe, or None where no probe met a count.

    Parameters
    ----------
    counts
        Counted site-hours.
    probes
        Distinct probes per cell and hour, as of `probe_passes`.
    flow_gsd
        Geometric standard deviation of taking a cell's probes for those that passed the site. [1]

    Notes
    -----
    Penetration is probes over counted vehicles, pooled over the site-hours for which there is a
    probe window in the cell on that day. A cell holds more streets than the counted one, so that
    penetration is rather too high and totals rather too low.
    """
    seen = {
        (int(cell), hour): int(n)
        for cell, hour, n in probes.select("h3_cell", "hour_start", "n_probes").iter_rows()
    }
    days = {(cell, hour.date()) for cell, hour in seen}
    met = [c for c in counts if (c.h3_cell, c.hour_start.date()) in days]
    n_probes = sum(seen.get((c.h3_cell, c.hour_start), 0) for c in met)
    counted = sum(c.vehicles for c in met)
    if n_probes == 0 or counted == 0:
        return None
    poisson = 1 / n_probes + 1 / counted
    return Expansion(
        factor=counted / n_probes,
        log_sd=math.hypot(math.sqrt(math.log1p(poisson)), math.log(flow_gsd)),
        n_probes=n_probes,
        n_counted=counted,
        n_site_hours=len(met),
    )
