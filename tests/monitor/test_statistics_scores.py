"""AUC, Brier score, logarithmic loss and calibration against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.statistics import scores as figures
from sklearn import calibration, metrics

FEW = settings(max_examples=60, deadline=None)
GROUPS = st.lists(
    st.tuples(
        st.integers(0, 20).map(lambda step: step / 20),
        st.integers(0, 6),
        st.integers(0, 6),
    ),
    max_size=25,
)
Groups = list[tuple[float, int, int]]


def columns(groups: Groups) -> tuple[list[float], list[int], list[int]]:
    values, negatives, positives = zip(*groups, strict=True) if groups else ((),) * 3
    return list(values), list(negatives), list(positives)


def expanded(groups: Groups) -> tuple[list[int], list[float]]:
    """Labels and scores, one for each row."""
    rows = [
        (label, score)
        for score, *counts in groups
        for label, count in enumerate(counts)
        for _ in range(count)
    ]
    return [label for label, _ in rows], [score for _, score in rows]


def normal_groups(seed: int, n: int, p: int, digits: int = 2) -> Groups:
    """Scores of two classes, 1.5 deviations apart, rounded so that many are equal."""
    random = np.random.default_rng(seed)
    of_negatives = random.standard_normal(n).round(digits)
    of_positives = random.normal(1.5, 1, p).round(digits)
    return [(score, 1, 0) for score in of_negatives.tolist()] + [
        (score, 0, 1) for score in of_positives.tolist()
    ]


@FEW
@given(GROUPS, st.randoms())
def test_auc_equals_scikit_learns_in_any_order(groups: Groups, random) -> None:
    labels, values = expanded(groups)
    shuffled = random.sample(groups, len(groups))
    found = figures.auc(*columns(shuffled))
    if len(set(labels)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(metrics.roc_auc_score(labels, values), abs=1e-12)


def test_auc_of_a_million_rows_is_exact() -> None:
    """Every positive scores above all but one of the 10**6 negatives."""
    found = figures.auc([0.0, 0.5, 1.0], [10**6 - 1, 0, 1], [0, 10**6, 0])
    assert found == (10**6 - 1) / 10**6


@FEW
@given(GROUPS)
def test_the_losses_equal_scikit_learns(groups: Groups) -> None:
    labels, values = expanded(groups)
    found = figures.brier(*columns(groups)), figures.log_loss(*columns(groups))
    if not labels:
        assert found == (None, None)
        return
    brier = metrics.brier_score_loss(labels, values, pos_label=1, labels=[0, 1])
    assert found[0] == pytest.approx(brier, abs=1e-12)
    loss = metrics.log_loss(labels, values, labels=[0, 1])
    assert found[1] == pytest.approx(loss, rel=1e-9, abs=1e-12)


def test_a_certain_and_wrong_row_costs_36() -> None:
    assert figures.log_loss([1.0], [1], [0]) == pytest.approx(52 * math.log(2))


@pytest.mark.parametrize("bins", [1, 7, 10])
def test_calibration_equals_scikit_learns(bins: int) -> None:
    random = np.random.default_rng(2)
    values = np.concatenate([random.beta(2, 3, 500), [0, 0.1, 0.3, 0.7, 1]]).round(2)
    groups = [
        (score, *counts)
        for score, counts in zip(values, random.integers(0, 5, (505, 2)), strict=True)
    ]
    labels, rows = expanded(groups)
    rates, means = calibration.calibration_curve(labels, rows, n_bins=bins)
    found = figures.calibration(*columns(groups), bins=bins)
    assert found is not None
    filled = [it for it in found.bins if it.n]
    assert [it.rate.value for it in filled] == pytest.approx(rates, abs=1e-12)
    assert [it.mean_score for it in filled] == pytest.approx(means, abs=1e-12)
    sizes = [it.n for it in filled]
    assert sum(sizes) == len(labels)
    expected = np.average(np.abs(rates - means), weights=sizes)
    assert found.expected_error == pytest.approx(expected, abs=1e-12)


def test_calibration_by_hand() -> None:
    found = figures.calibration([0.1, 0.2, 0.9], [1, 2, 0], [0, 1, 4], bins=2)
    assert found is not None
    low, high = found.bins
    assert (low.low, low.high, low.n, high.n) == (0, 0.5, 4, 4)
    assert low.mean_score == pytest.approx(0.7 / 4)
    # (|1/4 - .175| 4 + |1 - .9| 4) / 8
    assert found.expected_error == pytest.approx((0.075 + 0.1) / 2)
    empty = figures.calibration([0.1], [1], [0], bins=2)
    assert empty is not None
    assert (empty.bins[1].n, empty.bins[1].rate, empty.bins[1].mean_score) == (
        0,
        None,
        None,
    )
    assert figures.calibration([], [], []) is None


def test_chance_alone_gives_the_stated_calibration_error() -> None:
    """1,000 rows with labels drawn by their own scores, 10 bins: about .03."""
    random = np.random.default_rng(3)
    errors = []
    for _ in range(50):
        values = random.random(1000)
        labels = random.random(1000) < values
        errors.append(figures.calibration(values, ~labels, labels).expected_error)
    assert np.mean(errors) == pytest.approx(0.03, abs=0.003)


def delong_variance(groups: Groups) -> float:
    """Variance of the AUC by the definition: all pairs of rows, one by one."""
    labels, values = (np.array(it) for it in expanded(groups))
    pairs = np.subtract.outer(values[labels == 1], values[labels == 0])
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    return wins.mean(1).var(ddof=1) / len(wins) + wins.mean(0).var(ddof=1) / len(wins.T)


@pytest.mark.parametrize(("seed", "n", "p"), [(1, 12, 8), (2, 200, 90), (3, 40, 300)])
def test_the_interval_has_delongs_variance_on_the_logit_scale(
    seed: int, n: int, p: int
) -> None:
    groups = normal_groups(seed, n, p, digits=1)
    found = figures.auc_interval(*columns(groups))
    assert found is not None
    assert found.value == figures.auc(*columns(groups))
    deviation = math.sqrt(delong_variance(groups))
    half = 1.959963984540054 * deviation / (found.value * (1 - found.value))

    def logit(share: float) -> float:
        return math.log(share / (1 - share))

    assert logit(found.low) == pytest.approx(logit(found.value) - half, abs=1e-9)
    assert logit(found.high) == pytest.approx(logit(found.value) + half, abs=1e-9)


def test_the_interval_covers_what_it_should() -> None:
    """600 days of 100 negatives and 40 positives; AUC of normals: Phi(1.5 / sqrt 2)."""
    truth = 0.5 * (1 + math.erf(1.5 / 2))
    inside = 0
    for seed in range(600):
        found = figures.auc_interval(*columns(normal_groups(seed, 100, 40)))
        inside += found.low <= truth <= found.high
    # 95 % give 570 +- 10.7 (two deviations).
    assert 556 <= inside <= 586


def test_the_interval_of_separated_scores_is_newcombes() -> None:
    """Its bound L has 1 - L = z sd(L), the variance as in his method 5."""
    found = figures.auc_interval([0.2, 0.8], [20, 0], [0, 10])
    assert found is not None
    assert (found.value, found.high) == (1, 1)
    low = found.low
    factor = (20 + 10) / 2 - 1
    variance = low * (1 - low) / (20 * 10)
    variance *= 1 + factor * ((1 - low) / (2 - low) + low / (1 + low))
    assert 1 - low == pytest.approx(1.959963984540054 * math.sqrt(variance), abs=1e-9)
    mirrored = figures.auc_interval([0.8, 0.2], [20, 0], [0, 10])
    assert (mirrored.value, mirrored.low) == (0, 0)
    assert mirrored.high == pytest.approx(1 - low)


def test_too_few_rows_have_no_interval() -> None:
    assert figures.auc_interval([0.1, 0.2], [1, 0], [0, 9]) is None
    assert figures.auc_interval([], [], []) is None
    constant = figures.auc_interval([0.3], [9], [4])
    assert (constant.value, constant.low, constant.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.auc([math.nan], [1], [1]), r"scores\[0\] = nan: must be a f"),
        (lambda: figures.auc([0.1], [1.5], [1]), r"negatives\[0\] = 1.5: a count is"),
        (lambda: figures.auc([0.1], [1, 2], [1]), "scores has 1, negatives has 2"),
        (lambda: figures.auc([0], [2**40], [2**40]), "pairs of rows: more than 2"),
        (lambda: figures.brier([1.1], [1], [1]), r"scores\[0\] = 1.1: must lie betw"),
        (lambda: figures.log_loss([-0.1], [1], [1]), r"scores\[0\] = -0.1: must lie"),
        (lambda: figures.calibration([0.1], [1], [1], bins=0), "bins = 0: must be at"),
    ],
)
def test_wrong_values_are_refused_with_what_was_given(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
