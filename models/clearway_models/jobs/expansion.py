"""Finds out how many vehicles stand behind one probe, from raw fixes and traffic counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from clearway_core.lake import Lake
from clearway_models.expansion.counts import Count, Expansion, expansion_of, read_counts
from clearway_models.expansion.passes import MIN_DENSE_SHARE, Place, legs_of, passes
from clearway_models.lake import raw_fix_days, raw_fixes

NO_COUNTS = "not available: no counts"
NO_FIXES = (
    "not available: the lake holds no raw GPS of the counted hours, in which probes could be seen "
    "to pass the counters"
)
SPARSE = "not available: the fixes lie too far apart to see probes pass the counters"
UNSEEN = "not available: no probe passed a counter"


def count_expansion(
    lake: Lake,
    path: Path | None,
    *,
    resolution: int,
    flow_gsd: float,
    cells: Collection[int] | None = None,
) -> tuple[Expansion | None, str]:
    """Return how many vehicles stand behind a probe, or None and the reason why nobody can tell.

    Parameters
    ----------
    lake
        Lake with raw fixes of the counted days; where their retention has ended there is no factor.
    path
        ``traffic_counts.csv`` of the city, if it has one.
    resolution
        H3 resolution of `cells`.
    flow_gsd
        Geometric standard deviation of the factor between streets. [1]
    cells
        Of a zone; None for the city as a whole.
    """
    if path is None:
        return None, NO_COUNTS
    counts = read_counts(path, resolution)
    passed: Counter[tuple[Place, datetime]] = Counter()
    covered: set[datetime] = set()
    distance = dense = 0.0
    days = sorted({count.hour_start.date() for count in counts})
    for day in raw_fix_days(lake, days):
        legs = legs_of(raw_fixes(lake, day).collect())
        distance += legs.distance_m
        dense += legs.distance_m * legs.dense_share
        covered |= legs.covered_hours()
        passed.update(passes(legs, _sites(counts)))
    if not any(count.hour_start in covered for count in counts):
        return None, NO_FIXES if distance == 0 or dense >= MIN_DENSE_SHARE * distance else SPARSE
    if dense < MIN_DENSE_SHARE * distance:
        return None, SPARSE
    found = expansion_of(counts, passed, hours=covered, flow_gsd=flow_gsd, cells=cells)
    return found, "" if found else UNSEEN


def _sites(counts: Collection[Count]) -> list[Place]:
    return sorted({count.place for count in counts})
