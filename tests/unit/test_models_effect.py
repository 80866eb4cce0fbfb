"""What prices do: intervals of draws, changes in percent, several periods together."""

from __future__ import annotations

import numpy as np
import pytest

from clearway_models.charge.effect import Effect, Interval, combined, interval_of, two_digits


def effect(ratio: float = 0.8, after_gkm: float = 0.3, pace_after: float = 0.04) -> Effect:
    return Effect(
        vehicle_km_ratio=np.full(3, ratio),
        nox_before_gkm=np.full(3, 0.4),
        nox_after_gkm=np.full(3, after_gkm),
        pace_before=np.full(3, 0.05),
        pace_after=np.full(3, pace_after),
        paid_per_km=np.full(3, 0.6),
    )


def test_interval_is_the_fifth_and_the_ninety_fifth_percentile() -> None:
    draws = np.arange(1001.0) / 10  # 0 to 100, so that a percentile is its own number

    interval = interval_of(draws, "km")

    assert interval == Interval(median=50.0, low=5.0, high=95.0, unit="km")
    assert interval.record() == {"median": 50.0, "low": 5.0, "high": 95.0, "unit": "km"}


@pytest.mark.parametrize(
    ("value", "published"),
    [(0.0123, 0.012), (-98.6, -99.0), (9.95e-10, 0.0), (1e-9, 1e-9), (-1.5e-9, -1.5e-9)],
)
def test_two_digits_are_kept_down_to_a_billionth(value: float, published: float) -> None:
    assert two_digits(value) == published


def test_changes_are_against_what_was_before() -> None:
    changed = effect()

    assert changed.traffic_change_pct() == Interval(median=-20.0, low=-20.0, high=-20.0, unit="%")
    assert changed.nox_change_pct().median == -25.0
    assert changed.speed_change_pct().median == 25.0  # a fifth less time per kilometre


def test_nearly_everything_is_nearly_a_hundred_percent() -> None:
    changed = effect(ratio=0.01, after_gkm=0.004, pace_after=0.05 / 1.99)

    assert changed.traffic_change_pct().median == -99.0
    assert changed.nox_change_pct().median == -99.0
    assert changed.speed_change_pct().median == 99.0


def test_periods_together_weigh_kilometres_and_pace_is_that_of_the_rest() -> None:
    many = effect(ratio=0.5, after_gkm=0.2, pace_after=0.02)

    both = combined([effect(), many], [300.0, 100.0])

    assert both.vehicle_km_ratio == pytest.approx(0.75 * 0.8 + 0.25 * 0.5)
    assert both.nox_before_gkm == pytest.approx(0.4)
    assert both.nox_after_gkm == pytest.approx(0.75 * 0.3 + 0.25 * 0.2)
    assert both.pace_before == pytest.approx(0.05)
    hours = 0.75 * 0.8 * 0.04 + 0.25 * 0.5 * 0.02
    assert both.pace_after == pytest.approx(hours / (0.75 * 0.8 + 0.25 * 0.5))
    assert both.paid_per_km == pytest.approx(0.6)
