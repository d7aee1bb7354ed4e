"""The difference between two arms, by units, with and without a covariate.

A unit is what was assigned: a caller, or a request. A metric is a ratio of sums over
units: `y` of a unit is the sum of its rows' values and `m` the number of these rows.
The variance comes from the spread between units (the delta method), so callers who send
many requests do not count as many independent observations.

The covariate `x` of a unit is known from before the experiment, so it does not depend
on the arm. Subtracting what it predicts leaves the difference unbiased and lowers its
variance (CUPED: Deng, Xu, Kohavi, Walker, WSDM 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnitSums:
    """Sums over the units of one arm; `known` are the units that have a covariate."""

    n: float = 0.0
    """Units with at least one row of the metric."""
    y: float = 0.0
    m: float = 0.0
    yy: float = 0.0
    ym: float = 0.0
    mm: float = 0.0
    known: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    xm: float = 0.0
    known_y: float = 0.0
    known_m: float = 0.0

    @classmethod
    def of(cls, y: Values, m: Values, x: Values | None = None) -> UnitSums:
        """The sums of units; arrays of shape (units,), NaN in `x` where it is unknown.

        Units with m = 0 have no row and are left out.
        """
        there = m > 0
        y, m = y[there], m[there]
        x = np.full(len(y), np.nan) if x is None else x[there]
        has = ~np.isnan(x)
        kx, ky, km = x[has], y[has], m[has]
        one, known = np.ones_like(y), np.ones_like(kx)
        pairs = [(one, one), (one, y), (one, m), (y, y), (y, m), (m, m)]
        pairs += [(known, known), (known, kx), (kx, kx), (kx, ky), (kx, km)]
        pairs += [(known, ky), (known, km)]
        return cls.of_row([float(a @ b) for a, b in pairs])

    @classmethod
    def of_row(cls, row: Sequence[float | None]) -> UnitSums:
        """The sums in the order of the fields, as SQL gives them; null is 0."""
        values = [float(value or 0) for value in row]
        return cls(**dict(zip(COLUMNS, values, strict=True)))

    @property
    def value(self) -> float:
        """The metric; NaN without a row."""
        return self.y / self.m if self.m else math.nan


COLUMNS = tuple(field.name for field in fields(UnitSums))


@dataclass(frozen=True)
class Effect:
    """A difference, treatment minus control, in the unit of the metric."""

    control: float
    treatment: float
    difference: float
    """Adjusted by the covariate, if there is one."""
    variance: float
    """Variance of the difference."""
    plain_variance: float
    """Variance of the difference without the covariate."""

    @property
    def information(self) -> float:
        """The reciprocal of the variance; 0 if the variance is not known."""
        return 1 / self.variance if 0 < self.variance < math.inf else 0.0

    @property
    def z(self) -> float:
        """The difference in standard errors."""
        return self.difference * math.sqrt(self.information)

    @property
    def saved(self) -> float:
        """Share of the variance that the covariate removes."""
        if not self.plain_variance or not math.isfinite(self.plain_variance):
            return 0.0
        return 1 - self.variance / self.plain_variance


@dataclass(frozen=True)
class _Moments:
    """Moments of the linearized metric and the centred covariate of one arm."""

    n: float
    mean_x: float
    ll: float
    lx: float
    xx: float


def effect(control: UnitSums, treatment: UnitSums) -> Effect:
    """The difference of two arms; the variance is infinite with fewer than 2 units.

    Units without a covariate get the mean of all units that have one.
    """
    plain = treatment.value - control.value
    if min(control.n, treatment.n) < 2 or not control.m * treatment.m:
        return Effect(control.value, treatment.value, plain, math.inf, math.inf)
    known = control.known + treatment.known
    centre = (control.x + treatment.x) / known if known else 0.0
    arms = [_moments(it, centre) for it in (control, treatment)]
    before = sum(it.ll / it.n for it in arms)
    xx = sum(it.n * it.xx for it in arms)
    slope = sum(it.n * it.lx for it in arms) / xx if xx > 0 else 0.0
    after = sum((it.ll - 2 * slope * it.lx + slope**2 * it.xx) / it.n for it in arms)
    shift = slope * (arms[1].mean_x - arms[0].mean_x)
    return Effect(control.value, treatment.value, plain - shift, after, before)


def _moments(arm: UnitSums, centre: float) -> _Moments:
    """Variances and the covariance of l = (y - value m) / mean(m) and x - centre."""
    n, ratio, mean_m = arm.n, arm.value, arm.m / arm.n
    scale = n - 1
    ll = (arm.yy - 2 * ratio * arm.ym + ratio**2 * arm.mm) / mean_m**2 / scale
    x = arm.x - arm.known * centre
    xx = arm.xx - 2 * centre * arm.x + arm.known * centre**2
    xl = arm.xy - centre * arm.known_y - ratio * (arm.xm - centre * arm.known_m)
    # The mean of l is 0, so the covariance is the mean of the product.
    return _Moments(n, x / n, ll, xl / mean_m / scale, (xx - x**2 / n) / scale)
