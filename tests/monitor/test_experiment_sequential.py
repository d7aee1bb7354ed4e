"""Sequential tests against published constants, other libraries and simulations.

The simulated tables are what docs/how-to/experiments.md shows; they are printed when
this file is run with images/model_monitor in PYTHONPATH (some 20 seconds).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from model_monitor.experiments import sequential
from model_monitor.experiments.sequential import Spending
from scipy import stats
from statsmodels.stats.power import NormalIndPower

SEED = 20261130
LOOKS = 14
RUNS = 4000
ALPHA = 0.05
Array = np.ndarray


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Of five equal looks and two-sided 5 %: Reboussin, DeMets, Kim, Lan, Controlled
        # Clinical Trials 2000 (the program ld98, and R's ldbounds).
        (Spending.OBRIEN_FLEMING, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        (Spending.POCOCK, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_boundaries_are_the_published_ones(
    spending: Spending, published: list[float]
) -> None:
    looks = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = sequential.boundaries(looks, looks, ALPHA, spending)
    assert found == pytest.approx(published, abs=2e-4)


def test_uneven_looks_spend_what_the_normal_distribution_says() -> None:
    """Against the integral of three correlated normals (scipy)."""
    looks = [0.35, 0.5, 1.0]
    found = sequential.boundaries(looks, looks, ALPHA)
    least, most = np.minimum.outer(looks, looks), np.maximum.outer(looks, looks)
    correlation = np.sqrt(least / most)
    rng = np.random.default_rng(SEED)
    within = stats.multivariate_normal(cov=correlation, seed=rng, abseps=1e-8).cdf(
        found, lower_limit=-np.array(found)
    )
    assert 1 - within == pytest.approx(ALPHA, abs=1e-5)


def test_the_planned_units_and_the_information_are_two_scales() -> None:
    """Callers who come back add information and no units."""
    found = sequential.boundaries([0.5, 1.0], [3.0, 4.0], ALPHA)
    same = sequential.boundaries([0.5, 1.0], [2.0, 4.0], ALPHA)
    assert found[0] == pytest.approx(same[0])
    # The second look tells less that is new, so its boundary is lower.
    assert found[1] < same[1]


def test_a_look_without_new_information_decides_nothing() -> None:
    found = sequential.boundaries([0.5, 0.5001, 1.0], [1.0, 1.0, 2.0], ALPHA)
    assert found[1] == math.inf
    assert found[2] == pytest.approx(
        sequential.boundaries([0.5, 1.0], [1.0, 2.0], ALPHA)[1]
    )


def test_many_looks_are_quick_and_bounded() -> None:
    looks = [k / 200 for k in range(1, 201)]
    found = sequential.boundaries(looks, looks, ALPHA)
    assert found[0] == math.inf
    assert 2.0 < found[-1] < 2.4
    finite = [it for it in found if it < math.inf]
    assert len(finite) > 180
    assert finite == sorted(finite, reverse=True)


@pytest.mark.parametrize("information", [1.0, 400.0, 1e6])
def test_the_interval_excludes_zero_just_where_the_test_rejects(
    information: float,
) -> None:
    scale = 0.05
    half = sequential.always_valid_half(information, scale, ALPHA)
    at = sequential.always_valid_p(half, information, scale)
    assert at == pytest.approx(ALPHA)
    # The likelihood ratio is that of the normal mixture over the effect.
    deviation = 1 / math.sqrt(information)
    mixed = stats.norm.logpdf(half, scale=math.hypot(deviation, scale))
    log = mixed - stats.norm.logpdf(half, scale=deviation)
    assert math.log(1 / at) == pytest.approx(log)
    assert sequential.always_valid_half(0.0, scale, ALPHA) == math.inf


def test_the_sample_ratio_is_a_mixture_of_binomials() -> None:
    prior = stats.betabinom(10_000, 1000 * 0.1, 1000 * 0.9)
    wanted = prior.pmf(1100) / stats.binom(10_000, 0.1).pmf(1100)
    found = sequential.sample_ratio_evidence(1100, 8900, 0.1)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert sequential.sample_ratio_evidence(0, 0, 0.5) == pytest.approx(1.0)
    # 10.5 % instead of 10 %, of 80,000 units.
    assert sequential.sample_ratio_evidence(8400, 71600, 0.1) > sequential.ALARM
    assert sequential.sample_ratio_evidence(8000, 72000, 0.1) < 1


def test_units_needed_is_the_sample_size_of_statsmodels() -> None:
    effect, deviation = 0.01, 0.36
    per_arm = NormalIndPower().solve_power(effect / deviation, alpha=ALPHA, power=0.8)
    information = 1 / (2 * deviation**2 / 500)
    found = sequential.units_needed(1000, information, effect, ALPHA, 0.8)
    assert found == pytest.approx(2 * per_arm, rel=1e-4)
    assert sequential.units_needed(0, 0.0, effect, ALPHA, 0.8) == math.inf


def paths(effect: float, seed: int = SEED) -> Array:
    """z at each look, shape (RUNS, LOOKS), of equal days; `effect` is z at the end."""
    steps = np.random.default_rng(seed).standard_normal((RUNS, LOOKS))
    fraction = np.arange(1, LOOKS + 1) / LOOKS
    scores = np.cumsum(steps, axis=1) / math.sqrt(LOOKS) + effect * fraction
    return np.asarray(scores / np.sqrt(fraction))


@functools.cache
def bounds(rule: str, scale: float = 1.0) -> tuple[float, ...]:
    """Critical |z| of each look; `scale` of the mixture is the effect looked for."""
    fractions = [k / LOOKS for k in range(1, LOOKS + 1)]
    if rule == "fixed, looked at once":
        return (*[math.inf] * (LOOKS - 1), 1.96)
    if rule == "fixed, looked at each day":
        return (1.96,) * LOOKS
    if rule == "always_valid":
        return tuple(
            sequential.always_valid_half(it, scale, ALPHA) * math.sqrt(it)
            for it in fractions
        )
    return tuple(sequential.boundaries(fractions, fractions, ALPHA, Spending(rule)))


def decided(rule: str, effect: float, scale: float = 2.8) -> tuple[float, float]:
    """Share of runs that find a difference, and the mean share of the time needed."""
    crossed = np.abs(paths(effect)) >= np.array(bounds(rule, scale))
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, LOOKS)
    return float(crossed.any(axis=1).mean()), float(first.mean() / LOOKS)


RULES = ("always_valid", "obrien_fleming", "pocock")


@pytest.mark.parametrize("rule", RULES)
def test_looking_each_day_finds_no_more_than_alpha(rule: str) -> None:
    """At most 5 % of equal revisions, within three standard errors of 4,000 runs."""
    found, _ = decided(rule, 0.0)
    assert found <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
    if rule != "always_valid":
        assert found >= 0.04


def test_a_fixed_test_looked_at_each_day_finds_what_is_not_there() -> None:
    assert decided("fixed, looked at each day", 0.0)[0] > 0.2


@pytest.mark.parametrize(
    ("rule", "least"),
    [("always_valid", 0.47), ("obrien_fleming", 0.77), ("pocock", 0.68)],
)
def test_an_effect_planned_for_is_found(rule: str, least: float) -> None:
    """z of 2.8 at the end is a power of 80 % for one look there."""
    found, time = decided(rule, 2.8)
    assert least <= found <= 0.81
    assert time < 0.95


def _table() -> None:
    print(
        "| test | equal revisions: finds a difference | effect of 80 % power: found |"
        " time needed |"
    )
    print("|---|---|---|---|")
    for rule in ("fixed, looked at once", "fixed, looked at each day", *RULES):
        (false, _), (true, time) = decided(rule, 0.0), decided(rule, 2.8)
        print(f"| {rule} | {false:.3f} | {true:.2f} | {time:.0%} |")


if __name__ == "__main__":
    _table()
