"""Figures of a model that predicts numbers, against scikit-learn and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.statistics.regression import Errors
from sklearn import metrics
from statsmodels.stats.weightstats import DescrStatsW

FEW = settings(max_examples=60, deadline=None)
NUMBERS = st.floats(-1000, 1000, width=32)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30)


def sums(pairs: list[tuple[float, float]]) -> Errors:
    """The sums over rows of (prediction, label)."""
    errors = [prediction - label for prediction, label in pairs]
    return Errors(
        n=len(pairs),
        error=math.fsum(errors),
        absolute=math.fsum(map(abs, errors)),
        squared=math.fsum(error * error for error in errors),
        label=math.fsum(label for _, label in pairs),
        label_squared=math.fsum(label * label for _, label in pairs),
    )


@FEW
@given(PAIRS)
def test_figures_equal_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    predictions, labels = (np.array(it) for it in zip(*pairs, strict=True))
    found = sums(pairs)
    near = {"rel": 1e-9, "abs": 1e-9}
    assert found.mae == pytest.approx(
        metrics.mean_absolute_error(labels, predictions), **near
    )
    assert found.rmse == pytest.approx(
        metrics.root_mean_squared_error(labels, predictions), **near
    )
    assert found.bias == pytest.approx(float((predictions - labels).mean()), **near)
    if found.r2 is None:
        assert np.ptp(labels) < 1e-3
    elif np.std(labels) > 1:
        expected = metrics.r2_score(labels, predictions)
        # The sums lose digits where the labels' mean is far above their deviation.
        assert found.r2 == pytest.approx(expected, rel=1e-6, abs=1e-6)


@FEW
@given(PAIRS, PAIRS)
def test_the_sums_of_two_days_add_up(
    first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> None:
    found, expected = sums(first) + sums(second), sums(first + second)
    assert found.n == expected.n
    for name in ("error", "absolute", "squared", "label", "label_squared"):
        assert getattr(found, name) == pytest.approx(
            getattr(expected, name), rel=1e-9, abs=1e-6
        )


def test_intervals_equal_statsmodels() -> None:
    random = np.random.default_rng(1)
    labels = random.normal(50, 10, 40)
    predictions = labels + random.standard_t(4, 40) + 0.3
    found = sums(list(zip(predictions.tolist(), labels.tolist(), strict=True)))
    for interval, values in (
        (found.bias_interval(0.9), predictions - labels),
        (found.mae_interval(0.9), np.abs(predictions - labels)),
    ):
        expected = DescrStatsW(values).tconfint_mean(alpha=0.1)
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)
        assert interval.value == pytest.approx(values.mean(), abs=1e-12)


def test_the_interval_of_a_mean_distance_ends_at_0() -> None:
    found = sums([(0, 0), (0, 9)])
    assert found.mae_interval().low == 0
    assert found.bias_interval().low < 0


def test_what_is_undefined_is_none() -> None:
    nothing = Errors()
    assert (nothing.mae, nothing.rmse, nothing.bias, nothing.r2) == (None,) * 4
    assert nothing.mae_interval() is None
    one = sums([(1, 2)])
    assert (one.mae, one.bias, one.r2, one.bias_interval()) == (1, -1, None, None)
    # Labels that are all equal: rounding leaves a little of their variation.
    assert sums([(0.2, 0.1)] * 7).r2 is None
    assert sums([(1e6, 1e6 + 0.1)] * 7).r2 is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n": -1}, r"n\[0\] = -1: a count is a whole number"),
        ({"n": 1, "error": math.nan}, r"error\[0\] = nan: must be a finite number"),
        ({"n": 1, "label": math.inf}, r"label\[0\] = inf: must be a finite number"),
        ({"n": 1, "squared": -1}, "squared = -1: must be at least 0"),
    ],
)
def test_wrong_sums_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Errors(**values)
