"""Response and marginal cost against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clearway_models.charge.demand import constant_elasticity_ratio, marginal_external_delay
from clearway_models.charge.effect import two_digits
from clearway_models.charge.prices import PriceBounds, bounded_prices


def test_marginal_external_cost_is_that_of_the_bpr_function() -> None:
    flow_ratio = np.array([0.6, 0.9, 1.0, 1.2])
    time_min = 10.0 * (1 + 0.15 * flow_ratio**4)

    cost = 15 / 60 * marginal_external_delay(time_min, 10.0, exponent=4.0)

    np.testing.assert_allclose(time_min, [10.1944, 10.98415, 11.5, 13.1104], atol=6e-5)
    np.testing.assert_allclose(cost, [0.1944, 0.98415, 1.5, 3.1104], atol=6e-5)
    # q dt/dq by a small step of the flow, at 15 EUR/h.
    step = 1e-6
    more = 10.0 * (1 + 0.15 * (flow_ratio * (1 + step)) ** 4)
    np.testing.assert_allclose(cost, 15 / 60 * (more - time_min) / step, rtol=1e-4)


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
def test_stockholms_fall_by_a_fifth_follows_from_the_elasticity_that_it_implies(
    cost_ratio: float, elasticity: float
) -> None:
    ratio = constant_elasticity_ratio(1.0, cost_ratio, elasticity)

    assert float(ratio) == pytest.approx(0.8, abs=2e-4)  # three digits of the elasticity


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
