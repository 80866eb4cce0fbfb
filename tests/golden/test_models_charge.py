"""Response and marginal cost against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clearway_models.charge import PriceBounds, bounded_prices, two_digits
from clearway_models.demand import (
    bpr_flow_ratio,
    bpr_time,
    charge_change_ratio,
    constant_elasticity_ratio,
    implied_elasticity,
    logit_own_elasticity,
    logit_share_after,
    logit_surplus_change,
    marginal_external_delay,
    underwood_density,
    underwood_flow,
)


def test_bpr_time_and_marginal_external_cost() -> None:
    flow_ratio = np.array([0.6, 0.9, 1.0, 1.2])

    time_min = bpr_time(10.0, flow_ratio)
    cost = 15 / 60 * marginal_external_delay(time_min, 10.0)

    np.testing.assert_allclose(time_min, [10.1944, 10.98415, 11.5, 13.1104], atol=6e-5)
    np.testing.assert_allclose(cost, [0.1944, 0.98415, 1.5, 3.1104], atol=6e-5)
    np.testing.assert_allclose(bpr_flow_ratio(time_min / 10), flow_ratio, atol=1e-12)


@pytest.mark.parametrize(
    ("cost", "charge", "elasticity", "change_pct"),
    [(40.0, 20.0, -0.7, -24.710), (60.0, 9.0, -0.8, -10.579)],
)
def test_constant_elasticity(
    cost: float, charge: float, elasticity: float, change_pct: float
) -> None:
    ratio = constant_elasticity_ratio(cost, cost + charge, elasticity)

    assert 100 * (float(ratio) - 1) == pytest.approx(change_pct, abs=5e-4)


@pytest.mark.parametrize(
    ("cost_ratio", "elasticity"), [(1.2, -1.224), (1.3, -0.851), (1.4, -0.663), (1.5, -0.550)]
)
def test_stockholms_fall_by_a_fifth_implies_an_elasticity(
    cost_ratio: float, elasticity: float
) -> None:
    assert implied_elasticity(0.8, cost_ratio) == pytest.approx(elasticity, abs=5e-4)


@pytest.mark.parametrize(("elasticity", "change_pct"), [(-0.195, -12.64), (-0.106, -7.08)])
def test_singapores_answer_to_a_doubled_charge(elasticity: float, change_pct: float) -> None:
    ratio = float(charge_change_ratio(2.0, elasticity))

    assert 100 * (ratio - 1) == pytest.approx(change_pct, abs=5e-3)


def test_incremental_logit() -> None:
    assert logit_share_after(0.6, -0.12, 5.0) == pytest.approx(0.451519, abs=5e-7)
    assert logit_own_elasticity(0.6, -0.12, 10.0) == pytest.approx(-0.48)
    assert logit_surplus_change(0.6, -0.12, 5.0) == pytest.approx(-2.63073, abs=5e-6)


def test_underwood_density_and_flow() -> None:
    speed = np.array([40.0, 25.0, 10.0])

    np.testing.assert_allclose(
        underwood_density(speed, 50.0, 40.0), [8.9257, 27.7259, 64.3775], atol=5e-5
    )
    np.testing.assert_allclose(
        underwood_flow(speed, 50.0, 40.0), [357.03, 693.15, 643.78], atol=6e-3
    )


def test_prices_are_rounded_capped_and_kept_in_ratio() -> None:
    bounds = PriceBounds(
        rounding_minor=5,
        cap_minor=100,
        max_step_minor=30,
        ratio_low={"car": 1.0, "motorcycle": 0.25, "truck": 1.0},
        ratio_high={"car": 1.0, "motorcycle": 1.0, "truck": 4.0},
    )

    new = bounded_prices({"car": 117.4, "motorcycle": 3.0, "truck": 260.0}, bounds, reference="car")
    raised = bounded_prices(
        {"car": 117.4, "motorcycle": 3.0, "truck": 260.0},
        bounds,
        reference="car",
        previous={"car": 50, "motorcycle": 20, "truck": 250},
    )

    assert {k: p.minor_per_km for k, p in new.items()} == {
        "car": 100,
        "motorcycle": 25,
        "truck": 260,
    }
    assert new["car"].bounded_by == ("cap",)
    assert new["motorcycle"].bounded_by == ("class_ratio",)
    assert raised["car"].minor_per_km == 80
    assert raised["car"].bounded_by == ("cap", "step")


@pytest.mark.parametrize(
    ("value", "published"), [(-8.849, -8.8), (1234.0, 1200.0), (0.0, 0.0), (2.2e-14, 0.0)]
)
def test_published_values_have_two_significant_digits(value: float, published: float) -> None:
    assert two_digits(value) == published
