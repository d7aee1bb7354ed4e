"""Whether two lists of importances order their features alike.

The score is NDCG (Järvelin and Kekäläinen 2002): the reference's importances, read in
the current order and discounted by the logarithm of the place, as a share of what their
own order gives. It is 1 for the same order and falls most where the most important
features lose their places; features that matter little may change places freely.

Importances are estimates, so that even the same model on the same population has an
NDCG below 1. `p_value` is the share of such pairs that have one as low.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 2000
"""Simulated pairs; the smallest p-value is 1 / (DRAWS + 1)."""
SEED = 20261129


def ndcg(reference: Sequence[float], current: Sequence[float]) -> float | None:
    """Return the NDCG of the current order; None if no feature of the reference counts.

    Features that are equally important now share their places.
    """
    gains = np.asarray(reference, np.float64)
    found = _ndcg(gains[None, :], np.asarray(current, np.float64)[None, :])[0]
    return None if np.isnan(found) else float(found)


def rank_correlation(
    reference: Sequence[float], current: Sequence[float]
) -> float | None:
    """Return Spearman's coefficient; None where all of one side are equal."""
    from scipy import stats

    ranks = stats.rankdata([reference, current], axis=1)
    if np.ptp(ranks, axis=1).min() == 0:
        return None
    return float(np.corrcoef(ranks)[0, 1])


def p_value(
    reference: Sequence[float],
    reference_errors: Sequence[float],
    current: Sequence[float],
    current_errors: Sequence[float],
) -> float:
    """Return how often an NDCG is as low if only sampling makes the lists differ.

    Both are drawn around their mean, weighted by precision, with normal errors of the
    given standard errors (parametric bootstrap). Errors of one day are taken as
    independent; that they rise and fall together makes the true p-value smaller.
    """
    before, now = (np.asarray(it, np.float64) for it in (reference, current))
    errors = [np.asarray(it, np.float64) for it in (reference_errors, current_errors)]
    observed = _ndcg(before[None, :], now[None, :])[0]
    if np.isnan(observed):
        return 1.0
    mean = _pooled(before, now, *errors)
    normal = np.random.default_rng(SEED).standard_normal((2, DRAWS, len(mean)))
    simulated = _ndcg(mean + errors[0] * normal[0], mean + errors[1] * normal[1])
    # A pair without any importance says nothing, and so not that the lists differ.
    as_low = np.count_nonzero(~(simulated > observed))
    return (1 + int(as_low)) / (DRAWS + 1)


def _pooled(
    before: Floats, now: Floats, before_error: Floats, now_error: Floats
) -> Floats:
    """Return the means of both lists, weighted by precision."""
    variances = before_error**2, now_error**2
    total = variances[0] + variances[1]
    weight = np.where(total > 0, variances[1] / np.where(total > 0, total, 1.0), 0.5)
    return np.maximum(weight * before + (1 - weight) * now, 0.0)


def _ndcg(gains: Floats, order_by: Floats) -> Floats:
    """Return the NDCG of each row; NaN where no gain is above 0."""
    gains = np.maximum(gains, 0.0)
    discounts = 1 / np.log2(np.arange(2, gains.shape[1] + 2))
    order = np.argsort(-order_by, axis=1, kind="stable")
    placed = np.take_along_axis(order_by, order, axis=1)
    found = np.take_along_axis(gains, order, axis=1) @ discounts
    # Equals share the mean of their discounts.
    for row in np.flatnonzero((placed[:, 1:] == placed[:, :-1]).any(axis=1)):
        _, group, sizes = np.unique(
            -placed[row], return_inverse=True, return_counts=True
        )
        shared = np.bincount(group, discounts) / sizes
        found[row] = gains[row, order[row]] @ shared[group]
    ideal = -np.sort(-gains, axis=1) @ discounts
    with np.errstate(invalid="ignore"):
        return np.asarray(found / ideal, np.float64)
