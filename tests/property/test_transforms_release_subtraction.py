"""Nothing that rests on a few vehicles can be found by adding and subtracting public rows.

The oracle knows nothing of rings or ladders. Public rows are sums over *parts* (finest cell and
window); what a reader can compute from them is the row space of the 0-1 matrix of rows and parts,
whatever the weights. A leak is a combination, not zero, whose parts were all visited by the same
few vehicles and by nobody else. So for every group of k - 1 vehicles the oracle asks whether the
row space holds anything on the parts that only this group visited: by how much the matrix loses
rank when those parts are taken out. Ranks are exact: the arithmetic is done modulo a prime.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearway_transforms.release import complementary
from clearway_transforms.release.complementary import Fleet, Ladder, first_step, public_sets, tally
from clearway_transforms.release.gate import ReleaseRule

K = 3
N_VEHICLES = 6
RULE = ReleaseRule(min_vehicles=K, min_providers=1, max_vehicle_share=1.0)
ONE_FLEET = Fleet(
    provider=np.zeros(N_VEHICLES, dtype=np.int64), epoch=np.zeros(N_VEHICLES, dtype=np.int64)
)
PRIME = 1_000_003


def ladder_of(sizes: tuple[int, ...], n_cities: int = 1) -> Ladder:
    """Return a ladder in which every set holds this many of the step below (the last takes all).

    Several cities lie side by side: they share vehicles and no sum.
    """
    n_sets, up = [n_cities * int(np.prod(sizes))], []
    for size in sizes:
        up.append(np.arange(n_sets[-1], dtype=np.int64) // size)
        n_sets.append(n_sets[-1] // size)
    return Ladder(n_sets=tuple(n_sets), up=tuple(up), outline=(0,) * len(n_sets))


LADDERS = {sizes: ladder_of(sizes) for sizes in ((3, 3), (2, 2, 2), (4, 2), (2, 4), (7,))}
N_CITIES = 8
"""Decided in one pass, as the gate decides; one by one, most of the time is the start of a pass."""
SIDE_BY_SIDE = {sizes: ladder_of(sizes, N_CITIES) for sizes in LADDERS}


def members(ladder: Ladder) -> list[list[int]]:
    """Return the sets of every step as bit masks of parts."""
    masks = [[1 << part for part in range(ladder.n_sets[0])]]
    for step, up in enumerate(ladder.up):
        above = [0] * ladder.n_sets[step + 1]
        for code, mask in zip(up.tolist(), masks[-1], strict=True):
            above[code] |= mask
        masks.append(above)
    return masks


MASKS = {sizes: members(ladder) for sizes, ladder in LADDERS.items()}


def decided(visits: list[int], ladder: Ladder, rule: ReleaseRule = RULE) -> list[list[bool]]:
    """Return the gate's answer; ``visits`` holds for each part the vehicles as a bit mask."""
    pairs = [
        (part, vehicle)
        for part, mask in enumerate(visits)
        for vehicle in range(N_VEHICLES)
        if mask >> vehicle & 1
    ]
    place, vehicle = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    ones = np.ones(len(pairs), dtype=np.int64)
    drives = first_step(place, vehicle, ones * 1000, ones[:, None])
    return [shown.tolist() for shown in public_sets(drives, ladder, fleet=ONE_FLEET, rule=rule)]


def rank(rows: list[int]) -> int:
    """Return the rank of 0-1 rows, given as bit masks, by elimination modulo a large prime."""
    width = max((mask.bit_length() for mask in rows), default=0)
    matrix = [[mask >> column & 1 for column in range(width)] for mask in rows if mask]
    found = 0
    while matrix:
        pivot_row = matrix.pop()
        pivot = next((n for n, value in enumerate(pivot_row) if value), None)
        if pivot is None:
            continue
        found += 1
        inverse = pow(pivot_row[pivot], PRIME - 2, PRIME)
        for row in matrix:
            if row[pivot]:
                factor = row[pivot] * inverse % PRIME
                row[:] = [(a - factor * b) % PRIME for a, b in zip(row, pivot_row, strict=True)]
    return found


def leaks(visits: list[int], public: list[int]) -> list[tuple[int, ...]]:
    """Return the groups of fewer than k vehicles of whom something can be computed."""
    visited = sum(1 << part for part, mask in enumerate(visits) if mask)
    rows = list({mask & visited for mask in public} - {0})
    everything = rank(rows)
    found = []
    for group in combinations(range(N_VEHICLES), K - 1):
        among = sum(1 << vehicle for vehicle in group)
        alone = sum(1 << p for p, mask in enumerate(visits) if mask and not mask & ~among)
        if alone and rank([mask & ~alone for mask in rows]) < everything:
            found.append(group)
    return found


def public_masks(sizes: tuple[int, ...], shown: list[list[bool]]) -> list[int]:
    return [
        mask
        for masks, flags in zip(MASKS[sizes], shown, strict=True)
        for mask, flag in zip(masks, flags, strict=True)
        if flag
    ]


@st.composite
def cities(draw: st.DrawFn) -> tuple[tuple[int, ...], list[int]]:
    """Return a ladder and, for each part of all cities, who visited it; thin ones beside busy."""
    sizes = draw(st.sampled_from(sorted(LADDERS)))
    number = SIDE_BY_SIDE[sizes].n_sets[0]
    bits = draw(st.integers(0, (1 << (N_VEHICLES * number)) - 1))
    thin = draw(st.integers(0, (1 << (N_VEHICLES * number)) - 1))
    which = draw(st.integers(0, (1 << number) - 1))
    full = (1 << N_VEHICLES) - 1
    visits = []
    for part in range(number):
        many, few = (each >> (N_VEHICLES * part) & full for each in (bits, thin))
        visits.append(many | few if which >> part & 1 else many & few)
    return sizes, visits


@settings(
    max_examples=10_000 // N_CITIES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(cities())
def test_no_sum_or_difference_of_public_rows_rests_on_fewer_than_k_vehicles(drawn):
    sizes, visits = drawn
    shown = decided(visits, SIDE_BY_SIDE[sizes])
    for city in range(N_CITIES):
        mine = [part_of(flags, city) for flags in shown]
        assert not leaks(part_of(visits, city), public_masks(sizes, mine))


def part_of(values: list, city: int) -> list:
    """Return those of one of the cities that lie side by side."""
    each = len(values) // N_CITIES
    return values[city * each : (city + 1) * each]


SEEDED = [
    (sizes, np.random.default_rng(seed).integers(0, 1 << N_VEHICLES, 9).tolist()[:n_parts])
    for seed in range(60)
    for sizes, n_parts in (((3, 3), 9), ((2, 2, 2), 8))
]


def thinned(visits: list[int]) -> list[int]:
    """Return the same parts, every second one visited by fewer."""
    return [mask if part % 2 else mask & 0b010010 for part, mask in enumerate(visits)]


def publish_all_that_pass(visits: list[int], sizes: tuple[int, ...]) -> list[list[bool]]:
    """Return a broken gate's answer: each row by its own count, nothing complementary."""
    shown = []
    for masks in MASKS[sizes]:
        among = [
            0 if not mask else _union(v for p, v in enumerate(visits) if mask >> p & 1)
            for mask in masks
        ]
        shown.append([vehicles.bit_count() >= K for vehicles in among])
    return shown


def _union(masks: object) -> int:
    total = 0
    for mask in masks:  # type: ignore[attr-defined]
        total |= mask
    return total


def test_the_oracle_catches_a_gate_without_complementary_suppression():
    caught = sum(
        bool(leaks(thinned(v), public_masks(sizes, publish_all_that_pass(thinned(v), sizes))))
        for sizes, v in SEEDED
    )
    assert caught > len(SEEDED) / 4
    for sizes, v in SEEDED:
        shown = decided(thinned(v), LADDERS[sizes])
        assert not leaks(thinned(v), public_masks(sizes, shown))


def test_the_oracle_catches_a_gate_that_counts_passages(monkeypatch):
    real = complementary.tally

    def passages(place, vehicle, values, **rest):
        # Each part that a vehicle passed counts as another vehicle.
        found = real(place, vehicle, values, **rest)
        n_sets = rest["n_sets"]
        times = np.zeros(n_sets, dtype=np.int64)
        np.add.at(times, place, values[:, 1])
        return complementary.Tally(
            n_vehicles=times, held=found.held, passes=times >= rest["rule"].min_vehicles
        )

    monkeypatch.setattr(complementary, "tally", passages)
    caught = sum(
        bool(leaks(thinned(v), public_masks(sizes, decided(thinned(v), LADDERS[sizes]))))
        for sizes, v in SEEDED
    )
    assert caught > len(SEEDED) / 4


def test_the_oracle_finds_the_lone_rest_of_a_parent_and_no_more():
    whole, rest = 0b111000, 0b000011
    sizes = (7,)
    visits = [whole, 0, 0, 0, 0, 0, rest]
    both = [[True] + [False] * 6, [True]]
    assert leaks(visits, public_masks(sizes, both)) == [(0, 1)]
    assert leaks(visits, public_masks(sizes, [[False] * 7, [True]])) == []
    assert decided(visits, LADDERS[sizes]) == [[False] * 7, [True]]


drives_of_some = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(0, 900), st.booleans()),
    max_size=40,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=1_000, deadline=None)
@given(rows=drives_of_some, share=st.sampled_from([0.4, 0.5, 0.8]), n_providers=st.integers(1, 2))
def test_every_ring_holds_nobody_or_passes_the_whole_gate(rows, share, n_providers):
    """By plain sets: vehicles that moved and were seen, providers, and the largest part of one."""
    sizes = (2, 2, 2)
    rule = ReleaseRule(min_vehicles=K, min_providers=n_providers, max_vehicle_share=share)
    # Vehicles 5 to 9 are those of the second epoch; even and odd belong to two providers.
    fleet = Fleet(provider=np.arange(10) % 2, epoch=np.arange(10) // 5)
    part, vehicle, ms, seen = (
        (np.array(column) for column in zip(*rows, strict=True))
        if (rows)
        else (np.zeros(0, dtype=np.int64),) * 4
    )
    drives = first_step(part, vehicle, ms, seen.astype(np.int64)[:, None])
    shown = public_sets(drives, LADDERS[sizes], fleet=fleet, rule=rule)
    inside: list[int] = []
    for masks, flags in zip(MASKS[sizes], shown, strict=True):
        public = [mask for mask, flag in zip(masks, flags, strict=True) if flag]
        for mask in public:
            ring = mask & ~_union(each for each in inside if each & mask == each)
            mine = [row for row in rows if ring >> row[0] & 1]
            moved = [row for row in mine if row[2] > 0]
            by_epoch = [
                {v for v, was_seen in _seen(mine).items() if was_seen and v // 5 == e}
                for e in (0, 1)
            ]
            tops = [
                max((t for v, t in _times(mine).items() if v // 5 == e), default=0) for e in (0, 1)
            ]
            if mine:
                assert max(map(len, by_epoch)) >= K
                assert len({v % 2 for part in by_epoch for v in part}) >= n_providers
                assert sum(tops) <= share * sum(row[2] for row in moved)
        inside += public


def _times(rows: list[tuple[int, int, int, bool]]) -> dict[int, int]:
    times: dict[int, int] = {}
    for _, vehicle, ms, _ in rows:
        times[vehicle] = times.get(vehicle, 0) + ms
    return times


def _seen(rows: list[tuple[int, int, int, bool]]) -> dict[int, bool]:
    times = _times(rows)
    return {
        vehicle: time > 0 and any(row[3] for row in rows if row[1] == vehicle)
        for vehicle, time in times.items()
    }


def test_a_tally_of_nobody_passes_nothing():
    none = np.zeros(0, dtype=np.int64)
    found = tally(
        none, none, np.zeros((0, 2), dtype=np.int64), outline=0, n_sets=2, fleet=ONE_FLEET,
        rule=RULE,
    )  # fmt: skip
    assert not found.held.any()
    assert not found.passes.any()
