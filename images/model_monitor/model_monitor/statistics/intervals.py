"""Intervals for proportions, their differences and ratios, and functions of counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from model_monitor.statistics import checks

Proportion = tuple[int, int]
"""Successes and the number of rows they are of."""
Figure = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Maps counts (draws, cells) to the figure of each draw (draws,), NaN: undefined."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its interval: low <= value <= high."""

    value: float
    low: float
    high: float


def wilson(successes: int, n: int, level: float = 0.95) -> Interval | None:
    """Return a proportion with Wilson's score interval; None of no rows.

    It stays within 0 and 1 and has a width at 0 of n and n of n too (Wilson 1927, JASA
    22:209; recommended by Brown, Cai and DasGupta 2001, Statistical Science 16:101).
    """
    successes, n = _proportion((successes, n), "successes, n")
    z = normal_quantile(level)
    if n == 0:
        return None
    value = successes / n
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(value * (n - successes) + z * z / 4)
    return Interval(
        value,
        0.0 if successes == 0 else max(0.0, min(value, centre - half)),
        1.0 if successes == n else min(1.0, max(value, centre + half)),
    )


def difference(a: Proportion, b: Proportion, level: float = 0.95) -> Interval | None:
    """Return the proportion of `a` less that of `b`; None if one is of no rows.

    Newcombe's hybrid score interval (method 10 of Newcombe 1998, Statistics in Medicine
    17:873): Wilson's bounds of both, combined.
    """
    of_a, of_b = wilson(*a, level), wilson(*b, level)
    if of_a is None or of_b is None:
        return None
    value = of_a.value - of_b.value
    below = math.hypot(of_a.value - of_a.low, of_b.high - of_b.value)
    above = math.hypot(of_a.high - of_a.value, of_b.value - of_b.low)
    return Interval(value, max(-1.0, value - below), min(1.0, value + above))


def ratio(a: Proportion, b: Proportion, level: float = 0.95) -> Interval | None:
    """Return the proportion of `a` over that of `b`; None if one is undefined or b's 0.

    Koopman's score interval (Koopman 1984, Biometrics 40:513): the ratios that the
    score test does not reject. It needs no correction for cells of 0, where intervals
    on the logarithm have none (Fagerland, Lydersen and Laake 2015, SMMR 24:224,
    recommend it).
    """
    a, b = _proportion(a, "a"), _proportion(b, "b")
    z = normal_quantile(level)
    if not (a[1] and b[1] and b[0]):
        return None
    value = (a[0] / a[1]) / (b[0] / b[1])
    at_value = math.log(value) if value else -100.0
    low = _ratio_of_score(z, a, b, at_value, -1.0) if value else 0.0
    high = _ratio_of_score(-z, a, b, at_value, 1.0)
    return Interval(value, min(low, value), max(high, value))


def bootstrap(
    cells: Sequence[int],
    figure: Figure,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int,
) -> Interval:
    """Return a figure of counts with its bootstrap interval, for want of a closed form.

    Counts are drawn from the multinomial with the shares observed (parametric
    bootstrap, percentiles: Efron and Tibshirani 1993, chapters 6 and 13). Draws whose
    figure is undefined are left out; the figure of `cells` must be defined, or
    ValueError. A cell of 0 stays 0 in every draw: the interval of few rows or rare
    cells is too narrow.
    """
    observed = checks.counts(cells, "cells")
    tail = (1 - checks.share(level, "level")) / 2
    total = int(observed.sum())
    value = float(figure(observed[np.newaxis, :])[0]) if total else math.nan
    if not math.isfinite(value):
        raise ValueError(f"cells = {observed.tolist()}: their figure is undefined")
    drawn = np.random.default_rng(seed).multinomial(total, observed / total, draws)
    figures = figure(drawn)
    defined = np.append(figures[np.isfinite(figures)], value)
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, min(value, float(low)), max(value, float(high)))


def normal_quantile(level: float) -> float:
    """Return z: a standard normal value is within +-z with the probability `level`."""
    return float(special.ndtri(0.5 + checks.share(level, "level") / 2))


def _proportion(given: Proportion, name: str) -> Proportion:
    successes, n = (int(count) for count in checks.counts(given, name))
    if successes > n:
        raise ValueError(f"{name} = {given!r}: more successes than rows")
    return successes, n


def _score(ratio: float, a: Proportion, b: Proportion) -> float:
    """Return the score statistic of p_a = ratio * p_b; it falls as the ratio grows."""
    (x, m), (y, n) = a, b
    distance = x / m - ratio * y / n
    if distance == 0:
        return 0.0
    # The most likely p_b under the ratio is the smaller root of a quadratic.
    half = (m * ratio + x + n + y * ratio) / 2
    root = math.sqrt(max(0.0, half * half - (m + n) * ratio * (x + y)))
    of_b = min(1.0, (x + y) / (half + root))
    of_a = min(1.0, ratio * of_b)
    variance = of_a * (1 - of_a) / m + ratio * ratio * of_b * (1 - of_b) / n
    return distance / math.sqrt(max(variance, 1e-300))


def _ratio_of_score(
    score: float, a: Proportion, b: Proportion, start: float, step: float
) -> float:
    """Return the ratio with that score, from the logarithm `start` towards `step`."""

    def excess(log_ratio: float) -> float:
        return _score(math.exp(log_ratio), a, b) - score

    # Most of what SciPy imports: monitors without protected attributes do without.
    from scipy import optimize

    end = start + step
    while excess(end) * step > 0:
        step *= 2
        end += step
    return math.exp(float(optimize.brentq(excess, start, end, xtol=1e-14)))
