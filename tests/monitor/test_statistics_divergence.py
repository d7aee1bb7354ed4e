"""Divergences and tests of two samples, against scipy, statsmodels and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_monitor.statistics import divergence
from scipy import stats
from statsmodels.stats import multitest

FEW = settings(max_examples=60, deadline=None)
CELLS = st.integers(1, 12).flatmap(
    lambda cells: st.tuples(
        *[st.lists(st.integers(0, 200), min_size=cells, max_size=cells)] * 2
    )
)
Pair = tuple[list[int], list[int]]


@FEW
@given(CELLS)
def test_psi_is_its_formula_where_no_cell_is_empty(pair: Pair) -> None:
    assume(all(pair[0]) and all(pair[1]))
    p, q = (np.array(counts) / sum(counts) for counts in pair)
    # Jeffreys' divergence: the relative entropies of both to the other.
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert divergence.psi(*pair) == pytest.approx(expected, abs=1e-12)
    assert divergence.psi(*pair) == pytest.approx(divergence.psi(*pair[::-1]))


def test_psi_adds_half_a_row_where_a_cell_is_empty() -> None:
    found = divergence.psi([60, 40, 0, 0], [70, 20, 10, 0])
    p = np.array([60.5, 40.5, 0.5]) / 101.5
    q = np.array([70.5, 20.5, 10.5]) / 101.5
    assert found == pytest.approx(float(((q - p) * np.log(q / p)).sum()), abs=1e-12)


@pytest.mark.parametrize(
    ("n", "m", "mean", "percentile"),
    # Potgieter et al. 2023 (arXiv 2307.11878): (1/n + 1/m) chi-squared, 10 cells.
    [(1000, 1000, 0.0180, 0.0338), (1000, 10000, 0.0099, 0.0186)],
)
def test_psi_has_its_null(n: int, m: int, mean: float, percentile: float) -> None:
    random = np.random.default_rng(1)
    found = [
        divergence.psi(
            random.multinomial(m, [0.1] * 10), random.multinomial(n, [0.1] * 10)
        )
        for _ in range(3000)
    ]
    assert np.mean(found) == pytest.approx(mean, rel=0.04)
    assert np.quantile(found, 0.95) == pytest.approx(percentile, rel=0.04)
    assert divergence.psi_p_value(percentile, n, m, 10) == pytest.approx(0.05, abs=5e-4)


def test_rare_cells_lower_the_index_and_leave_chi_squared_its_level() -> None:
    """50 categories after Zipf's law: 15 of them expected in a row of 1,000 or less."""
    random = np.random.default_rng(2)
    shares = 1 / np.arange(1, 51) ** 1.5
    shares /= shares.sum()
    of_psi, of_chi_squared = [], []
    for _ in range(1000):
        pair = random.multinomial(10000, shares), random.multinomial(1000, shares)
        of_psi.append(divergence.psi_p_value(divergence.psi(*pair), 1000, 10000, 50))
        joined = divergence.with_rare_cells_joined(*pair)
        of_chi_squared.append(divergence.chi_squared(*joined)[1])
    assert np.mean(np.array(of_psi) < 0.05) == pytest.approx(0.03, abs=0.02)
    assert np.mean(np.array(of_chi_squared) < 0.05) == pytest.approx(0.05, abs=0.02)


@FEW
@given(CELLS)
def test_the_total_variation_is_half_of_all_distances(pair: Pair) -> None:
    assume(any(pair[0]) and any(pair[1]))
    found = divergence.total_variation(*pair)
    p, q = (np.array(counts) / sum(counts) for counts in pair)
    assert found == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-12)
    assert found == pytest.approx(divergence.total_variation(*pair[::-1]), abs=1e-12)
    assert 0 <= divergence.total_variation(*pair, corrected=True) <= found <= 1 + 1e-12


def test_the_corrected_total_variation_is_near_0_by_chance_and_right_with_many() -> (
    None
):
    """Without drift |p - q| of 10 cells has the mean sqrt(2/pi .09 (1/n + 1/m))."""
    random = np.random.default_rng(5)
    pairs = [
        (random.multinomial(10000, [0.1] * 10), random.multinomial(1000, [0.1] * 10))
        for _ in range(1000)
    ]
    plain = np.mean([divergence.total_variation(*pair) for pair in pairs])
    by_chance = 5 * math.sqrt(2 / math.pi * 0.09 * (1 / 1000 + 1 / 10000))
    assert plain == pytest.approx(by_chance, rel=0.02)
    corrected = [divergence.total_variation(*pair, corrected=True) for pair in pairs]
    # Of a normal z, sqrt(z squared - 1) has the mean .3426 where it is real, else 0.
    assert np.mean(corrected) == pytest.approx(by_chance / 0.7979 * 0.3426, rel=0.05)
    found = divergence.total_variation(
        [4 * 10**8, 6 * 10**8], [4, 6][::-1], corrected=True
    )
    assert found == pytest.approx(math.sqrt(0.04 - 0.24 / 10), abs=1e-6)


@FEW
@given(CELLS)
def test_the_jensen_shannon_distance_is_symmetrical_and_its_formula(pair: Pair) -> None:
    assume(any(pair[0]) and any(pair[1]))
    found = divergence.jensen_shannon(*pair)
    assert 0 <= found <= 1
    assert found == pytest.approx(divergence.jensen_shannon(*pair[::-1]), abs=1e-12)
    p, q = (np.array(counts) / sum(counts) for counts in pair)
    mixture = (p + q) / 2
    divergences = [stats.entropy(it, mixture, base=2) for it in (p, q)]
    assert found**2 == pytest.approx(np.mean(divergences), abs=1e-12)


def test_the_jensen_shannon_distance_at_its_ends() -> None:
    assert divergence.jensen_shannon([1, 2, 0], [10, 20, 0]) == 0
    assert divergence.jensen_shannon([3, 0], [0, 5]) == 1


@FEW
@given(CELLS)
def test_chi_squared_equals_scipys_test_of_a_table(pair: Pair) -> None:
    assume(any(pair[0]) and any(pair[1]))
    table = np.array(pair)
    table = table[:, table.sum(0) > 0]
    found = divergence.chi_squared(*pair)
    if table.shape[1] == 1:
        assert found == (0.0, 1.0, 0)
    else:
        expected = stats.chi2_contingency(table, correction=False)
        assert found == pytest.approx(
            (expected.statistic, expected.pvalue, expected.dof), rel=1e-9, abs=1e-12
        )


@pytest.mark.parametrize("cells", [3, 10, 30])
def test_chi_squared_holds_its_level_where_the_reference_is_a_sample(
    cells: int,
) -> None:
    """A test that takes the reference as exact rejects .19, .48 and .88 of these."""
    random = np.random.default_rng(cells)
    shares = [1 / cells] * cells
    rejected = [
        divergence.chi_squared(*random.multinomial(1000, shares, 2))[1] < 0.05
        for _ in range(2000)
    ]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.015)


def test_rare_cells_are_joined() -> None:
    """Of the smaller sample, 100 rows, the cells have 50, 45, 3, 1 and 1 expected."""
    reference, current = [500, 450, 30, 10, 10, 0], [50, 45, 3, 1, 1, 0]
    found = divergence.with_rare_cells_joined(reference, current, least=5)
    assert [it.tolist() for it in found] == [[500, 450, 50], [50, 45, 5]]
    # 3 and 1 are too few together: the smallest other cell joins them.
    found = divergence.with_rare_cells_joined([500, 460, 30, 10], [50, 46, 3, 1], 5)
    assert [it.tolist() for it in found] == [[500, 500], [50, 50]]
    found = divergence.with_rare_cells_joined([2, 1], [1, 1], 5)
    assert [it.tolist() for it in found] == [[3], [2]]
    # By default below 1 row: .3 and .2 are expected, and 1.5 join them.
    found = divergence.with_rare_cells_joined([9800, 150, 30, 20], [100, 0, 0, 0])
    assert [it.tolist() for it in found] == [[9800, 200], [100, 0]]
    kept = divergence.with_rare_cells_joined([50, 50, 0], [50, 50, 0])
    assert [it.tolist() for it in kept] == [[50, 50], [50, 50]]


@FEW
@given(CELLS)
def test_joining_keeps_every_row(pair: Pair) -> None:
    assume(any(pair[0]) and any(pair[1]))
    found = divergence.with_rare_cells_joined(*pair)
    assert [int(it.sum()) for it in found] == [sum(it) for it in pair]


@FEW
@given(CELLS)
def test_ks_equals_scipys_on_the_values(pair: Pair) -> None:
    assume(sum(pair[0]) > 1 and sum(pair[1]) > 1)
    samples = [np.repeat(np.arange(len(counts)), counts) for counts in pair]
    expected = stats.ks_2samp(*samples, method="asymp")
    assert divergence.ks(*pair) == pytest.approx(
        (expected.statistic, expected.pvalue), abs=1e-9
    )
    found = divergence.ks_samples(*samples)
    assert found == pytest.approx((expected.statistic, expected.pvalue), abs=1e-9)


def test_ks_of_one_row_each() -> None:
    assert divergence.ks([1, 0], [0, 1]) == (1.0, 0.0)
    assert divergence.ks([1], [1]) == (0.0, 1.0)


def test_ks_of_values_with_ties_rejects_too_rarely() -> None:
    """1,000 rows of Poisson(2) twice: .9 % at a level of 5 %."""
    random = np.random.default_rng(4)
    shares = stats.poisson(2).pmf(range(20))
    shares /= shares.sum()
    pairs = random.multinomial(1000, shares, (4000, 2))
    rejected = [divergence.ks(*pair)[1] < 0.05 for pair in pairs]
    assert np.mean(rejected) == pytest.approx(0.009, abs=0.004)


@FEW
@given(st.integers(0, 60), st.integers(0, 40), st.integers(1, 500), st.integers(1, 80))
def test_two_proportions_is_the_sum_of_all_tables_as_unlikely(
    x: int, y: int, more: int, extra: int
) -> None:
    n, m = x + more, y + extra
    tables = stats.hypergeom(n + m, x + y, n)
    weights = tables.pmf(np.arange(0, min(n, x + y) + 1))
    expected = weights[weights <= tables.pmf(x) * (1 + 1e-7)].sum()
    found = divergence.two_proportions((x, n), (y, m))
    assert found == pytest.approx(min(1.0, expected), abs=1e-9)


def test_two_proportions_without_a_difference_to_find() -> None:
    assert divergence.two_proportions((0, 10), (0, 20)) == 1
    assert divergence.two_proportions((10, 10), (20, 20)) == 1
    assert divergence.two_proportions((0, 0), (20, 20)) == 1
    # 4 rows of 1,000 against none of 10,000: (1000/11000) ** 4, nearly.
    found = divergence.two_proportions((0, 10000), (4, 1000))
    assert found == pytest.approx(math.comb(1000, 4) / math.comb(11000, 4), rel=1e-9)


@FEW
@given(st.lists(st.floats(0, 1), max_size=30))
def test_adjusted_p_values_equal_statsmodels_and_keep_the_order(p: list[float]) -> None:
    found = divergence.benjamini_hochberg(p)
    if not p:
        assert found.size == 0
        return
    expected = multitest.multipletests(p, method="fdr_bh")[1]
    assert found == pytest.approx(expected, abs=1e-12)
    order = np.argsort(p, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert (found >= np.array(p)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: divergence.psi([1, -1], [1, 1]), r"reference\[1\] = -1: a count is"),
        (lambda: divergence.psi([1, 1], [1, math.nan]), r"current\[1\] = nan: a count"),
        (lambda: divergence.psi([1, 1], [1]), "reference has 2, current has 1"),
        (lambda: divergence.jensen_shannon([0, 0], [1, 1]), "reference has 0 rows and"),
        (
            lambda: divergence.chi_squared([1, 1], [0, 0]),
            "and current 0: both need one",
        ),
        (lambda: divergence.ks_samples([1, math.inf], [1]), r"a\[1\] = inf: must be a"),
        (lambda: divergence.ks_samples([], [1]), "a has 0 numbers and b 1: both need"),
        (
            lambda: divergence.two_proportions((3, 2), (1, 2)),
            "more successes than rows",
        ),
        (lambda: divergence.psi_p_value(0.1, 10, 10, 1), "bins 1: must be at least 0,"),
        (
            lambda: divergence.benjamini_hochberg([1.1]),
            r"p_values\[0\] = 1.1: must lie",
        ),
        (
            lambda: divergence.benjamini_hochberg([math.nan]),
            r"p_values\[0\] = nan: mus",
        ),
    ],
)
def test_wrong_values_are_refused_with_what_was_given(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
