"""Whether a figure of a soak stayed flat is a test that finds a leak and not a saw."""

from __future__ import annotations

import math
from random import Random

import pytest
from trials.soak_verdict import trend

AT_S = [15.0 * number for number in range(240)]


def noisy(per_h: float, spread: float, seed: int = 1) -> list[float]:
    chance = Random(seed)
    return [200 + per_h * at / 3600 + abs(chance.gauss(0, spread)) for at in AT_S]


@pytest.mark.parametrize("seed", range(5))
def test_noise_around_a_level_is_flat(seed):
    assert trend(AT_S, noisy(0, 3, seed)).verdict == "flat"


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_of_a_twentieth_an_hour_is_found(seed):
    found = trend(AT_S, noisy(10, 1, seed))
    assert found.verdict == "grows"
    assert found.per_h == pytest.approx(10, abs=found.error_per_h)


def test_what_work_needs_and_gives_back_is_no_leak():
    saw = [200 + (number % 12) * 20 for number in range(240)]
    assert trend(AT_S, saw).verdict == "flat"


def test_a_start_that_fills_up_once_is_no_leak():
    filling = [250 - 50 * math.exp(-at / 200) for at in AT_S]
    assert trend(AT_S, filling).verdict == "flat"


def test_where_noise_hides_the_slope_nothing_is_claimed():
    assert trend(AT_S, noisy(4, 60)).verdict == "cannot tell"
