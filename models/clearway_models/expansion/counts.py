"""Traffic counts of a city pack, and how they turn a sample of probes into all traffic."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clearway_core import geo
from clearway_core.errors import SettingsError
from clearway_core.settings import raise_faults
from clearway_models.expansion.passes import Place

COUNTS_FILE = "traffic_counts.csv"

IN_ZONE = "sites in the zone"
IN_CITY = "sites of the city"

MIN_ZONE_SITES = 3
"""From so many on, a zone's own sites stand for it; below, those of the whole city do."""

_COLUMNS = ("lon_deg", "lat_deg", "hour_start", "vehicle_class", "vehicles_per_hour")


@dataclass(frozen=True, slots=True)
class Count:
    """One hour of one counting site, all vehicles together.

    Parameters
    ----------
    place
        Longitude and latitude of the site. [°]
    h3_cell
        Its cell.
    hour_start
        UTC.
    vehicles
        Vehicles that passed in the hour.
    """

    place: Place
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
    hour_log_sd
        The same between single hours of the count: how far one hour may lie from `factor`. [1]
    n_probes, n_counted
        Probe passes and counted vehicles that it rests on.
    n_sites, n_site_hours
        Counting sites, and hours of counting that the feed covered.
    basis
        ``sites in the zone`` or ``sites of the city``.
    """

    factor: float
    log_sd: float
    hour_log_sd: float
    n_probes: int
    n_counted: float
    n_sites: int
    n_site_hours: int
    basis: str

    def record(self) -> dict[str, object]:
        """Return what a proposal says of it."""
        return {
            "vehicles_per_probe": float(f"{self.factor:.6g}"),
            "n_counted": float(f"{self.n_counted:.6g}"),
            "n_probe_passes": self.n_probes,
            "n_sites": self.n_sites,
            "n_site_hours": self.n_site_hours,
            "counted_at": self.basis,
        }


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
    for line, row in enumerate(_rows(path), start=2):
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
        Count((lon, lat), geo.cell_at(lon, lat, resolution), hour, vehicles)
        for (lon, lat, hour), vehicles in sorted((single | together).items())
    ]


def _rows(path: Path) -> csv.DictReader[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path}: expected UTF-8 text ({error}); save it as CSV UTF-8"
        raise SettingsError([message]) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or [])]
    raise_faults([f"{path}: column {name} is missing" for name in missing])
    return reader


def expansion_of(
    counts: Sequence[Count],
    passed: Mapping[tuple[Place, datetime], int],
    *,
    hours: Collection[datetime],
    flow_gsd: float,
    cells: Collection[int] | None = None,
) -> Expansion | None:
    """Return how many vehicles stand behind one probe, or None where no probe passed a site.

    Parameters
    ----------
    counts
        Counted site-hours.
    passed
        Probe passes by site and hour, as of `clearway_models.expansion.passes.passes`.
    hours
        Hours that the feed covered; counts of others are left out.
    flow_gsd
        Geometric standard deviation of this factor between streets. [1]
    cells
        Of the zone; None for the city.

    Notes
    -----
    Penetration is probe passes over counted vehicles at the same line and in the same hours, pooled
    over sites. Its standard error is the Poisson error of both counts and the error of a mean over
    so many streets: the ratio estimator's between sites, but not less than ``flow_gsd`` gives, as
    few sites may agree by luck. Where the sites are not the zone's own, the zone may differ from
    them as one street does from another, and that is added.

    References
    ----------
    W. Cochran, "Sampling Techniques", 3rd edition, 1977, chapter 6 (ratio of sums, sites as
    clusters).
    """
    held = [count for count in counts if count.hour_start in hours]
    own = [count for count in held if cells is not None and count.h3_cell in cells]
    zonal = len({count.place for count in own}) >= MIN_ZONE_SITES
    met = own if zonal else held
    by_site = _pairs(met, passed, [count.place for count in met])
    by_hour = _pairs(met, passed, [count.hour_start for count in met])
    counted = sum(pair[0] for pair in by_site)
    n_probes = sum(pair[1] for pair in by_site)
    if n_probes == 0 or counted == 0:
        return None
    street_sd = math.log(flow_gsd)
    between = max(_cluster_cv(by_site), street_sd / math.sqrt(len(by_site)))
    poisson = math.sqrt(math.log1p(1 / n_probes + 1 / counted))
    return Expansion(
        factor=counted / n_probes,
        log_sd=math.hypot(poisson, between, 0.0 if zonal else street_sd),
        hour_log_sd=_log_spread(by_hour),
        n_probes=n_probes,
        n_counted=counted,
        n_sites=len(by_site),
        n_site_hours=len(met),
        basis=IN_ZONE if zonal else IN_CITY,
    )


def _pairs(
    counts: Sequence[Count],
    passed: Mapping[tuple[Place, datetime], int],
    keys: Sequence[object],
) -> list[tuple[float, int]]:
    """Return counted vehicles and probe passes per key."""
    sums: dict[object, tuple[float, int]] = {}
    for key, count in zip(keys, counts, strict=True):
        vehicles, probes = sums.get(key, (0.0, 0))
        here = passed.get((count.place, count.hour_start), 0)
        sums[key] = (vehicles + count.vehicles, probes + here)
    return list(sums.values())


def _cluster_cv(pairs: Sequence[tuple[float, int]]) -> float:
    """Return the relative standard error of a ratio of sums, pairs being the sample; 0 of one."""
    n, counted = len(pairs), sum(pair[0] for pair in pairs)
    factor = counted / sum(pair[1] for pair in pairs)
    if n == 1:
        return 0.0
    rest = sum((vehicles - factor * probes) ** 2 for vehicles, probes in pairs)
    return math.sqrt(n / (n - 1) * rest) / counted


def _log_spread(pairs: Sequence[tuple[float, int]]) -> float:
    """Return the weighted standard deviation of the logarithm of each pair's ratio; 0 of one."""
    useful = [(c, p) for c, p in pairs if c > 0 and p > 0]
    total = sum(c for c, _ in useful)
    mean = sum(c * math.log(c / p) for c, p in useful) / total if total else 0.0
    square = sum(c * (math.log(c / p) - mean) ** 2 for c, p in useful)
    return math.sqrt(square / total) if total else 0.0
