"""How traffic answers a price, and what one more vehicle costs the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]


def _array(value: ArrayLike) -> Numbers:
    return np.asarray(value, dtype=np.float64)


def constant_elasticity_ratio(
    cost: ArrayLike, new_cost: ArrayLike, elasticity: ArrayLike
) -> Numbers:
    r"""Return demand after over demand before a change of generalised cost [1].

    Parameters
    ----------
    cost, new_cost
        Generalised cost of the trip before and after, in one unit; above 0. Never the charge
        alone: its elasticity is undefined from a charge of 0.
    elasticity
        Of demand with respect to generalised cost; at most 0. [1]

    Notes
    -----
    .. math:: Q / Q_0 = (c_1 / c_0)^{\varepsilon}
    """
    ratio: Numbers = (_array(new_cost) / _array(cost)) ** _array(elasticity)
    return ratio


def implied_elasticity(demand_ratio: float, cost_ratio: float) -> float:
    """Return the elasticity that explains a demand ratio by a cost ratio; both above 0 [1]."""
    return float(np.log(demand_ratio) / np.log(cost_ratio))


def logit_share(utility: ArrayLike) -> Numbers:
    r"""Return the share of the alternative whose utility exceeds the other's by `utility` [1].

    Notes
    -----
    .. math:: P = 1 / (1 + e^{-V})
    """
    share: Numbers = 1 / (1 + np.exp(-_array(utility)))
    return share


def logit_share_after(share: float, cost_coefficient: float, charge: float) -> float:
    r"""Return the share of driving after a charge, by the incremental logit [1].

    Parameters
    ----------
    share
        Share before, above 0 and below 1.
    cost_coefficient
        Change of utility per unit of money; below 0.
    charge
        Same money unit, per trip.
    """
    utility = np.log(share / (1 - share)) + cost_coefficient * charge
    return float(logit_share(utility))


def logit_own_elasticity(share: float, cost_coefficient: float, cost: float) -> float:
    r"""Return the own-price elasticity of a logit share, :math:`\beta c (1 - P)` [1]."""
    return cost_coefficient * cost * (1 - share)


def logit_surplus_change(share: float, cost_coefficient: float, charge: float) -> float:
    r"""Return the change of consumer surplus per person, in the charge's money.

    Notes
    -----
    .. math:: \Delta CS = \frac{1}{|\beta|} \Delta \ln \sum e^{V}
    """
    odds = share / (1 - share)
    before, after = np.log1p(odds), np.log1p(odds * np.exp(cost_coefficient * charge))
    return float((after - before) / abs(cost_coefficient))


def bpr_time(
    free_time: ArrayLike, flow_ratio: ArrayLike, *, coefficient: float = 0.15, exponent: float = 4.0
) -> Numbers:
    r"""Return the travel time at a flow, in the unit of `free_time`.

    Parameters
    ----------
    free_time
        Time without other traffic.
    flow_ratio
        Flow over capacity; at least 0. [1]
    coefficient, exponent
        Of the function; the published defaults.

    Notes
    -----
    .. math:: t = t_0 (1 + 0.15 (q / c)^4)

    References
    ----------
    Bureau of Public Roads, "Traffic Assignment Manual", 1964.
    """
    time: Numbers = _array(free_time) * (1 + coefficient * _array(flow_ratio) ** exponent)
    return time


def bpr_flow_ratio(
    time_ratio: ArrayLike, *, coefficient: float = 0.15, exponent: float = 4.0
) -> Numbers:
    """Return flow over capacity at which time is so many times free time; at least 1 [1].

    Near free flow, speed says almost nothing about flow: a small error of the ratio is a large one
    of the flow.
    """
    above = np.maximum(_array(time_ratio) - 1, 0.0)
    ratio: Numbers = (above / coefficient) ** (1 / exponent)
    return ratio


def marginal_external_delay(
    time: ArrayLike, free_time: ArrayLike, *, exponent: ArrayLike = 4.0
) -> Numbers:
    r"""Return the time that one more vehicle costs all others, in the unit of `time`.

    Parameters
    ----------
    time, free_time
        Travel time now and without other traffic, over the same length.
    exponent
        Of the volume-delay function. [1]

    Notes
    -----
    With :math:`t = t_0 (1 + a (q/c)^b)`, the external part of the marginal time is
    :math:`q \, \partial t / \partial q = t_0 a b (q/c)^b = b (t - t_0)`: flow and capacity cancel,
    so that it follows from travel times alone and needs no count.

    References
    ----------
    Pigou, "The Economics of Welfare", 1920; Bureau of Public Roads, 1964.
    """
    delay = np.maximum(_array(time) - _array(free_time), 0.0)
    external: Numbers = _array(exponent) * delay
    return external


def underwood_density(
    speed_kmh: ArrayLike, free_flow_kmh: ArrayLike, critical_density: ArrayLike
) -> Numbers:
    r"""Return the density at a speed [veh/km].

    Notes
    -----
    .. math:: v = v_f e^{-k / k_c} \Rightarrow k = k_c \ln (v_f / v)

    References
    ----------
    Underwood, "Speed, volume, and density relationships", 1961.
    """
    ratio = _array(free_flow_kmh) / _array(speed_kmh)
    density: Numbers = _array(critical_density) * np.log(ratio)
    return density


def underwood_flow(
    speed_kmh: ArrayLike, free_flow_kmh: ArrayLike, critical_density: ArrayLike
) -> Numbers:
    """Return the flow at a speed, density times speed [veh/h]."""
    return underwood_density(speed_kmh, free_flow_kmh, critical_density) * _array(speed_kmh)


def charge_change_ratio(charge_ratio: ArrayLike, charge_elasticity: ArrayLike) -> Numbers:
    """Return demand after over before when a charge in force is multiplied [1].

    Parameters
    ----------
    charge_ratio
        New charge over old charge; above 0. Not for a first charge.
    charge_elasticity
        Of demand with respect to the charge. [1]
    """
    ratio: Numbers = _array(charge_ratio) ** _array(charge_elasticity)
    return ratio
