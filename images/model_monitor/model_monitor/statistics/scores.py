"""Metrics of scores against labels of two classes, from rows grouped by their score.

`scores` are the values met, in any order, each as often as one likes; `negatives` and
`positives` (of the same length) count the rows with that score by label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from model_monitor.statistics import checks, intervals
from model_monitor.statistics.intervals import Interval

MOST_PAIRS = 2**61
"""Most pairs of a negative and a positive row: up to it, sums are exact."""


@dataclass(frozen=True)
class _Grouped:
    """Distinct scores in rising order, with the rows of each."""

    scores: NDArray[np.float64]
    negatives: NDArray[np.int64]
    positives: NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.negatives.sum() + self.positives.sum())


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with a score in (low, high], in the first bin from low on.

    `rate` is the share of positives among them; it and `mean_score` are None of no
    rows.
    """

    low: float
    high: float
    n: int
    mean_score: float | None
    rate: Interval | None


@dataclass(frozen=True)
class Calibration:
    """How far scores are from the shares of positives.

    `expected_error` (ECE) is the mean distance of rate and mean score over the bins,
    weighted by rows. It is above 0 of a perfectly calibrated model too, by chance: by
    about .03 of 1,000 rows and 10 bins.
    """

    bins: tuple[CalibrationBin, ...]
    expected_error: float


def auc(scores: ArrayLike, negatives: ArrayLike, positives: ArrayLike) -> float | None:
    """Return the area under the ROC curve; None without both labels.

    It is the share of pairs of a positive and a negative row where the positive one
    scores higher, equal scores counting half (Mann and Whitney 1947).
    """
    grouped = _grouped(scores, negatives, positives)
    pairs = _pairs(grouped)
    if pairs == 0:
        return None
    return int(grouped.positives @ _twice_below(grouped.negatives)) / (2 * pairs)


def auc_interval(
    scores: ArrayLike,
    negatives: ArrayLike,
    positives: ArrayLike,
    level: float = 0.95,
) -> Interval | None:
    """Return the AUC with its interval; None with fewer than 2 rows of either label.

    The variance is DeLong's (DeLong, DeLong and Clarke-Pearson 1988, Biometrics
    44:837), the interval symmetrical on the logit scale. Where the scores separate the
    labels wholly, that variance is 0: there the bounds are those of Newcombe's method 5
    (2006, Statistics in Medicine 25:559), which takes the variance at the bound.
    """
    grouped = _grouped(scores, negatives, positives)
    pairs = _pairs(grouped)
    n, p = int(grouped.negatives.sum()), int(grouped.positives.sum())
    z = intervals.normal_quantile(level)
    if n < 2 or p < 2:
        return None
    value = int(grouped.positives @ _twice_below(grouped.negatives)) / (2 * pairs)
    if value in {0.0, 1.0}:
        bound = _separated(z, n, p)
        return Interval(value, bound, 1.0) if value else Interval(0.0, 0.0, 1 - bound)
    of_positives = _twice_below(grouped.negatives) / (2 * n)
    of_negatives = 1 - _twice_below(grouped.positives) / (2 * p)
    variance = _variance(of_positives, grouped.positives) / p
    variance += _variance(of_negatives, grouped.negatives) / n
    half = z * math.sqrt(variance) / (value * (1 - value))
    logit = float(special.logit(value))
    low, high = special.expit([logit - half, logit + half])
    return Interval(value, min(value, float(low)), max(value, float(high)))


def brier(
    scores: ArrayLike, negatives: ArrayLike, positives: ArrayLike
) -> float | None:
    """Return the mean squared distance of score and label (0 or 1); None of no rows."""
    grouped = _grouped(checks.shares(scores, "scores"), negatives, positives)
    if grouped.n == 0:
        return None
    squares = grouped.negatives @ grouped.scores**2
    squares += grouped.positives @ (1 - grouped.scores) ** 2
    return float(squares) / grouped.n


def log_loss(
    scores: ArrayLike, negatives: ArrayLike, positives: ArrayLike
) -> float | None:
    """Return the mean of -log of the probability given to the label; None of no rows.

    Scores are clipped to [2.2e-16, 1 - 2.2e-16] (float64's epsilon, as scikit-learn
    does), so that a certain and wrong row costs 36 rather than everything.
    """
    grouped = _grouped(checks.shares(scores, "scores"), negatives, positives)
    if grouped.n == 0:
        return None
    epsilon = float(np.finfo(np.float64).eps)
    clipped = np.clip(grouped.scores, epsilon, 1 - epsilon)
    loss = grouped.positives @ -np.log(clipped)
    loss += grouped.negatives @ -np.log1p(-clipped)
    return float(loss) / grouped.n


def calibration(
    scores: ArrayLike, negatives: ArrayLike, positives: ArrayLike, bins: int = 10
) -> Calibration | None:
    """Compare scores and shares of positives in bins of equal width; None: no rows."""
    grouped = _grouped(checks.shares(scores, "scores"), negatives, positives)
    if bins < 1:
        raise ValueError(f"bins = {bins}: must be at least 1")
    if grouped.n == 0:
        return None
    edges = np.linspace(0, 1, bins + 1)
    number = np.searchsorted(edges[1:-1], grouped.scores)
    rows = grouped.negatives + grouped.positives
    found = []
    error = 0.0
    for index in range(bins):
        inside = number == index
        n = int(rows[inside].sum())
        rate = intervals.wilson(int(grouped.positives[inside].sum()), n)
        mean = float(rows[inside] @ grouped.scores[inside]) / n if n else None
        if rate is not None and mean is not None:
            error += n * abs(rate.value - mean)
        low, high = float(edges[index]), float(edges[index + 1])
        found.append(CalibrationBin(low, high, n, mean, rate))
    return Calibration(tuple(found), error / grouped.n)


def _grouped(scores: ArrayLike, negatives: ArrayLike, positives: ArrayLike) -> _Grouped:
    values = checks.numbers(scores, "scores")
    of_negatives = checks.counts(negatives, "negatives")
    of_positives = checks.counts(positives, "positives")
    checks.one_length(scores=values, negatives=of_negatives, positives=of_positives)
    # Most steps of a day's scores have no row.
    met = (of_negatives + of_positives) > 0
    values, of_negatives, of_positives = (
        values[met],
        of_negatives[met],
        of_positives[met],
    )
    distinct, places = np.unique(values, return_inverse=True)
    sums = np.zeros((2, len(distinct)), dtype=np.int64)
    np.add.at(sums[0], places, of_negatives)
    np.add.at(sums[1], places, of_positives)
    return _Grouped(distinct, sums[0], sums[1])


def _pairs(grouped: _Grouped) -> int:
    pairs = int(grouped.negatives.sum()) * int(grouped.positives.sum())
    if pairs > MOST_PAIRS:
        raise ValueError(f"{pairs} pairs of rows: more than 2**61; take fewer rows")
    return pairs


def _twice_below(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return twice the rows with a lower score, plus those with each score itself."""
    return np.asarray(2 * np.cumsum(counts) - counts, dtype=np.int64)


def _variance(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the sample variance of values met `counts` times."""
    n = int(counts.sum())
    mean = float(counts @ values) / n
    return float(counts @ (values - mean) ** 2) / (n - 1)


def _separated(z: float, n: int, p: int) -> float:
    """Return the lower bound of an AUC of 1 of n negative and p positive rows."""
    from scipy import optimize

    factor = (n + p) / 2 - 1

    def excess(bound: float) -> float:
        # (1 - bound)^2 less z^2 times the variance, both divided by 1 - bound.
        within = 1 + factor * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        return 1 - bound - z * z * bound * within / (n * p)

    return float(optimize.brentq(excess, 0.0, 1.0, xtol=1e-14))
