"""Fixes that a vehicle cannot have reached from the one before."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import cast

from clearway_core.units import EARTH_RADIUS_M
from clearway_edge.checks.check_parameters import CheckParameters
from clearway_edge.checks.flags import Flags

FLAG_JUMP = "impossible_jump"

_Fix = tuple[int, float, float]
"""Instant [ms], longitude [°], latitude [°]."""

_METRES_PER_DEGREE = math.radians(1.0) * EARTH_RADIUS_M
_HALF_TURN_DEG = 180.0


class VehicleChecks:
    """Compares each fix with the last good one of its vehicle.

    A fix out of reach is flagged and set aside as a suspect; the next one is compared with the last
    good fix again, so that the way back from a stray fix is no second jump. If it fits the suspect
    instead, the vehicle really is there.

    Parameters
    ----------
    parameters
        Limits. What is kept is bounded: the vehicle not heard for longest is forgotten.
    """

    def __init__(self, parameters: CheckParameters) -> None:
        self._metres_per_ms = parameters.jump_speed_kmh / 3600.0
        self._slack_m = parameters.jump_slack_m
        self._window_ms = parameters.jump_window_s * 1000.0
        self._max_vehicles = parameters.max_vehicles
        self._last: OrderedDict[str, tuple[_Fix, _Fix | None]] = OrderedDict()

    def flag(self, columns: Mapping[str, Sequence[object]], flags: Flags) -> None:
        """Flag the fixes that are out of reach.

        Parameters
        ----------
        columns
            Columns of ``gps_ping/1``, with vehicles under pseudonyms.
        flags
            Takes what is found.
        """
        vehicles = cast("Sequence[str]", columns["vehicle"])
        fixes = zip(columns["observed_at"], columns["lon_deg"], columns["lat_deg"], strict=True)
        last = self._last
        for row, (vehicle, fix) in enumerate(zip(vehicles, fixes, strict=True)):
            if None in fix:
                continue
            now = cast("_Fix", fix)
            known = last.get(vehicle)
            if known is None:
                self._make_room(now)
                last[vehicle] = (now, None)
                continue
            last.move_to_end(vehicle)
            good, suspect = known
            if self._reaches(good, now) or (suspect is not None and self._reaches(suspect, now)):
                last[vehicle] = (now, None)
            else:
                last[vehicle] = (good, now)
                flags.add(row, FLAG_JUMP)

    def _reaches(self, before: _Fix, now: _Fix) -> bool:
        """Return whether a vehicle can have come from one fix to the other."""
        elapsed_ms = abs(now[0] - before[0])
        if elapsed_ms > self._window_ms:
            return True
        wide_deg = abs(now[1] - before[1])
        if wide_deg > _HALF_TURN_DEG:
            wide_deg = 2 * _HALF_TURN_DEG - wide_deg
        high_m = (now[2] - before[2]) * _METRES_PER_DEGREE
        reach_m = self._slack_m + elapsed_ms * self._metres_per_ms
        wide_m = wide_deg * _METRES_PER_DEGREE
        # As wide as at the equator: most fixes are near enough even so, and cost no cosine.
        if wide_m + abs(high_m) <= reach_m:
            return True
        wide_m *= math.cos(math.radians(now[2]))
        return not wide_m * wide_m + high_m * high_m > reach_m * reach_m

    def _make_room(self, now: _Fix) -> None:
        """Forget the vehicle not heard for longest, if it is out of date or one too many."""
        if not self._last:
            return
        oldest = next(iter(self._last))
        out_of_date = now[0] - self._last[oldest][0][0] > self._window_ms
        if out_of_date or len(self._last) >= self._max_vehicles:
            del self._last[oldest]
