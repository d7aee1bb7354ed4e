"""Agreement of orders: the values of other programs, and how often chance alarms."""

from __future__ import annotations

import numpy as np
import pytest
from model_monitor.statistics import ranking
from scipy import stats
from sklearn.metrics import ndcg_score


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("size", [2, 5, 40])
def test_values_are_those_of_others(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    before, now = random.gamma(0.5, size=(2, size))
    if seed % 2:
        # Equals on both sides.
        before, now = np.round(before, 1), np.round(now, 1)
        before[0] = 1.0
    found = ranking.ndcg(before, now)
    assert found == pytest.approx(ndcg_score([before], [now]), abs=1e-12)
    if np.ptp(before) and np.ptp(now):
        expected = stats.spearmanr(before, now).statistic
        assert ranking.rank_correlation(before, now) == pytest.approx(
            expected, abs=1e-12
        )


def test_the_same_order_is_1_and_what_is_undefined_is_none() -> None:
    assert ranking.ndcg([3, 2, 1], [30, 2, 1.5]) == 1
    assert ranking.ndcg([0.0, 0.0], [1.0, 2.0]) is None
    assert ranking.rank_correlation([1, 1], [1, 2]) is None
    assert ranking.p_value([0.0, 0.0], [0.1, 0.1], [1.0, 2.0], [0.1, 0.1]) == 1


def test_the_loss_of_the_first_place_counts_most() -> None:
    importances = [0.4, 0.2, 0.1, 0.05, 0.05]
    last_two = ranking.ndcg(importances, [0.4, 0.2, 0.1, 0.01, 0.05])
    first_two = ranking.ndcg(importances, [0.2, 0.4, 0.1, 0.05, 0.05])
    turned = ranking.ndcg(importances, importances[::-1])
    assert last_two
    assert first_two
    assert turned
    assert 1 >= last_two > first_two > turned


EQUAL = np.array([0.2, 0.19, 0.18, 0.17, 0.05, 0.02, 0.02, 0.0])
CLEAR = np.array([0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.006, 0.003])


@pytest.mark.parametrize("truth", [EQUAL, CLEAR], ids=["near ties", "far apart"])
@pytest.mark.parametrize("error", [0.002, 0.02, 0.08])
def test_chance_alarms_no_more_often_than_alpha(
    truth: np.ndarray, error: float
) -> None:
    """200 pairs of estimates of the same importances; alpha is 0.05 here."""
    random = np.random.default_rng(1)
    errors = np.full(len(truth), error)
    reference_errors = errors / np.sqrt(7)
    found = []
    for _ in range(200):
        before = np.maximum(random.normal(truth, reference_errors), 0)
        now = np.maximum(random.normal(truth, errors), 0)
        found.append(ranking.p_value(before, reference_errors, now, errors))
    share = np.mean(np.array(found) < 0.05)
    # 0.05 + 3 standard errors of a share of 200.
    assert share <= 0.097


def test_a_raw_floor_would_alarm_of_noise_alone() -> None:
    """What the p-value is for: imprecise importances of one truth, NDCG below 0.9."""
    random = np.random.default_rng(2)
    truth, errors = np.array([0.06, 0.05, 0.05, 0.04, 0.03]), np.full(5, 0.05)
    below, significant = 0, 0
    for _ in range(300):
        before, now = np.maximum(random.normal(truth, errors, (2, 5)), 0)
        value = ranking.ndcg(before, now)
        if value is not None and value < 0.9:
            below += 1
            significant += ranking.p_value(before, errors, now, errors) < 0.01
    assert below > 60
    assert significant <= 8


def test_another_order_is_found() -> None:
    errors = np.full(len(CLEAR), 0.01)
    turned = CLEAR[[3, 2, 1, 0, 4, 5, 6, 7]]
    value = ranking.ndcg(CLEAR, turned)
    assert value is not None
    assert value < 0.9
    assert ranking.p_value(CLEAR, errors, turned, errors) < 0.001
