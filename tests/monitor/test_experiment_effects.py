"""The difference of two arms against statsmodels, and what it errs in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from model_monitor.experiments.effects import COLUMNS, Effect, UnitSums, effect

SEED = 20261130
RUNS = 500
Array = np.ndarray


def units(
    rng: np.random.Generator, n: int, shift: float = 0.0, spread: float = 0.1
) -> tuple[Array, Array, Array]:
    """y, m and x of callers: some send many requests, and callers differ in accuracy.

    x is what an old model's score says of the caller: most of what is their own.
    """
    own = rng.normal(0, spread, n)
    m = np.ceil(rng.lognormal(1.5, 1.2, n)).astype(int)
    y = rng.binomial(m, np.clip(0.75 + own + shift, 0, 1)).astype(float)
    return y, m.astype(float), own + rng.normal(0, spread / 4, n)


def both(
    seed: int, shift: float = 0.0, spread: float = 0.1
) -> tuple[UnitSums, UnitSums]:
    rng = np.random.default_rng(seed)
    return (
        UnitSums.of(*units(rng, 600, spread=spread)),
        UnitSums.of(*units(rng, 600, shift, spread)),
    )


def test_the_variance_is_that_of_a_regression_with_errors_by_cluster() -> None:
    rng = np.random.default_rng(SEED)
    arms = [units(rng, 400)[:2], units(rng, 500, 0.02)[:2]]
    rows, arm, cluster = [], [], []
    for number, (y, m) in enumerate(arms):
        for unit, (good, count) in enumerate(zip(y, m, strict=True)):
            rows += [1.0] * int(good) + [0.0] * int(count - good)
            arm += [float(number)] * int(count)
            cluster += [number * 1000 + unit] * int(count)
    fit = sm.OLS(rows, sm.add_constant(arm)).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(cluster)}
    )
    found = effect(*(UnitSums.of(y, m) for y, m in arms))
    assert found.difference == pytest.approx(fit.params[1])
    # Statsmodels corrects for few clusters a little differently.
    assert math.sqrt(found.variance) == pytest.approx(fit.bse[1], rel=5e-3)
    assert found.saved == 0.0


def test_the_covariate_is_a_regression_with_a_common_slope() -> None:
    """One row a unit: CUPED is then an analysis of covariance."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(0, 1, 2000)
    arm = np.repeat([0.0, 1.0], 1000)
    y = 0.3 * arm + 0.8 * x + rng.normal(0, 0.5, 2000)
    m = np.ones(2000)
    fit = sm.OLS(y, sm.add_constant(np.column_stack([arm, x]))).fit()
    sums = [UnitSums.of(y[arm == it], m[arm == it], x[arm == it]) for it in (0, 1)]
    found = effect(*sums)
    assert found.difference == pytest.approx(fit.params[1], abs=1e-3)
    assert math.sqrt(found.variance) == pytest.approx(fit.bse[1], rel=1e-2)
    assert 0.65 < found.saved < 0.8


def test_sums_can_be_read_in_the_order_of_their_names() -> None:
    y, m = np.array([1.0, 2.0, 0.0]), np.array([1.0, 4.0, 0.0])
    found = UnitSums.of(y, m, np.array([0.5, np.nan, 1.0]))
    assert found == UnitSums.of_row([2, 3, 5, 5, 9, 17, 1, 0.5, 0.25, 0.5, 0.5, 1, 1])
    assert len(COLUMNS) == 13
    assert UnitSums.of_row([None] * 13) == UnitSums()
    assert found.value == 0.6


def test_callers_without_a_covariate_shift_nothing() -> None:
    rng = np.random.default_rng(SEED)
    arms = []
    for _ in range(2):
        y, m, x = units(rng, 3000)
        x[rng.random(3000) < 0.5] = np.nan
        arms.append((y, m, x))
    found = effect(*(UnitSums.of(*it) for it in arms))
    plain = effect(*(UnitSums.of(y, m) for y, m, _ in arms))
    assert plain.variance == pytest.approx(found.plain_variance)
    assert 0.05 < found.saved < 0.4
    assert abs(found.difference - plain.difference) < 3 * math.sqrt(plain.variance)
    assert math.isnan(effect(UnitSums(), UnitSums()).difference)
    assert effect(UnitSums(), UnitSums()).information == 0.0


def rejected(effects: list[Effect]) -> float:
    return float(np.mean([abs(it.z) >= 1.96 for it in effects]))


def test_units_err_as_often_as_stated_and_requests_far_more() -> None:
    """Equal revisions. Requests of one caller are alike, so they count too much."""
    effects = [effect(*both(seed)) for seed in range(RUNS)]
    assert 0.025 < rejected(effects) < 0.08
    naive = []
    for seed in range(RUNS):
        arms = both(seed)
        shares = [it.value for it in arms]
        variance = sum(p * (1 - p) / it.m for p, it in zip(shares, arms, strict=True))
        naive.append(abs(shares[1] - shares[0]) / math.sqrt(variance) >= 1.96)
    assert np.mean(naive) > 0.2


def test_the_covariate_finds_what_is_hidden_without_it() -> None:
    """Of 3 points of accuracy among 1,200 callers who differ much."""
    effects = [effect(*both(seed, 0.03, 0.2)) for seed in range(RUNS // 3)]
    plain = [
        abs(it.treatment - it.control) / math.sqrt(it.plain_variance) >= 1.96
        for it in effects
    ]
    assert np.mean([it.saved for it in effects]) > 0.2
    assert rejected(effects) > np.mean(plain) + 0.03
    # Both estimate the same: the covariate shifts nothing.
    assert np.mean([it.difference for it in effects]) == pytest.approx(
        np.mean([it.treatment - it.control for it in effects]), abs=0.002
    )
