"""Tests that may be looked at while an experiment runs; pure functions.

Always valid: a mixture sequential probability ratio test (Robbins 1970; Johari, Koomen,
Pekelis, Walsh, KDD 2017). The effect under the alternative is normal with mean 0 and
standard deviation `scale`. Looks may come at any time and any number of times.

Group sequential: an error-spending function (Lan and DeMets, Biometrika 1983) and
boundaries by recursive integration (Armitage, McPherson, Rowe 1969). The looks are
planned by the units that have come; the correlation between looks is that of the
information, which is the reciprocal of the variance (Lan and DeMets 1989).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import special

STRENGTH = 1000.0
"""Parameter of the beta prior of the sample-ratio test: its closeness to the design."""
ALARM = 1000.0
"""Evidence at which a sample ratio is wrong: a chance of 0.1 % if it is right."""
LEAST_STEP = 1e-3
"""Share by which information must grow between two looks that both count."""
NEVER = 12.0
"""Standard errors that stand for a boundary that nothing crosses."""
_NODES, _MOST_NODES = 100, 800
"""Points of the quadrature on each side of 0."""
_NODES_OF_STEP = 4
"""Points per standard deviation of the step between two analyses."""
_TAIL = 8.0
"""Standard errors beyond which no path is followed: a chance of 1e-15."""


class Spending(StrEnum):
    """How early the error may be spent."""

    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"


def likelihood_ratio(difference: float, information: float, scale: float) -> float:
    """Evidence against no difference, cut at 1e300; `scale` in units of the metric."""
    weight = scale**2 * information
    log = -0.5 * math.log1p(weight)
    log += 0.5 * difference**2 * information * weight / (1 + weight)
    return math.exp(min(log, 690.0))


def always_valid_p(difference: float, information: float, scale: float) -> float:
    """The p-value of one look; the least of all looks is valid at each of them."""
    return min(1.0, 1 / likelihood_ratio(difference, information, scale))


def always_valid_half(information: float, scale: float, alpha: float) -> float:
    """Half the width of the interval that holds at all looks with chance 1 - alpha."""
    weight = scale**2 * information
    if weight <= 0:
        return math.inf
    bound = (1 + weight) / weight * (2 * math.log(1 / alpha) + math.log1p(weight))
    return math.sqrt(bound / information)


def spent(fraction: float, alpha: float, spending: Spending) -> float:
    """The two-sided error that may be spent until a fraction of the planned units."""
    if fraction <= 0:
        return 0.0
    if fraction >= 1:
        return alpha
    if spending is Spending.POCOCK:
        return alpha * math.log1p((math.e - 1) * fraction)
    # Each side has half of it, and the function is that of one side.
    one_side = 2 * special.ndtr(special.ndtri(alpha / 4) / math.sqrt(fraction))
    return float(2 * one_side)


def boundaries(
    fractions: Sequence[float],
    information: Sequence[float],
    alpha: float,
    spending: Spending = Spending.OBRIEN_FLEMING,
) -> list[float]:
    """Critical |z| of each look, so that all looks together err with `alpha` at most.

    `fractions` of the planned units and `information` do not fall from look to look. A
    look whose information has hardly grown gets an infinite boundary.
    """
    found: list[float] = []
    density: _Density | None = None
    before, used = 0.0, 0.0
    for fraction, now in zip(fractions, information, strict=True):
        if now <= before * (1 + LEAST_STEP):
            found.append(math.inf)
            continue
        budget = spent(fraction, alpha, spending)
        step = math.sqrt(now - before)
        bound = _bound(density, step, budget - used, math.sqrt(now))
        crossed = _crossing(density, step, bound)
        density = _after(density, step, bound, math.sqrt(now))
        used, before = used + crossed, now
        z = bound / math.sqrt(now)
        found.append(z if z < NEVER else math.inf)
    return found


class _Density:
    """Of the score z sqrt(information), of the paths that have crossed nothing."""

    def __init__(
        self, places: npt.NDArray[np.float64], masses: npt.NDArray[np.float64]
    ) -> None:
        """Both of shape (nodes,); masses include the weights of the quadrature."""
        self.places, self.masses = places, masses


def _crossing(density: _Density | None, step: float, bound: float) -> float:
    """The chance to be beyond the bound on either side after a step."""
    if density is None:
        return float(2 * special.ndtr(-bound / step))
    above = special.ndtr((density.places - bound) / step)
    below = special.ndtr((-bound - density.places) / step)
    return float(density.masses @ (above + below))


def _bound(density: _Density | None, step: float, budget: float, unit: float) -> float:
    """The bound that is crossed with the chance `budget`."""
    most = NEVER * unit
    if budget <= _crossing(density, step, most):
        return most
    if budget >= _crossing(density, step, 0.0):
        return 0.0
    # Most of what SciPy imports: monitors without such experiments do without.
    from scipy import optimize

    return float(
        optimize.brentq(
            lambda bound: _crossing(density, step, bound) - budget,
            0.0,
            most,
            xtol=1e-10 * unit,
        )
    )


def _after(
    density: _Density | None, step: float, bound: float, unit: float
) -> _Density:
    """The density of what stays within the bound, by Simpson's rule."""
    end = min(bound, _TAIL * unit)
    half = min(max(_NODES, round(_NODES_OF_STEP * end / step)), _MOST_NODES)
    places = np.linspace(-end, end, 2 * half + 1)
    weights = np.full(2 * half + 1, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    weights *= end / half / 3
    scale = 1 / (step * math.sqrt(2 * math.pi))
    if density is None:
        return _Density(places, weights * scale * np.exp(-0.5 * (places / step) ** 2))
    moved = (places[:, None] - density.places[None, :]) / step
    reached = scale * np.exp(-0.5 * moved**2) @ density.masses
    return _Density(places, weights * reached)


def sample_ratio_evidence(treatment: int, control: int, share: float) -> float:
    """Evidence that the treatment's share of units is not `share`, cut at 1e300.

    A mixture of binomials that may be looked at at any time: Lindon and Malek, NeurIPS
    2022. From `ALARM` on, the arms are not comparable.
    """
    a, b = STRENGTH * share, STRENGTH * (1 - share)
    log = special.betaln(a + treatment, b + control) - special.betaln(a, b)
    log -= treatment * math.log(share) + control * math.log(1 - share)
    return math.exp(min(float(log), 690.0))


def units_needed(
    units: float, information: float, smallest: float, alpha: float, power: float
) -> float:
    """Units of both arms that find an effect of `smallest` with that power.

    For one look at the end. `units` gave `information` so far. Tests that look earlier
    need more (numbers in docs/how-to/experiments.md).
    """
    wanted = float(special.ndtri(1 - alpha / 2) + special.ndtri(power)) ** 2
    if not information:
        return math.inf
    return units * wanted / (smallest**2 * information)
