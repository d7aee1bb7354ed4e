"""Distance of two samples, from counts in common cells, with tests.

Both samples are counted in the same cells: bins of numbers, or categories. Every test
treats both as samples. A test that treats the reference as exact alarms far too often
(.19 of windows at a level of .05 with three cells and 1,000 rows in both).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from model_monitor.statistics import checks, exact
from model_monitor.statistics.intervals import Proportion

Counts = NDArray[np.int64]
EMPTY = 0.5
"""Added to every cell of both samples where a cell of one is empty (see `psi`)."""


def psi(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the population stability index: sum of (p - q) log(p / q) over cells.

    Cells that are empty in both samples do not count. If a cell is empty in one, half a
    row is added to every cell of both; without, the index would be infinite. With rare
    cells the 5 % point of the null (`psi_p_value`) is then passed by .00 to .06 of the
    windows without drift (4 to 50 cells, 300 to 10,000 rows; 2026-11-29). A new cell
    weighs much: with .8 % of the rows as much as a shift by .2 standard deviations.
    """
    of_reference, of_current = _both(reference, current)
    added = 0.0 if of_reference.all() and of_current.all() else EMPTY
    p, q = _shares(of_reference + added), _shares(of_current + added)
    return float((q - p) @ np.log(q / p))


def psi_p_value(value: float, n: int, m: int, bins: int) -> float:
    """Return the probability of such an index or a higher one without drift.

    Without drift the index of n and m rows is (1/n + 1/m) times a chi-squared value
    with bins - 1 degrees of freedom (Yurdakul and Naranjo 2020, Journal of Risk Model
    Validation 14(4)).
    """
    checks.numbers([value], "value")
    if min(n, m) < 1 or bins < 2 or value < 0:
        raise ValueError(
            f"value {value}, n {n}, m {m}, bins {bins}: must be at least 0, 1, 1 and 2"
        )
    return float(special.chdtrc(bins - 1, value / (1 / n + 1 / m)))


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the Jensen-Shannon distance to the base 2: 0 for equal shares, at most 1.

    Empty cells need nothing: their terms are 0.
    """
    p, q = (_shares(counts) for counts in _both(reference, current))
    middle = (p + q) / 2
    twice = special.rel_entr(p, middle).sum() + special.rel_entr(q, middle).sum()
    # Equal shares may differ by rounding, and so have a divergence just below 0.
    return min(1.0, math.sqrt(max(0.0, float(twice) / math.log(2) / 2)))


def total_variation(
    reference: ArrayLike, current: ArrayLike, *, corrected: bool = False
) -> float:
    """Return the share of rows that would have to lie in another cell: 0 to 1.

    Half of the sum of |p - q|; of two cells the difference of two proportions, and of a
    normal value shifted by d standard deviations about .4 d. Few rows give distances by
    chance: .04 of 1,000 rows against 10,000, in 10 cells. Corrected, the variance that
    each p - q has without drift is taken off its square, and .017 remain.
    """
    of_reference, of_current = _both(reference, current)
    m, n = int(of_reference.sum()), int(of_current.sum())
    squares = (of_current / n - of_reference / m) ** 2
    if corrected:
        together = (of_current + of_reference) / (n + m)
        squares -= together * (1 - together) * (1 / n + 1 / m)
    return float(np.sqrt(np.maximum(0, squares)).sum()) / 2


def chi_squared(reference: ArrayLike, current: ArrayLike) -> tuple[float, float, int]:
    """Return statistic, p and degrees of freedom of Pearson's test of two samples.

    Cells that are empty in both do not count; of a single cell p is 1. Join rare cells
    first: see `with_rare_cells_joined`.
    """
    of_reference, of_current = _both(reference, current)
    m, n = int(of_reference.sum()), int(of_current.sum())
    freedom = len(of_reference) - 1
    if freedom == 0:
        return 0.0, 1.0, 0
    distance = of_current / n - of_reference / m
    together = (of_current + of_reference) / (n + m)
    statistic = float((distance**2 / together).sum()) / (1 / n + 1 / m)
    return statistic, float(special.chdtrc(freedom, statistic)), freedom


def with_rare_cells_joined(
    reference: ArrayLike, current: ArrayLike, least: float = 1
) -> tuple[Counts, Counts]:
    """Return both counts with all rare cells as one, the last.

    A cell is rare where fewer than `least` rows are expected in the smaller sample, by
    the shares of both samples together. If the joined cell is still rare, the smallest
    other one joins it. With 1 row (Cochran 1954, Biometrics 10:417) `chi_squared`
    rejects .03 to .07 at a level of .05 and at most .003 at .001; with rare cells
    apart, up to .13 and .06 (300 to 1,000 rows, up to 200 categories; 2026-11-29).
    """
    of_reference, of_current = _both(reference, current)
    together = of_reference + of_current
    smaller = min(int(of_reference.sum()), int(of_current.sum()))
    # The product first, which is exact: 1 row expected is 1, not a little less.
    expected = together.astype(np.float64) * smaller / int(together.sum())
    rare = expected < least
    if not rare.any():
        return of_reference, of_current
    if expected[rare].sum() < least and not rare.all():
        rare[np.argmin(np.where(rare, np.inf, expected))] = True
    return _joined(of_reference, rare), _joined(of_current, rare)


def ks(reference_counts: ArrayLike, current_counts: ArrayLike) -> tuple[float, float]:
    """Return Kolmogorov and Smirnov's D and p from counts in common cells, in order.

    D is the greatest distance of the two shares of rows up to a cell. The cells are the
    distinct values, or bins: then D is at most that of the values. p is that of values
    without ties, and too large with ties: at a level of .05, two samples of 1,000 from
    Poisson(2) are rejected .9 % of the time. Use `chi_squared` for few cells.
    """
    of_reference, of_current = _both(reference_counts, current_counts)
    m, n = int(of_reference.sum()), int(of_current.sum())
    apart = np.abs(np.cumsum(of_reference) / m - np.cumsum(of_current) / n)
    return float(apart.max()), _ks_p(float(apart.max()), m, n)


def ks_samples(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Return Kolmogorov and Smirnov's D and p of two samples of numbers."""
    of_a, of_b = checks.numbers(a, "a"), checks.numbers(b, "b")
    if not (len(of_a) and len(of_b)):
        raise ValueError(f"a has {len(of_a)} numbers and b {len(of_b)}: both need one")
    _, places = np.unique(np.concatenate([of_a, of_b]), return_inverse=True)
    ends = int(places.max()) + 1
    return ks(
        np.bincount(places[: len(of_a)], minlength=ends),
        np.bincount(places[len(of_a) :], minlength=ends),
    )


def two_proportions(a: Proportion, b: Proportion) -> float:
    """Return the p of two equal proportions: Fisher's exact test, two-sided.

    `a` and `b` are (successes, rows). Exact, since alarms need p far below .001, and
    with few successes the normal approximation is wrong by orders there.
    """
    (x, n), (y, m) = (checks.counts(given, "proportion").tolist() for given in (a, b))
    if x > n or y > m:
        raise ValueError(f"{a!r}, {b!r}: more successes than rows")
    if not (n and m and 0 < x + y < n + m):
        return 1.0
    return exact.two_sided(x, n, y, m)


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return adjusted p-values: those below q have a false discovery rate of at most q.

    Benjamini and Hochberg 1995, JRSS B 57:289; for independent or positively dependent
    tests.
    """
    given = checks.shares(p_values, "p_values")
    if given.size == 0:
        return given
    falling = np.argsort(-given, kind="stable")
    tests = len(given)
    adjusted = np.empty(tests)
    adjusted[falling] = np.minimum.accumulate(
        given[falling] * (tests / np.arange(tests, 0, -1))
    )
    return np.minimum(adjusted, 1.0)


def _both(reference: ArrayLike, current: ArrayLike) -> tuple[Counts, Counts]:
    """Return both counts without the cells that are empty in both."""
    of_reference = checks.counts(reference, "reference")
    of_current = checks.counts(current, "current")
    checks.one_length(reference=of_reference, current=of_current)
    if not (of_reference.any() and of_current.any()):
        raise ValueError(
            f"reference has {of_reference.sum()} rows and current {of_current.sum()}: "
            "both need one"
        )
    met = (of_reference + of_current) > 0
    return of_reference[met], of_current[met]


def _shares(counts: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _joined(counts: Counts, rare: NDArray[np.bool_]) -> Counts:
    return np.append(counts[~rare], counts[rare].sum())


def _ks_p(distance: float, m: int, n: int) -> float:
    """Return the asymptotic p, as scipy's ks_2samp computes it."""
    from scipy import stats

    return float(stats.kstwo.sf(distance, max(1, round(m * n / (m + n)))))
