"""Permutation importance against scikit-learn and the closed form of a linear model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from model_monitor.statistics import permutation
from scipy import stats
from sklearn import inspection, linear_model, metrics

ROWS = np.random.default_rng(1).normal([0, 5, -1], [1, 2, 0.5], (400, 3))
WEIGHTS = np.array([2.0, -1.0, 0.0])


def linear(rows: np.ndarray) -> np.ndarray:
    return rows @ WEIGHTS + 3


@pytest.mark.parametrize("seed", [0, 7])
def test_importance_equals_scikit_learns(seed: int) -> None:
    labels = (linear(ROWS) + np.random.default_rng(2).normal(0, 2, 400)) > 0
    model = linear_model.LogisticRegression().fit(ROWS, labels)
    expected = inspection.permutation_importance(
        model, ROWS, labels, scoring="roc_auc", n_repeats=6, random_state=seed
    )
    found = permutation.permutation_importance(
        model.decision_function,
        ROWS,
        metric=lambda scores: metrics.roc_auc_score(labels, scores),
        repeats=6,
        seed=seed,
    )
    assert [it.value for it in found] == pytest.approx(
        expected.importances_mean, abs=1e-12
    )
    # Student's interval of the mean of the repeats.
    half = stats.t(5).ppf(0.975) * expected.importances.std(1, ddof=1) / math.sqrt(6)
    assert [it.high - it.value for it in found] == pytest.approx(half, abs=1e-12)
    assert [it.value - it.low for it in found] == pytest.approx(half, abs=1e-12)


def test_without_labels_it_is_the_closed_form_of_a_linear_model() -> None:
    """Shuffled, feature j changes scores by a mean square of 2 w_j^2 var(x_j)."""
    found = permutation.permutation_importance(linear, ROWS, repeats=60, seed=3)
    expected = 2 * WEIGHTS**2 * ROWS.var(axis=0)
    # Of 60 shufflings of 400 rows the mean is known to 1 %.
    assert [it.value for it in found] == pytest.approx(expected, rel=0.04)
    assert found[2].value == found[2].high == 0
    for interval, value in zip(found, expected, strict=True):
        assert interval.low - 0.02 * value <= value <= interval.high + 0.02 * value


def test_importance_depends_on_its_seed_and_leaves_the_rows_alone() -> None:
    before = ROWS.copy()
    first, again, other = (
        permutation.permutation_importance(linear, ROWS, repeats=3, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert (before == ROWS).all()


def test_shift_of_attributions() -> None:
    weights = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    same = permutation.attribution_shift(weights, [10 * it for it in weights], top=3)
    assert same.rank_distance == pytest.approx(0, abs=1e-12)
    assert (same.overlap, same.top) == (1, 3)
    reverse = permutation.attribution_shift(weights, weights[::-1], top=3)
    assert reverse.rank_distance == pytest.approx(2)
    assert reverse.overlap == 0
    # One swap of neighbours: Spearman's correlation is 1 - 6 * 2 / (n (n^2 - 1)).
    swapped = permutation.attribution_shift(weights, [5, 4, 2, 3, 1, 0], top=3)
    assert swapped.rank_distance == pytest.approx(12 / 210)
    assert swapped.overlap == pytest.approx(2 / 3)
    first = permutation.attribution_shift([9, 8, 1, 0], [8, 9, 1, 0], top=1)
    assert first.overlap == 0
    flat = permutation.attribution_shift(weights, [1.0] * 6, top=9)
    assert (flat.rank_distance, flat.overlap, flat.top) == (None, 1, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: permutation.permutation_importance(linear, [1.0, 2.0], seed=1),
            r"rows: shape \(2,\): must be \(2 or more, features\)",
        ),
        (
            lambda: permutation.permutation_importance(linear, ROWS, repeats=1, seed=1),
            "repeats = 1: an interval needs at least 2",
        ),
        (
            lambda: permutation.permutation_importance(lambda rows: rows, ROWS, seed=1),
            r"scores: shape \(400, 3\): must be \(400,\)",
        ),
        (
            lambda: permutation.permutation_importance(
                lambda rows: rows[:, 0] * np.nan, ROWS, seed=1
            ),
            r"scores\[0\] = nan: must be a finite number",
        ),
        (
            lambda: permutation.attribution_shift([1, 2], [1, math.inf]),
            r"current\[1\] = inf: must be a finite number",
        ),
        (
            lambda: permutation.attribution_shift([1, 2], [1, 2, 3]),
            "reference has 2, current has 3",
        ),
        (
            lambda: permutation.attribution_shift([1], [1]),
            "1 features, top = 5: must be at least 2 and 1",
        ),
    ],
)
def test_wrong_values_are_refused_with_what_was_given(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
