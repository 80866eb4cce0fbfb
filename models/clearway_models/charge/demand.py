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

    1 where nothing changes. With an elasticity below 0 it falls towards 0 as the cost rises and
    never reaches it, and has no bound as the new cost nears 0: the caller keeps both costs above 0.

    References
    ----------
    K. Small, E. Verhoef, "The Economics of Urban Transportation", 2007, chapter 2,
    doi:10.4324/9780203642306.
    """
    ratio: Numbers = (_array(new_cost) / _array(cost)) ** _array(elasticity)
    return ratio


def marginal_external_delay(
    time: ArrayLike, free_time: ArrayLike, *, exponent: ArrayLike
) -> Numbers:
    r"""Return the time that one more vehicle costs all others, in the unit of `time`; at least 0.

    Parameters
    ----------
    time, free_time
        Travel time now and without other traffic, over the same length; any unit, but the same.
    exponent
        Of the volume-delay function. [1]

    Notes
    -----
    With :math:`t = t_0 (1 + a (q/c)^b)`, the external part of the marginal time is
    :math:`q \, \partial t / \partial q = t_0 a b (q/c)^b = b (t - t_0)`: flow and capacity cancel,
    so that it follows from travel times alone and needs no count. Where traffic is faster than
    without others there is no delay: the result is 0, never a reward. The textbook form takes flow
    and capacity of a link; here the travel time of a whole zone stands for its link.

    References
    ----------
    A. Pigou, "The Economics of Welfare", 1920. Bureau of Public Roads, "Traffic Assignment Manual",
    1964. K. Small, E. Verhoef, "The Economics of Urban Transportation", 2007, section 4.1,
    doi:10.4324/9780203642306.
    """
    delay = np.maximum(_array(time) - _array(free_time), 0.0)
    external: Numbers = _array(exponent) * delay
    return external
