"""Which cells and windows may be public together, so that no subtraction leaves a few vehicles.

Products form a ladder: every cell and window of one lies within a single one of the next. So the
public rows are nested or apart, never crossing, and whatever can be found by adding and subtracting
them is made of *rings*: a public row less the public rows inside it. A row is public if it passes
the gate, and if its ring holds nobody or passes the gate as well. Where a ring fails, a row inside
gives way until it does not: its own ring passed, so together they hold enough vehicles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clearway_transforms.release.gate import ReleaseRule

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NO_ENTRY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Who the vehicles are; a vehicle of two pseudonym epochs counts as two.

    Parameters
    ----------
    provider, epoch
        Code of each vehicle's provider and epoch, from 0. Vehicles are numbered epoch by epoch.
    """

    provider: Codes
    epoch: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How the sets of one step lie within those of the next.

    Parameters
    ----------
    n_sets
        Number of sets of each step.
    up
        For each step but the last: the set of the next step that holds each of its sets.
    outline
        For each step: which column of ``seen`` says whether a vehicle was in a set's outline.
    """

    n_sets: tuple[int, ...]
    up: tuple[Codes, ...]
    outline: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drives:
    """What each vehicle drove in each set of a step: one row per set and vehicle, in that order.

    Parameters
    ----------
    place, vehicle
        Codes of set and vehicle.
    whole
        Time driven, then fixes by outline, in all of the set. [ms], [1]
    ring
        The same, and the number of rows of the first step, in what no public set inside it holds.
    """

    place: Codes
    vehicle: Codes
    whole: Codes
    ring: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the gate asks of sets, and how each answers.

    Parameters
    ----------
    n_vehicles
        Distinct vehicles that moved and were seen, of the largest epoch.
    held
        Whether anybody left anything at all in the set, seen or not.
    passes
        Whether it passes the gate.
    """

    n_vehicles: Codes
    held: Flags
    passes: Flags


def first_step(place: Codes, vehicle: Codes, duration_ms: Codes, seen: Codes) -> Drives:
    """Return the rows of the finest sets, in order; nothing is public yet.

    Parameters
    ----------
    place, vehicle
        Codes of set and vehicle, each pair once.
    duration_ms
        Time driven. [ms]
    seen
        Fixes within each of the outlines, one column each.
    """
    order = np.lexsort((vehicle, place))
    whole = np.column_stack([duration_ms, seen])[order]
    ring = np.column_stack([whole, np.ones(len(order), dtype=np.int64)])
    return Drives(place=place[order], vehicle=vehicle[order], whole=whole, ring=ring)


def next_step(drives: Drives, up: Codes) -> Drives:
    """Return the rows of the sets of the next step."""
    place = up[drives.place]
    order = np.lexsort((drives.vehicle, place))
    place, vehicle = place[order], drives.vehicle[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (place[1:] != place[:-1]) | (vehicle[1:] != vehicle[:-1])
    starts = np.flatnonzero(first)
    if not len(starts):
        return drives
    return Drives(
        place=place[starts],
        vehicle=vehicle[starts],
        whole=np.add.reduceat(drives.whole[order], starts, axis=0),
        ring=np.add.reduceat(drives.ring[order], starts, axis=0),
    )


def tally(  # noqa: PLR0913 -- columns of one table
    place: Codes,
    vehicle: Codes,
    values: Codes,
    *,
    outline: int,
    n_sets: int,
    fleet: Fleet,
    rule: ReleaseRule,
) -> Tally:
    """Return what the gate says of each set.

    Parameters
    ----------
    place, vehicle
        Codes of set and vehicle, each pair once, ordered by set, then vehicle.
    values
        Time driven, then fixes by outline.
    outline
        Which of the outlines counts.
    n_sets
        Number of sets.
    fleet
        Provider and epoch of each vehicle.
    rule
        What each set needs.

    Notes
    -----
    One vehicle may be the largest of two epochs under two pseudonyms, so the largest of each are
    added up.
    """
    n_epochs = int(fleet.epoch.max(initial=0)) + 1
    duration_ms = values[:, 0]
    seen = (duration_ms > 0) & (values[:, 1 + outline] > 0)
    group = place * n_epochs + fleet.epoch[vehicle]
    counts = np.bincount(group[seen], minlength=n_sets * n_epochs)
    n_vehicles = counts.reshape(n_sets, n_epochs).max(axis=1)
    total_ms = np.zeros(n_sets, dtype=np.int64)
    top_ms = np.zeros(n_sets, dtype=np.int64)
    if len(place):
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        np.add.at(total_ms, place[starts], np.add.reduceat(duration_ms, starts))
        np.add.at(top_ms, place[starts], np.maximum.reduceat(duration_ms, starts))
    present = np.zeros((n_sets, int(fleet.provider.max(initial=0)) + 1), dtype=np.bool_)
    present[place[seen], fleet.provider[vehicle[seen]]] = True
    held = np.zeros(n_sets, dtype=np.bool_)
    held[place] = True
    return Tally(
        n_vehicles=n_vehicles,
        held=held,
        passes=(n_vehicles >= rule.min_vehicles)
        & (present.sum(axis=1) >= rule.min_providers)
        & (top_ms <= rule.max_vehicle_share * total_ms),
    )


class _Public:
    """The public sets so far, what their rings hold, and which of them lie inside no other."""

    def __init__(self, n_sets: Sequence[int]) -> None:
        self.shown = [np.zeros(number, dtype=np.bool_) for number in n_sets]
        empty = np.zeros(0, dtype=np.int64)
        self._step, self._code, self._n_ring = empty, empty, empty
        self._above, self._holder = empty, empty
        self._entry, self._vehicle = empty, empty
        self._values = np.zeros((0, 0), dtype=np.int64)

    def climb(self, up: Codes) -> None:
        """Let ``_above`` name the sets of the next step."""
        self._above = up[self._above]

    def add(self, step: int, codes: Codes, drives: Drives, n_ring: Codes) -> None:
        """Make sets public; what of them was not yet public becomes their ring."""
        if not len(codes):
            return
        entries = np.full(len(self.shown[step]), _NO_ENTRY, dtype=np.int64)
        entries[codes] = len(self._code) + np.arange(len(codes))
        inside = (self._holder == _NO_ENTRY) & self._is_shown()
        self._holder = np.where(inside, entries[self._above], self._holder)
        self.shown[step][codes] = True
        self._step = np.append(self._step, np.full(len(codes), step))
        self._code = np.append(self._code, codes)
        self._above = np.append(self._above, codes)
        self._n_ring = np.append(self._n_ring, n_ring[codes])
        self._holder = np.append(self._holder, np.full(len(codes), _NO_ENTRY))
        entry = entries[drives.place]
        mine = (entry != _NO_ENTRY) & (drives.ring[:, -1] > 0)
        values = drives.ring[mine]
        self._entry = np.append(self._entry, entry[mine])
        self._vehicle = np.append(self._vehicle, drives.vehicle[mine])
        self._values = np.vstack([self._values, values]) if self._values.size else values

    def withhold_one_in_each(self, failing: Flags) -> tuple[Codes, Codes, Codes]:
        """Withhold the public set with the smallest ring in each of these sets of the step.

        Returns
        -------
        tuple
            Set of the step, vehicle and values of what is now in that set's ring again.
        """
        outermost = (self._holder == _NO_ENTRY) & self._is_shown()
        found = np.flatnonzero(outermost & failing[self._above])
        # A set with an empty ring adds nothing: it gives way last.
        size = np.where(self._n_ring == 0, np.iinfo(np.int64).max, self._n_ring)[found]
        order = np.lexsort((found, size, self._above[found]))
        found = found[order]
        chosen = found[np.flatnonzero(np.diff(self._above[found], prepend=-1))]
        for step, shown in enumerate(self.shown):
            shown[self._code[chosen[self._step[chosen] == step]]] = False
        self._holder[np.isin(self._holder, chosen)] = _NO_ENTRY
        mine = np.isin(self._entry, chosen)
        return self._above[self._entry[mine]], self._vehicle[mine], self._values[mine]

    def _is_shown(self) -> Flags:
        flags = np.zeros(len(self._code), dtype=np.bool_)
        for step, shown in enumerate(self.shown):
            mine = self._step == step
            flags[mine] = shown[self._code[mine]]
        return flags


def public_sets(
    drives: Drives, ladder: Ladder, *, fleet: Fleet, rule: ReleaseRule
) -> tuple[Flags, ...]:
    """Return, for each step of the ladder, which of its sets may be public together.

    Parameters
    ----------
    drives
        Rows of the first step, from `first_step`.
    ladder
        How sets lie within each other.
    fleet
        The vehicles.
    rule
        What every public set and every ring needs.
    """
    public = _Public(ladder.n_sets)
    drives = replace(drives, ring=drives.ring.copy())
    for step, n_sets in enumerate(ladder.n_sets):
        if step:
            drives = next_step(drives, ladder.up[step - 1])
            public.climb(ladder.up[step - 1])
        count = partial(tally, outline=ladder.outline[step], n_sets=n_sets, fleet=fleet, rule=rule)
        candidates = count(drives.place, drives.vehicle, drives.whole).passes
        _settle(public, drives, candidates, count)
        chosen = np.flatnonzero(candidates)
        mine = drives.ring[:, -1] > 0
        rings = count(drives.place[mine], drives.vehicle[mine], drives.ring[mine])
        public.add(step, chosen, drives, rings.n_vehicles)
        drives.ring[candidates[drives.place]] = 0
    return tuple(public.shown)


def _settle(
    public: _Public,
    drives: Drives,
    candidates: Flags,
    count: Callable[[Codes, Codes, Codes], Tally],
) -> None:
    """Let sets inside the candidates give way until every ring holds nobody or enough."""
    failing = candidates
    n_vehicles = int(drives.vehicle.max(initial=0)) + 1
    key = drives.place * n_vehicles + drives.vehicle
    while True:
        mine = failing[drives.place] & (drives.ring[:, -1] > 0)
        rings = count(drives.place[mine], drives.vehicle[mine], drives.ring[mine])
        failing = failing & rings.held & ~rings.passes
        if not failing.any():
            return
        place, vehicle, values = public.withhold_one_in_each(failing)
        drives.ring[np.searchsorted(key, place * n_vehicles + vehicle)] += values
