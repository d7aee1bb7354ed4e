"""Intervals against published tables and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_monitor.statistics import intervals
from statsmodels.stats import proportion

FEW = settings(max_examples=100, deadline=None)


@st.composite
def proportions(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 10**6))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_the_published_one(
    successes: int, n: int, low: float, high: float
) -> None:
    found = intervals.wilson(successes, n)
    assert found is not None
    assert found.value == successes / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@FEW
@given(proportions(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_equals_statsmodels(given: tuple[int, int], level: float) -> None:
    found = intervals.wilson(*given, level)
    assert found is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    expected = proportion.proportion_confint(*given, alpha=1 - level, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_a_proportion_of_no_rows_is_undefined() -> None:
    assert intervals.wilson(0, 0) is None
    assert intervals.difference((0, 0), (1, 2)) is None
    assert intervals.difference((1, 2), (0, 0)) is None
    assert intervals.ratio((0, 0), (1, 2)) is None
    assert intervals.ratio((1, 2), (0, 0)) is None
    assert intervals.ratio((1, 2), (0, 2)) is None


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_the_difference_is_the_published_one(
    a: tuple[int, int], b: tuple[int, int], low: float, high: float
) -> None:
    found = intervals.difference(a, b)
    assert found is not None
    assert found.value == pytest.approx(a[0] / a[1] - b[0] / b[1], abs=1e-15)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@FEW
@given(proportions(), proportions())
def test_the_difference_equals_statsmodels(
    a: tuple[int, int], b: tuple[int, int]
) -> None:
    found, reverse = intervals.difference(a, b), intervals.difference(b, a)
    assert found is not None
    assert reverse is not None
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (-reverse.low, -reverse.high) == pytest.approx((found.high, found.low))
    expected = proportion.confint_proportions_2indep(
        *a, *b, compare="diff", method="newcomb"
    )
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_the_ratio_is_the_published_one() -> None:
    """The example of Koopman 1984: 36 of 40 against 16 of 80."""
    found = intervals.ratio((36, 40), (16, 80))
    assert found is not None
    assert found.value == pytest.approx(4.5)
    assert (found.low, found.high) == pytest.approx((2.94, 7.15), abs=0.005)


@FEW
@given(proportions(), proportions())
def test_the_score_is_at_its_bound_at_both_ends_of_the_ratio(
    a: tuple[int, int], b: tuple[int, int]
) -> None:
    assume(0 < a[0] < a[1] and 0 < b[0] < b[1])
    found, reverse = intervals.ratio(a, b), intervals.ratio(b, a)
    assert found is not None
    assert reverse is not None
    assert 0 < found.low <= found.value <= found.high
    assert 1 / reverse.high == pytest.approx(found.low, rel=1e-9)
    assert 1 / reverse.low == pytest.approx(found.high, rel=1e-9)
    for bound, score in ((found.low, 1.959964), (found.high, -1.959964)):
        result = proportion.score_test_proportions_2indep(
            *a, *b, value=bound, compare="ratio", correction=False
        )
        assert result.statistic == pytest.approx(score, rel=1e-5)


def test_every_small_table_has_its_ratio() -> None:
    for m, n in ((1, 1), (4, 7), (1000, 3)):
        for x in {0, 1, m // 2, m - 1, m}:
            for y in range(1, n + 1):
                found = intervals.ratio((x, m), (y, n))
                assert found is not None
                assert 0 <= found.low <= found.value <= found.high < math.inf
                assert (found.low == 0) == (x == 0)


@pytest.mark.parametrize(
    ("a", "b"), [((0, 10), (3, 10)), ((5, 50), (9, 500)), ((30, 30), (29, 40))]
)
def test_the_ratio_with_empty_cells_equals_statsmodels(
    a: tuple[int, int], b: tuple[int, int]
) -> None:
    found = intervals.ratio(a, b)
    assert found is not None
    expected = proportion.confint_proportions_2indep(
        *a, *b, compare="ratio", method="score", correction=False
    )
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


def test_the_ratio_of_two_certainties_has_its_closed_form() -> None:
    """The score test rejects r > 1 where n (r - 1) > z squared."""
    found = intervals.ratio((10, 10), (25, 25))
    assert found is not None
    z2 = 1.959963984540054**2
    assert (found.low, found.high) == pytest.approx(
        (1 / (1 + z2 / 10), 1 + z2 / 25), rel=1e-9
    )


def test_the_bootstrap_of_a_proportion_is_near_its_closed_form() -> None:
    found = intervals.bootstrap(
        [300, 700], lambda cells: cells[:, 0] / cells.sum(axis=1), draws=20000, seed=3
    )
    half = 1.96 * math.sqrt(0.3 * 0.7 / 1000)
    assert found.value == 0.3
    # 20,000 draws know a 2.5 % quantile to 2 % of the half width.
    assert found.low == pytest.approx(0.3 - half, abs=0.05 * half)
    assert found.high == pytest.approx(0.3 + half, abs=0.05 * half)


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    def share(cells: np.ndarray) -> np.ndarray:
        return cells[:, 0] / cells.sum(axis=1)

    first, again, other = (
        intervals.bootstrap([30, 70], share, draws=999, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_bootstrap_leaves_undefined_draws_out() -> None:
    """Precision of 1 right decision of 2: a seventh of the draws has no decision."""

    def precision(cells: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return cells[:, 0] / (cells[:, 0] + cells[:, 1])

    found = intervals.bootstrap([1, 1, 98], precision, seed=1)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"cells = \[0, 0, 98\]: their figure is und"):
        intervals.bootstrap([0, 0, 98], precision, seed=1)
    with pytest.raises(ValueError, match=r"cells = \[0, 0, 0\]: their figure is undef"):
        intervals.bootstrap([0, 0, 0], precision, seed=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.wilson(3, 2), r"\(3, 2\): more successes than rows"),
        (lambda: intervals.wilson(-1, 2), r"\[0\] = -1: a count is a whole number"),
        (lambda: intervals.wilson(1.5, 2), r"\[0\] = 1.5: a count is a whole number"),
        (lambda: intervals.wilson(1, math.nan), r"\[1\] = nan: a count is a whole"),
        (lambda: intervals.wilson(1, 2, level=1.0), "level = 1.0: must lie between"),
        (lambda: intervals.ratio((1, math.inf), (1, 2)), r"a\[1\] = inf: a count is"),
        (lambda: intervals.bootstrap([1, -1], np.sum, seed=1), r"cells\[1\] = -1"),
    ],
)
def test_wrong_counts_are_refused_with_what_was_given(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
