"""The features that a model's scores depend on, and shifts of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from model_monitor.statistics import checks
from model_monitor.statistics.intervals import Interval

Rows = NDArray[np.float64]
"""Shape (rows, features)."""
Scores = NDArray[np.float64]
"""Shape (rows,)."""


@dataclass(frozen=True)
class Shift:
    """How far two attributions of the same features are apart.

    `rank_distance` is 1 less Spearman's rank correlation: 0 for the same order, 2 for
    the reverse, None where all features of one have equal weight. `overlap` is the
    share of the reference's first `top` features that are also the current one's.
    """

    rank_distance: float | None
    overlap: float
    top: int


def permutation_importance(
    score: Callable[[Rows], ArrayLike],
    rows: ArrayLike,
    *,
    metric: Callable[[Scores], float] | None = None,
    repeats: int = 10,
    seed: int,
    level: float = 0.95,
) -> list[Interval]:
    """Return for each feature how much is lost where its values are shuffled.

    `score` gives a score for each row; `rows` has the shape (rows, features). `metric`
    is of all scores, and larger is better: accuracy against labels, for example.
    Without one, what is lost is the mean squared change of the scores, which needs no
    labels.

    The value is the mean over `repeats` (at least 2), the interval Student's of that
    mean: it is the error of the shuffling, not that of the rows. Values are shuffled as
    scikit-learn's permutation_importance does, which so gives the same figures (Breiman
    2001, Machine Learning 45:5).
    """
    given = checks.numbers(rows, "rows")
    if given.ndim != 2 or len(given) < 2:
        raise ValueError(f"rows: shape {given.shape}: must be (2 or more, features)")
    if repeats < 2:
        raise ValueError(f"repeats = {repeats}: an interval needs at least 2")
    tail = 0.5 + checks.share(level, "level") / 2
    before = _scores(score, given)

    def lost(after: Scores) -> float:
        if metric is None:
            return float(np.mean((after - before) ** 2))
        return metric(before) - metric(after)

    feature_seed = np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1)
    quantile = float(special.stdtrit(repeats - 1, tail))
    found = []
    for feature in range(given.shape[1]):
        losses = checks.numbers(
            [
                lost(_scores(score, shuffled))
                for shuffled in _shuffled(given, feature, repeats, feature_seed)
            ],
            f"losses of feature {feature}",
        )
        value = float(losses.mean())
        half = quantile * float(losses.std(ddof=1)) / math.sqrt(repeats)
        found.append(Interval(value, value - half, value + half))
    return found


def attribution_shift(reference: ArrayLike, current: ArrayLike, top: int = 5) -> Shift:
    """Compare the weights of the features in two attributions, shape (features,).

    Weights are importances or mean absolute attributions; their units may differ, since
    only the order counts. Of equal weights the feature that comes first is ahead.
    """
    before = checks.numbers(reference, "reference")
    after = checks.numbers(current, "current")
    checks.one_length(reference=before, current=after)
    if len(before) < 2 or top < 1:
        raise ValueError(
            f"{len(before)} features, top = {top}: must be at least 2 and 1"
        )
    count = min(top, len(before))
    overlap = len(_first(before, count) & _first(after, count)) / count
    if np.ptp(before) == 0 or np.ptp(after) == 0:
        return Shift(None, overlap, count)
    from scipy import stats

    correlation = float(stats.spearmanr(before, after).statistic)
    return Shift(1 - correlation, overlap, count)


def _first(weights: NDArray[np.float64], count: int) -> set[int]:
    return set(np.argsort(-weights, kind="stable")[:count].tolist())


def _scores(score: Callable[[Rows], ArrayLike], rows: Rows) -> Scores:
    scores = checks.numbers(score(rows), "scores")
    if scores.shape != (len(rows),):
        raise ValueError(f"scores: shape {scores.shape}: must be ({len(rows)},)")
    return scores


def _shuffled(rows: Rows, feature: int, repeats: int, seed: int) -> Iterator[Rows]:
    """Yield the rows with one feature shuffled, again and again in the same array."""
    random = np.random.RandomState(seed)
    order = np.arange(len(rows))
    changed = rows.copy()
    for _ in range(repeats):
        random.shuffle(order)
        changed[:, feature] = changed[order, feature]
        yield changed
